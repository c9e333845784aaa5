"""Stamps of frames as a Chrome trace: what chrome://tracing and ui.perfetto.dev open.

    hmmr-live     camera        |■■■■■■■|                       exposure → arrival
                  slot                  |■|                     arrival → perception takes it up
                  live loop               |■■■■■■■■|■■■■|■|     perception, estimate (in it the engine), publish
                  look-ahead                                    only of a model that wants later frames
                  not used          ◆                           an instant per frame that was dropped, with its reason
    subscriber    on its way                             |■|    sent → decoded in another process
    display       shown                                    |■■| from the first render tick that shows it to the last

One slice per stage and frame; a flow, whose id is the frame's index, leads from slice to slice. Format:
"Trace Event Format" (Google, 2016): ph X (slice), i (instant), s/t/f (flow), M (name); ts and dur in µs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from realtime.camera.drops import Drop
    from realtime.trace import Row

LIVE, SUBSCRIBER, DISPLAY = 1, 2, 3
PROCESSES = {LIVE: "hmmr-live", SUBSCRIBER: "subscriber", DISPLAY: "display"}
CAMERA, SLOT, LOOP, LOOK_AHEAD, NOT_USED, WAY, SHOWN = range(1, 8)
LANES = {
    CAMERA: "camera",
    SLOT: "slot",
    LOOP: "live loop",
    LOOK_AHEAD: "look-ahead",
    NOT_USED: "not used",
    WAY: "on its way",
    SHOWN: "shown",
}
MORE_LANES = 10  # tids of slices that overlap others of their lane: lane + 10, lane + 20, …
INTO_SLICE_NS = (
    500  # a flow's end is put so far into its slice: at the very edge it might be taken for the one before
)

Event = dict[str, Any]


class _Slice(NamedTuple):
    """One stage of one frame."""

    start_ns: int
    end_ns: int
    name: str
    pid: int
    lane: int
    flows: bool = True  # False: inside another slice of the same frame


def chrome_trace(
    rows: Sequence[Row],
    drops: Sequence[Drop],
    received_ns: Mapping[int, int] | None = None,
    shown_ns: Mapping[int, tuple[int, int]] | None = None,
) -> dict[str, Any]:
    """{"traceEvents", "displayTimeUnit", "otherData"}, plain values.

    received_ns: frame → when a subscriber had it decoded; shown_ns: frame → (first, last) render tick that showed it.
    otherData["t0_ns"]: the CLOCK_MONOTONIC time of ts 0.
    """
    of_frame = {row.frame: _slices(row) for row in rows}
    sent_ns = {row.frame: row.stamps.sent_ns for row in rows}
    for frame, at_ns in (received_ns or {}).items():
        if frame in of_frame:
            of_frame[frame].append(_Slice(sent_ns[frame], at_ns, "on its way", SUBSCRIBER, WAY))
    for frame, (first_ns, last_ns) in (shown_ns or {}).items():
        if frame in of_frame:
            of_frame[frame].append(_Slice(first_ns, last_ns, "shown", DISPLAY, SHOWN))
    starts = [one.start_ns for slices in of_frame.values() for one in slices]
    t0_ns = min([*starts, *(drop.t_ns for drop in drops)], default=0)
    events: list[Event] = []
    tids = _Tids()
    in_order = sorted(
        ((one, row) for row in rows for one in of_frame[row.frame]),
        key=lambda pair: (pair[0].start_ns, -pair[0].end_ns),
    )
    flow_points: dict[int, list[Event]] = {row.frame: [] for row in rows}
    for one, row in in_order:
        where: Event = {"pid": one.pid, "tid": tids.of(one)}
        took_ns = max(0, one.end_ns - one.start_ns)
        args: dict[str, Any] = {"frame": row.frame, "state": row.state}
        if one.name == "perception" and row.stamps.perception_own_ns is not None:
            args["networks_ms"] = row.stamps.perception_own_ns / 1e6
        ts = (one.start_ns - t0_ns) / 1e3
        events.append(
            {
                "name": one.name,
                "cat": "stage",
                "ph": "X",
                "ts": ts,
                "dur": took_ns / 1e3,
                **where,
                "args": args,
            }
        )
        if one.flows:
            into_ns = one.start_ns - t0_ns + min(took_ns // 2, INTO_SLICE_NS)
            flow_points[row.frame].append({"ts": into_ns / 1e3, **where})
    for frame, points in flow_points.items():
        for index, point in enumerate(points):
            kind = "s" if index == 0 else "f" if index == len(points) - 1 else "t"
            bound = {"bp": "e"} if kind == "f" else {}  # to the slice around it, not the next one
            events.append({"name": "frame", "cat": "frame", "ph": kind, "id": frame, **bound, **point})
    for drop in drops:
        instant: Event = {
            "name": drop.reason,
            "cat": "drop",
            "ph": "i",
            "s": "t",
            "pid": LIVE,
            "tid": NOT_USED,
        }
        about = {"frame": drop.frame, "reason": drop.reason}
        events.append({**instant, "ts": (drop.t_ns - t0_ns) / 1e3, "args": about})
    return {
        "traceEvents": [*_names(events), *events],
        "displayTimeUnit": "ms",
        "otherData": {"t0_ns": t0_ns, "clock": "CLOCK_MONOTONIC"},
    }


def _slices(row: Row) -> list[_Slice]:
    at = row.stamps
    slices = [
        _Slice(at.arrival_ns, at.perception_start_ns, "wait", LIVE, SLOT),
        _Slice(at.perception_start_ns, at.perception_end_ns, "perception", LIVE, LOOP),
        _Slice(at.complete_ns, at.estimated_ns, "estimate", LIVE, LOOP),
        _Slice(at.estimated_ns, at.sent_ns, "publish", LIVE, LOOP),
    ]
    if at.exposure_ns is not None:
        slices.insert(0, _Slice(at.exposure_ns, at.arrival_ns, "camera", LIVE, CAMERA))
    if at.complete_ns > at.perception_end_ns:
        slices.append(_Slice(at.perception_end_ns, at.complete_ns, "look-ahead", LIVE, LOOK_AHEAD))
    if at.engine_start_ns is not None and at.engine_end_ns is not None:
        slices.append(_Slice(at.engine_start_ns, at.engine_end_ns, "engine", LIVE, LOOP, flows=False))
    return slices


class _Tids:
    """Slices of one tid must not overlap unless one holds the other, and a pose may be on its way while the next is."""

    def __init__(self) -> None:
        self._open: dict[tuple[int, int], list[int]] = {}  # (pid, tid) → ends of the slices that are open

    def of(self, one: _Slice) -> int:
        """Slices are asked for in the order of their starts, the longer first."""
        tid = one.lane
        while True:
            ends = self._open.setdefault((one.pid, tid), [])
            while ends and ends[-1] <= one.start_ns:
                ends.pop()
            if not ends or one.end_ns <= ends[-1]:
                ends.append(one.end_ns)
                return tid
            tid += MORE_LANES


def _names(events: Sequence[Event]) -> list[Event]:
    named: list[Event] = []
    threads = sorted({(event["pid"], event["tid"]) for event in events})
    for pid in sorted({pid for pid, _ in threads}):
        named.append({"name": "process_name", "ph": "M", "pid": pid, "args": {"name": PROCESSES[pid]}})
    for pid, tid in threads:
        name = {"name": LANES[tid % MORE_LANES]}
        named.append({"name": "thread_name", "ph": "M", "pid": pid, "tid": tid, "args": name})
    return named
