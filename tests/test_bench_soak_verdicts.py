"""Verdicts of bench.soak fail on logs in which something is wrong, each on what it asserts."""

import json

import pytest
from soak_logs import SECONDS, failed, fresh, words, write_good


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

    def gone_after_its_last_kill(rows):  # started again, and then not any more
        for row in rows["second"][900:]:
            del row["pids"]["jsonl"], row["rss_mb"]["jsonl"]

    def never_there(rows):
        rows["run"][0]["sinks"].append("websocket")

    def given_up(rows):
        rows["second"][-1]["status"]["children"]["vmc"] = "given up after 6 crashes"

    def silent_second(rows):
        rows["second"][900].update(fps=0, ages_ms=[])

    def connected_anew(rows):
        for row in rows["second"][900:]:
            row["status"]["reconnects"] += 1

    def stale_status(rows):
        for row in rows["second"][600:]:
            row["status"] = rows["second"][599]["status"]

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

    def backlog(rows):  # the poses of the second after are as old as the first: that is no slow machine
        rows["fault"][2]["first_age_ms"] = 310.0
        rows["second"][307]["ages_ms"] = [300.0] * 30

    def never_back(rows):
        rows["fault"][2].update(recovered_s=None, first_age_ms=None)

    return {
        "memory slope, program, MB/h": leak,
        "memory slope, vmc, MB/h": leak_of_a_sink,
        "p99 arrival to received, last third / first": creep,
        "received of them": slow,
        "camera's pictures per second": slow_camera,
        "restarts of sinks, as many as kills": (
            restart,
            restart_of_the_victim,
            not_started_again,
            gone_after_its_last_kill,
            never_there,
            given_up,
        ),
        "undisturbed seconds without a pose; new connections": (silent_second, connected_anew),
        "restarts of the stream": stream_restart,
        "frames without a reason, worst status": (unexplained_drop, counted_twice, stale_status),
        "frames without a reason, summary": (unread, sum_is_off),
        "first pose after one: age on arrival, oldest, ms": old_pose,
        "first frame after one: age when taken up, oldest, ms": (queued, backlog),
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
    also = {
        "faults injected": ["restarts of sinks, as many as kills"],  # a restart that nothing explains now
        "first frame after one: age when taken up, oldest, ms": [
            "first pose after one: age on arrival, oldest, ms"
        ],
    }
    assert failed(rows) == [name, *also.get(name, [])]


def test_where_poses_are_usually_older_than_a_frame_the_first_one_may_be_as_old_as_they():
    rows = fresh()
    for row in rows["second"]:
        row["ages_ms"] = [2 * age for age in row["ages_ms"]]
    rows["fault"][0]["first_age_ms"] = 40.0
    assert not failed(rows)
    rows["fault"][0]["first_age_ms"] = 50.0  # but 99 % are under 47
    assert failed(rows) == ["first pose after one: age on arrival, oldest, ms"]


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
    assert failed(rows) == ["p99 arrival to received, last third / first"]


def test_steps_and_single_values_far_off_are_no_slope():
    rows = fresh()
    for row in rows["second"][::45]:
        row["rss_mb"]["program"] += 50.0
    assert words(rows)["memory slope, program, MB/h"] == "ok"
