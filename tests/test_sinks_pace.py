"""The rate limit, by a clock of the test's own."""

from __future__ import annotations

import numpy as np

from realtime.sinks.pace import Pace


def taken(fps: float, arrivals: np.ndarray) -> list[float]:
    """When poses are taken that arrive so: each time the newest, once the pace allows."""
    pace, times, now = Pace(fps), [], 0.0
    index = 0
    while index < len(arrivals):
        now = max(now + pace.left_s(now), arrivals[index])
        times.append(now)
        pace.take(now)
        now += pace.left_s(now)
        index = max(index + 1, int(np.searchsorted(arrivals, now, side="right")) - 1)
    return times


def test_no_more_than_the_limit():
    times = taken(30.0, np.arange(0, 10, 1 / 120))
    assert 299 <= len(times) <= 301 and np.diff(times).min() > 1 / 30 - 1e-6


def test_a_stream_as_fast_as_the_limit_passes_whole():
    arrivals = np.arange(300) / 30 + np.random.default_rng(0).uniform(0, 0.01, 300)
    assert len(taken(30.0, arrivals)) == 300


def test_no_limit():
    assert len(taken(0.0, np.arange(0, 1, 1 / 240))) == 240


def test_after_a_pause_nothing_is_made_up_for():
    times = taken(30.0, np.concatenate((np.arange(0, 1, 1 / 120), np.arange(60, 61, 1 / 120))))
    assert len(times) <= 63
