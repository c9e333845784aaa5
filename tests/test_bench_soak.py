"""bench.soak: a short run of the real program, and verdicts that fail on logs in which something is wrong."""

import json
import random
import subprocess
import sys

import pytest
from streams import ROOT

from bench.soak.__main__ import main
from bench.soak.faults import Injected
from bench.soak.log import Log, read_log
from bench.soak.run import Plan, in_force, soak
from bench.soak.schedule import KINDS, LAST_S, QUIET_S, SINK_PAUSE_S, Planned, plan
from bench.soak.verdicts import judge
from realtime.assets import asset
from realtime.errors import LoadError

SECONDS = 1800


def write_good(seconds: int = SECONDS) -> dict[str, list[dict]]:
    """Rows of a run in which all is well: two camera faults, one kill of the sink; by kind."""
    rng = random.Random(1)
    faults = [
        {
            "name": "camera stalled",
            "begin_s": 100.0,
            "end_s": 102.0,
            "recovered_s": 103.5,
            "first_age_ms": 17.0,
        },
        {"name": "sink killed", "begin_s": 200.2, "end_s": 201.2, "recovered_s": 202.0, "first_age_ms": None},
        {"name": "camera cut", "begin_s": 300.0, "end_s": 303.0, "recovered_s": 306.5, "first_age_ms": 20.0},
    ]
    rows = []
    for t in range(seconds):
        disturbed = any(fault["begin_s"] < t + 1 and fault["recovered_s"] + 3 > t for fault in faults)
        published = 30 * (t + 1)
        rows.append(
            {
                "kind": "second",
                "t": t,
                "faults": ["x"] if disturbed else [],
                "taken": 30,
                "fps": 30,
                "ages_ms": [16 + 8 * rng.random() ** 4 for _ in range(30)],
                "p99_ms": 20.0,
                "p50_ms": 17.0,
                "rss_mb": {"program": 300 + 0.2 * rng.random(), "jsonl": 60.0, "vmc": 70.0},
                "pids": {"program": 1, "jsonl": 2 if t < 201 else 4, "vmc": 3},
                "status": {
                    "captured": published + 8,
                    "published": published,
                    "drops": {"replaced_by_newer": 7, "invalid": 0},
                    "children": {"jsonl": "running", "vmc": "running"},
                },
            }
        )
    published = 30 * seconds
    summary = {
        "frames": {
            "captured": published + 8,
            "published": published,
            "drop_reasons": {"replaced_by_newer": 7, "invalid": 0, "unread_at_the_end": 1},
        },
        "engine": {"delay": 0},
        "latency_ms": {
            "perception": {"p50": 12.0},
            "look_ahead": {"p50": None},
            "features_to_sent": {"p50": 3.0},
        },
    }
    return {
        "run": [
            {
                "seconds": seconds,
                "fps": 30.0,
                "seed": 1,
                "flags": [],
                "victim": "jsonl",
                "planned": [{}] * len(faults),
                "machine": {"cpus": 2, "load_1min": 0.1, "system": "here"},
            }
        ],
        "second": rows,
        "fault": faults,
        "end": [
            {
                "early": "",
                "signal": "SIGTERM",
                "exit_code": 0,
                "took_s": 1.0,
                "said": "",
                "summary": json.dumps(summary),
                "recordings": [{"name": "soak.npz", "frames": published, "error": ""}],
                "left_behind": [],
                "received": published - 2,
                "first_seq": 2,
                "listener": {"missed": 0, "bad": 0, "restarts": 0},
            }
        ],
    }


GOOD = json.dumps(write_good())


def fresh() -> dict[str, list[dict]]:
    return json.loads(GOOD)


def log_of(rows: dict[str, list[dict]]) -> Log:
    return Log(rows["run"][0], rows["second"], rows["fault"], rows["end"][0] if rows["end"] else {})


def words(rows: dict[str, list[dict]]) -> dict[str, str]:
    return {verdict.name: verdict.word for verdict in judge(log_of(rows))}


def failed(rows: dict[str, list[dict]]) -> list[str]:
    return [name for name, word in words(rows).items() if word == "FAILED"]


def test_a_good_log_passes():
    assert set(words(fresh()).values()) == {"ok"}
    assert "memory slope, jsonl, MB/h" in words(fresh())  # killed before the warm-up was over


def later(row: dict, low: float, high: float) -> bool:
    return SECONDS * low <= row["t"] < SECONDS * high


def breaks():
    """name → (how a good log is broken, the verdict that fails)."""

    def leak(rows):
        for row in rows["second"]:
            row["rss_mb"]["program"] += row["t"] / 3600 * 1.5

    def leak_of_a_sink(rows):
        for row in rows["second"]:
            row["rss_mb"]["vmc"] += row["t"] / 3600 * 1.5

    def creep(rows):
        for row in rows["second"]:
            if later(row, 2 / 3, 1):
                row["ages_ms"] = [1.12 * age for age in row["ages_ms"]]

    def slow(rows):
        for row in rows["second"]:
            row["fps"] = 28

    def slow_camera(rows):
        for row in rows["second"]:
            row["fps"] = row["taken"] = 28

    def restart(rows):
        for row in rows["second"][900:]:
            row["pids"]["vmc"] = 5

    def restart_of_the_victim(rows):
        for row in rows["second"][900:]:
            row["pids"]["jsonl"] = 5

    def not_started_again(rows):
        for row in rows["second"][201:]:
            del row["pids"]["jsonl"], row["rss_mb"]["jsonl"]

    def stream_restart(rows):
        rows["end"][0]["listener"]["restarts"] = 1

    def unexplained_drop(rows):
        for row in rows["second"][900:]:
            row["status"]["captured"] += 1

    def counted_twice(rows):
        rows["second"][900]["status"]["drops"]["replaced_by_newer"] += 2

    def unread(rows):
        summary = json.loads(rows["end"][0]["summary"])
        summary["frames"]["drop_reasons"]["unread_at_the_end"] += 1
        summary["frames"]["captured"] += 1
        rows["end"][0]["summary"] = json.dumps(summary)

    def sum_is_off(rows):
        summary = json.loads(rows["end"][0]["summary"])
        summary["frames"]["captured"] += 1
        rows["end"][0]["summary"] = json.dumps(summary)

    def old_pose(rows):
        rows["fault"][0]["first_age_ms"] = 33.4

    def queued(rows):  # on a machine that is too slow to tell by the age on arrival alone
        for row in rows["second"]:
            row["ages_ms"] = [2 * age for age in row["ages_ms"]]
        rows["fault"][0]["first_age_ms"] = 2 * 24 + 33.4

    def never_back(rows):
        rows["fault"][2].update(recovered_s=None, first_age_ms=None)

    return {
        "memory slope, program, MB/h": leak,
        "memory slope, vmc, MB/h": leak_of_a_sink,
        "p99 capture to received, last third / first": creep,
        "received of them": slow,
        "camera's pictures per second": slow_camera,
        "restarts of sinks, as many as kills": (restart, restart_of_the_victim, not_started_again),
        "restarts of the stream": stream_restart,
        "frames without a reason, worst status": (unexplained_drop, counted_twice),
        "frames without a reason, summary": (unread, sum_is_off),
        "first pose after one: age on arrival, oldest, ms": old_pose,
        "first frame after one: age when taken up, oldest, ms": queued,
        "camera faults that the stream came back from": never_back,
        "seconds logged; without a fault": lambda rows: rows["end"][0].update(early="Ctrl-C"),
        "faults injected": lambda rows: rows["fault"].pop(1),
        "poses lost on the way to it": (
            lambda rows: rows["end"][0].update(received=5),
            lambda rows: rows["end"][0]["listener"].update(missed=1),
        ),
        "frames in soak.npz": (
            lambda rows: rows["end"][0]["recordings"][0].update(frames=7),
            lambda rows: rows["end"][0]["recordings"][0].update(error="cut"),
        ),
        "exit code": (
            lambda rows: rows["end"][0].update(exit_code=1),
            lambda rows: rows["end"][0].update(exit_code=None),
        ),
        "processes left behind": lambda rows: rows["end"][0].update(left_behind=["7 jsonl"]),
    }


CASES = [
    pytest.param(name, one, id=f"{name} {number}")
    for name, how in breaks().items()
    for number, one in enumerate(how if isinstance(how, tuple) else (how,))
]


@pytest.mark.parametrize(("name", "break_it"), CASES)
def test_each_verdict_fails_where_what_it_asserts_is_not_so(name, break_it):
    rows = fresh()
    break_it(rows)
    also = {"faults injected": ["restarts of sinks, as many as kills"]}  # a restart that nothing explains now
    assert failed(rows) == [name, *also.get(name, [])]


def test_where_poses_are_usually_older_than_a_frame_the_age_on_arrival_tells_nothing():
    rows = fresh()
    for row in rows["second"]:
        row["ages_ms"] = [2 * age for age in row["ages_ms"]]
    rows["fault"][0]["first_age_ms"] = 40.0
    assert words(rows)["first pose after one: age on arrival, oldest, ms"] == "not significant"
    assert not failed(rows)


def test_a_log_without_an_end_fails():
    rows = fresh()
    rows["end"] = []
    assert {"exit code", "processes left behind", "recordings"} <= set(failed(rows))


def test_of_a_short_run_no_trend_is_asserted():
    rows = write_good(300)
    for row in rows["second"]:
        row["rss_mb"]["program"] += row["t"] / 3600 * 1.5
    assert words(rows)["memory slope, program, MB/h"] == "not significant"
    assert not failed(rows)
    for row in rows["second"][200:]:  # but this is no noise
        row["ages_ms"] = [2 * age for age in row["ages_ms"]]
    assert failed(rows) == ["p99 capture to received, last third / first"]


def test_steps_and_single_values_far_off_are_no_slope():
    rows = fresh()
    for row in rows["second"][::45]:
        row["rss_mb"]["program"] += 50.0
    assert words(rows)["memory slope, program, MB/h"] == "ok"


def test_the_same_seed_gives_the_same_faults_with_quiet_between_them():
    planned = plan(1800, 1)
    assert planned == plan(1800, 1) != plan(1800, 2)
    assert {one.kind for one in planned} == set(KINDS)
    for one, after in zip(planned[:-1], planned[1:], strict=True):
        assert after.at_s - one.at_s - one.seconds >= QUIET_S[0] - 0.02
    assert planned[-1].at_s + planned[-1].seconds <= 1800 - LAST_S
    kills = [one.at_s for one in plan(1800, 1, ["sink killed"])]
    assert min(b - a for a, b in zip(kills[:-1], kills[1:], strict=True)) >= SINK_PAUSE_S
    assert plan(1800, 1, []) == []


def test_a_second_is_disturbed_while_the_program_is_not_over_it_and_a_little_longer():
    faults = [Injected("camera stalled", 2.5, 4.0, recovered_s=5.5)]
    assert [in_force(faults, second) for second in range(10)] == [
        [], [], *[["camera stalled"]] * 4, *[["settling"]] * 3, [],
    ]  # fmt: skip
    never = [Injected("camera cut", 2.5, 4.0)]  # it is no excuse for ever
    assert in_force(never, 28) == ["camera cut"] and in_force(never, 32) == []
    assert in_force([Injected("hog", 2.5)], 100) == ["hog"]


def test_a_short_run_with_a_stall_and_kills_is_logged_and_judged(tmp_path):
    faults = [
        Planned(3.0, "camera stalled", 0.7),
        Planned(4.5, "subscriber killed", 0.5),
        Planned(5.0, "sink killed", 0.5),
    ]
    path = tmp_path / "log.jsonl"
    with path.open("x") as file:
        soak(Plan(12.0, 10.0, 1, str(asset("demo.mp4")), faults), tmp_path, file)
    log = read_log(path)
    verdicts = {verdict.name: verdict for verdict in judge(log)}
    speed = {
        "camera's pictures per second",
        "received of them",
        "first pose after one: age on arrival, oldest, ms",
    }
    wrong = {name: one for name, one in verdicts.items() if one.passed is False and name not in speed}
    assert not wrong
    assert speed <= set(verdicts)  # judged, though not here: this machine may be busy
    assert [fault["name"] for fault in log.faults][:2] == ["camera stalled", "subscriber killed"]
    stalled = log.faults[0]
    assert stalled["recovered_s"] > stalled["end_s"] >= stalled["begin_s"] + 0.7
    assert sum(row["taken"] for row in log.seconds) < 12 * 10 - 4  # it did stall
    assert [one["name"] for one in log.end["recordings"]] == ["soak.mcap", "soak.npz"]
    assert log.end["received"] > 50

    done = subprocess.run(
        [sys.executable, "-m", "bench.soak", "--judge", str(path), "--json", str(tmp_path / "v.json"),
         "--plot", str(tmp_path / "p.png")],
        cwd=ROOT, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    told = json.loads((tmp_path / "v.json").read_text())
    assert done.returncode == any(one["passed"] is False for one in told["verdicts"]), done.stderr
    assert "frames in soak.npz" in done.stdout
    assert (tmp_path / "p.png").read_bytes().startswith(b"\x89PNG")


def test_flags_that_are_the_soaks_own_and_logs_that_are_there_are_refused(tmp_path, capsys):
    there = tmp_path / "log.jsonl"
    there.touch()
    for arguments, told in (
        (["--record", "a.npz"], "--record: the soak sets this"),
        (["--source=0"], "--source: the soak sets this"),
        (["--log", str(there)], "log.jsonl: exists"),
        (["--json", str(tmp_path / "none" / "v.json")], "there is no folder"),
    ):
        assert main(["--log", str(tmp_path / "new.jsonl"), *arguments]) == 2
        assert told in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["--faults", "hog,flood"])
    assert "flood: expected some of camera stalled" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["log.jsonl"]


def test_what_is_no_log_is_told(tmp_path):
    other = tmp_path / "other.jsonl"
    other.write_text('{"seq": 1}\n')
    for path in (other, tmp_path / "none.jsonl"):
        with pytest.raises(LoadError, match=path.name):
            read_log(path)
