"""The table of bench.latency and its verdicts, from numbers that are known."""

import pytest

from bench.latency_table import about, acceptance, header, merge, rows
from bench.live_run import Start
from realtime.summary import STAGES


def stage(p50, p99=None, count=100):
    return {"p50": p50, "p95": p50 * 1.2, "p99": p99 or p50 * 1.4, "max": p50 * 2, "count": count}


def result(perception="blazepose", own=14.0, **changes):
    nothing = {"p50": None, "p95": None, "p99": None, "max": None, "count": 0}
    latency_ms = {
        **dict.fromkeys(STAGES, nothing),
        "wait": stage(0.2),
        "perception": stage(own + 1.0),
        "perception_own": stage(own),
        "features_to_sent": stage(1.5),
        "arrival_to_publish": stage(own + 3.0),
        "capture_to_publish": stage(own + 3.0),
        "sent_to_received": stage(0.5),
        "capture_to_received": stage(own + 3.5),
        "age_at_ticks": stage(own + 20.0),
    }
    return {
        "perception": {"name": perception},
        "engine": {"engine": "onnxruntime"},
        "camera": {"nominal_fps": 30.0},
        "frames": {
            "captured": 100, "processed": 100, "published": 98, "dropped": 2, "drop_reasons": {"replaced_by_newer": 2}
        },
        "fps": 29.9,
        "states": {"tracking": 98},
        "latency_ms": latency_ms,
        "jitter_ms": {"capture_to_received": 3.25, "between_received": None},
        "received": 97,
        "received_ms": {"p50": own + 3.5, "p95": 30.0, "p99": 40.0},
        "memory": {"rss_mb": [(1.0, 300.0), (11.0, 310.0), (12.0, 305.0)], "slope_mb_per_min": 0.5},
        "cores": 1.1,
        "load": "",
        "viewer": "",
        **changes,
    }  # fmt: skip


def table(results, starts=()):
    return {what.strip(): cells for what, *cells in rows(results, starts)}


def test_one_run():
    shown = table([result()])
    assert shown["published, frames per second"] == ["29.90", ">= 29"]
    assert shown["captured / published / received"] == ["100 / 98 / 97", ""]
    assert shown["features to sent, ms"] == ["1.50 / 1.80 / 2.10 / 3.00", "<= 4"]
    assert shown["jitter, capture to received, ms"] == ["3.25", ""]
    assert shown["jitter, between two received, ms"] == ["-", ""]
    assert shown["memory, most, MB"] == ["310", "<= 500"]
    assert shown["after 10 s and at the end, MB"] == ["310 to 305", ""]
    assert "camera: exposure to arrival, ms" not in shown  # there is none
    assert "start to first pose, median s" not in shown


def test_each_other_run_has_its_ratio():
    runs = [result(), result("mediapipe", 20.0), result(own=28.0, load="CPU hog")]
    perception = table(runs)["perception, ms"]
    assert [perception[2], perception[4]] == [f"{15 / 21:.2f}", f"{29 / 15:.2f}"]
    assert header(runs)[3::2] == ["1st / it", "it / 1st"] and header(runs)[-1] == "target"
    assert {len(row) for row in rows(runs)} == {len(header(runs))}
    assert perception[5] == "<= 0.6 x"
    twice = {
        **result(),
        "perception": {"name": "blazepose", "mirror": "both"},
    }  # the target is one of one look
    assert table([twice, result("mediapipe", 20.0)])["perception, ms"][-1] == "<= 0.6 x with mirror=off"
    assert table([result(), result("torch")])["perception, ms"][-1] == ""


def test_starts_are_of_those_that_were_started():
    starts = [[Start(1.0, 100.0), Start(3.0, 100.0), Start(2.0, 100.0)], [Start(4.0, 500.0)], []]
    shown = table([result(), result("mediapipe"), result(load="CPU hog")], starts)
    assert shown["start to first pose, median s"] == ["2.00", "4.00", "", "-", "", "<= 3"]
    assert shown["shortest / longest, s"][0] == "1.00 / 3.00"


def verdicts(results):
    return [line.rpartition(": ")[2] for line in acceptance(results)]


def test_what_is_met_and_what_is_not():
    lines = acceptance([result(own=12.0), result("mediapipe", 20.0)])
    assert (
        "blazepose, onnxruntime: arrival to publish over MediaPipe's own call, medians, 0.750 x" in lines[0]
    )
    assert "asked for <= 0.75 x: met" in lines[0]
    assert "mediapipe, onnxruntime" in lines[3] and "1.150 x, asked for <= 1.1 x: NOT MET" in lines[3]
    assert verdicts([result(own=12.0), result("mediapipe", 20.0)]) == ["met"] * 3 + ["NOT MET", "met", "met"]


def test_frames_of_nobody_are_told_of():
    for lost, told in ((8, False), (40, True)):
        assert ("frames of nobody" in about({**result(), "states": {"tracking": 90, "lost": lost}})) == told


def test_a_long_tail_and_a_slow_way_are_not_met():
    slow = result()
    slow["latency_ms"] = {
        **slow["latency_ms"], "arrival_to_publish": stage(17.0, 26.0), "sent_to_received": stage(1.5)
    }  # fmt: skip
    assert verdicts([slow])[:2] == ["NOT MET", "NOT MET"]


def test_a_loaded_run_is_judged_by_nobody():
    assert len(acceptance([result(), result(load="CPU hog")])) == len(acceptance([result()]))


def test_what_the_camera_takes_is_not_asked_of_us():
    """With a driver's stamp, capture is earlier than arrival."""
    seen = result()
    latency_ms = {**seen["latency_ms"], "camera": stage(30.0)}
    latency_ms |= {"capture_to_publish": stage(47.0), "capture_to_received": stage(47.5)}
    assert acceptance([{**seen, "latency_ms": latency_ms}]) == acceptance([seen])
    assert "camera: exposure to arrival, ms" in table([{**seen, "latency_ms": latency_ms}])


def test_several_runs_become_one():
    run = result()
    slow = {name: {**one, "p50": 9.0, "max": 1e6} for name, one in run["latency_ms"].items()}
    frames = {**run["frames"], "drop_reasons": {"another": 2}}
    other = {
        **run,
        "latency_ms": slow,
        "frames": frames,
        "jitter_ms": {**run["jitter_ms"], "capture_to_received": 9.0},
    }
    merged = merge([run, run, other])
    assert merged["frames"]["captured"] == 300
    assert merged["frames"]["drop_reasons"] == {"replaced_by_newer": 4, "another": 2}
    assert merged["latency_ms"]["wait"]["p50"] == run["latency_ms"]["wait"]["p50"]
    assert merged["latency_ms"]["wait"]["max"] == 1e6
    assert merged["jitter_ms"] == {"capture_to_received": 3.25, "between_received": None}
    assert merged["received"] == 3 * run["received"]
    assert rows([merged])


@pytest.mark.parametrize("count", [1, 3])
def test_runs_in_which_nothing_was_received(count):
    latency_ms = {name: one for name, one in result()["latency_ms"].items() if "received" not in name}
    merged = merge([result(latency_ms=latency_ms, received=0, received_ms={})] * count)
    assert "sent to received, ms" not in table([merged])
    assert "not measured" in acceptance([merged])[1]
