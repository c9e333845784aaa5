"""Random backgrounds: gradients, clutter, noise, things heaped up, rooms."""

from __future__ import annotations

import cv2
import numpy as np

from training.render.patterns import cloth, random_colour, shaded, smooth_noise
from training.render.room import room


def random_background(
    rng: np.random.Generator, width: int, height: int, worn: np.ndarray | None = None
) -> np.ndarray:
    """(height, width, 3) uint8 BGR. worn (3,) BGR: the colour of a garment, which some backgrounds share."""
    shared = worn if worn is not None and rng.uniform() < 0.2 else None
    kind = rng.choice(["gradient", "clutter", "noise", "heap", "room"], p=[0.10, 0.08, 0.14, 0.2, 0.48])
    if kind == "gradient":
        picture = _gradient(rng, width, height, shared)
    elif kind == "clutter":
        picture = _clutter(rng, width, height)
    elif kind == "noise":
        picture = _noise(rng, width, height, shared)
    elif kind == "heap":
        picture = heap(rng, width, height, int(rng.integers(40, 220)), shared)
    else:
        picture = room(rng, width, height, shared)
    if rng.uniform() < 0.5:  # light falls off, or the lens darkens the corners
        picture = shaded(
            picture, 1.0 + rng.uniform(0.05, 0.3) * smooth_noise(rng, height // 4, width // 4, 2.0)
        )
    if rng.uniform() < 0.6:  # out of focus, more or less
        picture = cv2.GaussianBlur(picture, (0, 0), float(np.exp(rng.uniform(np.log(0.4), np.log(5.0)))))
    contrast, middle = rng.uniform(0.4, 1.1), rng.uniform(50, 200)
    return cv2.convertScaleAbs(picture, alpha=contrast, beta=max(0.0, (1.0 - contrast) * middle))


def _gradient(rng: np.random.Generator, width: int, height: int, shared: np.ndarray | None) -> np.ndarray:
    corners = rng.uniform(20, 235, (2, 2, 3))
    if shared is not None:
        corners = shared + rng.normal(0, 15, (2, 2, 3))
    corners = np.clip(corners, 0, 255).astype(np.float32)
    return cv2.resize(corners, (width, height), interpolation=cv2.INTER_LINEAR).astype(np.uint8)


def _clutter(rng: np.random.Generator, width: int, height: int) -> np.ndarray:
    cells = rng.uniform(0, 255, (rng.integers(3, 24), rng.integers(3, 32), 3))
    grey = cells.mean(axis=2, keepdims=True)  # rooms are not as colourful as noise
    cells = np.clip(grey + rng.uniform(0.1, 0.7) * (cells - grey), 0, 255).astype(np.uint8)
    kind = int(rng.choice([cv2.INTER_CUBIC, cv2.INTER_NEAREST], p=[0.8, 0.2]))
    return cv2.resize(cells, (width, height), interpolation=kind)


def _noise(rng: np.random.Generator, width: int, height: int, shared: np.ndarray | None) -> np.ndarray:
    """Noise of several sizes, as leaves, stones or cloth are from afar."""
    brightness = smooth_noise(rng, height, width, rng.uniform(2, 20), int(rng.integers(2, 6)))
    tint = smooth_noise(rng, height, width, rng.uniform(1, 8))
    base = random_colour(rng) if shared is None else shared
    ramp = base + (random_colour(rng) - base) * np.linspace(0.0, 1.0, 256)[:, None]
    picture = cv2.applyColorMap(
        cv2.convertScaleAbs(tint + 1.0, alpha=127.0), np.clip(ramp, 0, 255).astype(np.uint8)[:, None]
    )
    return shaded(picture, np.clip(1.0 + rng.uniform(0.15, 0.6) * brightness, 0.05, 1.9))


def heap(
    rng: np.random.Generator, width: int, height: int, count: int, shared: np.ndarray | None = None
) -> np.ndarray:
    """Things of all sizes before each other, few large and many small: the statistics of photographs."""
    colours = [random_colour(rng) for _ in range(int(rng.integers(3, 9)))]
    if shared is not None:
        colours[:2] = [shared, shared]
    picture = np.empty((height, width, 3), np.uint8)
    picture[:] = np.clip(colours[0], 0, 255).astype(np.uint8)
    size = np.sort(0.02 * height * rng.uniform(0.01, 1.0, count) ** -0.75)[::-1]
    straight = rng.uniform()
    for reach in np.minimum(size, 0.5 * height):
        colour = np.clip(
            colours[int(rng.integers(len(colours)))] * rng.uniform(0.7, 1.25) + rng.normal(0, 10, 3), 0, 255
        )
        x, y = rng.uniform(0, width), rng.uniform(0, height)
        if rng.uniform() < straight:
            half = reach * np.exp(rng.normal(0, 0.5, 2))
            corners = (int(x - half[0]), int(y - half[1])), (int(x + half[0]), int(y + half[1]))
            cv2.rectangle(picture, *corners, colour.tolist(), -1)
        elif rng.uniform() < 0.5:
            axes = np.maximum(1, reach * np.exp(rng.normal(0, 0.5, 2))).astype(int)
            cv2.ellipse(
                picture, (int(x), int(y)), axes.tolist(), rng.uniform(0, 180), 0, 360, colour.tolist(), -1
            )
        else:
            angle = np.sort(rng.uniform(0, 2 * np.pi, int(rng.integers(3, 7))))
            points = np.stack([x + 1.3 * reach * np.cos(angle), y + 1.3 * reach * np.sin(angle)], axis=1)
            cv2.fillConvexPoly(picture, points.astype(np.int32), colour.tolist())
    if rng.uniform() < 0.5:
        texture = cloth(rng, max(width, height))[:height, :width]
        picture = cv2.addWeighted(picture, 0.8, texture, 0.2, 0.0)
    return shaded(picture, 1.0 + rng.uniform(0.0, 0.2) * smooth_noise(rng, height // 2, width // 2, 30.0, 3))
