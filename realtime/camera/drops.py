"""Frames that a source gave and nobody used: how many for each reason, and which ones the latest were."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

LATEST = 16_384  # remembered one by one, in 0.3 MB; the counts are over all

# Why a frame was not used, as status and summary name it. "invalid" is the live loop's word (its numbers may not go
# out), all others are the source's:
REASONS = (
    "replaced_by_newer",  # a newer one came before anybody took it, or it came too late to be offered
    "repeated",  # the picture before once more: what an unplugged webcam gives
    "old_on_arrival",  # it waited in the driver while this program stood still: its stamp says so
    "unreadable",  # the decoder or driver failed, or gave something that is no colour picture
    "camera_gone",  # a read that gave nothing, or came from a connection that had been given up
    "unread_at_the_end",  # the run ended first
)


class Drop(NamedTuple):
    """One frame that was not used."""

    frame: int  # source frame index
    reason: str
    t_ns: int  # time.monotonic_ns() when that was settled


class DropLog:
    """Counts drops; memory never grows. Not thread-safe: its owner locks."""

    def __init__(self, latest: int = LATEST) -> None:
        self.counts: dict[str, int] = dict.fromkeys(REASONS, 0)
        self._rows = np.zeros((latest, 3), np.int64)
        self._count = 0

    def add(self, frame: int, reason: str, t_ns: int) -> None:
        """`reason` is one of REASONS."""
        self.counts[reason] += 1
        self._rows[self._count % len(self._rows)] = frame, REASONS.index(reason), t_ns
        self._count += 1

    def latest(self) -> list[Drop]:
        """The last LATEST of them, oldest first."""
        order = np.arange(max(0, self._count - len(self._rows)), self._count) % len(self._rows)
        return [Drop(frame, REASONS[reason], t_ns) for frame, reason, t_ns in self._rows[order].tolist()]
