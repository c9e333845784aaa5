"""The crop of realtime/perception/box.py over batches of sequences: same formulas, whole arrays at once."""

from __future__ import annotations

import numpy as np

from realtime.perception.box import CROP_PER_DIAGONAL, MIN_VISIBLE, VISIBLE


def keypoint_crops(landmarks_px: np.ndarray, visibility: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(…, 33, 2), (…, 33) → crops (…, 3) [cx, cy, side] and whether there are landmarks enough (…,) bool."""
    seen = (visibility > VISIBLE)[..., None]
    low = np.where(seen, landmarks_px, np.inf).min(axis=-2)
    high = np.where(seen, landmarks_px, -np.inf).max(axis=-2)
    enough = seen[..., 0].sum(axis=-1) >= MIN_VISIBLE
    low, high = np.where(enough[..., None], low, 0.0), np.where(enough[..., None], high, 1.0)
    diagonal = np.hypot(*np.moveaxis(high - low, -1, 0))
    return np.concatenate([(low + high) / 2.0, CROP_PER_DIAGONAL * diagonal[..., None]], axis=-1), enough


def smooth_crops(
    landmarks_px: np.ndarray, visibility: np.ndarray, dt_s: np.ndarray, tau_s: float
) -> np.ndarray:
    """(B, T, 33, 2), (B, T, 33), dt_s (B, T) since the frame before → smoothed crops (B, T, 3).

    A sequence whose first frames show too little starts at its first good one.
    """
    measured, enough = keypoint_crops(landmarks_px, visibility)
    first = np.argmax(enough, axis=1)
    state = measured[np.arange(len(measured)), first]
    state = np.concatenate([state[:, :2], np.log(state[:, 2:])], axis=1)
    measured = np.concatenate([measured[..., :2], np.log(measured[..., 2:])], axis=-1)
    crops = np.empty_like(measured)
    for t in range(measured.shape[1]):
        if t:
            alpha = np.where(enough[:, t], -np.expm1(-np.maximum(dt_s[:, t], 0.0) / tau_s), 0.0)[:, None]
            state = state + alpha * (measured[:, t] - state)
        crops[:, t] = state
    crops[..., 2] = np.exp(crops[..., 2])
    return crops
