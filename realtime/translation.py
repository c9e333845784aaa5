"""From the network's weak-perspective camera to metres, steady when the person stands still.

Camera frame: x right, y down, z forward, metres. The pelvis is found on the viewing ray through the crop
(`pelvis_in_ray`), then filtered as what it is measured as: a direction, which a picture gives to the
pixel, and a distance, which hangs on the apparent size alone and is noisy. So the body stays where it is seen
while its distance is smoothed hard.
"""

from __future__ import annotations

import math

import numpy as np

from realtime.config import TranslationConfig
from realtime.errors import ConfigError

SPEED_CUTOFF_HZ = 1.0  # One-Euro's own low-pass of the speed (Casiez et al. 2012: 1 Hz)


def focal_length_px(image_width_px: float, fov_deg: float) -> float:
    """Focal length in pixels from the horizontal field of view."""
    return image_width_px / (2.0 * math.tan(math.radians(fov_deg) / 2.0))


def pelvis_in_ray(joints: np.ndarray, keypoints: np.ndarray, half: float) -> np.ndarray:
    """Where the pelvis stands in the ray frame, (3,) float64, metres; not finite where that cannot be said.

    joints: (N, 3) metres, ray frame, relative to the pelvis. keypoints: (N, 2) of the same joints, as the
    network's weak-perspective camera shows them, [-1, 1] in the crop. half: half side of the crop as a
    tangent, from realtime.features.virtual_camera.

    The pelvis p is the one whose joints project nearest: keypoints·half·(z + p_z) = X_xy + p_xy, linear in p,
    in closed form. For a flat body that is HMMR's depth = 1/(s·half) = 2·f_px/(s·crop side px); a body that
    leans towards the camera looks larger than its pelvis is near, and here that is not taken for nearness.
    """
    with np.errstate(all="ignore"):
        seen = keypoints.astype(np.float64) * half
        both = np.concatenate((seen, seen * joints[:, 2:] - joints[:, :2]), axis=1)
        mean = both.sum(axis=0) / len(both)
        seen, rest = (both - mean).reshape(-1, 2, 2).transpose(1, 0, 2)
        pelvis = np.empty(3)
        pelvis[2] = -(seen * rest).sum() / (seen * seen).sum()
        pelvis[:2] = mean[2:] + mean[:2] * pelvis[2]
    return pelvis


class OneEuro:
    """The One-Euro filter (Casiez, Roussel, Vogel 2012) of a vector, by time stamps: a low-pass whose cut-off
    rises with speed, min_cutoff_hz + beta·|speed|, each component for itself."""

    def __init__(self, min_cutoff_hz: float, beta: float) -> None:
        self._min_cutoff_hz = min_cutoff_hz
        self._beta = beta
        self.reset()

    def reset(self) -> None:
        """Forget everything: the next value passes unchanged."""
        self._t_ns: int | None = None
        self._value = np.zeros(0)
        self._speed = np.zeros(0)

    def filter(self, t_ns: int, value: np.ndarray) -> np.ndarray:
        """Value (N,) at time t_ns → filtered (N,). A stamp that is not newer moves nothing."""
        value = np.asarray(value, np.float64)
        if self._t_ns is None:
            self._value, self._speed = value.copy(), np.zeros_like(value)
        elif t_ns > self._t_ns:
            dt_s = (t_ns - self._t_ns) / 1e9
            speed = (value - self._value) / dt_s
            self._speed = self._speed + _share(SPEED_CUTOFF_HZ, dt_s) * (speed - self._speed)
            cutoff_hz = self._min_cutoff_hz + self._beta * np.abs(self._speed)
            self._value = self._value + _share(cutoff_hz, dt_s) * (value - self._value)
        else:
            return self._value.copy()
        self._t_ns = t_ns
        return self._value.copy()


class PelvisFilter:
    """Steadies the pelvis (3,) in the camera frame, metres. Reset with the person.

    Raises ConfigError for a cut-off that is not above 0 or a beta below 0: the filter would stand still.
    """

    def __init__(self, config: TranslationConfig) -> None:
        for name, value in vars(config).items():
            if value < 0 or (value == 0 and name.endswith("cutoff_hz")):
                least = "above 0" if name.endswith("cutoff_hz") else "at least 0"
                raise ConfigError(f"--set translation.{name}={value:g}: expected {least}")
        self._direction = OneEuro(config.direction_min_cutoff_hz, config.direction_beta)
        self._distance = OneEuro(config.min_cutoff_hz, config.beta)

    def reset(self) -> None:
        self._direction.reset()
        self._distance.reset()

    def filter(self, t_ns: int, pelvis: np.ndarray) -> np.ndarray:
        """(3,) metres at time t_ns → (3,) float64. pelvis[2] must be above 0: in front of the camera."""
        depth = self._distance.filter(t_ns, pelvis[2:])
        slope = self._direction.filter(t_ns, pelvis[:2] / pelvis[2])
        return np.concatenate((slope * depth, depth))


def _share(cutoff_hz: float | np.ndarray, dt_s: float) -> float | np.ndarray:
    """Share of a new value that an exponential low-pass takes over after dt_s."""
    turn = 2.0 * math.pi * cutoff_hz * dt_s
    return turn / (turn + 1.0)
