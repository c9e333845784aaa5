"""From the camera's frame into Blender's, and into the rest frames of an armature's bones.

    camera   x right, y down, z forward
    world    y up; what stands at rest looks along z, its left is x
    Blender  z up; what stands at rest looks along −y, its left is x

A twin of realtime/coordinates.py of the hmmr-live repository (its tests hold the two equal), in quaternions, which a
change of right-handed axes turns like points. Quaternions are Blender's: (w, x, y, z).
"""

from __future__ import annotations

import numpy as np

BLENDER_WORLD = np.array([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]])  # world → Blender

JOINTS = (
    "pelvis",
    "left_hip",
    "right_hip",
    "spine1",
    "left_knee",
    "right_knee",
    "spine2",
    "left_ankle",
    "right_ankle",
    "spine3",
    "left_foot",
    "right_foot",
    "neck",
    "left_collar",
    "right_collar",
    "head",
    "left_shoulder",
    "right_shoulder",
    "left_elbow",
    "right_elbow",
    "left_wrist",
    "right_wrist",
    "left_hand",
    "right_hand",
)
PARENTS = (-1, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 9, 9, 12, 13, 14, 16, 17, 18, 19, 20, 21)


def world_of_camera(pitch_deg: float = 0.0, roll_deg: float = 0.0) -> np.ndarray:
    """(3, 3) camera frame → world of a camera that looks down by pitch_deg and tilts what stands upright to the right
    by roll_deg."""
    pitch, roll = np.radians(pitch_deg), np.radians(roll_deg)
    y = np.array([np.sin(roll), -np.cos(roll) * np.cos(pitch), -np.cos(roll) * np.sin(pitch)])
    x = np.cross(y, [0.0, 0.0, -1.0])
    x /= np.linalg.norm(x)
    return np.stack([x, y, np.cross(x, y)])


def to_blender(
    rotations: np.ndarray, trans: np.ndarray, R_world_cam: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Axis-angle (24, 3) and the pelvis (3,) in the camera frame → quaternions (24, 4) of every joint against its
    parent, between frames that lie along Blender's axes at rest, and the pelvis (3,), metres from the camera."""
    quaternions = axis_angle_to_quaternion(rotations)
    quaternions[0] = multiply(matrix_to_quaternion(R_world_cam), quaternions[0])
    quaternions[:, 1:] = quaternions[:, 1:] @ BLENDER_WORLD.T
    return quaternions, BLENDER_WORLD @ R_world_cam @ trans.astype(np.float64)


def to_bones(quaternions: np.ndarray, rest: np.ndarray) -> np.ndarray:
    """(24, 4) of `to_blender` → (24, 4) that turn bones whose rest matrices are rest (24, 3, 3): R becomes Bᵀ·R·B."""
    turned = quaternions.copy()
    turned[:, 1:] = np.einsum("nji,nj->ni", rest, quaternions[:, 1:])
    return turned


def axis_angle_to_quaternion(axis_angle: np.ndarray) -> np.ndarray:
    """(…, 3) radians → (…, 4) float64."""
    v = np.asarray(axis_angle, np.float64)
    half = np.linalg.norm(v, axis=-1, keepdims=True) / 2.0
    return np.concatenate([np.cos(half), v * (0.5 * np.sinc(half / np.pi))], axis=-1)


def multiply(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Hamilton product (4,), (4,) → (4,): first b, then a."""
    scalar = a[0] * b[0] - a[1:] @ b[1:]
    return np.concatenate([[scalar], a[0] * b[1:] + b[0] * a[1:] + np.cross(a[1:], b[1:])])


def matrix_to_quaternion(R: np.ndarray) -> np.ndarray:
    """(3, 3) rotation → (4,). The eigenvector of Bar-Itzhack's matrix: exact near half a turn, too, where a level
    camera's is."""
    (xx, xy, xz), (yx, yy, yz), (zx, zy, zz) = R
    K = np.array(
        [
            [xx + yy + zz, zy - yz, xz - zx, yx - xy],
            [zy - yz, xx - yy - zz, xy + yx, xz + zx],
            [xz - zx, xy + yx, yy - xx - zz, yz + zy],
            [yx - xy, xz + zx, yz + zy, zz - xx - yy],
        ]
    )
    return np.linalg.eigh(K)[1][:, -1]
