"""Watching a stream as any receiver does, and drawing what its camera sees as a second clock."""

from __future__ import annotations

import statistics
import threading
import time
from collections import Counter, deque
from dataclasses import dataclass, field

import cv2
import numpy as np

from calib.camera_run import HINT_S, PATIENCE_S, WindowClosed
from calib.clock_process import ClockProcess
from calib.echoes import Echoes
from calib.estimate import Delay
from calib.reader import ClockReader
from calib.sightings import ADVICE
from realtime.bus.subscriber import Subscriber
from realtime.errors import SourceError
from realtime.messages import ImageMessage, PoseMessage
from realtime.terminal import Terminal

STREAM_PATIENCE_S = 30.0
TURN_S = 0.1
LONGEST_STEP_S = 0.1
FIRST_ECHOES = 3  # seen before the measurement counts as begun


@dataclass
class Received:
    """The poses of one measurement."""

    ages_ms: list[float] = field(
        default_factory=list
    )  # from the picture's stamp (its driver's, else arrival) to receipt of its pose
    states: Counter[str] = field(default_factory=Counter)
    captured_ns: list[int] = field(default_factory=list)

    def add(self, pose: PoseMessage, received_ns: int) -> None:
        self.states[pose.state] += 1
        self.captured_ns.append(pose.t_capture_ns)
        if pose.is_local():
            self.ages_ms.append((received_ns - pose.t_capture_ns) / 1e6)

    def frame_ms(self) -> float:
        """The usual time from one frame with a pose to the next."""
        return statistics.median(np.diff(self.captured_ns)) / 1e6 if len(self.captured_ns) > 1 else 0.0


@dataclass(frozen=True, slots=True)
class Looped:
    """What one measurement of the whole loop found."""

    delay: Delay  # from light to light
    received: Received


class _Poses:
    """A subscriber with a thread of its own, so that a pose is stamped when it comes, whatever is being read then."""

    def __init__(self, address: str, keys: str | None) -> None:
        self.waiting: deque[tuple[PoseMessage, int]] = deque()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._listen, args=(address, keys), name="poses", daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._ended.set()
        self._thread.join(2 * TURN_S + 1.0)

    def _listen(self, address: str, keys: str | None) -> None:
        with Subscriber(address, "pose", keys=keys) as subscriber:
            while not self._ended.is_set():
                message = subscriber.receive(TURN_S)
                if isinstance(message, PoseMessage):
                    self.waiting.append((message, time.monotonic_ns()))


def watch_loop(
    address: str, keys: str | None, clock: ClockProcess, seconds: float, terminal: Terminal
) -> Looped:
    """Measure for `seconds` on the stream at `address`, once its camera has seen the first echoes.

    Raises SourceError where no stream comes or its camera never sees the clock, MeasurementError where what it saw does
    not give the delay, ConfigError for the address or the keys, WindowClosed.
    """
    with Subscriber(address, "image", keys=keys) as pictures:
        poses = _Poses(address, keys)
        try:
            return _watch(pictures, poses, clock, seconds, terminal)
        finally:
            poses.close()


def _watch(
    pictures: Subscriber, poses: _Poses, clock: ClockProcess, seconds: float, terminal: Terminal
) -> Looped:
    reader, echoes, received = ClockReader(2), Echoes(), Received()
    troubles: deque[str] = deque(maxlen=30)
    began_s = time.monotonic()
    hint_at_s, until_s = began_s + HINT_S, None
    while until_s is None or time.monotonic() < until_s:
        if clock.closed:
            raise WindowClosed
        message = pictures.receive(TURN_S)
        while poses.waiting:
            pose, received_ns = poses.waiting.popleft()
            echoes.pose_came(pose.frame, received_ns)
            if until_s is not None:
                received.add(pose, received_ns)
        now_s = time.monotonic()
        if isinstance(message, ImageMessage):
            picture = cv2.imdecode(np.frombuffer(message.jpeg, np.uint8), cv2.IMREAD_GRAYSCALE)
            reading = reader.read(picture)
            troubles.append(reading.trouble)
            echo = echoes.picture_came(
                message.frame, message.t_capture_ns, reading.counts, time.monotonic_ns()
            )
            if echo is not None:
                clock.echo(echo)
        if until_s is None and echoes.seen >= FIRST_ECHOES:
            until_s = now_s + seconds
        if until_s is None:
            trouble = max(set(troubles) - {""}, key=troubles.count, default="unreadable")
            if not troubles and now_s > began_s + STREAM_PATIENCE_S:
                raise SourceError(
                    f"{pictures.address}: no pictures of a stream for {STREAM_PATIENCE_S:.0f} s;\n"
                    "start it first, for example: python run_live.py --set bus.image_fps=30 --set bus.image_width=640"
                )
            if now_s > began_s + PATIENCE_S:
                raise SourceError(
                    f"{pictures.address}: its camera has not seen the clocks for {PATIENCE_S:.0f} s ({trouble});\n"
                    f"{ADVICE[trouble]}"
                )
            if now_s > hint_at_s:
                hint_at_s = now_s + HINT_S
                waiting = f"waiting for the pictures of {pictures.address}"
                terminal.say(f"clocks {trouble}: {ADVICE[trouble]}" if troubles else waiting)
        else:
            terminal.show(f"{until_s - now_s:.0f} s to go: {echoes.seen} echoes seen")
    time.sleep(LONGEST_STEP_S)
    return Looped(echoes.latency(clock.drawings), received)
