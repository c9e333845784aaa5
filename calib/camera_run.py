"""Filming the clock with the stream's camera, opened as the live program opens it."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from calib.clock_process import ClockProcess
from calib.estimate import Delay
from calib.reader import ClockReader
from calib.sightings import ADVICE, Sightings
from realtime.camera import CameraStatus, FrameFeed, open_feed
from realtime.camera.live import LiveFeed
from realtime.config import Config
from realtime.errors import ConfigError, SourceError
from realtime.observation import Frame
from realtime.terminal import Terminal

PATIENCE_S = 120.0  # for the clock to come into view
HINT_S = 5.0  # between two lines that say what is in the way
STEADY, OF_LAST = 10, 15  # readable pictures before measuring begins
SETTLE_S = 0.5  # after each opening: the exposure adapts, and what was held back comes
OPENING_TRIES, BETWEEN_TRIES_S = 3, 1.0  # some drivers need a moment between closing and opening
TURN_S = 0.1
LONGEST_STEP_S = 0.1  # of the clock: until then every count that was seen has been replaced


@dataclass(frozen=True, slots=True)
class Filmed:
    """What the camera saw in one measurement."""

    delay: Delay  # from the draw call to the arrival
    pictures: int
    camera: CameraStatus


class WindowClosed(Exception):
    """The user has closed the clock's window."""


def open_camera(config: Config) -> FrameFeed:
    """Started. Raises ConfigError for a source that is no camera, SourceError for one that cannot be opened."""
    feed = open_feed(config)
    if not isinstance(feed, LiveFeed):
        raise ConfigError(
            f"--source {config.source}: a file has no latency; give a webcam number or a camera's URL"
        )
    feed.start()
    return feed


def film(
    feed: FrameFeed, config: Config, clock: ClockProcess, seconds: float, openings: int, terminal: Terminal
) -> Filmed:
    """Measure for `seconds` in all, with `feed`, which is open, and `openings` - 1 more openings of the same camera.

    Raises SourceError where the camera does not open or never sees the clock, MeasurementError where what it saw does
    not give the latency, WindowClosed.
    """
    reader, sightings = ClockReader(1), Sightings()
    try:
        _wait_for_clock(feed, clock, reader, terminal)
        for opening in range(openings):
            if opening:
                feed.close()
                feed = _open_again(config)
            terminal.show(f"opening {opening + 1} of {openings}: {sightings.read} pictures read")
            sightings.camera_opened()
            _watch(feed, clock, SETTLE_S, lambda frame: None)
            _watch(
                feed,
                clock,
                seconds / openings,
                lambda frame: sightings.add(frame.t_arrival_ns, reader.read(frame.image)),
            )
        status = feed.status()
    finally:
        feed.close()
    time.sleep(LONGEST_STEP_S)
    return Filmed(sightings.latency(clock.drawings), sightings.pictures, status)


def _wait_for_clock(feed: FrameFeed, clock: ClockProcess, reader: ClockReader, terminal: Terminal) -> None:
    recent: deque[str] = deque(maxlen=OF_LAST)
    began_s = time.monotonic()
    hint_at_s = began_s + HINT_S
    while recent.count("") < STEADY:
        _watch(feed, clock, TURN_S, lambda frame: recent.append(reader.read(frame.image).trouble))
        trouble = max(set(recent) - {""}, key=recent.count, default="not found")
        now_s = time.monotonic()
        if now_s > began_s + PATIENCE_S:
            raise SourceError(
                f"{feed.name}: the clock was not seen for {PATIENCE_S:.0f} s ({trouble});\n{ADVICE[trouble]}"
            )
        if now_s > hint_at_s:
            hint_at_s = now_s + HINT_S
            terminal.say(f"clock {trouble}: {ADVICE[trouble]}" if recent else "no picture from the camera")


def _watch(feed: FrameFeed, clock: ClockProcess, seconds: float, take: Callable[[Frame], object]) -> None:
    """Give `take` each frame that comes within `seconds`."""
    until_s = time.monotonic() + seconds
    while (left_s := until_s - time.monotonic()) > 0:
        if clock.closed:
            raise WindowClosed
        if (frame := feed.next(min(TURN_S, left_s))) is not None:
            take(frame)


def _open_again(config: Config) -> FrameFeed:
    for _ in range(OPENING_TRIES - 1):
        try:
            return open_camera(config)
        except SourceError:
            time.sleep(BETWEEN_TRIES_S)
    return open_camera(config)
