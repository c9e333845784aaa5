"""A webcam or a network stream: read by a thread of its own, watched, and connected anew when it is lost.

    reader    connect ─ read ─ read ─ read ─ (blocks, fails, repeats itself)
    keeper                                   no new picture for stale_ms, or the read failed
                                             ─ pause ─ new reader: connect ─ read ─ …

OpenCV says nothing reliable about a camera that was unplugged: read() may fail, block for ever, or go on
giving the last picture. So a source is alive by one thing only: the age of its newest picture. Whatever call
may block happens in the reader's thread, which is abandoned, never waited for.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

import numpy as np

from realtime.camera.capture import Capture
from realtime.camera.drops import Drop
from realtime.camera.feed import CameraStatus, FeedState
from realtime.camera.reader import Reader
from realtime.camera.slot import Slot
from realtime.config import CameraConfig
from realtime.errors import SourceError
from realtime.observation import Frame

log = logging.getLogger(__name__)

POLL_S = 0.05
DIAGNOSIS_S = 2.0  # finding out why a source does not open comes on top of open_timeout_s
MAX_ABANDONED = 4  # readers that hang in a driver; no more are started until one of them returns


class LiveFeed:
    """A source that never ends: it is live, stalled, or being reconnected to, until it is closed."""

    def __init__(
        self, name: str, connect: Callable[[], Capture], config: CameraConfig, repeats_when_gone: bool
    ) -> None:
        """`connect` opens the source (raising SourceError), each time in a new thread.

        `repeats_when_gone`: a picture equal to the last one to the bit is none. Unplugged webcams repeat
        themselves, and no two pictures of a working sensor are equal; a network stream may show a still.
        """
        self.name = name
        self._connect = connect
        self._config = config
        self._repeats_when_gone = repeats_when_gone
        self._slot = Slot(name)
        self._lock = threading.Lock()  # guards which reader is the present one
        self._closing = threading.Event()
        self._reader: Reader | None = None
        self._abandoned: list[Reader] = []
        self._keeper: threading.Thread | None = None
        self._last_image: np.ndarray | None = None
        self._reconnects = 0
        self._nominal_fps = 0.0
        self._lost = False
        self._message = "not started"
        self._driver_stamps = False  # the newest frame has one that is believed

    @property
    def expected_fps(self) -> float:
        return self._config.fps

    def start(self) -> None:
        reader = self._new_reader()
        until_s = time.monotonic() + self._config.open_timeout_s + DIAGNOSIS_S
        while not reader.pictures:
            if reader.finished.is_set() or time.monotonic() > until_s:
                self.close()
                raise SourceError(self._why_no_picture(reader))
            reader.finished.wait(POLL_S / 5)
        log.info("%s: %s", self.name, self._message)
        self._keeper = threading.Thread(
            target=self._keep_alive, args=(reader,), name=f"keeper of {self.name}", daemon=True
        )
        self._keeper.start()

    @property
    def ended(self) -> bool:
        return self._slot.exhausted  # only after close()

    def next(self, timeout_s: float) -> Frame | None:
        return self._slot.take(timeout_s)

    def status(self) -> CameraStatus:
        with self._lock:
            reader, message, reconnects = self._reader, self._message, self._reconnects
            nominal_fps = self._nominal_fps
        captured, drops = self._slot.counts()
        return CameraStatus(
            name=self.name,
            state=self._state(reader),
            width=self._slot.width,
            height=self._slot.height,
            fps=self._slot.fps(),
            nominal_fps=nominal_fps,
            captured=captured,
            skipped=drops["replaced_by_newer"],
            reconnects=reconnects,
            age_ms=self._slot.age_ms(),
            message=message,
            stamped_by="driver" if self._driver_stamps else "arrival",
            drops=drops,
        )

    def dropped(self) -> list[Drop]:
        return self._slot.dropped()

    def close(self) -> None:
        self._closing.set()
        self._slot.close()
        if self._keeper is not None:
            self._keeper.join(timeout=0.3)
        with self._lock:
            reader, self._reader = self._reader, None
        if reader is not None:
            reader.abandon()
            reader.join(timeout_s=0.5)

    def _state(self, reader: Reader | None) -> FeedState:
        if reader is None or self._closing.is_set():
            return "ended"
        if reader.finished.is_set() or not reader.pictures:
            return "reconnecting"
        return "stalled" if self._is_stale() else "live"

    def _is_stale(self) -> bool:
        age_ms = self._slot.age_ms()
        return age_ms is None or age_ms > self._config.stale_ms

    def _new_reader(self) -> Reader:
        with self._lock:
            self._reader = Reader(self._connect, self._deliver, self._lose)
            return self._reader

    def _deliver(self, reader: Reader, image: np.ndarray, stamp_ns: int) -> None:
        """Called by readers. An abandoned one has no say any more, and a repeated picture is none.

        stamp_ns: the driver's, where it stamps.
        """
        with self._lock:
            if self._closing.is_set():
                return
            if reader is not self._reader:
                self._slot.drop("camera_gone")
                return
            if self._repeats_when_gone:
                if _same_picture(image, self._last_image):
                    self._slot.drop("repeated")
                    return
                self._last_image = image
            exposure_ns, too_old = None, False
            if reader.exposure is not None:
                exposure_ns, too_old = reader.exposure.judge(stamp_ns, time.monotonic_ns())
            if too_old:
                self._slot.drop("old_on_arrival")
                return
            if self._lost:
                self._lost = False
                self._reconnects += reader.pictures == 0
                log.info("%s: back (%s)", self.name, reader.mode)
            reader.pictures += 1
            self._driver_stamps = exposure_ns is not None
            self._message, self._nominal_fps = reader.mode, reader.nominal_fps
            self._slot.put(image, exposure_ns)

    def _lose(self, reader: Reader, reason: str) -> None:
        """Called by readers: a read that should have given a picture gave none."""
        with self._lock:
            if reader is self._reader and not self._closing.is_set():
                self._slot.drop(reason)

    def _keep_alive(self, reader: Reader) -> None:
        """Watch the present reader; when it is in trouble pause, longer each time, and start another."""
        pause_s = self._config.reconnect_first_s
        while (trouble := self._trouble_of(reader)) is not None:
            if reader.pictures:  # it worked: begin with short pauses again
                pause_s = self._config.reconnect_first_s
            self._say_lost(trouble)
            if self._recovers(reader, pause_s):
                continue
            pause_s = min(2 * pause_s, self._config.reconnect_max_s)
            reader = self._replace(reader)

    def _trouble_of(self, reader: Reader) -> str | None:
        """Wait until something is wrong with the reader and say what; None once the feed is closed."""
        while not self._closing.is_set():
            if reader.finished.is_set():
                return reader.trouble
            if reader.pictures:
                if self._is_stale():
                    return f"no new picture for {self._config.stale_ms:.0f} ms"
            elif time.monotonic() - reader.started_s > self._config.open_timeout_s + DIAGNOSIS_S:
                return self._why_no_picture(reader)
            reader.finished.wait(POLL_S)
        return None

    def _recovers(self, reader: Reader, pause_s: float) -> bool:
        """Pause before the next attempt; True as soon as the reader in trouble gives new pictures again."""
        until_s = time.monotonic() + pause_s
        while time.monotonic() < until_s and not self._closing.wait(POLL_S):
            if not reader.finished.is_set() and reader.pictures and not self._is_stale():
                return True
        return False

    def _replace(self, reader: Reader) -> Reader:
        reader.abandon()
        self._abandoned = [old for old in (*self._abandoned, reader) if not old.finished.is_set()]
        while len(self._abandoned) >= MAX_ABANDONED and not self._closing.wait(POLL_S):
            self._abandoned = [old for old in self._abandoned if not old.finished.is_set()]
        return reader if self._closing.is_set() else self._new_reader()

    def _say_lost(self, trouble: str) -> None:
        with self._lock:
            trouble = trouble.splitlines()[0]
            named = trouble if trouble.startswith(self.name) else f"{self.name}: {trouble}"
            self._message = f"{named}; reconnecting"
            already_said, self._lost = self._lost, True
        if not already_said:  # once per outage; the state is in the status
            log.warning(self._message)

    def _why_no_picture(self, reader: Reader) -> str:
        if reader.finished.is_set():
            return reader.trouble
        return f"{self.name} gave no picture within {self._config.open_timeout_s:g} s; is it switched on?"


def _same_picture(image: np.ndarray, other: np.ndarray | None) -> bool:
    """Equal to the bit; a thin sample settles it for nearly every pair."""
    if other is None or image.shape != other.shape:
        return False
    return np.array_equal(image[::16, ::16], other[::16, ::16]) and np.array_equal(image, other)
