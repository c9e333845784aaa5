"""Errors of 3-D pose over clips, with their units. Joints in metres in, millimetres out.

HMMR's definitions: MPJPE after alignment of the hips' middle, PA-MPJPE after a similarity Procrustes fit per
frame, acceleration error of second differences per frame² at the clip's own rate.
"""

from __future__ import annotations

import numpy as np

from realtime.body.skeleton import BLAZEPOSE_NAMES, JOINT_NAMES

LIMBS = tuple(
    f"{side}_{joint}"
    for joint in ("shoulder", "elbow", "wrist", "hip", "knee", "ankle")
    for side in ("left", "right")
)
LIMB_JOINTS = np.array([JOINT_NAMES.index(name) for name in LIMBS])
LIMB_LANDMARKS = np.array([BLAZEPOSE_NAMES.index(name) for name in LIMBS])
_HIPS = np.array([LIMBS.index("left_hip"), LIMBS.index("right_hip")])


def mpjpe_mm(predicted: np.ndarray, true: np.ndarray, hips: np.ndarray = _HIPS) -> np.ndarray:
    """(T, J, 3) twice → (T,) mean joint distance per frame with the middles of the hips laid on each other."""
    a = predicted - predicted[:, hips].mean(axis=1, keepdims=True)
    b = true - true[:, hips].mean(axis=1, keepdims=True)
    return np.linalg.norm(a - b, axis=-1).mean(axis=1) * 1000.0


def procrustes(predicted: np.ndarray, true: np.ndarray) -> np.ndarray:
    """Predicted (T, J, 3) moved onto true by the best rotation, scale and translation of each frame."""
    mean_p, mean_t = predicted.mean(axis=1, keepdims=True), true.mean(axis=1, keepdims=True)
    p, t = predicted - mean_p, true - mean_t
    U, S, Vt = np.linalg.svd(np.swapaxes(p, 1, 2) @ t)
    sign = np.ones_like(S)
    sign[:, 2] = np.sign(np.linalg.det(U @ Vt))
    R = (U * sign[:, None, :]) @ Vt
    scale = (S * sign).sum(axis=1) / np.maximum((p**2).sum(axis=(1, 2)), 1e-12)
    return scale[:, None, None] * (p @ R) + mean_t


def pa_mpjpe_mm(predicted: np.ndarray, true: np.ndarray) -> np.ndarray:
    """(T, J, 3) twice → (T,) mean joint distance per frame after Procrustes."""
    return np.linalg.norm(procrustes(predicted, true) - true, axis=-1).mean(axis=1) * 1000.0


def acceleration_error_mm(predicted: np.ndarray, true: np.ndarray, hips: np.ndarray = _HIPS) -> np.ndarray:
    """(T, J, 3) twice → (T−2,) mean norm of the difference of second differences, mm/frame², hips laid together."""
    a = predicted - predicted[:, hips].mean(axis=1, keepdims=True)
    b = true - true[:, hips].mean(axis=1, keepdims=True)
    difference = np.diff(a, n=2, axis=0) - np.diff(b, n=2, axis=0)
    return np.linalg.norm(difference, axis=-1).mean(axis=1) * 1000.0


def knee_flexion_deg(rotations: np.ndarray) -> np.ndarray:
    """(T, 24, 3, 3) local rotations → (T, 2) angle of left and right knee, degrees; 0 is a straight leg."""
    knees = rotations[:, [JOINT_NAMES.index("left_knee"), JOINT_NAMES.index("right_knee")]]
    # The angle between thigh and shank, both −y in the T-pose: twist does not count.
    return np.degrees(np.arccos(np.clip(knees[..., 1, 1], -1.0, 1.0)))
