"""The viewer's own camera: at the side of the real one, following the person, turned with the mouse.

World: the camera frame, x right, y down, z forward, metres. The person is kept in the left pane.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

FOV_DEG = 24.0  # vertical; long, so that a person beside the centre of the window is not distorted
PITCH_DEG = 9.0  # from a little above: the floor is seen as a floor
BODY_HEIGHT_M = 1.8
FILL = 0.78  # of the window's height that a standing person takes
FREE_M = 0.35  # how far the person may walk from the centre before the camera follows
FOLLOW_TAU_S = 0.35
PANE = 0.5  # width of the left pane as a share of the window
_DEGREES_PER_PIXEL = 0.35
_ZOOM_PER_STEP = 0.9


@dataclass
class OrbitCamera:
    yaw_deg: float = 0.0
    pitch_deg: float = PITCH_DEG
    zoom: float = 1.0
    target: np.ndarray = field(default_factory=lambda: np.array([0.0, 0.0, 3.0]))  # (3,) what is looked at
    _t_s: float | None = None

    def drag(self, dx_px: float, dy_px: float) -> None:
        self.yaw_deg = (self.yaw_deg + dx_px * _DEGREES_PER_PIXEL + 180.0) % 360.0 - 180.0
        self.pitch_deg = float(np.clip(self.pitch_deg + dy_px * _DEGREES_PER_PIXEL, -20.0, 85.0))

    def scroll(self, steps: float) -> None:
        self.zoom = float(np.clip(self.zoom * _ZOOM_PER_STEP**steps, 0.4, 4.0))

    def reset(self) -> None:
        self.yaw_deg, self.pitch_deg, self.zoom = 0.0, PITCH_DEG, 1.0

    def forget_person(self) -> None:
        """The next person is framed at once instead of being travelled to."""
        self._t_s = None

    def follow(self, t_s: float, pelvis: np.ndarray, floor_y: float) -> None:
        """Keep a person at `pelvis` (3,) on the floor at height `floor_y` in view."""
        wanted = np.array([pelvis[0], floor_y - BODY_HEIGHT_M / 2, pelvis[2]])
        if self._t_s is None:
            self.target = wanted
        else:
            away = wanted - self.target
            # Free to walk a little in every direction of the floor; height follows the steady floor at once.
            free = np.array([FREE_M, 0.0, FREE_M])
            excess = np.sign(away) * np.maximum(np.abs(away) - free, 0.0)
            self.target = self.target + excess * (1.0 - math.exp(-(t_s - self._t_s) / FOLLOW_TAU_S))
        self._t_s = t_s

    def view(self, width: int, height: int) -> tuple[float, np.ndarray]:
        """(focal length in pixels, (4, 4) world → camera) for a window of width × height pixels."""
        focal_px = height / 2 / math.tan(math.radians(FOV_DEG) / 2)
        # Whichever is narrower, the height of a person or the width of his arms in the pane.
        fit_px = min(height, width * PANE) * FILL
        distance_m = focal_px * BODY_HEIGHT_M / fit_px * self.zoom
        yaw, pitch = math.radians(self.yaw_deg), math.radians(self.pitch_deg)
        turn = _about_x(pitch) @ _about_y(yaw)
        # The line of sight to the person leaves the window's centre by this angle, towards the left pane.
        aside = _about_y(-math.atan(width * (0.5 - PANE / 2) / focal_px))
        extrinsic = np.eye(4)
        extrinsic[:3, :3] = aside @ turn
        extrinsic[:3, 3] = aside @ (np.array([0.0, 0.0, distance_m]) - turn @ self.target)
        return focal_px, extrinsic


def _about_x(angle: float) -> np.ndarray:
    c, s = math.cos(angle), math.sin(angle)
    return np.array([[1, 0, 0], [0, c, -s], [0, s, c]])


def _about_y(angle: float) -> np.ndarray:
    c, s = math.cos(angle), math.sin(angle)
    return np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]])
