"""How long a frame takes through the live program; how soon after its start the first pose comes; its memory.

    python -m bench.latency [--source demo|FILE] [--seconds 20] [flags of run_live.py]
    python -m bench.latency --against mediapipe      the same with MediaPipe as perception, in turns, side by side;
                                                     with --set perception.mirror=off as issue 3 asks for it
    python -m bench.latency --fps 60                 the clip's pictures at 60 per second

Starts run_live.py without a viewer at the clip's own rate, listens on its bus, and watches it. Stages are
stamped inside the program (realtime/summary.py); capture → received is stamped here, in another process on
the same clock. With a clip as source this is the latency of the software: exposure, driver and display come
on top.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bench.clip_at_rate import write_at_rate
from bench.live_run import SETTLED_S, Start, first_pose, machine, measure
from bench.table import print_table
from engines import ENGINES
from realtime.assets import asset
from realtime.errors import LoadError
from realtime.perception import PERCEPTIONS

# What issues 2 and 3 ask for, on two cores.
LEAST_SHARE_OF_FPS = 29 / 30
MOST_FEATURES_TO_SENT_MS = 4.0
MOST_OF_MEDIAPIPE = 0.6  # our perception's time over MediaPipe's, where it looks once at a picture as well
MOST_RATIO = 1.25  # capture → publish over MediaPipe's own call
MOST_START_S = 3.0
MOST_MEMORY_MB = 500.0

Result = dict[str, Any]
COPY_MARGIN_S = 2.0  # a copied clip outlasts the run


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


def rows(
    result: Result, other: Result | None = None, starts: Sequence[Sequence[Start]] = ()
) -> list[list[str]]:
    """The table: [what, measured, (the other's, ratio,) target], as text.

    other: a run with MediaPipe or another engine. starts: those of `result`, and of `other`.
    """
    both = [result] if other is None else [result, other]
    names = [one["perception"]["name"] for one in both]
    mediapipe = both[names.index("mediapipe")] if "mediapipe" in names else None
    least_fps = LEAST_SHARE_OF_FPS * float(result["camera"]["nominal_fps"])
    table: list[list[str]] = []

    def row(what: str, cells: list[str], target: str = "", ratio: float | None = None) -> None:
        middle = [] if other is None else ["" if ratio is None else f"{ratio:.2f}"]
        table.append([what, *cells, *middle, target])

    def timed(what: str, stage: str, target: str = "") -> None:
        medians = [one["latency_ms"][stage]["p50"] for one in both]
        ratio = medians[0] / medians[1] if other is not None and None not in medians else None
        row(what, [_number(one, ".2f") for one in medians], target, ratio)

    row("published, frames per second", [f"{one['fps']:.2f}" for one in both], f">= {least_fps:.3g}")
    row("captured / published / received", [_counts(one) for one in both])
    faster = f"<= {MOST_OF_MEDIAPIPE:g} x" if names[1:] == ["mediapipe"] != names[:1] else ""
    if faster and _mirror(result) != "off":
        faster += " with mirror=off"
    timed("perception, median ms", "perception", faster)
    timed("   of it the networks' own call", "perception_own")
    timed("waiting for it, median ms", "wait")
    if any(one["latency_ms"]["look_ahead"]["count"] for one in both):
        timed("waiting for later frames, median ms", "look_ahead")
    timed("features to sent, median ms", "features_to_sent", f"<= {MOST_FEATURES_TO_SENT_MS:g}")
    timed("capture to publish, median ms", "capture_to_publish")
    if mediapipe is not None:
        own = mediapipe["latency_ms"]["perception_own"]["p50"]
        ratios = [one["latency_ms"]["capture_to_publish"]["p50"] / own for one in both]
        row("   over MediaPipe's own call", [f"{ratio:.3f}" for ratio in ratios], f"<= {MOST_RATIO:g}")
    tails = [one["latency_ms"]["capture_to_publish"] for one in both]
    row("   95 % / 99 % / longest, ms", [f"{t['p95']:.1f} / {t['p99']:.1f} / {t['max']:.1f}" for t in tails])
    heard = [one["received_ms"] for one in both]
    row("capture to received, median ms", [_number(one.get("p50"), ".2f") for one in heard])
    row("   95 % / 99 %, ms", [f"{one['p95']:.1f} / {one['p99']:.1f}" if one else "-" for one in heard])
    if starts:
        medians_s = [f"{np.median([start.seconds for start in one]):.2f}" for one in starts]
        row("start to first pose, median s", medians_s, f"<= {MOST_START_S:g}")
        row("   shortest / longest, s", [_range(one) for one in starts])
    row("memory, most, MB", [_number(_most_mb(one), ".0f") for one in both], f"<= {MOST_MEMORY_MB:g}")
    row("   after 10 s and at the end, MB", [_settled(one) for one in both])
    slopes = [one["memory"]["slope_mb_per_min"] for one in both]
    row("   slope of the second half, MB per minute", [_number(one, "+.2f") for one in slopes], "flat")
    row("busy cores, mean", [_number(one["cores"], ".2f") for one in both])
    return table


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
    return f"{min(one.seconds for one in starts):.2f} / {max(one.seconds for one in starts):.2f}"


def _name(result: Result) -> str:
    return f"{result['perception']['name']}, {result['engine']['engine']}"


def _mirror(result: Result) -> str:
    """What perception.mirror came to in the run; a perception without a mirrored look is at "off"."""
    return str(result["perception"].get("mirror", "off"))


def _about(result: Result) -> str:
    """What the columns cannot hold: who was seen, what was dropped and why."""
    reasons = ", ".join(
        f"{count} {reason.replace('_', ' ')}"
        for reason, count in result["frames"]["drop_reasons"].items()
        if count
    )
    states = ", ".join(f"{count} {state}" for state, count in result["states"].items() if count)
    looks = "" if (mirror := _mirror(result)) == "off" else f", mirror={mirror}"
    return f"{_name(result)}{looks}: {states}; dropped: {reasons or 'none'}"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m bench.latency",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="Other flags go to run_live.py.",
    )
    add = parser.add_argument
    add("--source", default="demo", metavar="demo|FILE")
    add("--seconds", type=float, default=20.0, metavar="S", help="of one run; 300 for a statement on memory")
    add(
        "--fps",
        type=float,
        default=0.0,
        metavar="F",
        help="play a copy with the clip's pictures at this rate",
    )
    add(
        "--against",
        choices=sorted({*PERCEPTIONS, *ENGINES} - {"auto"}),
        help="run also with this perception or engine, in turns, and print both side by side",
    )
    add("--rounds", type=int, default=0, metavar="N", help="runs of each; by default 1, and 3 with --against")
    add("--starts", type=int, default=5, metavar="N", help="starts to the first pose; 0: none")
    add("--json", type=Path, metavar="FILE")
    return parser


def main(argv: list[str] | None = None) -> int:
    options, flags = _parser().parse_known_args(argv)
    kinds = [flags]
    if options.against:
        chosen = ["--set", f"perception.name={options.against}"]
        kinds.append([*flags, *(chosen if options.against in PERCEPTIONS else ["--engine", options.against])])
    try:
        with tempfile.TemporaryDirectory() as folder:
            source, seconds = options.source, options.seconds
            if options.fps:
                clip = asset("demo.mp4") if source == "demo" else Path(source)
                copy = Path(folder) / f"{clip.stem}-{options.fps:g}fps.mp4"
                source = str(write_at_rate(clip, options.fps, seconds + COPY_MARGIN_S, copy))
            starts = [[first_pose(source, kind) for kind in kinds] for _ in range(options.starts)]
            rounds = options.rounds or (3 if options.against else 1)
            runs = [[measure(source, seconds, kind) for kind in kinds] for _ in range(rounds)]
    except (LoadError, RuntimeError) as error:
        print(error, file=sys.stderr)
        return 1
    results = [merge(of_one_kind) for of_one_kind in zip(*runs, strict=True)]
    begun = list(zip(*starts, strict=True))
    where = machine()
    print(f"{where['cpus']} cpus, load {where['load_1min']:.1f}, {where['system']}")
    camera = results[0]["camera"]
    print(
        f"{results[0]['source']}, {camera['width']}x{camera['height']} at {camera['nominal_fps']:g} fps, "
        f"{rounds} x {seconds:g} s"
    )
    for result in results:
        print(_about(result))
    header = ["", *map(_name, results), *(["ratio"] if options.against else []), "target"]
    print_table(header, rows(results[0], results[1] if options.against else None, begun))
    if options.json:
        report = {
            "machine": where,
            "runs": [[run[kind] for run in runs] for kind in range(len(kinds))],
            "merged": results,
            "starts_s": [[start.seconds for start in of_one_kind] for of_one_kind in begun],
        }
        options.json.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
