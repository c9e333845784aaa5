"""The turned square of the picture that the landmark network looks at, and how it follows a person.

Two points say where a person is, from the detector as from the landmarks: the middle of the hips, and a point on the
circle around the whole body, above the head. The square stands on the first and is turned so that the second is up.
Its geometry, its margin and the way it is steadied are those of MediaPipe's pose graph (pose_landmark_cpu of
0.10.21): the network knows people framed like that.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np

MARGIN = 1.25  # side of the square by the diameter of the circle
LEAST_SIDE_PX, MOST_SIDE_PX = 2.0, 1e5  # beyond these it is nobody's

# One-Euro filter of the two points; speed is in circle diameters per second.
MIN_CUTOFF_HZ = 0.01
BETA = 10.0  # Hz per diameter/s
SPEED_CUTOFF_HZ = 1.0


@dataclass(frozen=True, slots=True)
class Region:
    """A square of the picture, turned about its centre. Pixels; `turn` in radians from x (right) to y (down)."""

    cx: float
    cy: float
    side: float
    turn: float = 0.0

    def matrix(self, size: int) -> np.ndarray:
        """(2, 3) float64: pixel (column, row, 1) of its crop of size × size → pixel (x, y) of the picture."""
        scale = self.side / size
        across, down = scale * math.cos(self.turn), scale * math.sin(self.turn)
        return np.array(
            [
                [across, -down, self.cx - (across - down) * size / 2],
                [down, across, self.cy - (down + across) * size / 2],
            ]
        )

    def crop(self, image: np.ndarray, size: int, border: int = cv2.BORDER_REPLICATE) -> np.ndarray:
        """The square as an upright picture (size, size, 3) uint8 BGR, of one that is BGR (H, W, 3) or grey (H, W).

        border: OpenCV's word for what lies outside. Each pixel is a blend of the four nearest, however small the
        picture becomes, as in MediaPipe; also as there it is warpPerspective, though nothing is in perspective:
        warpAffine rounds the places more coarsely, which moved world landmarks by up to 12 mm.
        """
        matrix = np.vstack([self.matrix(size), (0.0, 0.0, 1.0)])
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        crop = cv2.warpPerspective(image, matrix, (size, size), flags=flags, borderMode=border)
        return cv2.cvtColor(crop, cv2.COLOR_GRAY2BGR) if crop.ndim == 2 else crop

    def spread(self, crop: np.ndarray, width: int, height: int) -> np.ndarray:
        """A map (size, size) float32 of the crop → (height, width) float32 of the picture; zero outside the square."""
        size = len(crop)
        corners = self.to_image(np.array([[0, 0], [0, size], [size, 0], [size, size]], np.float32), size)
        left, top = np.floor(corners.min(axis=0).clip(0, (width, height))).astype(int).tolist()
        right, bottom = np.ceil(corners.max(axis=0).clip(0, (width, height))).astype(int).tolist()
        spread = np.zeros((height, width), np.float32)
        if right > left and bottom > top:
            matrix = self.matrix(size)
            matrix[:, 2] -= (left, top)
            around = (right - left, bottom - top)
            spread[top:bottom, left:right] = cv2.warpAffine(crop, matrix, around, flags=cv2.INTER_LINEAR)
        return spread

    def to_image(self, points: np.ndarray, size: int) -> np.ndarray:
        """Points (N, 2) of the crop, pixels of size × size → (N, 2) float32 pixels of the picture."""
        matrix = self.matrix(size)
        return (points @ matrix[:, :2].T + matrix[:, 2]).astype(np.float32)

    def turn_back(self, world: np.ndarray) -> np.ndarray:
        """World landmarks (N, 3) as the network sees them in the crop → (N, 3) float32 in the picture's axes."""
        cos, sin = math.cos(self.turn), math.sin(self.turn)
        turned = world.astype(np.float32)  # a copy
        turned[:, 0] = cos * world[:, 0] - sin * world[:, 1]
        turned[:, 1] = sin * world[:, 0] + cos * world[:, 1]
        return turned


def region_around(points: np.ndarray) -> Region | None:
    """points (2, 2) pixels: middle of the hips, and the point above the head on the circle around the body.

    None where they span no square of a sensible size.
    """
    (cx, cy), (x, y) = points.tolist()
    side = 2.0 * MARGIN * math.hypot(x - cx, y - cy)
    if not (LEAST_SIDE_PX <= side <= MOST_SIDE_PX and math.isfinite(cx) and math.isfinite(cy)):
        return None
    turn = math.pi / 2 - math.atan2(cy - y, x - cx)
    return Region(cx, cy, side, math.remainder(turn, 2 * math.pi))


def whole(width: int, height: int) -> Region:
    """The smallest square around a picture of that size, upright."""
    return Region(width / 2, height / 2, float(max(width, height)))


class SteadyPoints:
    """Steadies the two points from frame to frame: still for a person who stands, at once for one who runs."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """The next points pass unchanged."""
        self._t_ns: int | None = None
        self._raw = self._speed = self._steady = np.zeros((2, 2))

    def filter(self, points: np.ndarray, t_ns: int) -> np.ndarray:
        """points (2, 2) pixels at time t_ns → (2, 2) float64. A stamp that is not newer than the last: unchanged."""
        points = points.astype(np.float64)
        if self._t_ns is None:
            self._raw = self._steady = points
            self._speed = np.zeros((2, 2))
        elif t_ns <= self._t_ns:
            return points
        else:
            dt_s = (t_ns - self._t_ns) / 1e9
            diameter = max(2.0 * math.hypot(*(points[1] - points[0])), 1e-6)
            speed = (points - self._raw) / (diameter * dt_s)
            self._speed = self._speed + _share(SPEED_CUTOFF_HZ, dt_s) * (speed - self._speed)
            share = _share(MIN_CUTOFF_HZ + BETA * np.abs(self._speed), dt_s)
            self._raw = points
            self._steady = self._steady + share * (points - self._steady)
        self._t_ns = t_ns
        return self._steady


def _share(cutoff_hz: float | np.ndarray, dt_s: float) -> float | np.ndarray:
    """Share of a new value that an exponential low-pass takes over after dt_s."""
    turn = 2.0 * math.pi * cutoff_hz * dt_s
    return turn / (turn + 1.0)
