"""The estimator's memory: the newest frames' features with their stamps."""

from __future__ import annotations

import numpy as np


class Ring:
    """The last `length` features φ, oldest first, preallocated.

        push ─►  φ₀ φ₁ φ₂ ··· φ₁₂                 window() = φ₀ … φ₁₂
        push ─►     φ₁ φ₂ ··· φ₁₂ φ₁₃             window() = φ₁ … φ₁₃
                 └────── 13 frames ─────┘  newest last

    Every row is stored twice, `length` rows apart, so that the window is always one contiguous slice:

        rows  0 ············ 12 │ 13 ··········· 25
              φ₁₃ φ₁ φ₂ ··· φ₁₂ │ φ₁₃ φ₁ φ₂ ··· φ₁₂       13 frames from row 1 on: φ₁ … φ₁₃
    """

    def __init__(self, length: int, dim: int) -> None:
        """length: frames; dim: F. Raises ValueError when either is below 1."""
        if length < 1 or dim < 1:
            raise ValueError(f"a ring of {length} × {dim}: both must be at least 1")
        self._length = length
        self._features = np.zeros((2 * length, dim), np.float32)
        self._stamps = np.zeros(2 * length, np.int64)
        self._next = 0  # row of the next push, 0 … length − 1
        self._count = 0

    def push(self, t_ns: int, features: np.ndarray) -> int:
        """Take in one frame: its stamp in nanoseconds and φ (F,). Returns the gap to the frame before in
        nanoseconds (0 for the first one).

        Raises ValueError, and takes in nothing, for a stamp that is not newer than the last one, and for
        features of another shape.
        """
        if features.shape != self._features.shape[1:]:
            raise ValueError(f"features of shape {features.shape}: the ring takes {self._features.shape[1:]}")
        gap_ns = 0
        if self._count:
            gap_ns = t_ns - int(self._stamps[self._next + self._length - 1])
            if gap_ns <= 0:
                raise ValueError(f"stamp {t_ns} ns is not newer than the last one ({-gap_ns} ns older)")
        for row in (self._next, self._next + self._length):
            self._features[row] = features
            self._stamps[row] = t_ns
        self._next = (self._next + 1) % self._length
        self._count = min(self._count + 1, self._length)
        return gap_ns

    def window(self) -> np.ndarray:
        """(n, F) float32, oldest first: a read-only view, valid until the next push or reset."""
        return self._view(self._features)

    def stamps(self) -> np.ndarray:
        """(n,) int64 nanoseconds, oldest first: a read-only view, valid until the next push or reset."""
        return self._view(self._stamps)

    def reset(self) -> None:
        """Forget every frame and stamp."""
        self._next = 0
        self._count = 0

    def __len__(self) -> int:
        return self._count

    @property
    def full(self) -> bool:
        """Whether the window holds as many frames as the ring is long."""
        return self._count == self._length

    def _view(self, rows: np.ndarray) -> np.ndarray:
        end = self._next + self._length
        view = rows[end - self._count : end]
        view.flags.writeable = False
        return view
