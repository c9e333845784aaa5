"""Histogram and timeline of bench.latency, as a picture."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bench.latency_frames import Frames
from realtime.summary import durations_ms

SHOWN = (
    ("capture_to_publish", "capture to publish"),
    ("capture_to_received", "capture to received"),
    ("age_at_ticks", "age at 60 Hz render ticks"),
)
SHARE_SHOWN = 99.8  # percent; the few beyond would squeeze the rest, and the table names the longest


def draw(path: Path, title: str, runs: Sequence[tuple[str, Sequence[Frames]]]) -> None:
    """Write the picture (.png, or what matplotlib takes). runs: (name, its rounds) of each kind.

    Raises RuntimeError without matplotlib, OSError.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise RuntimeError(
            f"--png: matplotlib is not installed ({error}); pip install -e '.[dev]' brings it"
        ) from None
    figure = Figure(figsize=(11.0, 8.5), layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(title, fontsize=10)
    parts: Any = figure.subfigures(2, 1)
    above, below = parts
    axes = above.subplots(1, len(SHOWN))
    for axis, (stage, what) in zip(axes, SHOWN, strict=True):
        values = {
            name: np.concatenate([one.durations()[stage] for one in rounds] or [np.zeros(0)])
            for name, rounds in runs
        }
        there = [ms for ms in values.values() if len(ms)]
        most = max((float(np.percentile(ms, SHARE_SHOWN)) for ms in there), default=1.0)
        for name, ms in values.items():
            if len(ms):
                axis.hist(ms, bins=np.linspace(0.0, most, 80), histtype="step", density=True, label=name)
        axis.set(xlabel=f"{what}, ms", yticks=[])
    axes[0].legend(fontsize=8)
    timeline = below.subplots()
    for name, rounds in runs:
        rows = rounds[-1].rows
        if rows:
            seconds = [(row.stamps.sent_ns - rows[0].stamps.sent_ns) / 1e9 for row in rows]
            ms = [durations_ms(row.stamps)["capture_to_publish"] for row in rows]
            timeline.plot(seconds, ms, ".", markersize=2, label=name)
    timeline.set(xlabel="seconds of the last round", ylabel="capture to publish, ms", ylim=(0, None))
    figure.savefig(path, dpi=110)
