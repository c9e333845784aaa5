"""What the network says of a crop → the body in the camera frame, in metres.

ray frame                                       camera frame
camera ─► keypoints ─┬─► pelvis on the ray ─R_cam_ray─► filtered ─► trans
joints ──────────────┘                       └─► joints
keypoints ─► pixels ─► crop of the picture ──────► [s, tx, ty] of Θ
"""

from __future__ import annotations

import math

import numpy as np

from engines.runtime import EngineOutput
from realtime.body.rotations import matrix_to_axis_angle
from realtime.body.smpl import Body
from realtime.config import Config
from realtime.features import virtual_camera
from realtime.observation import Crop
from realtime.refine import Refiner
from realtime.translation import PelvisFilter, focal_length_px, pelvis_in_ray

FARTHEST_M = 1000.0

# Θ (85,), pelvis (3,) metres, joints (24, 3) metres about it, and the poses ahead, (72,) each; all float32
Placed = tuple[np.ndarray, np.ndarray, np.ndarray, list[np.ndarray]]


class Placement:
    """Remembers the filtered place of one person. config: `camera.fov_deg`, `refine`, `translation`."""

    def __init__(self, body: Body, config: Config) -> None:
        self._fov_deg = config.camera.fov_deg
        self._refiner = Refiner(body, config.refine.steps) if config.refine.steps else None
        self._pelvis = PelvisFilter(config.translation)

    def reset(self) -> None:
        """Forget where the person was."""
        self._pelvis.reset()
        if self._refiner is not None:
            self._refiner.reset()

    def place(
        self,
        t_ns: int,
        crop: Crop,
        image_size: tuple[int, int],
        features: np.ndarray,
        output: EngineOutput,
    ) -> Placed | None:
        """The body in the frame taken at t_ns, whose crop and φ these are; image_size: (W, H) pixels.

        None where a number is not finite, or the person is far beyond what a camera shows.
        """
        size = np.array(image_size, np.float64)
        crop_array = np.array((crop.cx, crop.cy, crop.side))

        # Joints in the ray frame, relative to the pelvis: with the shape of this frame, as the network
        # projects them, and with the person's own.
        pose, ahead_poses, (of_frame, in_ray) = output.pose_matrix, output.ahead, output.joints
        s, tx, ty = output.camera
        seen = s * (of_frame[:, :2] + (tx, ty))

        R_cam_ray, half = virtual_camera(crop_array, size, self._fov_deg)
        there = pelvis_in_ray(in_ray, seen, float(half))
        if self._refiner is not None:
            refined = self._refiner.refine(t_ns, features, float(half), output, there)
            if refined is not None:
                pose, in_ray, there, ahead_poses = refined
                places = in_ray + there
                seen = places[:, :2] / places[:, 2:] / half
        rotation = R_cam_ray.astype(np.float32)
        joints = in_ray @ rotation.T
        pelvis = R_cam_ray @ there
        in_crop = _ray_to_crop(seen, R_cam_ray, float(half), crop_array, size, self._fov_deg)
        if not 0.0 < pelvis[2] < FARTHEST_M:  # false for NaN too
            return None
        trans = self._pelvis.filter(t_ns, pelvis).astype(np.float32)
        theta = np.empty(85, np.float32)
        theta[:3] = fit_camera(joints, in_crop)
        poses = np.concatenate((pose[None], ahead_poses))  # at once: a call costs more than a pose
        poses[:, 0] = rotation @ poses[:, 0]  # only the global orientation turns with the camera
        now, *ahead = matrix_to_axis_angle(poses).reshape(-1, 72)
        theta[3:75] = now
        theta[75:] = output.shape
        if not is_finite(theta, trans, joints, *ahead):
            return None
        return theta, trans, joints, ahead


def fit_camera(joints: np.ndarray, keypoints: np.ndarray) -> np.ndarray:
    """The weak-perspective camera [s, tx, ty] (3,) with the least squared error of s·(X_xy + t) against
    keypoints.

    joints (N, 3) metres, keypoints (N, 2). In closed form. s is not finite or not positive for joints that
    all project onto one point or the wrong way round.
    """
    xy, kp = joints[:, :2].astype(np.float64), keypoints.astype(np.float64)
    xy_mean, kp_mean = xy.mean(axis=0), kp.mean(axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        s = ((xy - xy_mean) * (kp - kp_mean)).sum() / np.square(xy - xy_mean).sum()
        tx, ty = kp_mean / s - xy_mean
    return np.array((s, tx, ty))


def is_finite(*arrays: np.ndarray) -> bool:
    """A sum is finite only where every term is; numbers so large that their sum is not are none of ours."""
    with np.errstate(over="ignore", invalid="ignore"):
        return all(math.isfinite(array.sum()) for array in arrays)


def _ray_to_crop(
    seen: np.ndarray,
    R_cam_ray: np.ndarray,
    half: float,
    crop: np.ndarray,
    image_size: np.ndarray,
    fov_deg: float,
) -> np.ndarray:
    """Keypoints (N, 2) in the crop of the virtual camera → in the crop of the picture, [−1, 1] inside it."""
    rays = np.concatenate((seen * half, np.ones((len(seen), 1))), axis=1) @ R_cam_ray.T
    pixels = rays[:, :2] / rays[:, 2:] * focal_length_px(image_size[0], fov_deg) + image_size / 2.0
    return (pixels - crop[:2]) / (crop[2] / 2.0)
