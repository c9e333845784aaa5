"""The last minute of what the page plots: one sample per quarter of a second."""

from __future__ import annotations

from collections import deque

import numpy as np

INTERVAL_S = 0.25
SPAN_S = 60.0


class History:
    """`count` numbers over time. What is not known is not added: uPlot draws nothing at all where a value is NaN."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._rows: deque[tuple[float, ...]] = deque()

    def reset(self) -> None:
        self._rows.clear()

    def add(self, t_s: float, *values: float) -> None:
        assert len(values) == self._count
        self._rows.append((t_s, *values))
        while self._rows[0][0] < t_s - SPAN_S:
            self._rows.popleft()

    def columns(self) -> tuple[np.ndarray, ...]:
        """Seconds before the newest sample (N,) float64, then the values (N,) of each number; N is at least 1."""
        table = np.array(self._rows or [(0.0,) * (1 + self._count)], np.float64)
        table[:, 0] -= table[-1, 0]
        return tuple(np.ascontiguousarray(table.T))
