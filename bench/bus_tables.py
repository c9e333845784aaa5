"""What bench.bus prints."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

from bench.table import print_table

LANES = ("plain", "curve", "bare")
LIMIT_MS = 1.0  # what a peer may add to anybody's p99

Result = dict[str, Any]


def say_latencies(results: Sequence[Result]) -> None:
    print(
        "\nµs, p50 / p99: messages under way to a subscriber, and all the sender does for the bus per frame (its turn)"
    )
    lanes = ["plain", "with keys", "bare pyzmq"]
    counts = ["turn's CPU", "lost", "cores", "clock ± ms (error)"]
    print_table(["subscribers", *lanes, "turn: plain", *lanes[1:], *counts], latency_rows(results))


def say_faults(result: Result) -> None:
    if not result["faults"]:
        return
    print(
        f"\n{result['subscribers']} subscribers at {result['rate_hz']:g} Hz: p99 in ms without, with, difference"
    )
    header = ["", "sender's turn", "of it CPU", "to the others", "bare lane, undisturbed", ""]
    print_table(header, fault_rows(result))
    for name, why in result["sinks_that_did_not_run"].items():
        print(f"{name}: not measured ({why})")
    sys.stdout.flush()


def latency_rows(results: Sequence[Result]) -> list[list[str]]:
    rows = []
    for one in results:
        lanes, clock = [one["lanes"][lane] for lane in LANES], one["clock_ms"]
        rows.append(
            [
                f"{one['subscribers']} at {one['rate_hz']:g} Hz",
                *(f"{lane['under_way_us']['p50']:.0f} / {lane['under_way_us']['p99']:.0f}" for lane in lanes),
                *(f"{lane['turn_us']['p50']:.0f} / {lane['turn_us']['p99']:.0f}" for lane in lanes),
                " / ".join(f"{lane['turn_cpu_us']:.0f}" for lane in lanes),
                " / ".join(str(lane["lost"]) for lane in lanes),
                f"{one['cores']:.2f}",
                "-" if clock["error"] is None else f"{clock['uncertainty']:.2f} ({clock['error']:.2f})",
            ]
        )
    return rows


def fault_rows(result: Result) -> list[list[str]]:
    rows = []
    for name, one in result["faults"].items():
        turn, cpu, under_way = (one[f"plain_{what}_p99_ms"] for what in ("turn", "turn_cpu", "under_way"))
        own = one["bare_under_way_p99_ms"]
        rows.append(
            [
                name,
                *(f"{a:.2f} {b:.2f} {b - a:+.2f}" for a, b in (turn, cpu, under_way, own)),
                _verdict(max(b - a for a, b in (turn, cpu, under_way)), one["noise_ms"]),
            ]
        )
    return rows


def _verdict(most_ms: float, noise_ms: float) -> str:
    """Where the machine itself makes more of a difference than a peer may, nothing can be said against the peer."""
    if most_ms < LIMIT_MS:
        return f"< {LIMIT_MS:g}"
    return "MORE" if noise_ms < LIMIT_MS else f"? (noise {noise_ms:.0f})"
