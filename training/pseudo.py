"""Pseudo truth of unlabelled video: where the landmarks were, told better than the stream could know at the time.

The looks at the picture and at its mirror picture are averaged, and what comes after a frame counts as much as what
came before. HMMR learns from such 2-D on videos that nobody labelled (§4: InstaVariety).
"""

from __future__ import annotations

import numpy as np

from realtime.perception.mirror import confused

SIGMA_S = 0.045  # of the smoothing, which follows a parabola: a hand that waves thrice a second keeps its way
REACH = 6  # frames on either side at the most
AGREE = 0.04  # of the box's diagonal: landmarks on which the looks differ by more count little
_RIDGE = 1e-2


def pseudo_landmarks(
    t_s: np.ndarray,
    landmarks_px: np.ndarray,
    world: np.ndarray,
    visibility: np.ndarray,
    detected: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Of one person followed without a cut: places (T, 33, 2) pixels and their weights (T, 33) in [0, 1].

    t_s (T,) seconds; landmarks_px (T, 2, 33, 2), world (T, 2, 33, 3), visibility (T, 2, 33): the plain look and the
    mirrored one, turned back; detected (T,) bool. The weight is visibility², less where the looks differ, and 0 where
    they exchange left and right or nobody was found.
    """
    mean = landmarks_px.mean(axis=1)
    seen = visibility.mean(axis=1)
    diagonal = np.hypot(*np.moveaxis(np.ptp(mean, axis=1), -1, 0))[:, None]
    apart = np.linalg.norm(landmarks_px[:, 0] - landmarks_px[:, 1], axis=-1)
    agree = np.exp(-((apart / np.maximum(AGREE * diagonal, 1e-6)) ** 2))
    weight = seen**2 * agree * detected[:, None]
    for frame in np.flatnonzero(detected):
        weight[frame, confused(world[frame, 0], world[frame, 1])] = 0.0
    return smooth_centred(t_s, mean, weight).astype(np.float32), weight.astype(np.float32)


def smooth_centred(t_s: np.ndarray, places: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """(T, K, 2) smoothed with no lag: at each frame the value of a parabola fitted to those around it.

    t_s (T,), weight (T, K) ≥ 0. Motion at an even speed or acceleration stays as it is.
    """
    frames = len(t_s)
    near = np.arange(frames)[:, None] + np.arange(-REACH, REACH + 1)
    inside = (near >= 0) & (near < frames)
    near = np.clip(near, 0, frames - 1)
    u = (t_s[near] - t_s[:, None]) / SIGMA_S
    kernel = np.where(inside, np.exp(-0.5 * u**2), 0.0)[..., None] * weight[near]  # (T, 2R+1, K)
    # About each frame's own place, so that a fit with nothing to go by leaves the place alone.
    off = places[near] - places[:, None]
    powers = np.stack([np.ones_like(u), u, u**2], axis=-1)
    gram = np.einsum("tnk,tni,tnj->tkij", kernel, powers, powers)
    sums = np.einsum("tnk,tni,tnkc->tkic", kernel, powers, off)
    gram[..., [1, 2], [1, 2]] += _RIDGE * kernel.sum(axis=1)[..., None]  # few frames: their mean
    gram += 1e-6 * np.eye(3)
    return places + np.linalg.solve(gram, sums)[..., 0, :]
