"""Memory, latency and rate over the time of a soak, with its faults, as a picture."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from bench.soak.children import PROGRAM
from bench.soak.log import Log
from bench.soak.schedule import KINDS
from bench.soak.verdicts import WARM_UP_SHARE

LEAST_SHOWN_MB = 2.0


def plot(log: Log, path: Path) -> None:
    """Write `path` (.png …). Raises ImportError where matplotlib is not installed, OSError, ValueError (no such kind
    of picture)."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    minutes = [row["t"] / 60 for row in log.seconds]
    figure, (memory, latency, rate) = pyplot.subplots(
        3, 1, sharex=True, figsize=(11, 8), layout="constrained"
    )
    settled = [row for row in log.seconds if row["t"] >= WARM_UP_SHARE * len(log.seconds)]
    shown_mb = LEAST_SHOWN_MB
    for name in dict.fromkeys(name for row in log.seconds for name in row["rss_mb"]):
        present = [row["rss_mb"][name] for row in settled if name in row["rss_mb"]]
        usual_mb = float(np.median(present or [np.nan]))
        off_mb = np.array([row["rss_mb"].get(name, np.nan) for row in log.seconds]) - usual_mb
        memory.plot(minutes, off_mb, linewidth=0.8, label=f"{name}, {usual_mb:.0f} MB")
        if name == PROGRAM:
            shown_mb = max(shown_mb, 1.2 * float(np.nanmax(np.abs(off_mb[-len(settled) :]), initial=0.0)))
    memory.set_ylim(-shown_mb, shown_mb)  # what was before the warm-up was over may lie below
    memory.set_ylabel("memory off its median, MB")
    for key, label in (("p99_ms", "p99 of the second"), ("p50_ms", "median")):
        latency.plot(minutes, [row[key] for row in log.seconds], label=label, linewidth=0.8)
    calm = [row for row in log.calm if row["p99_ms"] is not None]
    latency.plot([row["t"] / 60 for row in calm], [row["p99_ms"] for row in calm], ".", markersize=2,
                 label="p99, no fault")  # fmt: skip
    latency.set_ylabel("arrival to received, ms")
    if calm:  # a stall's seconds would flatten the rest
        latency.set_ylim(0, 3 * sorted(row["p99_ms"] for row in calm)[len(calm) // 2])
    rate.plot(minutes, [row["fps"] for row in log.seconds], linewidth=0.8, label="poses per second")
    rate.set_ylabel("poses per second")
    rate.set_xlabel("minutes")
    colours = {kind: f"C{number}" for number, kind in enumerate(KINDS)}
    for number, axes in enumerate((memory, latency, rate)):
        named = set()
        for fault in log.faults:
            end_s = fault["recovered_s"] or fault["end_s"]
            label = fault["name"] if number == 2 and fault["name"] not in named else "_"
            named.add(fault["name"])
            axes.axvspan(
                fault["begin_s"] / 60, end_s / 60, color=colours[fault["name"]], alpha=0.3, label=label
            )
        axes.legend(loc="center left", bbox_to_anchor=(1, 0.5), fontsize="small")
    figure.savefig(path, dpi=110)
    pyplot.close(figure)
