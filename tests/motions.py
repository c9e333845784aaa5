"""Motion and takes for the tests of training."""

from __future__ import annotations

import numpy as np

from realtime.body.kinematics import forward_kinematics
from realtime.body.rotations import axis_angle_to_matrix
from realtime.body.smpl import Body
from training.camera import project
from training.motion import Clip
from training.noise import first_markers
from training.observe import LOOKS, ObservedTake
from training.staging import stage


def swinging_clip(frames: int = 120, seed: int = 0) -> Clip:
    rng = np.random.default_rng(seed)
    swing = np.sin(np.arange(frames) / 12.0)[:, None, None] * rng.normal(0, 0.3, (1, 24, 3))
    return Clip(
        "99_01",
        "swing",
        "amc",
        axis_angle_to_matrix(swing),
        np.cumsum(rng.normal(0, 0.003, (frames, 3)), axis=0),
    )


def observed_take(body: Body, seed: int = 0) -> ObservedTake:
    """A take that BlazePose saw perfectly, in every look."""
    rng = np.random.default_rng(seed)
    take = stage(swinging_clip(seed=seed), 0, 90, rng)
    joints, transforms = forward_kinematics(body, take.rotations, take.betas)
    shift = take.trans - joints[:, 0]
    transforms[..., :3, 3] += shift[:, None]
    joints = joints + shift[:, None]
    size = np.array([take.camera.width, take.camera.height], np.float32)
    markers = first_markers()
    placed = markers.place(joints, transforms)
    pixels = project(placed, np.repeat(size[None], 90, 0), np.full(90, take.camera.fov_deg))
    world = placed - placed.mean(axis=1, keepdims=True)
    return ObservedTake(
        None, take.clip, take.rotations, take.trans, take.betas, take.camera.R, size, take.camera.fov_deg, take.t_s,
        every_look(pixels), every_look(world), np.full((90, len(LOOKS), 33), 0.95, np.float32),
        np.ones(90, bool), joints, transforms,
    )  # fmt: skip


def every_look(values: np.ndarray) -> np.ndarray:
    """(T, 33, …) → (T, K, 33, …) float32."""
    return np.repeat(values[:, None], len(LOOKS), axis=1).astype(np.float32)
