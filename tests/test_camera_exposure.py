"""A driver's stamps are believed while they can be true, and then never again."""

import itertools
import time

import cv2
import pytest
from scripted_cameras import Device, Plug

from realtime.camera.capture import Capture
from realtime.camera.exposure import MOST_OLD_IN_A_ROW, OLDEST_NS, TRUSTED_AFTER, ExposureClock

MS = 1_000_000
PERIOD = 33 * MS


def good(clock, count, start_ns=0):
    """`count` pictures, each 30 ms old when it arrives; the arrival of the last."""
    for index in range(count):
        stamp_ns = start_ns + (index + 1) * PERIOD
        assert clock.judge(stamp_ns, stamp_ns + 30 * MS) == (stamp_ns, False)
    return start_ns + count * PERIOD + 30 * MS


@pytest.mark.parametrize(
    ("stamp_ns", "why"),
    [
        (0, "no stamp"),
        (10**12, "in the future"),
        (1_700_000_000 * 10**9, "the time of day"),
        (PERIOD, "the same as before"),
        (PERIOD - MS, "before the one before"),
    ],
)
def test_one_stamp_that_cannot_be_ends_it(stamp_ns, why) -> None:
    clock = ExposureClock("camera 0")
    arrival_ns = good(clock, 1)
    assert clock.judge(stamp_ns, arrival_ns + PERIOD) == (None, False), why
    assert not clock.believed
    assert clock.judge(arrival_ns + 2 * PERIOD, arrival_ns + 2 * PERIOD + 30 * MS) == (None, False)


def test_an_old_stamp_is_believed_only_of_a_driver_that_is_known() -> None:
    new = ExposureClock("camera 0")
    arrival_ns = good(new, TRUSTED_AFTER - 1)
    assert new.judge(arrival_ns, arrival_ns + OLDEST_NS) == (None, False)
    assert not new.believed

    known = ExposureClock("camera 0")
    arrival_ns = good(known, TRUSTED_AFTER)
    assert known.judge(arrival_ns, arrival_ns + OLDEST_NS) == (arrival_ns, True)
    assert known.believed
    good(known, 1, arrival_ns + OLDEST_NS)


def test_a_clock_that_went_wrong_does_not_silence_the_camera() -> None:
    clock = ExposureClock("camera 0")
    start_ns = good(clock, TRUSTED_AFTER)
    old = [clock.judge(start_ns + n, start_ns + n + 2 * OLDEST_NS)[1] for n in range(MOST_OLD_IN_A_ROW + 3)]
    assert old == [True] * MOST_OLD_IN_A_ROW + [False] * 3


class Stamping(Device):
    """A device whose driver says that each picture was taken `age_ms` ago."""

    def __init__(self, age_ms: float = 25.0) -> None:
        super().__init__()
        self.age_ms = age_ms
        self.stamps_ms: list[float] = []

    def get(self, key: int) -> float:
        assert key == cv2.CAP_PROP_POS_MSEC
        self.stamps_ms.append(time.monotonic() * 1e3 - self.age_ms)
        return self.stamps_ms[-1]


class StampingPlug(Plug):
    def connect(self) -> Capture:
        capture = super().connect()
        capture.stamped = True
        return capture


@pytest.mark.parametrize("age_ms", [25.0, -1.7e12, 5000.0])
def test_frames_carry_the_drivers_stamp_or_their_arrival(age_ms) -> None:
    """-1.7e12: the driver stamps by the time of day."""
    plug = StampingPlug()
    plug.make = lambda: Stamping(age_ms)
    feed = plug.feed()
    feed.start()
    frames = [frame for _ in range(8) if (frame := feed.next(5)) is not None]
    status = feed.status()
    feed.close()
    assert len(frames) == 8
    for frame in frames:
        if age_ms == 25.0:
            assert frame.t_capture_ns == frame.t_exposure_ns
            assert frame.t_arrival_ns - frame.t_capture_ns >= 25 * MS
            assert frame.t_capture_ns in {round(stamp * 1e6) for stamp in plug.devices[0].stamps_ms}
        else:
            assert frame.t_exposure_ns is None
            assert frame.t_capture_ns == frame.t_arrival_ns
    assert status.stamped_by == ("driver" if age_ms == 25.0 else "arrival")


@pytest.mark.parametrize("stamp_ms", [float("nan"), float("inf"), -1.0, 0.0])
def test_a_stamp_that_is_no_number_is_none(stamp_ms) -> None:
    class Odd:
        def get(self, key: int) -> float:
            return stamp_ms

    assert Capture(Odd(), "camera 0", "", 30, stamped=True).stamp_ns() == 0


def test_without_a_driver_nobody_is_asked() -> None:
    counted = itertools.count()

    class Counting:
        def get(self, key: int) -> float:
            return next(counted)

    assert Capture(Counting(), "stream", "", 30).stamp_ns() == 0
    assert next(counted) == 0
