"""What a soak asserts on the frames: how many, how old, and where each went."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from bench.soak.log import Log, Row
from bench.soak.trend import SIGNIFICANT_S, ratio_of_p99
from bench.soak.verdict import Verdict

MOST_P99_RISE = 1.10
LEAST_SHARE_OF_RATE = 29 / 30
LEAST_CALM_S = 10  # of seconds in a third, to say anything of its p99
LEAST_SHARE_FRESH = 0.5  # of undisturbed seconds have a status of their own; one a second is sent
IN_SLOT = 1  # a frame that waits to be taken up when frames are counted; a model's look-ahead comes on top


def p99(log: Log) -> Iterator[Verdict]:
    """Arrival → received, over seconds without a fault: the last third of the run against the first."""
    thirds = [_ages(log, third) for third in (0, 2)]
    what, asked = "p99 arrival to received, last third / first", f"<= {MOST_P99_RISE:.2f}"
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
    silent = [row["t"] for row in calm if row["taken"] > 0 and row["fps"] == 0]
    again = _reconnects(log)
    yield Verdict(
        "undisturbed seconds without a pose; new connections",
        f"{len(silent)}; {again}",
        "0; 0",
        not silent and not again,
        f"nothing in second {', '.join(map(str, silent[:5]))}" if silent else "",
    )


def _reconnects(log: Log) -> int:
    """To the camera, in seconds without a fault. A row's status may be of two seconds later: those are to be calm,
    too."""
    grown = 0
    for i in range(1, len(log.seconds)):
        then, now = (log.seconds[at]["status"].get("reconnects") for at in (i - 1, i))
        calm = not any(row["faults"] for row in log.seconds[i - 1 : i + 3])
        if calm and then is not None and now is not None:
            grown += max(0, now - then)
    return grown


def drops(log: Log) -> Iterator[Verdict]:
    """captured = published + drops by reason: in every status, and in the summary at the end."""
    summary = log.summary
    delay = summary.get("engine", {}).get("delay", 0) or 0
    statuses = _statuses(log.seconds)
    open_frames = [one["captured"] - one["published"] - sum(one["drops"].values()) for one in statuses]
    fresh = len(_statuses(log.calm))  # while the camera stands still, two may well say the same
    most = IN_SLOT + delay
    worst = max(open_frames, key=abs, default=0)
    yield Verdict(
        "frames without a reason, worst status",
        str(worst),
        f"0 to {most}",
        bool(open_frames)
        and all(0 <= one <= most for one in open_frames)
        and fresh >= LEAST_SHARE_FRESH * len(log.calm),
        f"{len(open_frames)} different statuses, {fresh} in the {len(log.calm)} seconds without a fault",
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


def _statuses(rows: Sequence[Row]) -> list[Row]:
    """Those that differ: an old one stands in every row until there is a newer one."""
    found: list[Row] = []
    for row in rows:
        if row["status"] and row["status"] != (found[-1] if found else None):
            found.append(row["status"])
    return found


def received(log: Log) -> Iterator[Verdict]:
    """The subscriber that nothing disturbs got all that was published since its first."""
    published = log.summary.get("frames", {}).get("published")
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
