"""Rotations of the joints against the truth, beside the mean pose; and how straight a standing person stands."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from bench.accuracy.live import BodyTrack
from bench.accuracy.takes import Truth
from realtime.body.skeleton import JOINT_NAMES
from training.metrics import knee_flexion_deg, mean_rotation, rotation_error_deg
from training.motion import Clip, clip_weights

# A joint's rotation is that of its bone against its parent's: "hip" is the thigh, "shoulder" the upper arm.
GROUPS = {
    "hips": ("left_hip", "right_hip"),
    "knees": ("left_knee", "right_knee"),
    "shoulders": ("left_shoulder", "right_shoulder"),
    "elbows": ("left_elbow", "right_elbow"),
    "head": ("head",),
    "wrists": ("left_wrist", "right_wrist"),
    "ankles": ("left_ankle", "right_ankle"),
    "spine": ("spine1", "spine2", "spine3"),
    "neck": ("neck",),
    "collars": ("left_collar", "right_collar"),
    "whole body": ("pelvis",),
}
CEILING_EVERY = 24  # of the counted frames of a take, one goes into bench.accuracy.ceiling
STILL_M_S = 0.15  # mean speed of the points about the pelvis
STANDING_KNEE_DEG = 45.0  # more in either knee, and he sits or crouches


@dataclass(frozen=True)
class RotationErrors:
    """One take, mean over the counted frames. Degrees."""

    errors: np.ndarray  # (24,)
    mean_pose: np.ndarray  # (24,) of the mean pose in place of what was said
    standing: int  # upright still frames
    knee_bias: float  # said minus true flexion of both knees on them; nan without any
    knee_true: float


def mean_pose(clips: list[Clip]) -> np.ndarray:
    """(24, 3, 3) the mean rotation of every joint, clips weighted as takes are drawn. The root's means nothing."""
    share = clip_weights(clips)
    weights = [
        np.full(len(clip.rotations), w / len(clip.rotations)) for clip, w in zip(clips, share, strict=True)
    ]
    moments = [np.tensordot(w, clip.rotations, axes=1) for clip, w in zip(clips, weights, strict=True)]
    return mean_rotation(np.stack(moments), np.ones(len(moments)))


def rotation_errors(truth: Truth, body: BodyTrack, ok: np.ndarray, mean: np.ndarray) -> RotationErrors:
    """body's rotations on the frames ok (T,) bool. mean (24, 3, 3): of mean_pose."""
    true = truth.take.rotations
    flexion, true_flexion = knee_flexion_deg(body.rotations), knee_flexion_deg(true)
    standing = ok & standing_still(truth)
    return RotationErrors(
        rotation_error_deg(body.rotations, true)[ok].mean(axis=0),
        rotation_error_deg(np.broadcast_to(mean, true.shape), true)[ok].mean(axis=0),
        int(standing.sum()),
        float((flexion - true_flexion)[standing].mean()) if standing.any() else float("nan"),
        float(true_flexion[standing].mean()) if standing.any() else float("nan"),
    )


def standing_still(truth: Truth) -> np.ndarray:
    """(T,) bool: the trunk upright, slower than 0.15 m/s, neither knee bent by more than 45°; by the truth."""
    with np.errstate(invalid="ignore"):
        still = truth.speed_m_s < STILL_M_S
    return truth.upright & still & (knee_flexion_deg(truth.take.rotations) < STANDING_KNEE_DEG).all(axis=1)


def summarise(takes: list[RotationErrors]) -> dict[str, Any]:
    """Group → degrees, of the stream and of the mean pose, means over takes; the knees of those who stand, over
    frames."""
    groups = {}
    for name, joints in GROUPS.items():
        own = [JOINT_NAMES.index(joint) for joint in joints]
        error = float(np.mean([take.errors[own].mean() for take in takes]))
        base = float(np.mean([take.mean_pose[own].mean() for take in takes]))
        groups[name] = {
            "error_deg": error,
            "mean_pose_deg": base,
            "ratio": error / base if base else float("nan"),
        }
    del groups["whole body"]["mean_pose_deg"], groups["whole body"]["ratio"]  # which way he faces has no mean
    frames = np.array([take.standing for take in takes])
    some = frames > 0
    knees: dict[str, float] = {"frames": int(frames.sum()), "takes": int(some.sum())}
    for key, values in (
        ("bias_deg", [take.knee_bias for take in takes]),
        ("true_deg", [take.knee_true for take in takes]),
    ):
        knees[key] = (
            float(np.average(np.array(values)[some], weights=frames[some])) if some.any() else float("nan")
        )
    return {"groups": groups, "standing_knees": knees}
