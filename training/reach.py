"""Arms and legs along the line of sight, where cameras tell least and captured motion shows little.

What is wrong with a pose from one camera is its depth: limbs that point at the camera or away from it come out flat.
"""

from __future__ import annotations

import numpy as np

from realtime.body.rotations import axis_angle_to_matrix, matrix_to_axis_angle
from realtime.body.skeleton import JOINT_NAMES, PARENTS

P_REACH = 0.22  # of the windows
P_TOWARD = 0.65  # of the reaches: toward the camera rather than away
CONE_SD_RAD = np.radians(25.0)  # about the line of sight
# First joint of the limb → its bone in the T-pose; the joint after it is straightened on the way.
_LIMBS = {
    "left_shoulder": ((1.0, 0.0, 0.0), "left_elbow"),
    "right_shoulder": ((-1.0, 0.0, 0.0), "right_elbow"),
    "left_hip": ((0.0, -1.0, 0.0), "left_knee"),
    "right_hip": ((0.0, -1.0, 0.0), "right_knee"),
}
_CHANCES = (0.4, 0.4, 0.1, 0.1)


def reach_out(rotations: np.ndarray, t_s: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """rotations (T, 24, 3, 3), root in the camera frame, at times t_s (T,) seconds in any order → the same, or with one
    or two limbs that reach toward the camera or away from it for a while. Float32."""
    if rng.uniform() >= P_REACH:
        return rotations
    names = list(_LIMBS)
    for index in rng.choice(4, size=int(rng.integers(1, 3)), replace=False, p=_CHANCES):
        sight = np.array([0.0, 0.0, -1.0 if rng.uniform() < P_TOWARD else 1.0])
        direction = axis_angle_to_matrix(rng.normal(0.0, CONE_SD_RAD, 3)) @ sight
        middle, half = rng.uniform(t_s.min(), t_s.max()), rng.uniform(0.3, 1.6)
        ramp = rng.uniform(0.15, 0.6)
        share = np.clip((half + ramp - np.abs(t_s - middle)) / ramp, 0.0, 1.0)
        share = share * share * (3.0 - 2.0 * share)
        rotations = reach(rotations, names[index], direction, share, rng.uniform(0.0, 0.8))
    return rotations


def reach(
    rotations: np.ndarray, limb: str, direction: np.ndarray, share: np.ndarray, straight: float
) -> np.ndarray:
    """Turn a limb toward a direction of the camera frame by a share (T,) of the way, in [0, 1].

    limb: "left_shoulder", "right_hip" …; straight in [0, 1]: how far elbow or knee are straightened with it. Returns
    a new array (T, 24, 3, 3) float32.
    """
    bone, next_name = _LIMBS[limb]
    joint, following = JOINT_NAMES.index(limb), JOINT_NAMES.index(next_name)
    parent = _global(rotations, PARENTS[joint])
    present = parent @ rotations[:, joint]
    pointing = present @ np.array(bone)
    axis = np.cross(pointing, direction)
    sine, cosine = np.linalg.norm(axis, axis=-1), pointing @ direction
    angle = np.arctan2(sine, cosine)
    axis = axis / np.maximum(sine, 1e-6)[:, None]
    turn = axis_angle_to_matrix(axis * (angle * share)[:, None])
    result = rotations.copy()
    result[:, joint] = np.swapaxes(parent, -1, -2) @ turn @ present
    vector = matrix_to_axis_angle(rotations[:, following])
    result[:, following] = axis_angle_to_matrix(vector * (1.0 - straight * share)[:, None])
    return result.astype(np.float32)


def _global(rotations: np.ndarray, joint: int) -> np.ndarray:
    """(T, 3, 3) of a joint in the camera frame."""
    matrix = rotations[:, joint]
    while joint:
        joint = PARENTS[joint]
        matrix = rotations[:, joint] @ matrix
    return matrix
