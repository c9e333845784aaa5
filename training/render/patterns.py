"""Procedural cloth: colours and patterns as flat pictures, uint8 BGR."""

from __future__ import annotations

import cv2
import numpy as np


def smooth_noise(
    rng: np.random.Generator, height: int, width: int, cells: float, octaves: int = 1
) -> np.ndarray:
    """(height, width) float32 in about [−1, 1]: noise with `cells` bumps across the larger side; each octave twice
    as fine and half as strong."""
    total = np.zeros((height, width), np.float32)
    weight, largest = 1.0, max(height, width)
    for _ in range(octaves):
        grid = (max(2, round(cells * height / largest) + 1), max(2, round(cells * width / largest) + 1))
        bumps = rng.uniform(-1.0, 1.0, grid).astype(np.float32)
        total += weight * cv2.resize(bumps, (width, height), interpolation=cv2.INTER_CUBIC)
        cells, weight = cells * 2.0, weight * 0.5
    return total


def random_colour(rng: np.random.Generator) -> np.ndarray:
    """(3,) BGR in [0, 255]: black, white and grey as often as people wear them, otherwise any, mostly muted."""
    kind = rng.uniform()
    if kind < 0.12:
        return rng.uniform(12, 45) + rng.uniform(-6, 6, 3)
    if kind < 0.24:
        return rng.uniform(200, 245) + rng.uniform(-8, 8, 3)
    if kind < 0.36:
        return rng.uniform(60, 190) + rng.uniform(-10, 10, 3)
    colour = rng.uniform(10, 245, 3)
    return colour + rng.uniform(0.0, 0.6) * (colour.mean() - colour)


def cloth(rng: np.random.Generator, size: int, fold_cells: float = 20.0) -> np.ndarray:
    """(size, size, 3) uint8: a colour, half of the time with a pattern, worn and with the shade of its folds, of which
    there are `fold_cells` across."""
    colour = random_colour(rng)
    other = random_colour(rng) if rng.uniform() < 0.5 else np.clip(colour + rng.normal(0, 45, 3), 5, 250)
    kind = rng.choice(
        ["plain", "stripes", "checks", "blotches", "dots", "gradient", "noise", "logo"],
        p=[0.4, 0.14, 0.1, 0.09, 0.06, 0.07, 0.06, 0.08],
    )
    share = _mix(rng, size, str(kind))
    if share is None:
        picture = np.empty((size, size, 3), np.uint8)
        picture[:] = np.clip(colour, 0, 255).astype(np.uint8)
    else:
        ramp = colour + (other - colour) * np.linspace(0.0, 1.0, 256)[:, None]
        ramp = np.clip(ramp, 0, 255).astype(np.uint8)[:, None]
        picture = cv2.applyColorMap(cv2.convertScaleAbs(share, alpha=255.0), ramp)
    half = size // 2
    shade = 1.0 + rng.uniform(0.02, 0.08) * smooth_noise(rng, half, half, rng.uniform(15, 60), 2)
    shade += rng.uniform(0.0, 0.12) * smooth_noise(rng, half, half, fold_cells, 2)
    return shaded(picture, shade)


def strands(rng: np.random.Generator, size: int, colour: np.ndarray) -> np.ndarray:
    """(size, size, 3) uint8: hair, streaks that hang down."""
    picture = np.empty((size, size, 3), np.uint8)
    picture[:] = np.clip(colour, 0, 255).astype(np.uint8)
    streaks = cv2.resize(
        rng.normal(1.0, 0.13, (size // 64, size // 4)).astype(np.float32), (size // 2, size // 2)
    )
    return shaded(picture, streaks)


def shaded(picture: np.ndarray, shade: np.ndarray) -> np.ndarray:
    """picture (h, w, 3) uint8 times shade (any size) float32 about 1."""
    factor = cv2.resize(cv2.convertScaleAbs(shade, alpha=128.0), picture.shape[1::-1])
    return cv2.multiply(picture, cv2.cvtColor(factor, cv2.COLOR_GRAY2BGR), scale=1.0 / 128.0)


def _mix(rng: np.random.Generator, size: int, kind: str) -> np.ndarray | None:
    """(size, size) float32: how much of the other colour is where; None: nowhere."""
    if kind == "plain":
        return None
    along = np.arange(size, dtype=np.float32)
    angle = rng.choice([0.0, np.pi / 2, rng.uniform(0, np.pi)])
    period = rng.uniform(14, 110)
    if kind in ("stripes", "checks"):
        thick = rng.uniform(-0.7, 0.7)
        ramp = np.cos(angle) * along[None] + np.sin(angle) * along[:, None]
        share = (np.sin(ramp * (2 * np.pi / period)) > thick).astype(np.float32)
        if kind == "checks":
            ramp = -np.sin(angle) * along[None] + np.cos(angle) * along[:, None]
            share = 0.5 * (share + (np.sin(ramp * (2 * np.pi / period)) > thick))
        return share
    if kind == "blotches":
        return (smooth_noise(rng, size, size, rng.uniform(8, 50)) > rng.uniform(-0.3, 0.4)).astype(np.float32)
    if kind == "dots":
        grid = np.sin(along * (2 * np.pi / period))
        return (np.outer(grid, grid) > rng.uniform(0.3, 0.8)).astype(np.float32)
    if kind == "gradient":
        ramp = (np.cos(angle) * along[None] + np.sin(angle) * along[:, None]) / size
        return (0.5 + 0.5 * np.sin(ramp * rng.uniform(2, 16) + rng.uniform(0, 6))).astype(np.float32)
    if kind == "noise":
        return np.clip(0.5 + 0.6 * smooth_noise(rng, size, size, rng.uniform(6, 80), 3), 0, 1)
    return _logo(rng, size)


def _logo(rng: np.random.Generator, size: int) -> np.ndarray:
    """Something printed on the chest: the shirt's middle is near (0.5, 0.27) of a layer."""
    share = np.zeros((size, size), np.float32)
    for _ in range(int(rng.integers(1, 4))):
        x, y = size * (0.5 + rng.normal(0, 0.025)), size * (0.28 + rng.normal(0, 0.03))
        reach = size * rng.uniform(0.01, 0.055, 2)
        if rng.uniform() < 0.5:
            axes = (int(reach[0]), int(reach[1]))
            cv2.ellipse(share, (int(x), int(y)), axes, rng.uniform(0, 180), 0, 360, 1.0, -1)
        else:
            corners = (int(x - reach[0]), int(y - reach[1])), (int(x + reach[0]), int(y + reach[1]))
            cv2.rectangle(share, *corners, 1.0, -1)
    if rng.uniform() < 0.5:
        font, scale = int(rng.integers(0, 7)), size / 1024 * rng.uniform(0.8, 2.0)
        text = "".join(chr(c) for c in rng.integers(65, 91, int(rng.integers(2, 6))))
        origin = (int(size * rng.uniform(0.44, 0.48)), int(size * rng.uniform(0.24, 0.33)))
        cv2.putText(share, text, origin, font, scale, 1.0, int(rng.integers(2, 7)))
    return share
