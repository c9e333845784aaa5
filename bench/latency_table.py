"""What bench.latency prints: runs made one, the table with its ratios, and what was asked against what was found."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from bench.live_run import SETTLED_S, Start

# What issues 2, 3 and 6 ask for, on two cores.
LEAST_SHARE_OF_FPS = 29 / 30
MOST_FEATURES_TO_SENT_MS = 4.0
MOST_OF_MEDIAPIPE = 0.6  # our perception's time over MediaPipe's, where it looks once at a picture as well
MOST_RATIO = 0.75  # arrival → publish over MediaPipe's own call in the same session …
MOST_RATIO_WITH_MEDIAPIPE = 1.10  # … and where MediaPipe is the perception
MOST_TAIL = 1.5  # p99 of arrival → publish over its own p50
MOST_ADDED_MS = 1.0  # by the way to a subscriber, p50
MOST_START_S = 3.0
MOST_MEMORY_MB = 500.0

MOST_EMPTY = 0.1  # of the frames, without a word: those of nobody are not what is asked about

Result = dict[str, Any]

STAGES_SHOWN = (
    ("camera: exposure to arrival", "camera"),
    ("waiting for perception", "wait"),
    ("perception", "perception"),
    ("   of it the networks' own call", "perception_own"),
    ("waiting for later frames", "look_ahead"),
    ("estimate", "estimate"),
    ("   of it the network", "engine"),
    ("publish", "publish"),
    ("features to sent", "features_to_sent"),
    ("arrival to publish", "arrival_to_publish"),
    ("capture to publish", "capture_to_publish"),
    ("sent to received", "sent_to_received"),
    ("capture to received", "capture_to_received"),
    ("between two received", "between_received"),
    ("age at a 60 Hz render tick", "age_at_ticks"),
)


def merge(results: Sequence[Result]) -> Result:
    """Several runs of one kind as one: counts are added, percentiles are the median over the runs of each,
    longest and largest are over all; memory's slope is that of a single run only.
    """
    first = results[0]
    if len(results) == 1:
        return first
    frames = [result["frames"] for result in results]
    heard = [result["received_ms"] for result in results if result["received_ms"]]
    stages = [result["latency_ms"] for result in results]
    cores = [result["cores"] for result in results if result["cores"] is not None]
    return {
        **first,
        "frames": {
            **_added([{k: v for k, v in one.items() if k != "drop_reasons"} for one in frames]),
            "drop_reasons": _added([one["drop_reasons"] for one in frames]),
        },
        "fps": float(np.median([result["fps"] for result in results])),
        "states": _added([result["states"] for result in results]),
        "latency_ms": {stage: _typical([one[stage] for one in stages]) for stage in first["latency_ms"]},
        "received": sum(result["received"] for result in results),
        "received_ms": _typical(heard) if heard else {},
        "jitter_ms": _typical([one.get("jitter_ms", {}) for one in results]),
        "memory": {
            "rss_mb": [sample for result in results for sample in result["memory"]["rss_mb"]],
            "slope_mb_per_min": None,
        },
        "cores": float(np.median(cores)) if cores else None,
    }


def _added(counts: Sequence[dict[str, int]]) -> dict[str, int]:
    names = dict.fromkeys(name for one in counts for name in one)
    return {name: sum(one.get(name, 0) for one in counts) for name in names}


def _typical(of_a_stage: Sequence[dict[str, float | None]]) -> dict[str, float | None]:
    """{"p50", …, "max", "count"} of several runs; None where a run has none."""
    how: dict[str, Any] = {"max": max, "count": sum}
    typical: dict[str, float | None] = {}
    for key in of_a_stage[0]:
        values = [one[key] for one in of_a_stage]
        typical[key] = None if None in values else float(how.get(key, np.median)(values))
    return typical


def rows(results: Sequence[Result], starts: Sequence[Sequence[Start]] = ()) -> list[list[str]]:
    """The table: [what, measured, (each other's, ratio,) target], as text; `header` goes over it.

    Cells of a stage are "p50 / p95 / p99 / longest" in ms, and the ratio is of the medians: of a loaded run to the
    first one, and of the first one to what it is held against. starts: those of each.
    """
    first, *others = results
    names = [one["perception"]["name"] for one in results]
    least_fps = LEAST_SHARE_OF_FPS * float(first["camera"]["nominal_fps"])
    table: list[list[str]] = []

    def row(
        what: str, cells: Sequence[str], target: str = "", ratios: Sequence[float | None] | None = None
    ) -> None:
        told = ["" if one is None else f"{one:.2f}" for one in (ratios or [None] * len(others))]
        behind = [part for pair in zip(cells[1:], told, strict=True) for part in pair]
        table.append([what, cells[0], *behind, target])

    row("published, frames per second", [f"{one['fps']:.2f}" for one in results], f">= {least_fps:.3g}")
    row("captured / published / received", [_counts(one) for one in results])
    faster = f"<= {MOST_OF_MEDIAPIPE:g} x" if names[1:2] == ["mediapipe"] != names[:1] else ""
    if faster and mirror_of(first) != "off":
        faster += " with mirror=off"
    targets = {"perception": faster, "features_to_sent": f"<= {MOST_FEATURES_TO_SENT_MS:g}"}
    for what, name in STAGES_SHOWN:
        stages = [one["latency_ms"].get(name, {"count": 0}) for one in results]
        if any(stage["count"] for stage in stages):
            cells = [_spread(stage) for stage in stages]
            ratios = [
                _ratio(stage, stages[0]) if one.get("load") else _ratio(stages[0], stage)
                for one, stage in zip(others, stages[1:], strict=True)
            ]
            row(f"{what}, ms", cells, targets.get(name, ""), ratios)
    for what, name in (
        ("jitter, capture to received, ms", "capture_to_received"),
        ("jitter, between two received, ms", "between_received"),
    ):
        row(what, [_number(one.get("jitter_ms", {}).get(name), ".2f") for one in results])
    if starts:
        medians_s = [f"{np.median([start.seconds for start in one]):.2f}" if one else "-" for one in starts]
        row("start to first pose, median s", medians_s, f"<= {MOST_START_S:g}")
        row("   shortest / longest, s", [_range(one) for one in starts])
    row("memory, most, MB", [_number(_most_mb(one), ".0f") for one in results], f"<= {MOST_MEMORY_MB:g}")
    row("   after 10 s and at the end, MB", [_settled(one) for one in results])
    slopes = [one["memory"]["slope_mb_per_min"] for one in results]
    row("   slope of the second half, MB per minute", [_number(one, "+.2f") for one in slopes], "flat")
    row("busy cores, mean", [_number(one["cores"], ".2f") for one in results])
    return table


def header(results: Sequence[Result]) -> list[str]:
    """Of `rows`."""
    made = ["ms: p50 / p95 / p99 / longest", name_of(results[0])]
    for one in results[1:]:
        made += [name_of(one), "it / 1st" if one.get("load") else "1st / it"]
    return [*made, "target"]


def acceptance(results: Sequence[Result]) -> list[str]:
    """One line per thing asked for: what was found, the target, and whether it is met.

    Of the stream without a load. What this program does is asked for: from arrival on, also where a driver's stamp
    tells of the camera's own delay.
    """
    lines: list[str] = []
    plain = [one for one in results if not one.get("load")]
    mediapipe = next((one for one in plain if one["perception"]["name"] == "mediapipe"), None)
    own = None if mediapipe is None else mediapipe["latency_ms"]["perception_own"]["p50"]

    def line(one: Result, what: str, found: float | None, most: float, unit: str) -> None:
        met = "not measured" if found is None else "met" if found <= most else "NOT MET"
        lines.append(
            f"{name_of(one)}: {what} {_number(found, '.3f')}{unit}, asked for <= {most:g}{unit}: {met}"
        )

    for one in plain:
        stage = one["latency_ms"]["arrival_to_publish"]
        if stage["p50"] is None:
            continue
        most = MOST_RATIO_WITH_MEDIAPIPE if one is mediapipe else MOST_RATIO
        if own is not None:
            line(
                one, "arrival to publish over MediaPipe's own call, medians,", stage["p50"] / own, most, " x"
            )
        line(one, "p99 of arrival to publish over its p50", stage["p99"] / stage["p50"], MOST_TAIL, " x")
        added_ms = one["latency_ms"].get("sent_to_received", {}).get("p50")
        line(one, "the way to a subscriber adds, median,", added_ms, MOST_ADDED_MS, " ms")
    if own is None:
        lines.append(
            "over MediaPipe's own call: not measured; --against mediapipe measures it in the same session"
        )
    return lines


def name_of(result: Result) -> str:
    """Head of its column."""
    return str(result.get("load") or f"{result['perception']['name']}, {result['engine']['engine']}")


def mirror_of(result: Result) -> str:
    """What perception.mirror came to in the run; a perception without a mirrored look is at "off"."""
    return str(result["perception"].get("mirror", "off"))


def about(result: Result) -> str:
    """What the columns cannot hold: who was seen, what was dropped and why."""
    reasons = ", ".join(
        f"{count} {reason.replace('_', ' ')}"
        for reason, count in result["frames"]["drop_reasons"].items()
        if count
    )
    states = ", ".join(f"{count} {state}" for state, count in result["states"].items() if count)
    looks = "" if (mirror := mirror_of(result)) == "off" else f", mirror={mirror}"
    empty = sum(result["states"].get(state, 0) for state in ("held", "lost")) / max(
        1, sum(result["states"].values())
    )
    hint = "; frames of nobody cost little, and are in these numbers" if empty > MOST_EMPTY else ""
    return f"{name_of(result)}{looks}: {states}; dropped: {reasons or 'none'}{hint}"


def _spread(stage: dict[str, Any]) -> str:
    if not stage["count"]:
        return "-"
    return " / ".join(f"{stage[key]:.2f}" for key in ("p50", "p95", "p99", "max"))


def _ratio(stage: dict[str, Any], to: dict[str, Any]) -> float | None:
    return stage["p50"] / to["p50"] if stage["count"] and to["count"] and to["p50"] else None


def _number(value: float | None, form: str) -> str:
    return "-" if value is None else format(value, form)


def _counts(result: Result) -> str:
    return f"{result['frames']['captured']} / {result['frames']['published']} / {result['received']}"


def _most_mb(result: Result) -> float | None:
    return max((mb for _, mb in result["memory"]["rss_mb"]), default=None)


def _settled(result: Result) -> str:
    settled = [mb for at_s, mb in result["memory"]["rss_mb"] if at_s >= SETTLED_S]
    return f"{settled[0]:.0f} to {settled[-1]:.0f}" if settled else "-"


def _range(starts: Sequence[Start]) -> str:
    if not starts:
        return "-"
    return f"{min(one.seconds for one in starts):.2f} / {max(one.seconds for one in starts):.2f}"
