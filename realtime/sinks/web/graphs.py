"""The last minute of what the page plots: one sample per quarter of a second."""

from __future__ import annotations

import math
from collections import deque

import numpy as np

INTERVAL_S = 0.25
SPAN_S = 60.0


class History:
    """`names` numbers over time, the newest SPAN_S."""

    def __init__(self, names: tuple[str, ...]) -> None:
        self.names = names
        self._rows: deque[tuple[float, ...]] = deque(maxlen=round(SPAN_S / INTERVAL_S))

    def reset(self) -> None:
        self._rows.clear()

    def add(self, t_s: float, *values: float | None) -> None:
        """One value for each name; None: not known, which leaves a gap in the line."""
        assert len(values) == len(self.names)
        self._rows.append((t_s, *(math.nan if value is None else float(value) for value in values)))

    def columns(self) -> tuple[np.ndarray, ...]:
        """Seconds before the newest sample (N,), then the values (N,) of each name; at least two rows, for an axis."""
        rows = self._rows or [(0.0, *(math.nan for _ in self.names))]
        table = np.array(rows, np.float64)
        table[:, 0] -= table[-1, 0]
        if table[0, 0] > -SPAN_S + INTERVAL_S:  # the axis is a minute long from the beginning
            table = np.concatenate(([[-SPAN_S, *(math.nan for _ in self.names)]], table))
        return tuple(np.ascontiguousarray(table.T))
