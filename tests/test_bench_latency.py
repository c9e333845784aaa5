"""bench.latency measures real runs and prints what it measured."""

import cv2
import numpy as np
import pytest
from streams import write_clip

from bench.clip_at_rate import write_at_rate
from bench.latency import main, merge, rows
from bench.live_run import Start, first_pose, measure


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    clip = write_clip(tmp_path_factory.mktemp("clip") / "bar.avi", 40)
    return measure(str(clip), 10.0, [])


def test_a_short_run_is_measured(run):
    assert run["frames"]["captured"] == 40
    assert 1 <= run["received"] <= run["frames"]["published"]
    assert run["received_ms"]["p50"] >= 0.9 * run["latency_ms"]["capture_to_publish"]["p50"]
    assert run["memory"]["rss_mb"][0][1] > 50


def test_the_table_holds_what_was_measured(run):
    table = {what.strip(): cells for what, *cells in rows(run)}
    stages = run["latency_ms"]
    assert table["perception, median ms"][0] == f"{stages['perception']['p50']:.2f}"
    assert table["capture to publish, median ms"][0] == f"{stages['capture_to_publish']['p50']:.2f}"
    assert table["memory, most, MB"] == [f"{max(mb for _, mb in run['memory']['rss_mb']):.0f}", "<= 500"]
    assert "start to first pose, median s" not in table


def test_side_by_side_the_ratio_is_of_the_medians(run):
    stages = {name: {**stage, "p50": 4 * (stage["p50"] or 0.0)} for name, stage in run["latency_ms"].items()}
    slower = {**run, "latency_ms": stages, "perception": {"name": "mediapipe"}}
    starts = [[Start(1.0, 100.0), Start(3.0, 100.0), Start(2.0, 100.0)], [Start(4.0, 500.0)]]
    ours = {**run, "perception": {"name": "blazepose"}}
    table = {what.strip(): cells for what, *cells in rows(ours, slower, starts)}
    assert table["perception, median ms"][2:] == ["0.25", "<= 0.6 x"]
    twice = {**ours, "perception": {"name": "blazepose", "mirror": "both"}}  # the target is one of one look
    asked = {what.strip(): cells for what, *cells in rows(twice, slower)}["perception, median ms"]
    assert asked[2:] == ["0.25", "<= 0.6 x with mirror=off"]
    own, sent = (run["latency_ms"][stage]["p50"] for stage in ("perception_own", "capture_to_publish"))
    over = [float(cell) for cell in table["over MediaPipe's own call"][:2]]
    assert over == pytest.approx([sent / (4 * own), sent / own], abs=1e-3)
    assert table["start to first pose, median s"] == ["2.00", "4.00", "", "<= 3"]
    assert table["shortest / longest, s"][0] == "1.00 / 3.00"


def test_several_runs_become_one(run):
    slow = {name: {**stage, "p50": 9.0, "max": 1e6} for name, stage in run["latency_ms"].items()}
    frames = {**run["frames"], "drop_reasons": {"another": 2}}
    merged = merge([run, run, {**run, "latency_ms": slow, "frames": frames}])
    assert merged["frames"]["captured"] == 120
    assert merged["frames"]["drop_reasons"]["another"] == 2
    assert merged["latency_ms"]["wait"]["p50"] == run["latency_ms"]["wait"]["p50"]
    assert merged["latency_ms"]["wait"]["max"] == 1e6
    assert merged["received"] == 3 * run["received"]
    assert rows(merged)


def test_a_start_lasts_until_somebody_is_seen():
    start = first_pose("demo", [])
    assert start.seconds > 0.1
    assert start.rss_mb > 50


def test_a_program_that_fails_is_told(tmp_path, capsys):
    with pytest.raises(RuntimeError, match=r"ended with 3.*none\.mp4"):
        measure(str(tmp_path / "none.mp4"), 1.0, [])
    with pytest.raises(RuntimeError, match=r"ended with 3.*none\.mp4"):
        first_pose(str(tmp_path / "none.mp4"), [])
    assert main(["--source", str(tmp_path / "none.mp4"), "--fps", "60", "--starts", "0"]) == 1
    assert "none.mp4" in capsys.readouterr().err


def test_a_copy_at_another_rate_holds_the_same_pictures_over_and_over(tmp_path):
    clip = write_clip(tmp_path / "bar.avi", 10)
    copy = cv2.VideoCapture(str(write_at_rate(clip, 60.0, 0.4, tmp_path / "copy.mp4")))
    assert copy.get(cv2.CAP_PROP_FPS) == 60.0
    bars = []
    while (read := copy.read())[0]:
        bars.append(int(np.argmax(read[1].mean(axis=(0, 2)))))
    assert bars == [i % 10 for i in range(24)]
