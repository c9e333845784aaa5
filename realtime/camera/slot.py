"""The one place between a reader thread and its user: it holds the newest frame, and only that."""

from __future__ import annotations

import threading
import time
from collections import deque

import numpy as np

from realtime.camera.drops import Drop, DropLog
from realtime.observation import Frame

RATE_WINDOW_NS = 3_000_000_000


class RateMeter:
    """Events per second over the last three seconds; 0 when there were fewer than two."""

    def __init__(self) -> None:
        self._stamps_ns: deque[int] = deque()

    def tick(self, now_ns: int) -> None:
        self._stamps_ns.append(now_ns)
        self._forget(now_ns)

    def per_second(self, now_ns: int) -> float:
        self._forget(now_ns)
        if len(self._stamps_ns) < 2:
            return 0.0
        intervals = len(self._stamps_ns) - 1
        span_ns = self._stamps_ns[-1] - self._stamps_ns[0]
        if now_ns - self._stamps_ns[-1] > 2 * span_ns / intervals:  # overdue: the silence counts
            span_ns = now_ns - self._stamps_ns[0]
        return intervals * 1e9 / span_ns if span_ns else 0.0

    def _forget(self, now_ns: int) -> None:
        while self._stamps_ns and self._stamps_ns[0] < now_ns - RATE_WINDOW_NS:
            self._stamps_ns.popleft()


class Slot:
    """Newest frame wins: `put` replaces a frame that nobody took and counts it as skipped.

    put: a b c . . d
    take:  a   c     d      b was skipped; a frame is given once

    At any moment captured = taken + waiting (one at most) + dropped, for whatever reason.
    """

    def __init__(self, camera: str) -> None:
        self._camera = camera
        self._changed = threading.Condition()
        self._frame: Frame | None = None
        self._finished = False
        self._rate = RateMeter()
        self.captured = 0
        self._drops = DropLog()
        self.width = 0
        self.height = 0
        self.newest_ns: int | None = None  # arrival of the newest frame

    def put(self, image: np.ndarray, exposure_ns: int | None = None) -> None:
        """Stamp `image` (H, W, 3) uint8 BGR with the time of this call and offer it as the newest frame.

        exposure_ns: when it was taken, where its source tells.
        """
        with self._changed:
            if self._finished:
                return  # a reader that was not yet told
            now_ns = time.monotonic_ns()
            if self._frame is not None:
                self._drops.add(self._frame.index, "replaced_by_newer", now_ns)
            taken_ns = now_ns if exposure_ns is None else exposure_ns
            self._frame = Frame(image, self.captured, taken_ns, now_ns, self._camera, exposure_ns)
            self._count(now_ns)
            self.height, self.width = image.shape[:2]
            self._changed.notify_all()

    def pass_over(self) -> None:
        """Count a frame that the source gave but that came too late to be offered."""
        with self._changed:
            if self._finished:
                return
            now_ns = time.monotonic_ns()
            self._drops.add(self.captured, "replaced_by_newer", now_ns)
            self._count(now_ns)

    def drop(self, reason: str) -> None:
        """Count a frame that the source gave and that is no picture of now (camera/drops.py); the source is as old as
        it was."""
        with self._changed:
            if not self._finished:
                self._drops.add(self.captured, reason, time.monotonic_ns())
                self.captured += 1

    def take(self, timeout_s: float) -> Frame | None:
        """The frame that nobody took yet; None if none comes within `timeout_s`, or ever again."""
        with self._changed:
            self._changed.wait_for(lambda: self._frame is not None or self._finished, timeout_s)
            frame, self._frame = self._frame, None
            return frame

    def finish(self) -> None:
        """No frame will be put any more: a waiting `take` returns; the last frame can still be taken."""
        with self._changed:
            self._finished = True
            self._changed.notify_all()

    def close(self) -> None:
        """Finish and drop what nobody took."""
        with self._changed:
            if self._frame is not None:
                self._drops.add(self._frame.index, "unread_at_the_end", time.monotonic_ns())
            self._frame = None
            self.finish()

    @property
    def skipped(self) -> int:
        """Frames that were replaced by newer ones."""
        return self._drops.counts["replaced_by_newer"]

    def counts(self) -> tuple[int, dict[str, int]]:
        """(captured, dropped by reason), of one moment."""
        with self._changed:
            return self.captured, dict(self._drops.counts)

    def dropped(self) -> list[Drop]:
        """The latest that were dropped, oldest first."""
        with self._changed:
            return self._drops.latest()

    @property
    def exhausted(self) -> bool:
        """True once finished and the last frame has been taken."""
        with self._changed:
            return self._finished and self._frame is None

    def fps(self) -> float:
        with self._changed:
            return self._rate.per_second(time.monotonic_ns())

    def age_ms(self) -> float | None:
        """Milliseconds since the newest frame arrived, taken or not; None before the first."""
        with self._changed:
            return None if self.newest_ns is None else (time.monotonic_ns() - self.newest_ns) / 1e6

    def _count(self, now_ns: int) -> None:
        self.captured += 1
        self.newest_ns = now_ns
        self._rate.tick(now_ns)
