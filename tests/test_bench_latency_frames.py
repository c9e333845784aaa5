"""What the times of frames come to, from frames whose times are known."""

import io

import numpy as np
import pytest
from test_trace import MS, stamps

from bench.latency_frames import COLUMNS, Frames, write_frames, write_ticks
from realtime.camera.drops import Drop
from realtime.trace import Row

T0 = 10**15
PERIOD_NS = 33 * MS


def frames(count=600, exposure_ms=None, way_ms=lambda index: 2.0, ticks=()):
    rows = []
    for index in range(count):
        arrival_ns = T0 + index * PERIOD_NS
        exposure_ns = None if exposure_ms is None else arrival_ns - exposure_ms * MS
        rows.append(Row(index, "tracking", stamps(arrival_ns, exposure_ns)))
    received = {row.frame: row.stamps.sent_ns + round(way_ms(row.frame) * MS) for row in rows}
    return Frames(rows, [Drop(count, "invalid", T0)], received, list(ticks))


def test_the_warm_up_is_left_out():
    assert frames().warm()[0].frame == int(np.ceil(3e9 / PERIOD_NS))
    assert len(frames(8).warm()) == 6  # of a short run a quarter
    assert frames(0).warm() == [] and len(frames(1).warm()) == 1


def test_from_end_to_end():
    told = frames(exposure_ms=30).statistics()["latency_ms"]
    p50 = {name: one["p50"] for name, one in told.items()}
    assert (p50["camera"], p50["arrival_to_publish"], p50["capture_to_publish"]) == (30.0, 24.0, 54.0)
    assert (p50["sent_to_received"], p50["arrival_to_received"], p50["capture_to_received"]) == (
        2.0,
        26.0,
        56.0,
    )
    assert p50["between_received"] == 33.0
    assert told["look_ahead"] == {"p50": None, "p95": None, "p99": None, "max": None, "count": 0}


def test_jitter_is_how_much_later_one_in_twenty_is():
    told = frames(way_ms=lambda index: 12.0 if index % 10 == 0 else 2.0).statistics()
    assert told["jitter_ms"]["capture_to_received"] == pytest.approx(10.0)
    assert told["jitter_ms"]["between_received"] == pytest.approx(10.0)  # 23, 33 and 43 ms
    still = frames().statistics()["jitter_ms"]
    assert still == {"capture_to_received": pytest.approx(0.0), "between_received": pytest.approx(0.0)}


def test_age_at_ticks_is_of_the_same_time():
    ticks = [(T0 + at * MS, 0, float(at)) for at in range(0, 30_000, 100)]
    run = frames(ticks=ticks)
    first_ms, last_ms = ((row.stamps.sent_ns - T0) / MS for row in (run.warm()[0], run.rows[-1]))
    ages = run.durations()["age_at_ticks"]
    assert ages.min() == np.ceil(first_ms / 100) * 100 and ages.max() == np.floor(last_ms / 100) * 100


def test_a_frame_is_shown_until_the_next_one_is():
    ticks = [(T0 + tick * 16 * MS, frame, 20.0) for tick, frame in enumerate((3, 3, 4, 6, 6, 6))]
    shown = frames(ticks=ticks).shown_ns()
    at = [tick[0] for tick in ticks]
    assert shown == {3: (at[0], at[2]), 4: (at[2], at[3]), 6: (at[3], at[5])}


def test_nothing_received_and_nothing_published():
    for run in (Frames([], [], {}, []), Frames(frames(3).rows, [], {}, [])):
        told = run.statistics()
        assert told["latency_ms"]["capture_to_received"]["count"] == 0
        assert told["jitter_ms"] == {"capture_to_received": None, "between_received": None}
        assert run.trace()["displayTimeUnit"] == "ms"


def test_csv_holds_every_frame_and_every_tick():
    run, file, tick_file = frames(3, ticks=[(T0, 1, 20.5)]), io.StringIO(), io.StringIO()
    write_frames(file, [("a, b", 0, run)])
    write_ticks(tick_file, [("a, b", 0, run)])
    lines = file.getvalue().splitlines()
    assert lines[0].split(",") == list(COLUMNS)
    assert len(lines) == 5
    assert lines[1].startswith(f'"a, b",0,0,tracking,,,,{T0},') and lines[1].endswith(str(T0 + 26 * MS))
    assert lines[4] == f'"a, b",0,3,,invalid,{T0}' + "," * 11
    assert tick_file.getvalue().splitlines()[1] == f'"a, b",0,{T0},1,20.5'
