"""Memory, latency and rate over the time of a soak, with its faults, as a picture."""

from __future__ import annotations

from pathlib import Path

from bench.soak.log import Log
from bench.soak.schedule import KINDS


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
    for name in dict.fromkeys(name for row in log.seconds for name in row["rss_mb"]):
        memory.plot(minutes, [row["rss_mb"].get(name) for row in log.seconds], label=name)
    memory.set_ylabel("memory, MB")
    for key, label in (("p99_ms", "p99 of the second"), ("p50_ms", "median")):
        latency.plot(minutes, [row[key] for row in log.seconds], label=label, linewidth=0.8)
    calm = [row for row in log.calm if row["p99_ms"] is not None]
    latency.plot([row["t"] / 60 for row in calm], [row["p99_ms"] for row in calm], ".", markersize=2,
                 label="p99, no fault")  # fmt: skip
    latency.set_ylabel("capture to received, ms")
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
