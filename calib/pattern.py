"""The clock's picture: a black frame on white, in it rows of boxes. Drawn here without any window.

In cells, one clock and two (`lanes`):

    ########################      ########################   the frame, by which it is found
    #                      #      #                      #
    # AAAAAAAAAAAAAAAAAAAA #      # AAAAAAAAAAAAAAAAAAAA #   A: a row of boxes, B: the second clock's
    # AAAAAAAAAAAAAAAAAAAA #      # AAAAAAAAAAAAAAAAAAAA #
    # AAAAAAAAAAAAAAAAAAAA #      # BBBBBBBBBBBBBBBBBBBB #
    # AAAAAAAAAAAAAAAAAAAA #      # BBBBBBBBBBBBBBBBBBBB #
    # aaaaaaaaaaaaaaaaaaaa #      # bbbbbbbbbbbbbbbbbbbb #   a: each box of A the other way round, so that white
    # aaaaaaaaaaaaaaaaaaaa #      # bbbbbbbbbbbbbbbbbbbb #      and black need no threshold
    # aaaaaaaaaaaaaaaaaaaa #      # aaaaaaaaaaaaaaaaaaaa #
    # aaaaaaaaaaaaaaaaaaaa #      # aaaaaaaaaaaaaaaaaaaa #
    #                      #      #                      #
    ########################      ########################

A camera exposes its rows one after the other, a screen draws them so. A and B have the same middle row, hence the same
time. Two boxes at either end are the same for all counts: they tell top from bottom and a mirrored picture.
"""

from __future__ import annotations

import cv2
import numpy as np

from calib.clock_code import CODE_WORDS, WORD_BOXES

START_MARKS, END_MARKS = (1.0, -1.0), (1.0, 1.0)
COLUMNS, ROWS = len(START_MARKS) + WORD_BOXES + len(END_MARKS), 8
BORDER = 2  # cells: one black, one white
WIDTH_CELLS, HEIGHT_CELLS = COLUMNS + 2 * BORDER, ROWS + 2 * BORDER
MARGIN_CELLS = 2  # white, around the frame
CELL_PX = 40
MARK_COLUMNS = np.array([0, 1, COLUMNS - 2, COLUMNS - 1])
MARKS = np.array([*START_MARKS, *END_MARKS], np.float32)
WORD_COLUMNS = slice(len(START_MARKS), len(START_MARKS) + WORD_BOXES)

# Rows of the boxes and of the same boxes the other way round, per clock, for one and for two.
LANE_ROWS: dict[int, tuple[tuple[slice, slice], ...]] = {
    1: ((slice(0, 4), slice(4, 8)),),
    2: ((slice(0, 2), slice(6, 8)), (slice(2, 4), slice(4, 6))),
}


def draw_clock(counts: tuple[int | None, ...], cell_px: int = CELL_PX) -> np.ndarray:
    """The picture of one or two clocks, (16 cell_px, 28 cell_px) uint8 grey. None: a clock without boxes, grey."""
    cells = np.full((HEIGHT_CELLS + 2 * MARGIN_CELLS, WIDTH_CELLS + 2 * MARGIN_CELLS), 255, np.uint8)
    inside = cells[MARGIN_CELLS:-MARGIN_CELLS, MARGIN_CELLS:-MARGIN_CELLS]
    inside[:] = 0
    inside[1:-1, 1:-1] = 255
    boxes = inside[BORDER:-BORDER, BORDER:-BORDER]
    for count, (rows, other_way_round) in zip(counts, LANE_ROWS[len(counts)], strict=True):
        line = (
            np.zeros(COLUMNS) if count is None else np.array([*START_MARKS, *CODE_WORDS[count], *END_MARKS])
        )
        boxes[rows] = np.round(127.5 + 127.5 * line)
        boxes[other_way_round] = np.round(127.5 - 127.5 * line)
    size = (cells.shape[1] * cell_px, cells.shape[0] * cell_px)
    return cv2.resize(cells, size, interpolation=cv2.INTER_NEAREST)
