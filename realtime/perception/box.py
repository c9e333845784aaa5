"""The box around a person and its square crop (HMMR: the box's diagonal is 150 px of a 224 px crop).

Training crops its sequences by the same formulas, in a batched version of `smooth_crop`.
"""

from __future__ import annotations

import math

import numpy as np

from realtime.observation import Crop

CROP_PER_DIAGONAL = 224 / 150  # 1.493: HMMR scales the box's diagonal to 150 px of a 224 px crop
VISIBLE = 0.3  # below this MediaPipe's landmarks are off by 6 % of the person's height
MIN_VISIBLE = 4  # fewer say too little about where the person is


def visible_landmarks(landmarks_px: np.ndarray, visibility: np.ndarray) -> np.ndarray:
    """Which landmarks count for the box: (N,) bool, visibility above 0.3 and both coordinates finite.

    landmarks_px: (N, 2) pixels. visibility: (N,) in [0, 1]; not finite counts as unseen.
    """
    with np.errstate(invalid="ignore"):
        return (visibility > VISIBLE) & np.isfinite(landmarks_px).all(axis=1)


def keypoint_crop(landmarks_px: np.ndarray, visibility: np.ndarray) -> Crop | None:
    """The square crop around the visible landmarks: centre of their box, side 1.493 × its diagonal.

    landmarks_px: (N, 2) pixels of the full image, inside it or not: the box is not cut at the image's edge.
    visibility: (N,) in [0, 1]. None with fewer than 4 visible landmarks, or when they all fall on one point.
    """
    seen = landmarks_px[visible_landmarks(landmarks_px, visibility)].astype(np.float64)
    if len(seen) < MIN_VISIBLE:
        return None
    low, high = seen.min(axis=0), seen.max(axis=0)
    diagonal = float(np.hypot(*(high - low)))
    if not 0.0 < diagonal < math.inf:
        return None
    cx, cy = (low + high) / 2
    return Crop(float(cx), float(cy), CROP_PER_DIAGONAL * diagonal)


def smooth_crop(previous: Crop | None, measured: Crop, dt_s: float, tau_s: float) -> Crop:
    """One step of the causal smoothing: exponential in time, on the centre and on the logarithm of the side.

        alpha = 1 − exp(−dt / tau);   x ← x + alpha · (measured − x)   for cx, cy, log side

    previous: the smoothed crop dt_s seconds ago; None starts at `measured` (first box, new person).
    tau_s: time constant in seconds; 0 switches the smoothing off. A dt_s below 0 moves nothing.
    """
    if previous is None or tau_s <= 0.0:
        return measured
    alpha = -math.expm1(-max(dt_s, 0.0) / tau_s)
    return Crop(
        previous.cx + alpha * (measured.cx - previous.cx),
        previous.cy + alpha * (measured.cy - previous.cy),
        previous.side * (measured.side / previous.side) ** alpha,
    )
