"""When the clock shows which count, by plan and in fact. All times are CLOCK_MONOTONIC nanoseconds."""

from __future__ import annotations

import bisect
import random
import threading
from itertools import accumulate

from calib.clock_code import COUNTS

# A count stays longer than a refresh of the screen (60 Hz: 16.7 ms), so that none is passed over, and so long that an
# exposure, 33 ms at most at 30 fps, is mostly of one of them. How long varies by chance: a camera that takes pictures
# at a steady rate then looks at every phase of a step alike, and the steps' length averages out.
SHORTEST_NS, LONGEST_NS = 30_000_000, 50_000_000


def _starts_ns() -> list[int]:
    chance = random.Random(1)  # its random() is the same in every version of Python
    lengths = (round(SHORTEST_NS + (LONGEST_NS - SHORTEST_NS) * chance.random()) for _ in range(COUNTS))
    return list(accumulate(lengths, initial=0))


_STARTS_NS = _starts_ns()
ROUND_NS = _STARTS_NS[-1]  # after about 82 s the counts begin again


def count_at(t_ns: int) -> int:
    """The count that is due at t_ns."""
    return bisect.bisect_right(_STARTS_NS, t_ns % ROUND_NS) - 1


def next_change_ns(t_ns: int) -> int:
    """When the count due at t_ns gives way to the next."""
    return t_ns - t_ns % ROUND_NS + _STARTS_NS[count_at(t_ns) + 1]


class Drawings:
    """What was drawn when, of each clock of the window. Written by one thread, read by others."""

    def __init__(self, lanes: int) -> None:
        self._lock = threading.Lock()
        self._times_ns: list[list[int]] = [[] for _ in range(lanes)]
        self._counts: list[list[int | None]] = [[] for _ in range(lanes)]

    def add(self, t_ns: int, counts: tuple[int | None, ...]) -> None:
        """A drawing with these counts, the draw call of which began at t_ns; None: an empty clock."""
        with self._lock:
            for times_ns, shown, count in zip(self._times_ns, self._counts, counts, strict=True):
                if not shown or shown[-1] != count:
                    times_ns.append(t_ns)
                    shown.append(count)

    def between(self, lane: int, count: int, before_ns: int) -> tuple[int, int] | None:
        """(drawn, replaced): from when to when `count` was the newest drawing of clock `lane`, the last time before
        `before_ns`. None where it was not drawn, or is not replaced yet.
        """
        with self._lock:
            times_ns, shown = self._times_ns[lane], self._counts[lane]
            last = bisect.bisect_right(times_ns, before_ns) - 1
            for i in range(last, max(-1, last - COUNTS), -1):
                if shown[i] == count:
                    return (times_ns[i], times_ns[i + 1]) if i + 1 < len(times_ns) else None
        return None

    def drawn_ns(self, lane: int, count: int, from_ns: int) -> int | None:
        """When `count` was drawn in clock `lane`, the first time from `from_ns` on; None if never."""
        with self._lock:
            times_ns, shown = self._times_ns[lane], self._counts[lane]
            for i in range(bisect.bisect_left(times_ns, from_ns), len(shown)):
                if shown[i] == count:
                    return times_ns[i]
        return None
