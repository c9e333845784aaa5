"""Where in a picture a black frame on white may be: quadrangles, to the fraction of a pixel."""

from __future__ import annotations

from collections.abc import Iterator

import cv2
import numpy as np

MOST = 12  # candidates per way of looking, the largest first
SMALLEST_AREA_PX = 40 * 15
# The surroundings that a pixel is compared with: of the picture's width, and in pixels.
WIDE, NARROW_PX = 1 / 6, (31, 15)
DARKER, LITTLE_DARKER = 7, 3  # grey levels
ASPECT = (0.7, 6.0)  # of width and height 2 : 1, seen from aside, either way
STRAIGHT_PART = (0.1, 0.9)  # of a side: its ends are rounded by blur


def find_frames(grey: np.ndarray) -> Iterator[np.ndarray]:
    """Corners of what may be the clock's frame, (4, 2) float32 pixels each, clockwise, the first side a long one.

    grey: (H, W) uint8. By local thresholds, then by one for the whole picture, then by narrower and finer local ones: a
    small clock in a dark room is little of its frame's surroundings, and a faint one in a light room hardly darker.
    """
    smooth = cv2.GaussianBlur(grey, (3, 3), 0)
    yield from _quadrangles(
        _darker_than_around(smooth, max(NARROW_PX[0], int(grey.shape[1] * WIDE) | 1), DARKER)
    )
    yield from _quadrangles(cv2.threshold(smooth, 0, 255, cv2.THRESH_BINARY_INV | cv2.THRESH_OTSU)[1])
    for width_px in NARROW_PX:
        yield from _quadrangles(_darker_than_around(smooth, width_px, LITTLE_DARKER))


def _darker_than_around(smooth: np.ndarray, width_px: int, darker: int) -> np.ndarray:
    return cv2.adaptiveThreshold(
        smooth, 255, cv2.ADAPTIVE_THRESH_MEAN_C, cv2.THRESH_BINARY_INV, width_px, darker
    )


def _quadrangles(dark: np.ndarray) -> Iterator[np.ndarray]:
    outlines, _ = cv2.findContours(dark, cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
    large = [outline for outline in outlines if cv2.contourArea(outline) >= SMALLEST_AREA_PX]
    for outline in sorted(large, key=cv2.contourArea, reverse=True)[:MOST]:
        hull = cv2.convexHull(outline)  # glare may have bitten a piece out of a side
        corners = cv2.approxPolyDP(hull, 0.03 * cv2.arcLength(hull, True), True)
        if len(corners) == 4:
            fitted = _fit_sides(outline[:, 0].astype(np.float32), corners[:, 0].astype(np.float32))
            if fitted is not None:
                yield from _in_order(fitted)


def _fit_sides(outline: np.ndarray, corners: np.ndarray) -> np.ndarray | None:
    """The corners as crossings of lines through the outline's points; None where two sides are parallel."""
    lines = []
    for i in range(4):
        start, along = corners[i], corners[(i + 1) % 4] - corners[i]
        length = float(np.linalg.norm(along))
        if length < 5:
            return None
        way = (outline - start) @ along / length**2
        aside = np.abs((outline - start) @ np.array([-along[1], along[0]], np.float32)) / length
        near = outline[
            (way > STRAIGHT_PART[0]) & (way < STRAIGHT_PART[1]) & (aside < max(2.0, 0.015 * length))
        ]
        if len(near) < 5:
            near = np.stack([start, start + along])
        vx, vy, x, y = cv2.fitLine(near, cv2.DIST_HUBER, 0, 0.01, 0.01).ravel()
        lines.append((-vy, vx, -vy * x + vx * y))
    crossings = []
    for i in range(4):
        (a, b, c), (d, e, f) = lines[i - 1], lines[i]
        if abs(determinant := a * e - b * d) < 1e-3:
            return None
        crossings.append(((c * e - b * f) / determinant, (a * f - c * d) / determinant))
    return np.array(crossings, np.float32)


def _in_order(corners: np.ndarray) -> Iterator[np.ndarray]:
    if cv2.contourArea(corners, oriented=True) < 0:
        corners = corners[::-1]
    sides = np.linalg.norm(np.roll(corners, -1, axis=0) - corners, axis=1)
    width, height = (sides[0] + sides[2]) / 2, (sides[1] + sides[3]) / 2
    if height > width:
        corners, width, height = np.roll(corners, -1, axis=0), height, width
    if ASPECT[0] <= width / max(height, 1e-3) <= ASPECT[1]:
        yield np.ascontiguousarray(corners)
