"""Counting a run, and the JSON of `--summary`."""

import json
from dataclasses import fields

import numpy as np
import pytest

from realtime.summary import STAGES, Samples, Stamps, Summary, Tally, plain


def stamps(start_ns=0, own_ns=15_000_000, look_ahead_ms=0, camera_ms=30):
    times_ms = (2, 22, *(look_ahead_ms + ms for ms in (22, 23, 24, 25, 26)))
    perception_start, perception_end, *later = (start_ns + ms * 1_000_000 for ms in times_ms)
    exposure = None if camera_ms is None else start_ns - camera_ms * 1_000_000
    return Stamps(exposure, start_ns, perception_start, perception_end, own_ns, *later)


def test_percentiles_are_numpys():
    rng = np.random.default_rng(0)
    values = rng.gamma(2.0, 10.0, 1000)
    samples = Samples()
    for value in values:
        samples.add(float(value))
    report = samples.report()
    for key, percent in (("p50", 50), ("p95", 95), ("p99", 99), ("max", 100)):
        assert report[key] == pytest.approx(np.percentile(values, percent), abs=2e-3)
    assert report["count"] == 1000
    assert samples.recent_ms(100) == pytest.approx(np.median(values[-100:]), rel=1e-6)


def test_memory_is_bounded_and_what_is_old_goes():
    samples = Samples(capacity=100)
    for value in [1000.0] + [1.0] * 150 + [2.0] * 30:
        samples.add(value)
    report = samples.report()
    assert (report["count"], report["max"], report["p50"]) == (181, 1000.0, 1.0)
    assert report["p99"] == 2.0  # the 1000 is no longer among the last 100
    assert samples.recent_ms(30) == 2.0
    assert samples.recent_ms(90) == 1.0  # across the end of the buffer
    for value in [3.0] * 19:
        samples.add(value)
    assert samples.count == 200 and samples.recent_ms(30) == 3.0  # just where it begins anew


def test_nothing_measured_is_said_as_nothing():
    assert Samples().report() == {"p50": None, "p95": None, "p99": None, "max": None, "count": 0}
    assert Samples().recent_ms(10) is None
    assert Tally().fps == 0.0


def test_stages_states_and_rate():
    tally = Tally()
    for i in range(31):
        tally.add(stamps(i * 33_333_333), "tracking" if i else "lost")
    p50 = {name: stage.report()["p50"] for name, stage in tally.stages.items()}
    assert p50 == {
        "camera": 30.0,
        "wait": 2.0,
        "perception": 20.0,
        "perception_own": 15.0,
        "look_ahead": None,
        "estimate": 3.0,
        "engine": 1.0,
        "publish": 1.0,
        "features_to_sent": 4.0,
        "arrival_to_publish": 26.0,
        "capture_to_publish": 56.0,
    }
    assert tuple(p50) == STAGES
    assert tally.states == {"tracking": 30, "warming": 0, "held": 0, "lost": 1}
    assert (tally.published, tally.fps) == (31, pytest.approx(30.0, rel=1e-6))


def test_a_perception_that_does_not_tell_its_own_time_leaves_that_stage_empty():
    tally = Tally()
    tally.add(stamps(own_ns=None), "lost")
    assert tally.stages["perception_own"].count == 0
    assert tally.stages["perception"].count == 1


def test_waiting_for_later_frames_is_latency_and_no_work():
    tally = Tally()
    tally.add(stamps(look_ahead_ms=200), "tracking")
    p50 = {name: tally.stages[name].report()["p50"] for name in STAGES}
    assert (p50["look_ahead"], p50["estimate"], p50["features_to_sent"]) == (200.0, 3.0, 4.0)
    assert p50["arrival_to_publish"] == 226.0


def test_without_a_drivers_stamp_capture_is_arrival():
    tally = Tally()
    tally.add(stamps(camera_ms=None), "tracking")
    p50 = {name: tally.stages[name].report()["p50"] for name in STAGES}
    assert p50["camera"] is None
    assert p50["capture_to_publish"] == p50["arrival_to_publish"] == 26.0


def test_where_the_network_was_not_asked_it_took_no_time():
    tally = Tally()
    tally.add(stamps()._replace(engine_start_ns=None, engine_end_ns=None), "lost")
    assert tally.stages["engine"].count == 0
    assert tally.stages["estimate"].count == 1


def summary(**changes):
    empty = {field.name: {} for field in fields(Summary)}
    values = {
        **empty,
        "frames": {"captured": 3, "published": 2, "drop_reasons": {"replaced_by_newer": 1, "invalid": 0}},
        "latency_ms": {"capture_to_publish": {"p50": 20.0, "p99": 30.0, "count": 2}},
        "states": {"tracking": 2, "lost": 0},
        "recordings": [{"path": "a.npz", "frames": 2, "error": None}],
        "fps": 29.9,
        **changes,
    }
    return Summary(**values)


def test_json_round_trip_leaves_one_file(tmp_path):
    path = tmp_path / "s.json"
    path.write_text("an older one")
    summary().write(path)
    assert json.loads(path.read_text())["frames"]["captured"] == 3
    assert list(tmp_path.iterdir()) == [path]


def test_what_json_cannot_hold_is_made_plain():
    made = plain({"a": np.float32(1.5), "b": (1, float("nan")), "c": {"d": np.int64(3)}, "e": float("inf")})
    assert made == {"a": 1.5, "b": [1, None], "c": {"d": 3}, "e": None}
    json.dumps(made, allow_nan=False)


def test_lines_for_people():
    assert summary(ended_by="SIGINT").lines()[0].startswith("2 of 3 frames")
    camera = {"message": "a.mp4: only 3 of 9 announced frames were readable"}
    assert summary(ended_by="end of the source", camera=camera).lines() == [
        "a.mp4: only 3 of 9 announced frames were readable",
        "2 of 3 frames published, 29.9 per second; dropped: 1 replaced by newer",
        "latency capture → publish: median 20.0 ms, 99 % under 30.0 ms",
        "states: 2 tracking",
        "recorded 2 frames: a.npz",
    ]
    stages = {"capture_to_publish": {"p50": 50.0, "p99": 60.0, "count": 2}, "camera": {"p50": 30.0}}
    told = summary(ended_by="SIGINT", latency_ms=stages).lines()[1]
    assert told == (
        "latency capture → publish: median 50.0 ms, 99 % under 60.0 ms; of it the camera 30.0, by its driver's stamps"
    )


def test_samples_take_their_memory_at_once():
    psutil = pytest.importorskip("psutil", reason="psutil is not installed (extra dev)")
    process, many = psutil.Process(), [Samples(1_000_000) for _ in range(4)]
    before = process.memory_info().rss
    for samples in many:
        for _ in range(0, 1_000_000, 1024):  # one of every page
            samples.add(1.0)
            samples.count += 1023
    assert process.memory_info().rss - before < 4_000_000
