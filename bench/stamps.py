"""What the stamps of a frame cost: everything the live loop does about latency, per frame, in microseconds.

    python -m bench.stamps [--frames 20000] [--json FILE]

Without --trace: the clock read at each hand-over, the stamps kept with the frame, the tally and its percentiles'
samples, and the counting of a dropped frame. With it: the row kept for the trace besides.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from bench.live_run import machine
from bench.table import print_table
from realtime.camera.drops import DropLog
from realtime.camera.exposure import ExposureClock
from realtime.summary import Stamps, Tally
from realtime.trace import Trace

MOST_US = 20.0  # asked for in issue 6
MS = 1_000_000


class _NoDrops:
    """Stands for a feed."""

    def dropped(self) -> list:
        return []


def _steps() -> dict[str, Callable[[int], object]]:
    tally, traced = Tally(), Tally()
    trace = Trace(Path("unwritten.csv"), _NoDrops())  # type: ignore[arg-type]
    drops, clock = DropLog(), ExposureClock("camera 0")

    def stamped() -> Stamps:
        """As View.next, Estimator._step and Stream._give take them: eight times."""
        now = time.monotonic_ns
        arrival = now()
        return Stamps(arrival - 30 * MS, arrival, now(), now(), 7 * MS, now(), now(), now(), now(), now())

    def with_trace(index: int) -> None:
        stamps = stamped()
        traced.add(stamps, "tracking")
        trace.add(index, "tracking", stamps)

    return {
        "stamps and tally": lambda index: tally.add(stamped(), "tracking"),
        "the same with --trace": with_trace,
        "a driver's stamp judged": lambda index: clock.judge(index * 33 * MS + 1, index * 33 * MS + 30 * MS),
        "a dropped frame counted": lambda index: drops.add(index, "replaced_by_newer", time.monotonic_ns()),
    }


def measure(frames: int) -> dict[str, dict[str, float]]:
    """Step → {"p50", "p99"} in µs of `frames` frames; the steps take turns."""
    steps = _steps()
    took: dict[str, list[int]] = {name: [] for name in steps}
    for index in range(frames):
        for name, step in steps.items():
            started_ns = time.perf_counter_ns()
            step(index)
            took[name].append(time.perf_counter_ns() - started_ns)
    return {
        name: {"p50": float(np.median(ns)) / 1e3, "p99": float(np.percentile(ns, 99)) / 1e3}
        for name, ns in took.items()
    }


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m bench.stamps",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--frames", type=int, default=20_000, metavar="N")
    parser.add_argument("--json", type=Path, metavar="FILE")
    options = parser.parse_args(argv)
    found, where = measure(options.frames), machine()
    print(f"{where['cpus']} cpus, load {where['load_1min']:.1f}, {where['system']}")
    print_table(
        ["per frame, µs", "p50", "p99", "target"],
        [[name, f"{us['p50']:.2f}", f"{us['p99']:.2f}", f"< {MOST_US:g}"] for name, us in found.items()],
    )
    if options.json:
        options.json.write_text(
            json.dumps({"machine": where, "us": found}, indent=2) + "\n", encoding="utf-8"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
