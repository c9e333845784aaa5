"""Poses on the bus for the tests of the sinks, and what they say of limbs."""

from __future__ import annotations

from functools import cache

import numpy as np
from example_messages import pose_message
from scipy.spatial.transform import Rotation

from realtime.body.kinematics import forward_kinematics
from realtime.body.rotations import axis_angle_to_matrix
from realtime.body.smpl import Body, load_body
from realtime.coordinates import R_WORLD_CAM, Axes
from realtime.humanoid import BONES, JOINTS, LIMB_ENDS, LIMBS, PARENTS
from realtime.messages import PoseMessage

# Limbs with a bone at their end (a hand has none): SMPL's joints of both ends, and the bones that stand there.
ENDED = [(JOINTS[limb], end) for limb, end in zip(LIMBS, LIMB_ENDS, strict=True) if end in JOINTS]


@cache
def shipped_body() -> Body:
    return load_body(None)


def standing(seed: int, **changes: object) -> PoseMessage:
    """Somebody of the shipped body before the camera, every joint turned somehow, three metres away."""
    rng = np.random.default_rng(seed)
    theta = np.zeros(85, np.float32)
    theta[3:75] = rng.normal(0, 0.5, 72)
    theta[3:6] = (Rotation.from_matrix(R_WORLD_CAM) * Rotation.from_rotvec(rng.normal(0, 0.3, 3))).as_rotvec()
    theta[75:] = rng.normal(0, 1, 10)
    joints, _ = forward_kinematics(
        shipped_body(), axis_angle_to_matrix(theta[3:75].reshape(24, 3)), theta[75:]
    )
    fields: dict = {
        "theta": theta,
        "joints": joints - joints[0],
        "trans": np.array([0.5, 0.25, 3.0], np.float32),
        "body": shipped_body().id,
        "seq": seed,
        "frame": seed,
        "ahead": (),
        "vertices": None,
    }
    return pose_message(**{**fields, **changes})


def limbs_of_message(message: PoseMessage) -> np.ndarray:
    """(10, 3) directions of the limbs that end in a bone, in the world, from the joints as they were sent."""
    world = message.joints.astype(np.float64) @ R_WORLD_CAM.T
    return _unit(np.array([world[end] - world[start] for start, end in ENDED]))


def limbs_of_bones(quaternions: np.ndarray, offsets: np.ndarray, axes: Axes) -> np.ndarray:
    """The same from bones in somebody's axes: quaternions (22, 4) against the parents, offsets (22, 3) from them."""
    places: list[np.ndarray] = []
    turns: list[np.ndarray] = []
    for bone, parent in enumerate(PARENTS):
        own = Rotation.from_quat(quaternions[bone]).as_matrix()
        turns.append(own if parent < 0 else turns[parent] @ own)
        places.append(np.zeros(3) if parent < 0 else places[parent] + turns[parent] @ offsets[bone])
    world = axes.points_back(np.array(places))
    bone_of = {joint: bone for bone, joint in enumerate(JOINTS)}
    return _unit(np.array([world[bone_of[end]] - world[bone_of[start]] for start, end in ENDED]))


def angles_deg(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.degrees(np.arctan2(np.linalg.norm(np.cross(a, b), axis=-1), (a * b).sum(-1)))


def bone(name: str) -> int:
    return BONES.index(name)


def _unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)
