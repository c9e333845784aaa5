"""The slot between reader and user: newest frame wins, a frame is given once, every frame is counted."""

import threading
import time

import numpy as np
import pytest

from realtime.camera.slot import RATE_WINDOW_NS, RateMeter, Slot


def picture(value: int) -> np.ndarray:
    return np.full((4, 6, 3), value, np.uint8)


def test_a_frame_is_given_once() -> None:
    slot = Slot("here")
    slot.put(picture(7))
    frame = slot.take(0)
    assert frame is not None
    assert (frame.index, frame.camera, frame.image[0, 0, 0]) == (0, "here", 7)
    assert frame.t_capture_ns == frame.t_arrival_ns <= time.monotonic_ns()
    assert slot.take(0) is None
    assert (slot.width, slot.height) == (6, 4)


def test_the_newest_frame_wins_and_the_others_are_counted() -> None:
    slot = Slot("here")
    for value in range(5):
        slot.put(picture(value))
    frame = slot.take(0)
    assert frame is not None and frame.index == 4 and frame.image[0, 0, 0] == 4
    slot.pass_over()
    slot.put(picture(9))
    assert (slot.captured, slot.skipped) == (7, 5)
    last = slot.take(0)
    assert last is not None and last.index == 6  # counts every frame of the source, used or not


def test_take_waits_for_a_frame() -> None:
    slot = Slot("here")
    threading.Timer(0.1, slot.put, [picture(1)]).start()
    assert slot.take(20) is not None


def test_finish_frees_a_waiting_taker_and_keeps_the_last_frame() -> None:
    slot = Slot("here")
    threading.Timer(0.1, slot.finish).start()
    started = time.monotonic()
    assert slot.take(60) is None
    assert time.monotonic() - started < 30

    slot = Slot("here")
    slot.put(picture(1))
    slot.finish()
    assert not slot.exhausted
    assert slot.take(0) is not None
    assert slot.exhausted


def test_a_closed_slot_gives_and_takes_nothing() -> None:
    slot = Slot("here")
    slot.put(picture(1))
    slot.close()
    slot.put(picture(2))
    assert slot.exhausted and slot.take(0) is None


def test_two_threads_get_every_frame_at_most_once() -> None:
    slot = Slot("here")
    taken: list[int] = []

    def take_all() -> None:
        while not slot.exhausted:
            if (frame := slot.take(0.05)) is not None:
                taken.append(frame.index)

    takers = [threading.Thread(target=take_all) for _ in range(2)]
    for taker in takers:
        taker.start()
    for _ in range(2000):
        slot.put(picture(0))
    slot.finish()
    for taker in takers:
        taker.join()
    assert len(taken) == len(set(taken)) == slot.captured - slot.skipped


def test_rate_is_measured_over_the_last_seconds_and_falls_in_silence() -> None:
    meter = RateMeter()
    for n in range(300):
        meter.tick(n * 20_000_000)
    last_ns = 299 * 20_000_000
    assert meter.per_second(last_ns) == pytest.approx(50)
    assert meter.per_second(last_ns + 1_500_000_000) == pytest.approx(25, rel=0.05)
    assert meter.per_second(last_ns + RATE_WINDOW_NS + 1) == 0
