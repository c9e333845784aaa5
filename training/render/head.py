"""Skin and face: tones, eyes, brows, mouth, beard, glasses, painted on the T-pose."""

from __future__ import annotations

import cv2
import numpy as np

from training.render.figure import ATLAS_LEFT_M, ATLAS_M, ATLAS_PX, ATLAS_TOP_M

# Places in the face of the shipped body's rest pose, metres.
EYE_Y_M, EYE_X_M = 0.683, 0.032
MOUTH_Y_M, HAIRLINE_Y_M = 0.612, 0.755

_TONES = np.array(  # BGR of skins from light to dark
    [
        [190, 205, 240],
        [160, 185, 230],
        [130, 165, 215],
        [100, 135, 190],
        [70, 100, 155],
        [45, 70, 115],
        [35, 50, 80],
    ],
    np.float64,
)
_HAIR = np.array(
    [[20, 22, 28], [30, 40, 60], [45, 70, 110], [90, 140, 190], [140, 150, 155], [50, 80, 150]], float
)


def random_skin(rng: np.random.Generator) -> np.ndarray:
    """(3,) BGR in [0, 255]."""
    place = rng.uniform(0.0, len(_TONES) - 1.001)
    low = int(place)
    tone = _TONES[low] + (place - low) * (_TONES[low + 1] - _TONES[low])
    return np.clip(tone * np.exp(rng.normal(0.0, 0.08)) + rng.normal(0, 6, 3), 10, 250)


def random_hair(rng: np.random.Generator) -> np.ndarray:
    """(3,) BGR in [0, 255]."""
    return np.clip(
        _HAIR[rng.choice(len(_HAIR), p=[0.3, 0.25, 0.15, 0.12, 0.1, 0.08])] * rng.uniform(0.6, 1.3), 5, 245
    )


def _texel(x: float, y: float) -> tuple[int, int]:
    """Rest-pose metres → OpenCV's point with 4 fractional bits."""
    u, v = (x - ATLAS_LEFT_M) / ATLAS_M * ATLAS_PX, (ATLAS_TOP_M - y) / ATLAS_M * ATLAS_PX
    return int(round(u * 16)), int(round(v * 16))


def _oval(
    layer: np.ndarray, x: float, y: float, rx: float, ry: float, colour: np.ndarray, angle: float = 0.0
) -> None:
    size = ATLAS_PX / ATLAS_M * 16
    axes = (max(8, int(rx * size)), max(8, int(ry * size)))
    cv2.ellipse(
        layer, _texel(x, y), axes, angle, 0, 360, np.clip(colour, 0, 255).tolist(), -1, cv2.LINE_AA, 4
    )


def paint_face(front: np.ndarray, skin: np.ndarray, hair: np.ndarray, rng: np.random.Generator) -> None:
    """Eyes, brows, nose and mouth onto the front layer (S, S, 3) uint8, in place."""
    shade = skin * 0.72
    if rng.uniform() < 0.3:  # beard or stubble
        full = rng.uniform(0.25, 1.0)
        colour = skin + full * (hair - skin)
        _oval(front, 0.0, MOUTH_Y_M - 0.012, 0.056, 0.046, colour)
        if rng.uniform() < 0.6:
            _oval(front, 0.0, MOUTH_Y_M + 0.018, 0.03, 0.007, colour)
        else:
            _oval(front, 0.0, MOUTH_Y_M + 0.026, 0.05, 0.024, skin)
    for side in (-1.0, 1.0):
        x = side * EYE_X_M
        _oval(front, x, EYE_Y_M, 0.019, 0.011, shade)
        _oval(front, x, EYE_Y_M, 0.015, 0.0065, np.array([225.0, 228, 230]))
        _oval(front, x, EYE_Y_M, 0.0065, 0.0065, np.array([40.0, 40, 40]) * rng.uniform(0.4, 1.6))
        _oval(front, x, EYE_Y_M + 0.0065, 0.016, 0.0022, hair * 0.5)
        _oval(
            front, x, EYE_Y_M + 0.021, 0.02, rng.uniform(0.0025, 0.005), 0.25 * skin + 0.6 * hair, side * -6.0
        )
        _oval(front, side * 0.011, EYE_Y_M - 0.043, 0.005, 0.004, shade * 0.7)
        _oval(front, side * 0.05, EYE_Y_M - 0.038, 0.02, 0.016, skin * np.array([0.94, 0.94, 1.03]))
    lip = skin * np.array([0.62, 0.58, 0.85]) if rng.uniform() < 0.7 else np.array([60.0, 50, 175])
    _oval(front, 0.0, MOUTH_Y_M, 0.024, 0.0075, lip)
    _oval(front, 0.0, MOUTH_Y_M, 0.022, 0.0015, lip * 0.45)
    if rng.uniform() < 0.12:
        _glasses(front, rng)
    if rng.uniform() < 0.04:  # a mask
        _oval(front, 0.0, MOUTH_Y_M + 0.012, 0.06, 0.042, rng.uniform(20, 245, 3))


def _glasses(front: np.ndarray, rng: np.random.Generator) -> None:
    frame, dark = rng.uniform(5, 70, 3), rng.uniform() < 0.4
    size = ATLAS_PX / ATLAS_M * 16
    axes = (int(rng.uniform(0.019, 0.024) * size), int(rng.uniform(0.013, 0.02) * size))
    for side in (-1.0, 1.0):
        place = _texel(side * EYE_X_M, EYE_Y_M - 0.001)
        cv2.ellipse(front, place, axes, 0, 0, 360, frame.tolist(), -1 if dark else 2, cv2.LINE_AA, 4)
        ear = _texel(side * 0.075, EYE_Y_M + 0.004), _texel(side * (EYE_X_M + 0.02), EYE_Y_M + 0.003)
        cv2.line(front, *ear, frame.tolist(), 2, cv2.LINE_AA, 4)
    bridge = _texel(-0.012, EYE_Y_M + 0.003), _texel(0.012, EYE_Y_M + 0.003)
    cv2.line(front, *bridge, frame.tolist(), 2, cv2.LINE_AA, 4)
