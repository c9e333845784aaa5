"""What a soak asserts on its own log. Every verdict is a function of the log alone."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from bench.soak.children import PROGRAM
from bench.soak.log import Log
from bench.soak.schedule import CAMERA_FAULTS
from bench.soak.trend import ratio_of_p99, slope

SIGNIFICANT_S = 1800  # a shorter run says nothing about a trend
WARM_UP_SHARE = 1 / 3  # the allocator's pools grow in steps at first
MOST_MB_PER_H = 1.0
MOST_P99_RISE = 1.10
LEAST_SHARE_OF_RATE = 29 / 30
LEAST_CALM_S = 10  # of seconds in a third, to say anything of its p99
IN_SLOT = 1  # a frame that waits to be taken up when frames are counted; a model's look-ahead comes on top


@dataclass(frozen=True)
class Verdict:
    """passed: None where the run is too short, or the machine too slow, to tell. note: one line on how it was found, or
    what is wrong."""

    name: str
    measured: str
    asked: str
    passed: bool | None
    note: str = ""

    @property
    def word(self) -> str:
        return {True: "ok", False: "FAILED", None: "not significant"}[self.passed]


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


def p99(log: Log) -> Iterator[Verdict]:
    """Capture → received, over seconds without a fault: the last third of the run against the first."""
    thirds = [_ages(log, third) for third in (0, 2)]
    what, asked = "p99 capture to received, last third / first", f"<= {MOST_P99_RISE:.2f}"
    if min(map(len, thirds)) < LEAST_CALM_S:
        yield Verdict(what, "-", asked, None, "too few seconds without a fault")
        return
    ratio, low, high = ratio_of_p99(*thirds)
    passed: bool | None = ratio <= MOST_P99_RISE
    if not passed and len(log.seconds) < SIGNIFICANT_S and low <= MOST_P99_RISE:
        passed = None
    values = [np.concatenate(third) for third in thirds]
    p50_p99 = [f"{np.percentile(ages, 50):.1f} / {np.percentile(ages, 99):.1f}" for ages in values]
    yield Verdict(
        what, f"{ratio:.3f} [{low:.3f}, {high:.3f}]", asked, passed, f"p50 / p99: {' then '.join(p50_p99)} ms"
    )


def _ages(log: Log, third: int) -> list[list[float]]:
    length = len(log.seconds) / 3
    return [row["ages_ms"] for row in log.calm if row["ages_ms"] and int(row["t"] / length) == third]


def rate(log: Log) -> Iterator[Verdict]:
    """Of seconds without a fault: the camera against what was asked of it, the stream against the camera."""
    calm = log.calm
    if not calm:
        yield Verdict("frames per second", "-", "", False, "not one second without a fault")
        return
    taken, received = (float(np.mean([row[key] for row in calm])) for key in ("taken", "fps"))
    fps = log.run["fps"]
    least = LEAST_SHARE_OF_RATE
    yield Verdict(
        "camera's pictures per second",
        f"{taken:.2f}",
        f">= {least * fps:.3g}",
        taken >= least * fps,
        "" if taken >= least * fps else "this machine cannot hold the rate; try --fps 15",
    )
    slow = sum(row["fps"] < least * row["taken"] - 1 for row in calm)
    yield Verdict(
        "received of them",
        f"{received / taken if taken else 0.0:.4f}",
        f">= {least:.4f}",
        received >= least * taken,
        f"{slow} of {len(calm)} seconds more than one frame below",
    )


def restarts(log: Log) -> Iterator[Verdict]:
    """Of the program's children: each is owed to one kill, and each kill to one restart."""
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
    asked = sum(kills.values())
    yield Verdict(
        "restarts of sinks, as many as kills", str(sum(found.values())), str(asked), not wrong, wrong
    )
    again = log.end.get("listener", {}).get("restarts", 0)
    lives = {row["pids"].get(PROGRAM) for row in log.seconds}
    yield Verdict(
        "restarts of the stream", str(again), "0", again == 0 and len(lives) == 1 and None not in lives
    )


def drops(log: Log) -> Iterator[Verdict]:
    """captured = published + drops by reason: in every status, and in the summary at the end."""
    summary = _summary(log)
    delay = summary.get("engine", {}).get("delay", 0) or 0
    open_frames = [
        row["status"]["captured"] - row["status"]["published"] - sum(row["status"]["drops"].values())
        for row in log.seconds
        if row["status"]
    ]
    most = IN_SLOT + delay
    worst = max(open_frames, key=abs, default=0)
    yield Verdict(
        "frames without a reason, worst status",
        str(worst),
        f"0 to {most}",
        bool(open_frames) and all(0 <= one <= most for one in open_frames),
        f"{len(open_frames)} statuses",
    )
    frames = summary.get("frames")
    if frames is None:
        yield Verdict("frames without a reason, summary", "-", "0", False, "the program left no summary")
        return
    reasons = frames["drop_reasons"]
    unread = reasons.get(
        "unread_at_the_end", 0
    )  # what is left over: more than fits in the slot has no reason
    missing = frames["captured"] - frames["published"] - sum(reasons.values())
    told = ", ".join(f"{count} {reason.replace('_', ' ')}" for reason, count in reasons.items() if count)
    yield Verdict(
        "frames without a reason, summary",
        str(missing + max(0, unread - IN_SLOT)),
        "0",
        missing == 0 and unread <= IN_SLOT,
        f"{frames['captured']} captured, {frames['published']} published" + (f"; {told}" if told else ""),
    )


def received(log: Log) -> Iterator[Verdict]:
    """The subscriber that nothing disturbs got all that was published since its first."""
    published = _summary(log).get("frames", {}).get("published")
    first = log.end.get("first_seq")
    if published is None or first is None:
        yield Verdict("poses lost on the way to it", "-", "0", False, "no summary, or no pose")
        return
    lost = published - first - log.end["received"]
    counts = log.end["listener"]
    passed = lost == 0 and counts["missed"] == 0 and counts["bad"] == 0
    yield Verdict(
        "poses lost on the way to it",
        str(lost),
        "0",
        passed,
        f"{counts['missed']} missed, {counts['bad']} bad",
    )


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
    waited = ages - np.array([_own_ms(log, int(fault["recovered_s"]) + 1) for fault in back])
    yield Verdict(
        "first frame after one: age when taken up, oldest, ms",
        f"{max(0.0, waited.max()):.1f}",
        f"< {period_ms:.1f}",
        bool((waited < period_ms).all()),
        "age on arrival less what the program takes for a frame",
    )
    usual_ms = float(np.percentile(np.concatenate([row["ages_ms"] for row in log.calm] or [[np.inf]]), 99))
    young = bool((ages < period_ms).all())
    late = f"; without a fault 99 % are under {usual_ms:.1f} ms"
    yield Verdict(
        "first pose after one: age on arrival, oldest, ms",
        f"{ages.max():.1f}",
        f"< {period_ms:.1f}",
        young or (False if usual_ms < period_ms else None),
        f"median {np.median(ages):.1f} ms" + ("" if young else late),
    )


def _own_ms(log: Log, second: int) -> float:
    """What the program takes for a frame from when it takes it up until it is sent, look-ahead included: median over
    the run, or the median age of this second's poses where the machine is slower just then."""
    stages = _summary(log).get("latency_ms", {})
    own_ms = sum(
        stages.get(name, {}).get("p50") or 0.0 for name in ("perception", "look_ahead", "features_to_sent")
    )
    ages_ms = log.seconds[second]["ages_ms"] if second < len(log.seconds) else []
    return max(own_ms, float(np.median(ages_ms))) if ages_ms else own_ms


def recordings(log: Log) -> Iterator[Verdict]:
    published = _summary(log).get("frames", {}).get("published")
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


def _summary(log: Log) -> dict[str, Any]:
    text = log.end.get("summary")
    return json.loads(text) if text else {}


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
