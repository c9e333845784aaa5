"""The offset of two clocks: the truth is always within what is claimed."""

from __future__ import annotations

import random

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from realtime.bus.clock_exchange import (
    DRIFT_PPM,
    WINDOW,
    Exchanges,
    Offset,
    answer,
    is_question,
    question,
    read_answer,
)

US, MS, S = 1_000, 1_000_000, 1_000_000_000


def test_bytes_as_documented() -> None:
    asked = question(b"abcdefgh", 0x0102030405060708)
    assert asked == b"clock abcdefgh\x08\x07\x06\x05\x04\x03\x02\x01"
    answered = answer(asked, 2, "00112233445566ff")
    assert answered == asked + b"\x02" + bytes(7) + b"00112233445566ff"
    assert read_answer(answered, b"abcdefgh") == (0x0102030405060708, 2, "00112233445566ff")
    assert is_question(asked) and not is_question(answered)


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: b"",
        lambda data: data[:29],
        lambda data: data[:30],  # no clock id
        lambda data: data + b"x" * 64,
        lambda data: b"pose  " + data[6:],
        lambda data: data[:6] + b"ABCDEFGH" + data[14:],
        lambda data: data + b"\xff",
    ],
)
def test_what_is_no_answer_to_us(damage) -> None:
    data = answer(question(b"abcdefgh", 1), 2, "clock")
    assert read_answer(data, b"abcdefgh") is not None
    assert read_answer(damage(data), b"abcdefgh") is None


def test_one_exchange() -> None:
    """Asked at 100, answered at 110, the other clock said 40: it is 60 to 70 behind."""
    exchanges = Exchanges()
    assert exchanges.offset(110) is None
    exchanges.add(100, 40, 110)
    assert exchanges.offset(110) == Offset(65, 5)


def test_the_short_ways_decide() -> None:
    exchanges = Exchanges()
    exchanges.add(0, 5 * MS, 5 * MS)  # slow there: at least -5 ms, at most 0
    exchanges.add(10 * MS, 11 * MS, 20 * MS)  # slow back: at least -1 ms, at most 9 ms
    offset = exchanges.offset(20 * MS)
    assert offset is not None
    assert abs(offset.ns + 0.5 * MS) < 2 * US and abs(offset.uncertainty_ns - 0.5 * MS) < 3 * US


def test_old_knowledge_is_widened() -> None:
    exchanges = Exchanges()
    exchanges.add(0, 0, 10)
    later = exchanges.offset(10 + 60 * S)
    assert later is not None and later.uncertainty_ns == pytest.approx(60 * S * DRIFT_PPM * 1e-6, abs=20)


def test_a_clock_that_jumps_is_followed() -> None:
    exchanges = Exchanges()
    for turn in range(2 * WINDOW):
        exchanges.add(turn * S // 10, turn * S // 10, turn * S // 10 + 10)
    exchanges.add(100 * S, 40 * S, 100 * S + 10)  # its host slept for a minute
    assert exchanges.offset(100 * S + 10) == Offset(60 * S + 5, 5)


@settings(deadline=None, max_examples=200)
@example(seed=23824, offset_ns=0, drift_ppm=26.0, there_ms=0.0, back_ms=28.0)
@given(
    seed=st.integers(0, 2**32),
    offset_ns=st.integers(-(10**18), 10**18),
    drift_ppm=st.floats(-DRIFT_PPM, DRIFT_PPM),
    there_ms=st.floats(0, 50),
    back_ms=st.floats(0, 50),
)
def test_the_truth_is_within_the_claim(
    seed: int, offset_ns: int, drift_ppm: float, there_ms: float, back_ms: float
) -> None:
    """Whatever the ways take, equal or not, while the clocks drift apart."""
    rng = random.Random(seed)
    exchanges, now_ns = Exchanges(), rng.randrange(10 * S)
    start_ns = now_ns

    def theirs(ours_ns: int) -> int:
        return ours_ns - offset_ns + round((ours_ns - start_ns) * drift_ppm * 1e-6)

    for _ in range(rng.randrange(1, 200)):
        asked_ns = now_ns = now_ns + rng.randrange(200 * MS)
        now_ns += round(MS * (there_ms + rng.expovariate(1 / 5)))
        taken_ns = theirs(now_ns)
        now_ns += round(MS * (back_ms + rng.expovariate(1 / 5)))
        exchanges.add(asked_ns, taken_ns, now_ns)
        told = exchanges.offset(now_ns)
        assert told is not None
        assert abs(told.ns - (now_ns - theirs(now_ns))) <= told.uncertainty_ns + 1
        assert told.uncertainty_ns <= 300 * MS
