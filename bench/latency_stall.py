"""After a pause of the source: how old is the picture of the next pose?

run_live.py on a camera that stands still (bench/stalling_camera.py), with its own verdict on a silent camera (it
connects anew after a second) and with patience. Asked for: less than the time between two frames, when it is sent.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from bench.live_run import measure
from bench.stalling_camera import MODES, StallingCamera, number_of, pictures_of
from realtime import Subscriber
from realtime.messages import ImageMessage, PoseMessage

BEFORE_S, AFTER_S = 4.0, 3.0  # the stream runs for so long before the pause and after it
START_S = 3.0  # more pictures than that, for a slow start
PATIENT = ("--set", "camera.stale_ms=60000")
MS = 1e6


@dataclass(frozen=True)
class Stall:
    """One pause of the source."""

    mode: str  # of bench/stalling_camera.py
    patient: bool  # the connection was kept
    age_ms: float | None  # of the next pose's picture when it was sent; None: none came
    waited_ms: float | None  # from the end of the pause to the sending of that pose
    period_ms: float

    def line(self) -> str:
        """For people, with the verdict."""
        how = f"source {self.mode}, {'connection kept' if self.patient else 'connected anew after 1 s'}"
        if self.age_ms is None or self.waited_ms is None:
            return f"{how}: no pose afterwards: NOT MET"
        met = "met" if self.age_ms < self.period_ms else "NOT MET"
        return (
            f"{how}: next pose {self.waited_ms:.0f} ms after the pause, of a picture {self.age_ms:.1f} ms old, "
            f"asked for < {self.period_ms:.1f} ms: {met}"
        )


class _Listener(threading.Thread):
    """Takes in poses and their pictures."""

    def __init__(self, address: str) -> None:
        super().__init__(daemon=True)
        self.sent_ns: dict[int, int] = {}  # source frame index → when its pose was sent
        self.numbers: dict[int, int] = {}  # source frame index → the number in its picture
        self.ended = threading.Event()
        self._subscriber = Subscriber(address, ("pose", "image"), every=True)

    def run(self) -> None:
        while not self.ended.is_set():
            message = self._subscriber.receive(0.2)
            if isinstance(message, PoseMessage):
                self.sent_ns[message.frame] = message.t_publish_ns
            elif isinstance(message, ImageMessage):
                image = cv2.imdecode(np.frombuffer(message.jpeg, np.uint8), cv2.IMREAD_GRAYSCALE)
                self.numbers[message.frame] = number_of(image)
        self._subscriber.close()


def picture_flags(pictures: Sequence[bytes]) -> list[str]:
    """Every picture onto the bus as it came: the boxes of its number are counted in pixels, and a mask darkens them."""
    width = cv2.imdecode(np.frombuffer(pictures[0], np.uint8), cv2.IMREAD_GRAYSCALE).shape[1]
    settings = ("bus.image_fps=1000", f"bus.image_width={width}", "perception.mask=off")
    return [part for setting in settings for part in ("--set", setting)]


def measure_stalls(clip: Path, fps: float, stall_s: float, flags: Sequence[str]) -> Iterator[Stall]:
    """Each way to stand still, with and without patience. Raises RuntimeError as `measure`, and for a clip that is too
    narrow for the numbers."""
    seconds = BEFORE_S + stall_s + AFTER_S
    pictures = pictures_of(clip, round((seconds + START_S) * fps))
    for mode in MODES:
        for patient in (False, True):
            yield _measure(pictures, fps, stall_s, mode, patient, flags)


def _measure(
    pictures: Sequence[bytes], fps: float, stall_s: float, mode: str, patient: bool, flags: Sequence[str]
) -> Stall:
    listeners: list[_Listener] = []

    @contextlib.contextmanager
    def listening(address: str) -> Iterator[None]:
        listeners.append(_Listener(address))
        listeners[0].start()
        try:
            yield
        finally:
            listeners[0].ended.set()
            listeners[0].join()

    with StallingCamera(pictures, fps, BEFORE_S, stall_s, mode) as camera:
        seconds = BEFORE_S + stall_s + AFTER_S
        measure(
            camera.url, seconds, [*flags, *picture_flags(pictures), *(PATIENT if patient else ())], listening
        )
        begin_ns, end_ns = camera.stall_ns
        heard = listeners[0]
        half_ns = (begin_ns + end_ns) // 2  # what was under way has been sent by then
        after = sorted((sent_ns, frame) for frame, sent_ns in heard.sent_ns.items() if sent_ns > half_ns)
        age_ms = waited_ms = None
        if after and after[0][1] in heard.numbers:
            sent_ns, frame = after[0]
            age_ms = (sent_ns - camera.taken_ns(heard.numbers[frame])) / MS
            waited_ms = (sent_ns - end_ns) / MS
    return Stall(mode, patient, age_ms, waited_ms, 1e3 / fps)
