"""What a soak asserts on its own log. Every verdict is a function of the log alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from bench.soak.log import Log
from bench.soak.trend import SIGNIFICANT_S, slope
from bench.soak.verdict import Verdict
from bench.soak.verdicts_faults import after_stalls, restarts
from bench.soak.verdicts_flow import drops, p99, rate, received

WARM_UP_SHARE = 1 / 3  # the allocator's pools grow in steps at first
MOST_MB_PER_H = 1.0


def judge(log: Log) -> list[Verdict]:
    """All of them, in the order of the table."""
    return [verdict for assertion in ASSERTIONS for verdict in assertion(log)]


def completeness(log: Log) -> Iterator[Verdict]:
    ran, asked = len(log.seconds), log.run["seconds"]
    early = log.end.get("early", "the log has no end")
    planned = len(log.run["planned"])
    calm = len(log.calm)
    yield Verdict(
        "seconds logged; without a fault",
        f"{ran}; {calm}",
        str(int(asked)),
        not early and ran == int(asked),
        f"ended early: {early}" if early else "",
    )
    yield Verdict("faults injected", str(len(log.faults)), str(planned), len(log.faults) == planned)


def memory(log: Log) -> Iterator[Verdict]:
    """Of the program, and of each child that ran as one process from the warm-up to the end."""
    settled = [row for row in log.seconds if row["t"] >= WARM_UP_SHARE * len(log.seconds)]
    names = list(dict.fromkeys(name for row in log.seconds for name in row["rss_mb"]))
    for name in names:
        lives = {row["pids"].get(name) for row in settled}
        if (
            len(lives) > 1 or None in lives
        ):  # it was started anew, or ended: the restarts' verdict is about that
            continue
        what, asked = f"memory slope, {name}, MB/h", f"< {MOST_MB_PER_H:g}"
        t, mb = _medians([row["t"] for row in settled], [row["rss_mb"][name] for row in settled])
        if len(t) < 4:
            yield Verdict(what, "-", asked, None, "too short")
            continue
        middle, low, high = slope(t / 3600, mb)
        significant = len(log.seconds) >= SIGNIFICANT_S
        passed = middle < MOST_MB_PER_H if significant else None
        ends = f"{mb[0]:.1f} to {mb[-1]:.1f} MB over {len(settled) / 60:.0f} min"
        yield Verdict(what, f"{middle:+.2f} [{low:+.2f}, {high:+.2f}]", asked, passed, ends)


def _medians(t: list[int], values: list[float]) -> tuple[np.ndarray, np.ndarray]:
    """One value per minute, or per ten seconds of a run of a few minutes: middle of the time, median."""
    width = 60 if len(t) >= 600 else 10
    groups = [slice(i, i + width) for i in range(0, len(t) - width + 1, width)]
    middles = np.array([np.mean(t[one]) for one in groups], float)
    return middles, np.array([np.median(values[one]) for one in groups], float)


def recordings(log: Log) -> Iterator[Verdict]:
    published = log.summary.get("frames", {}).get("published")
    for one in log.end.get("recordings", []):
        yield Verdict(
            f"frames in {one['name']}",
            str(one["frames"]),
            str(published),
            not one["error"] and one["frames"] == published,
            one["error"],
        )
    if not log.end.get("recordings"):
        yield Verdict("recordings", "-", "readable", False, "the log has no end")


def ending(log: Log) -> Iterator[Verdict]:
    code = log.end.get("exit_code")
    wrong = "" if code == 0 else f"it said: {log.end.get('said', '')[-300:]}"
    took = f"{log.end.get('signal', '-')}, {log.end.get('took_s', '-')} s"
    yield Verdict("exit code", str(code), "0", code == 0, wrong or took)
    left = log.end.get("left_behind", ["the log has no end"])
    yield Verdict("processes left behind", str(len(left)), "0", not left, "; ".join(left))


ASSERTIONS: tuple[Callable[[Log], Iterator[Verdict]], ...] = (
    completeness,
    memory,
    p99,
    rate,
    restarts,
    drops,
    received,
    after_stalls,
    recordings,
    ending,
)
