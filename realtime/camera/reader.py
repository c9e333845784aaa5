"""The thread that reads one connection of a live source (realtime/camera/live.py): newest picture first."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import numpy as np

from realtime.camera.capture import MAX_BACKLOG, Capture
from realtime.camera.exposure import ExposureClock
from realtime.errors import SourceError

PAUSE_S, PAUSE_SHARE = 0.4, 5.0  # no picture for so long, and so many times longer than usual: a pause
WAITED_SHARE = 0.5  # of the usual time between two; a picture that came sooner was there already
WAITS = 2  # in a row: one may be the decoder's, on a busy machine
USUAL_GAIN = 0.1


class Reader:
    """One connection, from opening to release in one thread, because OpenCV allows no other."""

    def __init__(
        self,
        connect: Callable[[], Capture],
        deliver: Callable[[Reader, np.ndarray, int], None],
        lose: Callable[[Reader, str], None],
    ) -> None:
        self._connect = connect
        self._deliver = deliver
        self._lose = lose
        self._abandoned = threading.Event()
        self.finished = threading.Event()
        self.trouble = ""  # why it finished
        self.mode = ""
        self.nominal_fps = 0.0
        self.pictures = 0  # new ones; counted by the feed
        self.exposure: ExposureClock | None = None  # where the driver stamps its pictures
        self._read_at_s = self._usual_s = (
            0.0  # when the last picture was read, and how long after the one before
        )
        self.started_s = time.monotonic()
        self._thread = threading.Thread(target=self._run, name="camera reader", daemon=True)
        self._thread.start()

    def abandon(self) -> None:
        """Let it end when its present call returns, if ever."""
        self._abandoned.set()

    def join(self, timeout_s: float) -> None:
        self._thread.join(timeout_s)

    def _run(self) -> None:
        try:
            capture = self._connect()
            try:
                self.mode, self.nominal_fps = capture.mode, capture.nominal_fps
                if capture.stamped:
                    self.exposure = ExposureClock(capture.where)
                while not self._abandoned.is_set():
                    image = self._newest(capture)
                    if image is None:
                        self.trouble = f"{capture.where} gives no more pictures"
                        self._lose(self, "camera_gone")
                        return
                    self._deliver(self, image, capture.stamp_ns())
            finally:
                capture.close()
        except SourceError as error:
            self.trouble = str(error)
        except Exception as error:  # of a driver or backend: the keeper needs a reason, and then tries again
            self.trouble = f"unexpected {type(error).__name__}: {' '.join(str(error).split())[:200]}"
        finally:
            self.finished.set()

    def _newest(self, capture: Capture) -> np.ndarray | None:
        """The next picture; after a pause (of the source, or of us) the second in a row that had to be waited for:
        those that come at once were held back meanwhile, and are old."""
        image = self._read(capture)
        now_s = time.monotonic()
        interval_s = now_s - self._read_at_s if self._read_at_s else 0.0
        if image is not None and self._usual_s and interval_s > max(PAUSE_S, PAUSE_SHARE * self._usual_s):
            waited = 0
            for _ in range(MAX_BACKLOG):
                newer = self._read(capture)
                if newer is None or self._abandoned.is_set():
                    return newer
                self._lose(self, "old_on_arrival")
                image, before_s, now_s = newer, now_s, time.monotonic()
                waited = waited + 1 if now_s - before_s > WAITED_SHARE * self._usual_s else 0
                if waited == WAITS:
                    break
        interval_s = min(interval_s, PAUSE_SHARE * self._usual_s) if self._usual_s else interval_s
        self._usual_s += USUAL_GAIN * (interval_s - self._usual_s) if self._usual_s else interval_s
        self._read_at_s = now_s
        return image

    def _read(self, capture: Capture) -> np.ndarray | None:
        try:
            return capture.read()
        except (
            Exception
        ):  # whatever a driver or backend raises, the picture is lost: counted, and told by who runs us
            self._lose(self, "unreadable")
            raise
