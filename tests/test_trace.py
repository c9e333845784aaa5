"""--trace: the stamps of every frame, as they were."""

import json
import time

import pytest
from streams import ScriptedFeed, scripted_config, write_model

from realtime import pipeline
from realtime.bus.publisher import Publisher
from realtime.camera.drops import Drop
from realtime.errors import ConfigError
from realtime.messages import TOPICS
from realtime.record import check_trace_path
from realtime.summary import Stamps
from realtime.trace import COLUMNS, Row, Trace, read_csv, to_csv

MS = 1_000_000


def stamps(arrival_ns, exposure_ns=None, engine=True):
    perceived = arrival_ns + 20 * MS
    engine_ns = (perceived + MS, perceived + 2 * MS) if engine else (None, None)
    start_ns, end_ns = arrival_ns + MS, perceived
    return Stamps(
        exposure_ns,
        arrival_ns,
        start_ns,
        end_ns,
        7 * MS,
        end_ns,
        *engine_ns,
        end_ns + 3 * MS,
        end_ns + 4 * MS,
    )


class Feed(ScriptedFeed):
    def dropped(self):
        return [Drop(1, "replaced_by_newer", 5), Drop(4, "repeated", 9)]


ROWS = [Row(0, "warming", stamps(10**12)), Row(3, "lost", stamps(10**12 + 99 * MS, 10**12 + 70 * MS, False))]


def test_what_was_written_is_read_back(tmp_path):
    path = tmp_path / "t.csv"
    with Trace(path, Feed(0)) as trace:
        for row in ROWS:
            trace.add(*row)
        trace.drop(2, "invalid")
    rows, drops = read_csv(path)
    assert rows == ROWS
    assert [(drop.frame, drop.reason) for drop in drops] == [
        (1, "replaced_by_newer"), (2, "invalid"), (4, "repeated")
    ]  # fmt: skip
    lines = path.read_text().splitlines()
    assert lines[0].split(",") == list(COLUMNS)
    assert [line.split(",")[0] for line in lines[1:]] == ["0", "1", "2", "3", "4"]


def test_the_last_frames_are_kept(tmp_path):
    trace = Trace(tmp_path / "t.csv", ScriptedFeed(0), latest=3)
    for index in range(8):
        trace.add(index, "tracking", stamps(index * MS))
    assert trace.rows() == [Row(index, "tracking", stamps(index * MS)) for index in (5, 6, 7)]


def test_a_damaged_file_is_told(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text(to_csv(ROWS, []).replace("warming", "warning"))
    with pytest.raises(ValueError, match="'warning' is no state"):
        read_csv(path)


def test_where_it_cannot_be_written_is_told_at_once(tmp_path):
    for name, why in (("t.txt", "ends in .csv or .json"), ("absent/t.csv", "there is no folder")):
        with pytest.raises(ConfigError, match=why):
            check_trace_path(tmp_path / name)


def test_a_disk_that_fails_at_the_end_is_told(tmp_path, caplog):
    folder = tmp_path / "gone"
    folder.mkdir()
    with Trace(folder / "t.json", ScriptedFeed(0)):
        folder.rmdir()
    assert "--trace" in caplog.text and "could not be written" in caplog.text


@pytest.mark.parametrize("kind", ["csv", "json"])
def test_a_run_is_traced(monkeypatch, tmp_path, kind):
    model = write_model(tmp_path / "random.onnx")
    path = tmp_path / f"t.{kind}"
    summary = pipeline.run(scripted_config(monkeypatch, ScriptedFeed(20), model, trace=str(path)))
    assert summary.frames["published"] == 20
    if kind == "json":
        slices = [event for event in json.loads(path.read_text())["traceEvents"] if event["ph"] == "X"]
        assert {event["args"]["frame"] for event in slices} == set(range(20))
        return
    rows, drops = read_csv(path)
    assert [row.frame for row in rows] == list(range(20)) and not drops
    for row in rows:
        at = row.stamps
        assert (
            at.arrival_ns <= at.perception_start_ns <= at.perception_end_ns <= at.estimated_ns <= at.sent_ns
        )
        if row.state in ("tracking", "warming"):
            assert at.perception_end_ns <= at.engine_start_ns <= at.engine_end_ns <= at.estimated_ns
        else:
            assert at.engine_start_ns is None
    sent = {row.state for row in rows}
    assert {"tracking", "lost"} <= sent


def test_sent_is_when_it_is_handed_over_and_not_later(monkeypatch, tmp_path):
    """On two cores a subscriber may have a pose before the sender goes on: it would be received before it was sent."""
    handed_ns, publish = [], Publisher.publish

    def noting(publisher, data):
        if data.startswith(TOPICS["pose"]):
            handed_ns.append(time.monotonic_ns())
        publish(publisher, data)

    monkeypatch.setattr(Publisher, "publish", noting)
    model, path = write_model(tmp_path / "random.onnx"), tmp_path / "t.csv"
    pipeline.run(scripted_config(monkeypatch, ScriptedFeed(5), model, trace=str(path)))
    rows, _ = read_csv(path)
    assert len(handed_ns) == len(rows) == 5
    assert all(row.stamps.sent_ns <= ns for row, ns in zip(rows, handed_ns, strict=True))
