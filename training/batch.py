"""From what was seen and what is true to what the network is given and asked: the same arrays from every tier of data,
made by the functions of the live path (crop, virtual camera, features)."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np

from realtime.config import PerceptionConfig
from realtime.features import APPEARANCE_DIM, assemble_features, normalise_landmarks, virtual_camera
from training.crops import smooth_crops

BOX_TAU_S = PerceptionConfig().box_tau_ms / 1000.0
P_LANDMARKS_LOST = 0.2  # windows in which some landmarks are missing altogether
P_UP_KNOWN, UP_ERROR_RAD = (
    0.5,
    np.radians(2.0),
)  # windows that are told how the camera is put up, and how well
FOV_ERROR = 0.06  # the user's field of view is a guess (60° unless set): features are made with a wrong one


@dataclass(frozen=True)
class Batch:
    """float32; B windows of T frames; the ray frame of each frame's own crop; metres."""

    features: np.ndarray  # (B, T, F)
    dt_s: np.ndarray  # (B, T) since the frame before
    rotations: np.ndarray  # (B, T, 24, 3, 3)
    ahead: np.ndarray  # (B, T, 24, 3, 3): dt_ahead later, root in the ray frame of t
    dt_ahead_ms: np.ndarray  # (B, T)
    betas: np.ndarray  # (B, 10)
    keypoints: np.ndarray  # (B, T, 24, 2): SMPL's joints in the crop, [−1, 1]
    landmarks: np.ndarray  # (B, T, 33, 2): the markers of BlazePose's landmarks in the crop, [−1, 1]
    landmark_weight: np.ndarray  # (B, T, 33) ≥ 0
    has_3d: (
        np.ndarray
    )  # (B,) 1, or 0: only landmarks are known; rotations, ahead, betas, keypoints say nothing


@dataclass(frozen=True)
class Windows:
    """B windows of T frames as they were seen and as they are; camera frame, metres and pixels."""

    rotations: np.ndarray  # (B, T, 24, 3, 3)
    ahead: np.ndarray  # (B, T, 24, 3, 3)
    dt_ahead_ms: np.ndarray  # (B, T)
    betas: np.ndarray  # (B, 10)
    keypoints_px: np.ndarray  # (B, T, 24, 2) true
    markers_px: np.ndarray  # (B, T, 33, 2) true
    marker_weight: np.ndarray  # (B, T, 33)
    has_3d: np.ndarray  # (B,)
    landmarks_px: np.ndarray  # (B, T, 33, 2) seen
    world: np.ndarray  # (B, T, 33, 3) seen
    visibility: np.ndarray  # (B, T, 33) seen
    sizes: np.ndarray  # (B, T, 2)
    fovs: np.ndarray  # (B, T) degrees
    dt_s: np.ndarray  # (B, T)
    up: np.ndarray  # (B, 3) against gravity in the camera frame; nan: nobody knows
    z: np.ndarray  # (B, T, 128) appearance features; nan: none


def no_appearance(batch: int, frames: int) -> np.ndarray:
    return np.full((batch, frames, APPEARANCE_DIM), np.nan, np.float32)


def make_batch(windows: Windows, rng: np.random.Generator, crops: np.ndarray | None = None) -> Batch:
    """Camera frame and pixels → ray frame and features; some landmarks are lost on purpose. crops (B, T, 3): where they
    are worked out already."""
    w = windows
    if crops is None:
        crops = smooth_crops(w.landmarks_px, w.visibility, w.dt_s, BOX_TAU_S)
    guess = w.fovs * np.exp(rng.normal(0.0, FOV_ERROR, (len(w.fovs), 1)))
    R_cam_ray, _ = virtual_camera(crops, w.sizes, guess)
    back = np.swapaxes(R_cam_ray, -1, -2).astype(np.float32)
    rotations, ahead = w.rotations.copy(), w.ahead.copy()
    rotations[:, :, 0], ahead[:, :, 0] = back @ rotations[:, :, 0], back @ ahead[:, :, 0]
    visibility = w.visibility.copy()
    for row in np.flatnonzero(rng.uniform(size=len(visibility)) < P_LANDMARKS_LOST):
        lost = rng.uniform(size=33) < rng.uniform(0.05, 0.5)
        spell = np.sort(rng.integers(0, visibility.shape[1] + 1, 2))
        visibility[row, spell[0] : spell[1], lost] = 0.0
    up = w.up + rng.normal(0.0, UP_ERROR_RAD, w.up.shape)
    up = up / np.linalg.norm(up, axis=-1, keepdims=True)
    up[rng.uniform(size=len(up)) >= P_UP_KNOWN] = np.nan
    features = assemble_features(
        normalise_landmarks(w.landmarks_px, crops, w.sizes, guess),
        w.world,
        visibility,
        w.dt_s,
        (back @ up[:, None, :, None])[..., 0],
        w.z,
    )
    true = np.concatenate([w.keypoints_px, w.markers_px], axis=2)
    true = normalise_landmarks(true, crops, w.sizes, guess).astype(np.float32)
    return Batch(
        features=features,
        dt_s=w.dt_s.astype(np.float32),
        rotations=rotations.astype(np.float32),
        ahead=ahead.astype(np.float32),
        dt_ahead_ms=w.dt_ahead_ms.astype(np.float32),
        betas=w.betas.astype(np.float32),
        keypoints=true[:, :, :24],
        landmarks=true[:, :, 24:],
        landmark_weight=w.marker_weight.astype(np.float32),
        has_3d=w.has_3d.astype(np.float32),
    )


def join(parts: list[Batch]) -> Batch:
    """All windows of several batches."""
    return Batch(
        **{field.name: np.concatenate([getattr(p, field.name) for p in parts]) for field in fields(Batch)}
    )
