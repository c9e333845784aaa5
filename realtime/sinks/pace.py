"""At most so many poses a second."""

from __future__ import annotations

import time


class Pace:
    """Says when the next pose may be taken. Nothing is queued meanwhile: the subscriber keeps the newest.

    A stream as fast as the limit is let through whole, though its poses come now a little early, now a little late:
    turns are counted from when they were due, not from when they came.
    """

    def __init__(self, fps: float) -> None:
        self._interval_s = 1.0 / fps if fps else 0.0
        self._due_s = 0.0

    def left_s(self, now_s: float) -> float:
        """Seconds until the next may be taken; 0: now."""
        return max(0.0, self._due_s - now_s)

    def take(self, now_s: float) -> None:
        """One was taken."""
        self._due_s = max(self._due_s + self._interval_s, now_s)

    def wait(self) -> None:
        if (left_s := self.left_s(time.monotonic())) > 0:
            time.sleep(left_s)
