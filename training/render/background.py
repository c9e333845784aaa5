"""Random backgrounds: gradients, clutter, smooth noise, rooms."""

from __future__ import annotations

import cv2
import numpy as np

from training.render.patterns import random_colour, smooth_noise


def random_background(
    rng: np.random.Generator, width: int, height: int, worn: np.ndarray | None = None
) -> np.ndarray:
    """(height, width, 3) uint8 BGR. worn (3,) BGR: the colour of a garment, which the walls of some rooms share."""
    make = (_gradient, _clutter, _noise, _room)[int(rng.choice(4, p=[0.15, 0.2, 0.2, 0.45]))]
    picture = make(rng, width, height)
    contrast = rng.uniform(0.35, 1.1)
    middle = rng.uniform(60, 190)
    return cv2.convertScaleAbs(picture, alpha=contrast, beta=max(0.0, (1.0 - contrast) * middle))


def _gradient(rng: np.random.Generator, width: int, height: int) -> np.ndarray:
    corners = rng.uniform(20, 235, (2, 2, 3)).astype(np.float32)
    return cv2.resize(corners, (width, height), interpolation=cv2.INTER_LINEAR).astype(np.uint8)


def _clutter(rng: np.random.Generator, width: int, height: int) -> np.ndarray:
    cells = rng.uniform(0, 255, (rng.integers(3, 24), rng.integers(3, 32), 3))
    grey = cells.mean(axis=2, keepdims=True)  # rooms are not as colourful as noise
    cells = (grey + rng.uniform(0.1, 0.7) * (cells - grey)).astype(np.float32)
    kind = int(rng.choice([cv2.INTER_CUBIC, cv2.INTER_NEAREST], p=[0.8, 0.2]))
    return np.clip(cv2.resize(cells, (width, height), interpolation=kind), 0, 255).astype(np.uint8)


def _noise(rng: np.random.Generator, width: int, height: int) -> np.ndarray:
    """Noise of several sizes, as leaves, stones or cloth are from afar."""
    cells = rng.uniform(2, 20)
    brightness = smooth_noise(rng, height, width, cells, int(rng.integers(2, 6)))
    tint = smooth_noise(rng, height, width, rng.uniform(1, 8))
    base, other = random_colour(rng), random_colour(rng)
    picture = (
        base + (other - base) * (0.5 + 0.5 * tint[..., None]) + rng.uniform(15, 70) * brightness[..., None]
    )
    return np.clip(picture, 0, 255).astype(np.uint8)


def _room(rng: np.random.Generator, width: int, height: int) -> np.ndarray:
    """Wall, floor, and boxes and frames as of furniture and pictures."""
    picture = np.empty((height, width, 3), np.float32)
    floor = int(height * rng.uniform(0.5, 0.95))
    wall, ground = random_colour(rng), random_colour(rng)
    fall = np.linspace(rng.uniform(0.75, 1.2), rng.uniform(0.75, 1.2), width)[None, :, None]
    picture[:floor] = wall * fall
    picture[floor:] = ground * fall * np.linspace(0.75, 1.1, height - floor)[:, None, None]
    picture = np.clip(picture, 0, 255).astype(np.uint8)
    for _ in range(int(rng.integers(1, 12))):
        size = (rng.uniform(0.04, 0.4, 2) * (width, height)).astype(int)
        x = int(rng.uniform(-0.1, 1.0) * width)
        hangs = rng.uniform() < 0.5
        bottom = (
            int(rng.uniform(0.1, 0.8) * floor) + size[1] // 2
            if hangs
            else floor + int(rng.uniform(0, 0.1) * height)
        )
        colour = random_colour(rng)
        left, top, right = x, bottom - int(size[1]), x + int(size[0])
        cv2.rectangle(picture, (left, top), (right, bottom), colour.tolist(), -1)
        if rng.uniform() < 0.6:  # drawers, panes, a frame
            inner = random_colour(rng) if rng.uniform() < 0.4 else colour * rng.uniform(0.6, 1.3)
            for row in range(int(rng.integers(1, 4))):
                y = top + (row + 0.15) * size[1] / 3
                corner = (
                    (int(left + 0.1 * size[0]), int(y)),
                    (int(right - 0.1 * size[0]), int(y + size[1] / 4)),
                )
                cv2.rectangle(picture, *corner, np.clip(inner, 0, 255).tolist(), int(rng.choice([-1, 1, 2])))
    grain = smooth_noise(rng, height, width, rng.uniform(20, 120), 2)[..., None] * rng.uniform(0, 10)
    picture = np.clip(picture + grain, 0, 255).astype(np.uint8)
    return cv2.GaussianBlur(picture, (0, 0), rng.uniform(0.4, 4.0))
