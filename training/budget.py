"""How long a training lasts: by steps, or by the clock."""

from __future__ import annotations

import time
from dataclasses import dataclass


@dataclass(frozen=True)
class Budget:
    """Either so many steps or so many minutes: with minutes, a run ends in time on any machine, fully annealed."""

    steps: int | None = None
    minutes: float | None = None

    def __post_init__(self) -> None:
        if (self.steps is None) == (self.minutes is None):
            raise ValueError("give either steps or minutes")

    def share(self, step: int, elapsed_s: float) -> float:
        """How much of it is used up, 0 … 1."""
        if self.minutes is not None:
            return min(elapsed_s / (60.0 * self.minutes), 1.0)
        return min(step / max(self.steps or 1, 1), 1.0)


class Clock:
    """Seconds of training, those before an interruption included."""

    def __init__(self, before_s: float = 0.0) -> None:
        self._started = time.monotonic() - before_s

    def elapsed_s(self) -> float:
        return time.monotonic() - self._started
