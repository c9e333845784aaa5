"""What a soak asserts on how the program gets over faults."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import numpy as np

from bench.soak.children import PROGRAM
from bench.soak.log import Log, Row
from bench.soak.schedule import CAMERA_FAULTS
from bench.soak.verdict import Verdict

MOST_SLOWER = 1.5


def restarts(log: Log) -> Iterator[Verdict]:
    """Of the program's children: each is owed to one kill, and each kill to one restart; and the sinks are there."""
    found: Counter[str] = Counter()
    pids: dict[str, int] = {}
    for row in log.seconds:
        found.update(name for name, pid in row["pids"].items() if pids.get(name, pid) != pid)
        pids |= row["pids"]
    kills = Counter(log.run["victim"] for fault in log.faults if fault["name"] == "sink killed")
    unexplained = {name: count for name in found if (count := found[name] - kills[name]) > 0}
    wrong = ", ".join(f"{name} {count} times" for name, count in unexplained.items())
    for name, count in kills.items():
        if found[name] < count:
            wrong = wrong or f"{name} was killed {count} times and started again {found[name]} times"
    wrong = wrong or _missing(log)
    asked = sum(kills.values())
    yield Verdict(
        "restarts of sinks, as many as kills", str(sum(found.values())), str(asked), not wrong, wrong
    )
    again = log.end.get("listener", {}).get("restarts", 0)
    lives = {row["pids"].get(PROGRAM) for row in log.seconds}
    yield Verdict(
        "restarts of the stream", str(again), "0", again == 0 and len(lives) == 1 and None not in lives
    )


def _missing(log: Log) -> str:
    """Which sink did not run where nothing was done to any, or does not at the end; or ""."""
    statuses = [row["status"] for row in log.seconds if row["status"]]
    told = {name for one in statuses for name in one["children"]} - {"viewer"}
    names = log.run.get("sinks") or sorted(told)  # older logs do not name them
    for name in names:
        if gone := [row["t"] for row in log.calm if name not in row["pids"]]:
            return f"{name} did not run in {len(gone)} undisturbed seconds, first in second {gone[0]}"
        if statuses and (state := statuses[-1]["children"].get(name, "missing")) != "running":
            return f"{name} was {state} at the end"
    return ""


def after_stalls(log: Log) -> Iterator[Verdict]:
    """The camera is back, and the first pose is of now."""
    of_camera = [fault for fault in log.faults if fault["name"] in CAMERA_FAULTS]
    if not of_camera:
        return
    never = [fault for fault in of_camera if fault["recovered_s"] is None]
    waits = [fault["recovered_s"] - fault["end_s"] for fault in of_camera if fault not in never]
    yield Verdict(
        "camera faults that the stream came back from",
        f"{len(waits)} of {len(of_camera)}",
        "all",
        not never,
        f"after {np.median(waits):.2f} s (median), {max(waits):.2f} s at most" if waits else "",
    )
    ages = np.array([fault["first_age_ms"] for fault in of_camera if fault["first_age_ms"] is not None])
    if not len(ages):
        return
    period_ms = 1e3 / log.run["fps"]
    back = [fault for fault in of_camera if fault["first_age_ms"] is not None]
    waited = ages - np.array([_own_ms(log, fault) for fault in back])
    yield Verdict(
        "first frame after one: age when taken up, oldest, ms",
        f"{max(0.0, waited.max()):.1f}",
        f"< {period_ms:.1f}",
        bool((waited < period_ms).all()),
        "age on arrival less what the program takes for a frame",
    )
    usual = [age for row in log.calm for age in row["ages_ms"]]
    usual_ms = float(np.percentile(usual, 99)) if usual else 0.0
    # On a slow machine poses are older than a period even where nothing was done.
    limit_ms = max(period_ms, usual_ms)
    yield Verdict(
        "first pose after one: age on arrival, oldest, ms",
        f"{ages.max():.1f}",
        f"< {limit_ms:.1f}",
        bool((ages < limit_ms).all()),
        f"median {np.median(ages):.1f} ms; without a fault 99 % are under {usual_ms:.1f} ms",
    )


def _own_ms(log: Log, fault: Row) -> float:
    """What the program takes for a frame from when it takes it up until it is sent, look-ahead included: median over
    the run, or the median age of this second's poses where the machine is slower just then; no more than MOST_SLOWER
    of what was usual before, for poses are old in that second, too, where the program works off a backlog."""
    second = int(fault["recovered_s"]) + 1
    stages = log.summary.get("latency_ms", {})
    own_ms = sum(
        stages.get(name, {}).get("p50") or 0.0 for name in ("perception", "look_ahead", "features_to_sent")
    )
    ages_ms = log.seconds[second]["ages_ms"] if second < len(log.seconds) else []
    before = [age for row in log.calm if row["t"] + 1 <= fault["begin_s"] for age in row["ages_ms"]]
    if not before:
        return own_ms
    slower_ms = max(own_ms, float(np.median(ages_ms)) if ages_ms else 0.0)
    return min(slower_ms, MOST_SLOWER * float(np.median(before)))
