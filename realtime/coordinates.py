"""From the camera's frame to everybody else's: the only place where axes change.

    camera   x right, y down, z forward                    Θ, joints and trans on the bus
    world    y up, right-handed: SMPL's own frame          what stands at rest looks along z, its left is x
    Unity    y up, z forward, left-handed                  what stands at rest looks along z, its right is x
    Unreal   z up, left-handed, centimetres                looks along y, its left is x (UE's mannequin)
    Godot    y up, right-handed                            looks along −z, its right is x
    Blender  z up, right-handed; AMASS's world too         looks along −y, its left is x

From the world into the others axes are exchanged or change their sign, nothing else; so a rotation R becomes
M·R·Mᵀ, also where M is a reflection, and handedness needs no further thought. All metres, radians and unit
quaternions (x, y, z, w), w ≥ 0; any leading dimensions.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from realtime.body.rotations import axis_angle_to_matrix, matrix_to_axis_angle, matrix_to_quaternion
from realtime.features import up_in_ray


@dataclass(frozen=True, eq=False)
class Axes:
    """Somebody's frame, told from the world's."""

    name: str
    matrix: np.ndarray  # (3, 3) world → there: every row and column has one 1 or −1
    per_metre: float = 1.0  # their units

    def points(self, points: np.ndarray) -> np.ndarray:
        """(…, 3) metres in the world → (…, 3) in their units."""
        return self.per_metre * (points @ self.matrix.T)

    def points_back(self, points: np.ndarray) -> np.ndarray:
        """The inverse of `points`."""
        return (points / self.per_metre) @ self.matrix

    def rotations(self, rotations: np.ndarray) -> np.ndarray:
        """(…, 3, 3), of a global orientation or of a joint against its parent, between frames that lie along the
        world's axes at rest → the same turn between frames that lie along theirs."""
        return self.matrix @ rotations @ self.matrix.T

    def rotations_back(self, rotations: np.ndarray) -> np.ndarray:
        """The inverse of `rotations`."""
        return self.matrix.T @ rotations @ self.matrix

    def quaternions(self, rotations: np.ndarray) -> np.ndarray:
        """(…, 3, 3) in the world → (…, 4) xyzw in their axes."""
        return matrix_to_quaternion(self.rotations(rotations))

    def orientation(self, root: np.ndarray) -> np.ndarray:
        """(…, 3, 3) global orientation of a body whose own frame stays SMPL's (AMASS, SMPL armatures): turned, not
        conjugated. Only for axes that do not mirror."""
        return self.matrix @ root


WORLD = Axes("world", np.eye(3))
UNITY = Axes("Unity", np.diag([-1.0, 1.0, 1.0]))
UNREAL = Axes("Unreal", np.array([[1.0, 0, 0], [0, 0, 1], [0, 1, 0]]), per_metre=100.0)
GODOT = Axes("Godot", np.diag([-1.0, 1.0, -1.0]))
BLENDER = Axes("Blender", np.array([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]]))
AMASS = Axes("AMASS", BLENDER.matrix)

# A level camera's: turned by 180° about x.
R_WORLD_CAM = np.diag([1.0, -1.0, -1.0])


@dataclass(frozen=True, eq=False)
class WorldPose:
    """A body in the world, y up. Leading dimensions alike."""

    rotations: np.ndarray  # (…, 24, 3, 3) of every joint against its parent; [0]: pelvis → world
    trans: np.ndarray  # (…, 3) pelvis, metres


def world_of_camera(pitch_deg: float = 0.0, roll_deg: float = 0.0) -> np.ndarray:
    """R_world_cam (3, 3): camera frame → world, y against gravity, of a camera put up like this (camera.pitch_deg > 0
    looks down, camera.roll_deg > 0 tilts what stands upright to the right). World z points from what the camera sees
    toward it, level."""
    y = up_in_ray(np.eye(3), pitch_deg, roll_deg)
    x = np.cross(y, [0.0, 0.0, -1.0])
    x /= np.linalg.norm(x)
    return np.stack([x, y, np.cross(x, y)])


def to_world(theta: np.ndarray, trans: np.ndarray, R_world_cam: np.ndarray = R_WORLD_CAM) -> WorldPose:
    """Θ (…, 85) and the pelvis (…, 3), camera frame → the body in the world."""
    pose = np.asarray(theta)[..., 3:75]
    return pose_to_world(pose.reshape(*pose.shape[:-1], 24, 3), trans, R_world_cam)


def pose_to_world(pose: np.ndarray, trans: np.ndarray, R_world_cam: np.ndarray = R_WORLD_CAM) -> WorldPose:
    """The same of the pose alone, (…, 24, 3) axis-angle."""
    rotations = axis_angle_to_matrix(pose).astype(np.float64)
    rotations[..., 0, :, :] = R_world_cam @ rotations[..., 0, :, :]
    return WorldPose(rotations, np.asarray(trans) @ R_world_cam.T)


def to_camera(pose: WorldPose, R_world_cam: np.ndarray = R_WORLD_CAM) -> tuple[np.ndarray, np.ndarray]:
    """The inverse of `to_world`: axis-angle (…, 72) and the pelvis (…, 3), camera frame, float32."""
    rotations = pose.rotations.copy()
    rotations[..., 0, :, :] = R_world_cam.T @ rotations[..., 0, :, :]
    axis_angle = matrix_to_axis_angle(rotations)
    return axis_angle.reshape(*axis_angle.shape[:-2], 72), (pose.trans @ R_world_cam).astype(np.float32)
