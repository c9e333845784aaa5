"""The Chrome trace is one that Perfetto and chrome://tracing take: checked event by event."""

import json
from collections import defaultdict

from test_trace import MS, stamps

from realtime.camera.drops import Drop
from realtime.chrome_trace import chrome_trace
from realtime.trace import Row

T0 = 10**15


def rows(count=5, exposure_ms=80):
    """At 30 fps; each picture is older when it comes than the time between two, so their slices overlap."""
    made = []
    for index in range(count):
        arrival_ns = T0 + index * 33 * MS
        made.append(Row(index, "tracking", stamps(arrival_ns, arrival_ns - exposure_ms * MS)))
    return made


def look_ahead(row, frames=6):
    later_ns = frames * 33 * MS
    at = row.stamps
    moved = {name: getattr(at, name) + later_ns for name in at._fields[5:]}
    return row._replace(stamps=at._replace(**moved))


def checked(trace):
    """Events by kind, after what holds for every trace."""
    events = json.loads(json.dumps(trace, allow_nan=False))["traceEvents"]
    by_kind, named = defaultdict(list), set()
    for event in events:
        assert isinstance(event["pid"], int) and isinstance(event["name"], str)
        by_kind[event["ph"]].append(event)
        if event["ph"] == "M":
            named.add((event["pid"], event.get("tid")))
            assert event["args"]["name"]
            continue
        assert event["ts"] >= 0 and isinstance(event["tid"], int)
        assert {(event["pid"], None), (event["pid"], event["tid"])} <= named
        if event["ph"] == "X":
            assert event["dur"] >= 0
    assert set(by_kind) <= {"M", "X", "i", "s", "t", "f"}
    check_nesting(by_kind["X"])
    check_flows(by_kind)
    return by_kind


def check_nesting(slices):
    threads = defaultdict(list)
    for event in slices:
        threads[event["pid"], event["tid"]].append((event["ts"], event["ts"] + event["dur"]))
    for spans in threads.values():
        spans.sort(key=lambda span: (span[0], -span[1]))
        open_until = []
        for start, end in spans:
            while open_until and open_until[-1] <= start + 1e-9:
                open_until.pop()
            assert not open_until or end <= open_until[-1] + 1e-9, "slices of a thread overlap"
            open_until.append(end)


def check_flows(by_kind):
    begun, ended = ([event["id"] for event in by_kind[kind]] for kind in "sf")
    assert len(set(begun)) == len(begun) and sorted(begun) == sorted(ended)
    for event in (*by_kind["s"], *by_kind["t"], *by_kind["f"]):
        inside = [
            one for one in by_kind["X"]
            if (one["pid"], one["tid"]) == (event["pid"], event["tid"])
            and one["ts"] <= event["ts"] <= one["ts"] + one["dur"]
            and one["args"]["frame"] == event["id"]
        ]  # fmt: skip
        assert inside, f"a flow of frame {event['id']} ends in none of its slices"
    first = {event["id"]: event["ts"] for event in by_kind["s"]}
    for event in (*by_kind["t"], *by_kind["f"]):
        assert event["ts"] >= first[event["id"]]


def test_one_slice_per_stage_and_frame():
    by_kind = checked(chrome_trace(rows(), []))
    of_frame = defaultdict(list)
    for event in by_kind["X"]:
        of_frame[event["args"]["frame"]].append(event["name"])
    stages = ["camera", "wait", "perception", "estimate", "engine", "publish"]
    assert {frame: sorted(names) for frame, names in of_frame.items()} == dict.fromkeys(
        range(5), sorted(stages)
    )
    perception = [event for event in by_kind["X"] if event["name"] == "perception"]
    assert [event["dur"] for event in perception] == [19_000.0] * 5
    assert perception[0]["args"]["networks_ms"] == 7.0


def test_times_are_exact_to_the_nanosecond():
    trace = chrome_trace([Row(0, "tracking", stamps(T0 + 123_456_789))], [Drop(7, "invalid", T0)])
    assert trace["otherData"]["t0_ns"] == T0
    wait = next(event for event in trace["traceEvents"] if event["name"] == "wait")
    assert wait["ts"] == 123_456.789


def test_a_drop_is_an_instant_with_its_reason():
    drops = [Drop(8, "replaced_by_newer", T0 + 5 * MS), Drop(9, "invalid", T0 + 6 * MS)]
    instants = checked(chrome_trace(rows(), drops))["i"]
    assert [(event["name"], event["s"], event["args"]["frame"]) for event in instants] == [
        ("replaced_by_newer", "t", 8),
        ("invalid", "t", 9),
    ]


def test_poses_are_followed_to_who_receives_and_shows_them():
    made = rows()
    received = {row.frame: row.stamps.sent_ns + 40 * MS for row in made[:3]}  # two are on their way at a time
    shown = {1: (received[1] + 2 * MS, received[1] + 18 * MS), 77: (0, 1)}
    by_kind = checked(chrome_trace(made, [], received, shown))
    on_their_way = [event for event in by_kind["X"] if event["name"] == "on its way"]
    assert [event["dur"] for event in on_their_way] == [40_000.0] * 3
    assert len({event["tid"] for event in on_their_way}) == 2
    last = {event["id"]: event["pid"] for event in by_kind["f"]}
    assert last == {0: 2, 1: 3, 2: 2, 3: 1, 4: 1}


def test_a_model_that_looks_ahead():
    by_kind = checked(chrome_trace([look_ahead(row) for row in rows(12)], []))
    waiting = [event for event in by_kind["X"] if event["name"] == "look-ahead"]
    assert len(waiting) == 12 and {event["dur"] for event in waiting} == {6 * 33_000.0}


def test_frames_that_were_answered_all_at_once_at_the_end():
    made, complete_ns = [], T0 + 1000 * MS
    for row in rows(4):
        estimated_ns = complete_ns + (row.frame + 1) * 3 * MS
        ends = {"complete_ns": complete_ns, "estimated_ns": estimated_ns, "sent_ns": estimated_ns + MS}
        made.append(row._replace(stamps=row.stamps._replace(**ends)))
    checked(chrome_trace(made, []))


def test_nothing_at_all():
    assert chrome_trace([], [])["traceEvents"] == []
