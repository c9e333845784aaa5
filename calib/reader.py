"""Reading the clock in a camera's picture: find its frame, straighten it, compare each box with its opposite."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np

from calib.clock_code import read_word
from calib.frame_finder import find_frames
from calib.pattern import (
    BORDER,
    HEIGHT_CELLS,
    LANE_ROWS,
    MARGIN_CELLS,
    MARK_COLUMNS,
    MARKS,
    WIDTH_CELLS,
    WORD_COLUMNS,
)

Trouble = Literal["", "not found", "too small", "too faint", "unreadable"]

LARGEST_PX = 960  # wider pictures are made smaller first: the boxes are large enough
SMALLEST_CELL_PX = 4.0
FAINTEST = 18.0  # grey levels between the frame and the white around it
RING_SHARE = 0.75  # of the cells of the frame, and of the white on its either side: the rest may be glare
MIN_MARKS = 2.0  # of 4
CELL_PX = 8  # of the straightened picture, of whose cells the inner half is looked at


@dataclass(frozen=True, slots=True)
class Reading:
    """What a picture shows of the clock."""

    counts: tuple[int | None, ...]  # per clock; None: not read
    trouble: Trouble  # why the first clock was not read; "" where it was


class ClockReader:
    """Reads pictures of one camera, one after the other; remembers where the clock was. A few milliseconds while
    camera and screen stand still, tens where it has to be found or is not there.
    """

    def __init__(self, lanes: int) -> None:
        self._lane_rows = LANE_ROWS[lanes]
        self._corners: np.ndarray | None = None  # (4, 2) float32, of the frame where it was last read

    def read(self, image: np.ndarray) -> Reading:
        """image: (H, W, 3) uint8 BGR, or (H, W) grey."""
        grey = image if image.ndim == 2 else cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)
        if grey.shape[1] > LARGEST_PX:
            height = round(grey.shape[0] * LARGEST_PX / grey.shape[1])
            grey = cv2.resize(grey, (LARGEST_PX, height), interpolation=cv2.INTER_AREA)
        if self._corners is not None:
            reading = self._read_at(grey, self._corners)
            if not reading.trouble:
                return reading
        troubles: list[Trouble] = ["not found"]
        for corners in find_frames(grey):
            for turned in (
                corners,
                np.roll(corners, 1, axis=0),
            ):  # the long side first, mostly; not seen from aside
                reading = self._read_at(grey, turned)
                if not reading.trouble:
                    self._corners = turned
                    return reading
                troubles.append(reading.trouble)
        # The one that came furthest is most likely the clock.
        order: tuple[Trouble, ...] = ("not found", "too small", "too faint", "unreadable")
        return Reading((None,) * len(self._lane_rows), max(troubles, key=order.index))

    def _read_at(self, grey: np.ndarray, corners: np.ndarray) -> Reading:
        nothing = (None,) * len(self._lane_rows)
        with_white = _cells(grey, corners)
        farther, outside, frame, inside = (_ring(with_white, depth) for depth in range(4))
        black, white = np.median(frame), np.median(inside)
        contrast, middle = float(white - black), (black + white) / 2
        # A room is full of quadrangles: only a black frame with white on either side is the clock, far or near. What is
        # found of a small one may lie a part of a cell inside it.
        white_outside = max((outside > middle).mean(), (farther > middle).mean())
        if min(white_outside, (frame < middle).mean(), (inside > middle).mean()) < RING_SHARE:
            return Reading(nothing, "not found")
        if contrast < FAINTEST:
            return Reading(nothing, "too faint")
        if np.linalg.norm(corners[1] - corners[0]) < WIDTH_CELLS * SMALLEST_CELL_PX:
            return Reading(nothing, "too small")
        cells = with_white[MARGIN_CELLS:-MARGIN_CELLS, MARGIN_CELLS:-MARGIN_CELLS]
        for seen in (cells, cells[::-1, ::-1], cells[:, ::-1], cells[::-1]):
            inner = seen[BORDER:-BORDER, BORDER:-BORDER]
            lanes = [
                (inner[rows].mean(0) - inner[opposite].mean(0)) / contrast
                for rows, opposite in self._lane_rows
            ]
            if not _marks_fit(lanes[0]):
                continue
            counts = tuple(_count(lane) for lane in lanes)
            return Reading(counts, "" if counts[0] is not None else "unreadable")
        return Reading(nothing, "unreadable")


def _cells(grey: np.ndarray, corners: np.ndarray) -> np.ndarray:
    """Mean grey of the inner half of each cell, of the frame and of the margin around it, float32
    (HEIGHT_CELLS + 2 MARGIN_CELLS, WIDTH_CELLS + 2 MARGIN_CELLS). What is beyond the picture's edge counts as white.
    """
    rows, columns = HEIGHT_CELLS + 2 * MARGIN_CELLS, WIDTH_CELLS + 2 * MARGIN_CELLS
    unit = np.array([[0, 0], [1, 0], [1, 1], [0, 1]], np.float32)
    straight = CELL_PX * (MARGIN_CELLS + unit * (WIDTH_CELLS, HEIGHT_CELLS)).astype(np.float32) - 0.5
    warp = cv2.getPerspectiveTransform(corners, straight)
    flat = cv2.warpPerspective(grey, warp, (columns * CELL_PX, rows * CELL_PX), borderValue=(255.0,))
    quarter = CELL_PX // 4
    parts = flat.reshape(rows, CELL_PX, columns, CELL_PX)[:, quarter:-quarter, :, quarter:-quarter]
    return parts.mean((1, 3), dtype=np.float32)


def _ring(cells: np.ndarray, depth: int) -> np.ndarray:
    """The cells of the rectangle that lies `depth` cells inside."""
    rows, columns = cells.shape
    part = cells[depth : rows - depth, depth : columns - depth]
    return np.concatenate([part[0], part[-1], part[1:-1, 0], part[1:-1, -1]])


def _marks_fit(lane: np.ndarray) -> bool:
    return float(np.clip(lane[MARK_COLUMNS], -1, 1) @ MARKS) >= MIN_MARKS


def _count(lane: np.ndarray) -> int | None:
    # Blur takes from the contrast of single boxes; most of them are not in a change, so their median is full contrast.
    full = min(1.0, max(0.3, float(np.median(np.abs(lane)))))
    return read_word(lane[WORD_COLUMNS] / full) if _marks_fit(lane / full) else None
