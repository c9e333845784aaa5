"""The shadow that a body casts on the floor: where its vertices fall along the light, smeared."""

from __future__ import annotations

import cv2
import numpy as np

from training.camera import PinholeCamera

_COARSE = 5  # pixels of the picture per pixel of the shadow's mask
_STEP = 6  # every sixth vertex
_LOWEST_LIGHT = 0.35  # sine of its height: lower ones would throw the shadow across the room


class Shadow:
    """For one look: the floor lies as low as the body has come so far.

    toward (3,): the light, camera frame. strength: 0 … 1, how much of the light it takes; soft_px: its edge.
    """

    def __init__(self, toward: np.ndarray, strength: float, soft_px: float) -> None:
        self._toward = toward
        self._strength = strength
        self._soft = max(soft_px / _COARSE, 0.5)
        self._floor_m = -np.inf

    def cast(self, picture: np.ndarray, vertices: np.ndarray, camera: PinholeCamera) -> None:
        """Darken picture (H, W, 3) uint8, in place; vertices (3, N) metres, camera frame."""
        down = -camera.R[:, 1].astype(np.float32)  # the world's −y
        points = vertices[:, ::_STEP]
        depth = down @ points
        self._floor_m = max(self._floor_m, float(depth.max()))
        toward = self._toward if -(down @ self._toward) > _LOWEST_LIGHT else -down
        fall = (self._floor_m - depth) / -(down @ toward)
        points = points - np.outer(toward, fall)
        points = points[:, points[2] > 0.3]
        if points.shape[1] == 0:
            return
        height, width = picture.shape[:2]
        places = camera.project(points.T) / _COARSE
        size = (height // _COARSE + 1, width // _COARSE + 1)
        columns, rows = places[:, 0].astype(int), places[:, 1].astype(int)
        inside = (places >= 0).all(axis=1) & (columns < size[1]) & (rows < size[0])
        if not inside.any():
            return
        mask = np.zeros(size, np.uint8)
        mask[rows[inside], columns[inside]] = 255
        mask = cv2.GaussianBlur(cv2.dilate(mask, np.ones((3, 3), np.uint8)), (0, 0), self._soft)
        reach = int(4 * self._soft) + 2
        top, bottom = max(rows[inside].min() - reach, 0), min(rows[inside].max() + reach, size[0])
        left, right = max(columns[inside].min() - reach, 0), min(columns[inside].max() + reach, size[1])
        part = picture[top * _COARSE : bottom * _COARSE, left * _COARSE : right * _COARSE]
        light = cv2.convertScaleAbs(mask[top:bottom, left:right], alpha=-self._strength, beta=255.0)
        light = np.ascontiguousarray(
            cv2.resize(light, None, fx=_COARSE, fy=_COARSE, interpolation=cv2.INTER_LINEAR)[
                : part.shape[0], : part.shape[1]
            ]
        )
        part[:] = cv2.multiply(part, cv2.cvtColor(light, cv2.COLOR_GRAY2BGR), scale=1.0 / 255.0)
