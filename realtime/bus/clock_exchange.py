"""How far apart two hosts' clocks are: the question, the answer, and what follows from them.

A receiver asks over the bus itself (docs/wire-format.md, "The clock of another host"): it notes its time when it asks,
the stream writes its own into the answer, and the receiver notes the time again. The stream's stamp was taken between
the two, however the way there and the way back differ: each exchange bounds the difference of the clocks from both
sides, and nothing about the network is assumed. Many exchanges bound it closely, the shortest ways deciding; what they
said is widened with time, as clocks drift. This is NTP's exchange (RFC 5905) with Marzullo's intersection in place of
its filter.
"""

from __future__ import annotations

import struct
from collections import deque
from dataclasses import dataclass

PREFIX = b"clock "
ID_BYTES = 8  # who asks
MAX_CLOCK_BYTES = 64
DRIFT_PPM = 100.0  # two quartzes, each within ±50 ppm
WINDOW = 128  # exchanges that are kept

_QUESTION = struct.Struct("<6s8sq")
_ANSWER = struct.Struct("<6s8sqq")


@dataclass(frozen=True)
class Offset:
    """local time = the stream's time + `ns`, within ± `uncertainty_ns`."""

    ns: int
    uncertainty_ns: int


def question(asker: bytes, t_asked_ns: int) -> bytes:
    """22 bytes: what a receiver sends."""
    return _QUESTION.pack(PREFIX, asker, t_asked_ns)


def is_question(data: bytes) -> bool:
    return len(data) == _QUESTION.size and data.startswith(PREFIX)


def answer(data: bytes, t_taken_ns: int, clock: str) -> bytes:
    """The question, the stream's time when it was read, and the id of the clock that told it."""
    return data + struct.pack("<q", t_taken_ns) + clock.encode()


def read_answer(data: bytes, asker: bytes) -> tuple[int, int, str] | None:
    """(t_asked_ns, t_taken_ns, clock id) of an answer to this asker; None for everything else."""
    if not _ANSWER.size < len(data) <= _ANSWER.size + MAX_CLOCK_BYTES:
        return None
    prefix, whose, t_asked_ns, t_taken_ns = _ANSWER.unpack_from(data)
    if prefix != PREFIX or whose != asker:
        return None
    try:
        return t_asked_ns, t_taken_ns, data[_ANSWER.size :].decode()
    except UnicodeDecodeError:
        return None


class Exchanges:
    """What the latest exchanges with one clock say together."""

    def __init__(self) -> None:
        self._bounds: deque[tuple[int, int, int]] = deque(maxlen=WINDOW)  # when asked, least, most offset

    def add(self, t_asked_ns: int, t_taken_ns: int, t_answered_ns: int) -> None:
        """One exchange: our time, the stream's, ours again."""
        # True of the moment in which the stream took its stamp, which may be as early as the question: clocks drift
        # from then on.
        self._bounds.append((t_asked_ns, t_asked_ns - t_taken_ns, t_answered_ns - t_taken_ns))
        least, most = self._intersection(t_answered_ns)
        if least > most:  # one of the clocks was set, or its host slept: what was known before is void
            for _ in range(len(self._bounds) - 1):
                self._bounds.popleft()

    def offset(self, now_ns: int) -> Offset | None:
        """As of `now_ns`, local time; None before the first exchange."""
        if not self._bounds:
            return None
        least, most = self._intersection(now_ns)
        return Offset((least + most) // 2, (most - least + 1) // 2)

    def _intersection(self, now_ns: int) -> tuple[int, int]:
        drifts = [(now_ns - at_ns) * DRIFT_PPM * 1e-6 for at_ns, _, _ in self._bounds]
        least = max(low - drift for (_, low, _), drift in zip(self._bounds, drifts, strict=True))
        most = min(high + drift for (_, _, high), drift in zip(self._bounds, drifts, strict=True))
        return round(least), round(most)
