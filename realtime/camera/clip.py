"""A video file or the demo clip: every frame in order, or played at its own rate like a camera."""

from __future__ import annotations

import logging
import threading
import time
from pathlib import Path

import numpy as np

from realtime.camera.capture import Capture, open_file
from realtime.camera.drops import Drop
from realtime.camera.feed import CameraStatus
from realtime.camera.slot import RateMeter, Slot
from realtime.errors import SourceError
from realtime.observation import Frame

log = logging.getLogger(__name__)

FALLBACK_FPS = 30.0
SANE_FPS = (1.0, 480.0)  # outside of this a header is wrong (0, NaN, a time base such as 90000)
HAND_OVER_S = 0.001  # after a frame, before the next is decoded
MAX_LATE_RUN = 5  # of so many late frames one is offered all the same, or a slow machine would see none …
CATCH_UP_S = 0.1  # … but after a pause all are passed over that can be within this time
MISSING_TOLERATED = 2  # headers that count by duration are off by one or two


class ClipFile:
    """A file being decoded: knows its rate, and at its end whether all of it could be read."""

    def __init__(self, path: Path) -> None:
        """Raises SourceError if the file is absent or no video."""
        self._path = path
        self._capture: Capture = open_file(path)
        self.announced = self._capture.announced_frames()
        self.frames_read = 0
        claimed = self._capture.nominal_fps
        if SANE_FPS[0] <= claimed <= SANE_FPS[1]:  # false for NaN too
            self.fps = claimed
            self.message = self._capture.mode
        else:
            self.fps = FALLBACK_FPS
            self.message = f"{path.name} claims {claimed:g} fps: played at {FALLBACK_FPS:g} fps"

    def read(self) -> np.ndarray | None:
        """Next picture (H, W, 3) uint8 BGR, None at the end. Raises SourceError if there is not even one."""
        image = self._capture.read()
        if image is not None:
            self.frames_read += 1
        elif not self.frames_read:
            raise SourceError(f"{self._path}: not one frame can be read; it is damaged or holds no video")
        return image

    def pass_over(self) -> bool:
        """Go past one frame; False at the end."""
        passed = self._capture.pass_over()
        self.frames_read += passed
        return passed

    def end_message(self) -> str:
        missing = self.announced - self.frames_read
        if missing > MISSING_TOLERATED:
            readable = f"only {self.frames_read} of {self.announced} announced frames were readable"
            return f"{self._path.name}: {readable}; the file is cut or damaged"
        return f"{self._path.name}: end after {self.frames_read} frames"

    def close(self) -> None:
        self._capture.close()


class EveryFrameClip:
    """Each frame of a file exactly once and in order, as fast as it is asked for (`--every-frame`).

    Synchronous. `t_capture_ns` runs on the clip's own time line: first arrival + index / fps.
    """

    def __init__(self, name: str, path: Path) -> None:
        self.name = name
        self._path = path
        self._clip: ClipFile | None = None
        self._ahead: np.ndarray | None = None  # one ahead, so that `ended` is true right after the last
        self._given = 0
        self._first_ns = 0
        self._newest_ns: int | None = None
        self._rate = RateMeter()
        self._size = (0, 0)
        self._fps = 0.0
        self._message = "not started"

    @property
    def expected_fps(self) -> None:
        return None

    def start(self) -> None:
        clip = ClipFile(self._path)
        try:
            self._ahead = clip.read()
        except SourceError:
            clip.close()
            raise
        self._clip, self._fps, self._message = clip, clip.fps, clip.message
        log.info("%s: %s", self.name, clip.message)

    @property
    def ended(self) -> bool:
        return self._ahead is None

    def next(self, timeout_s: float) -> Frame | None:
        """Next frame, or None at the end; never waits, so `timeout_s` has no effect."""
        image = self._ahead
        if image is None or self._clip is None:
            return None
        self._ahead = self._read_on(self._clip)
        now_ns = time.monotonic_ns()
        if not self._given:
            self._first_ns = now_ns
        frame = Frame(
            image=image,
            index=self._given,
            t_capture_ns=self._first_ns + round(self._given * 1e9 / self._fps),
            t_arrival_ns=now_ns,
            camera=self.name,
        )
        self._given += 1
        self._newest_ns = now_ns
        self._size = (image.shape[1], image.shape[0])
        self._rate.tick(now_ns)
        return frame

    def status(self) -> CameraStatus:
        now_ns = time.monotonic_ns()
        return CameraStatus(
            name=self.name,
            state="ended" if self.ended else "live",
            width=self._size[0],
            height=self._size[1],
            fps=self._rate.per_second(now_ns),
            nominal_fps=self._fps,
            captured=self._given,
            skipped=0,
            reconnects=0,
            age_ms=None if self._newest_ns is None else (now_ns - self._newest_ns) / 1e6,
            message=self._message,
            stamped_by="clip",
            drops={},
        )

    def dropped(self) -> list[Drop]:
        return []

    def close(self) -> None:
        self._ahead = None
        if self._clip is not None:
            self._clip.close()
            self._clip = None

    def _read_on(self, clip: ClipFile) -> np.ndarray | None:
        try:
            image = clip.read()
        except SourceError as error:  # damaged half-way: what was read stays good
            self._message = str(error)
            log.warning(self._message)
            return None
        if image is None:
            self._message = clip.end_message()
            log.info(self._message)
        return image


class PacedClip:
    """A file played at its own rate, like a camera: newest frame wins.

    A thread decodes ahead and offers each frame when it is due, at start + n / fps on the monotonic clock, so
    play time never drifts; frames that are already late by more than their own duration are passed over.
    Looped, the file is opened anew at its end and the frames count on.
    """

    def __init__(self, name: str, path: Path, loop: bool) -> None:
        self.name = name
        self._path = path
        self._loop = loop
        self._slot = Slot(name)
        self._closing = threading.Event()
        self._thread: threading.Thread | None = None
        self._fps = 0.0
        self._message = "not started"

    @property
    def expected_fps(self) -> float:
        try:
            clip = ClipFile(self._path)
        except SourceError:  # start() says what is wrong
            return FALLBACK_FPS
        clip.close()
        return clip.fps

    def start(self) -> None:
        clip = ClipFile(self._path)
        try:
            first = clip.read()
        except SourceError:
            clip.close()
            raise
        self._fps, self._message = clip.fps, clip.message
        log.info("%s: %s", self.name, clip.message)
        self._thread = threading.Thread(
            target=self._play, args=(clip, first), name=f"clip {self.name}", daemon=True
        )
        self._thread.start()

    @property
    def ended(self) -> bool:
        return self._slot.exhausted

    def next(self, timeout_s: float) -> Frame | None:
        return self._slot.take(timeout_s)

    def status(self) -> CameraStatus:
        captured, drops = self._slot.counts()
        return CameraStatus(
            name=self.name,
            state="ended" if self.ended else "live",
            width=self._slot.width,
            height=self._slot.height,
            fps=self._slot.fps(),
            nominal_fps=self._fps,
            captured=captured,
            skipped=drops["replaced_by_newer"],
            reconnects=0,
            age_ms=self._slot.age_ms(),
            message=self._message,
            drops=drops,
        )

    def dropped(self) -> list[Drop]:
        return self._slot.dropped()

    def close(self) -> None:
        self._closing.set()
        self._slot.close()
        if self._thread is not None:
            self._thread.join(timeout=0.5)

    def _play(self, clip: ClipFile, first: np.ndarray | None) -> None:
        try:
            self._play_out(clip, first)
        except SourceError as error:
            self._message = str(error)
            log.warning(self._message)
        finally:
            self._slot.finish()

    def _play_out(self, clip: ClipFile, image: np.ndarray | None) -> None:
        """Play until the end or until closed. Raises SourceError if the file cannot be read (again)."""
        period_ns = round(1e9 / clip.fps)
        due_ns = time.monotonic_ns()
        try:
            while not self._closing.is_set():
                if image is None:
                    if not self._loop:
                        self._message = clip.end_message()
                        log.info(self._message)
                        return
                    clip.close()
                    clip = ClipFile(self._path)
                    image = clip.read()
                    continue
                wait_ns = due_ns - time.monotonic_ns()
                if wait_ns > 0 and self._closing.wait(wait_ns / 1e9):
                    return
                self._slot.put(image)
                # Decoding on at once would keep the core on which the taker wakes up: half a millisecond.
                self._closing.wait(HAND_OVER_S)
                due_ns += period_ns
                late_run = 0
                catch_up_until_ns = time.monotonic_ns() + round(CATCH_UP_S * 1e9)
                while (now_ns := time.monotonic_ns()) > due_ns + period_ns and (
                    late_run < MAX_LATE_RUN or now_ns < catch_up_until_ns
                ):
                    if not clip.pass_over():
                        break
                    self._slot.pass_over()
                    due_ns += period_ns
                    late_run += 1
                image = clip.read()
        finally:
            clip.close()
