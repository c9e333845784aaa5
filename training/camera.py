"""Random cameras for posed bodies, as a person before a webcam meets them.

World: SMPL's own frame, y up. Camera frame: x right, y down, z forward, metres. X_cam = R (X_world − centre) + t.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from realtime.body.rotations import axis_angle_to_matrix
from realtime.translation import focal_length_px

# A camera that looks at the front of a person who faces +z: the picture's x is the person's left, its y is down.
FRONT = np.diag(np.array([1.0, -1.0, -1.0], np.float32))


@dataclass(frozen=True)
class PinholeCamera:
    """R (3, 3) world → camera; t (3,) metres: where the look-at point lies; picture in pixels."""

    R: np.ndarray
    t: np.ndarray
    width: int
    height: int
    fov_deg: float

    @property
    def focal_px(self) -> float:
        return focal_length_px(self.width, self.fov_deg)

    def project(self, points_cam: np.ndarray) -> np.ndarray:
        """(…, 3) metres in the camera frame → (…, 2) pixels."""
        centre = np.array([self.width / 2.0, self.height / 2.0])
        return points_cam[..., :2] / np.maximum(points_cam[..., 2:], 1e-3) * self.focal_px + centre


def project(points_cam: np.ndarray, image_size: np.ndarray, fov_deg: np.ndarray | float) -> np.ndarray:
    """(…, K, 3) metres, image_size (…, 2), fov (…) → (…, K, 2) pixels."""
    focal = image_size[..., 0] / (2.0 * np.tan(np.radians(fov_deg) / 2.0))
    flat = points_cam[..., :2] / np.maximum(points_cam[..., 2:], 0.1)
    return flat * np.asarray(focal)[..., None, None] + image_size[..., None, :] / 2.0


def random_rotation(rng: np.random.Generator, azimuth_rad: float) -> np.ndarray:
    """World → camera rotation: any azimuth, the height and roll of a camera that people put up."""
    pitch = rng.normal(np.radians(6.0), np.radians(10.0))  # mostly from a little above
    roll = rng.normal(0.0, np.radians(2.5))
    turn = axis_angle_to_matrix(np.array([0.0, azimuth_rad, 0.0]))
    tilt = axis_angle_to_matrix(np.array([pitch, 0.0, 0.0])) @ axis_angle_to_matrix(
        np.array([0.0, 0.0, roll])
    )
    return (tilt @ FRONT @ turn).astype(np.float32)


def random_azimuth(rng: np.random.Generator) -> float:
    """Radians; people mostly face the camera, but every side is seen."""
    return float(rng.normal(0.0, 0.9) if rng.uniform() < 0.6 else rng.uniform(-np.pi, np.pi))
