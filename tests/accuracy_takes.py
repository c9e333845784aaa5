"""Takes, truths and tracks for the tests of bench.accuracy."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from bodies import figure_body
from motions import swinging_clip

from bench.accuracy.live import BodyTrack, Track
from bench.accuracy.takes import Truth
from realtime.body.rotations import axis_angle_to_matrix
from training.camera import FRONT, PinholeCamera
from training.metrics import POINT_JOINTS
from training.motion import FPS
from training.staging import Take, stage

BODY = figure_body()
AHEAD_MS = tuple(step * 1000.0 / FPS for step in (1, 2, 3, 5, -5))


def swinging_truth(frames: int = 60, seed: int = 0) -> Truth:
    """A person who swings every limb, before a random camera."""
    return Truth(BODY, stage(swinging_clip(frames, seed), 0, frames, np.random.default_rng(seed)))


def turning_take(frames: int = 40, deg_per_frame: float = 2.0) -> Take:
    """Every joint but the root turns about an axis of its own at a constant rate; seen from the front."""
    axis = np.random.default_rng(1).normal(size=(24, 3))
    axis[0] = 0.0
    axis[1:] /= np.linalg.norm(axis[1:], axis=-1, keepdims=True)
    angle = np.radians(deg_per_frame) * np.arange(frames) / 4.0
    rotations = axis_angle_to_matrix(angle[:, None, None] * axis)
    rotations[:, 0] = FRONT
    camera = PinholeCamera(FRONT, np.zeros(3), 640, 480, 60.0)
    trans = np.tile(np.array([0.1, 0.0, 3.0], np.float32), (frames, 1))
    return Take("99_01", rotations, trans, np.zeros(10, np.float32), camera, np.arange(frames) / FPS)


def perfect_track(truth: Truth, body: bool = True) -> Track:
    """The truth itself as a row; its poses ahead too (at the ends those of the last frame there is)."""
    frames = len(truth.take.trans)
    then = np.clip(np.arange(frames)[:, None] + [1, 2, 3, 5, -5], 0, frames - 1)
    own = BodyTrack(
        truth.joints.copy(),
        truth.take.rotations.copy(),
        np.tile(truth.take.betas, (frames, 1)),
        truth.take.trans.copy(),
        AHEAD_MS,
        truth.take.rotations[then],
    )
    points = truth.joints[:, POINT_JOINTS].astype(float)
    return Track(np.ones(frames, bool), points, np.full(frames, 15.0), own if body else None)


def shaken(track: Track, metres: float) -> Track:
    """Every other frame, all but the hips lie this much to the right."""
    points = track.points.copy()
    points[1::2, :6, 0] += metres
    points[1::2, 8:, 0] += metres
    return replace(track, points=points)
