"""The sections display and smoothing as tables, and display as a picture."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from bench.accuracy.display import METHODS
from bench.accuracy.rows import ONE_EURO_BETA, ONE_EURO_MIN_CUTOFF_HZ
from bench.accuracy.smoothing import MEASURES
from bench.table import print_table

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def print_display(section: dict[str, Any]) -> None:
    """Two tables: errors, and what leading does to the picture."""
    print(
        "\n== display time: what is shown so much later, mm (ratio to no lead). own: against the stream's own pose "
        "then, the error that delay adds; truth: against the truth then"
    )
    print_table(
        ("ms", "frames", "", "own", "fastest third", "truth", "fastest third", "PA"),
        [
            [
                *_latency(latency, group, method),
                method,
                *(_cell(row, measure) for measure in ("own", "own_fast", "truth", "truth_fast", "pa")),
            ]
            for latency, group in section.items()
            for method, row in group["methods"].items()
        ],
    )
    print(
        "\n== the same: jitter mm/frame², movement of who keeps still mm/frame (ratios to no lead), overshoot mm; "
        "takes in which the error that delay adds is below no lead's"
    )
    print_table(
        ("ms", "frames", "", "jitter", "still", "overshoot", "takes"),
        [
            [
                *_latency(latency, group, method),
                method,
                _cell(row, "jitter"),
                _cell(row, "still"),
                _number(row["overshoot"]),
                _number(100.0 * row["takes_own"], "%", 0),
            ]
            for latency, group in section.items()
            for method, row in group["methods"].items()
        ],
    )
    print(f"One-Euro: {ONE_EURO_MIN_CUTOFF_HZ:g} Hz at rest, {ONE_EURO_BETA:g} Hz per m/s")


def _latency(latency: str, group: dict[str, Any], method: str) -> tuple[str, str]:
    return (latency, str(group["frames"])) if method == METHODS[0] else ("", "")


def _number(value: float, unit: str = "", digits: int = 1) -> str:
    return "-" if math.isnan(value) else f"{value:.{digits}f}{unit}"


def _cell(row: dict[str, float], measure: str) -> str:
    ratio = row.get(f"{measure}_ratio", math.nan)
    return _number(row[measure]) + ("" if math.isnan(ratio) else f" ({ratio:.2f})")


def print_smoothing(section: dict[str, Any]) -> None:
    print("\n== smoothing after the model: mm, mm/frame² at 30 fps, ms")
    print_table(
        ("smoothing", "MPJPE+", "PA+", "accel+", "jitter", "still", "lag ms"),
        [
            [name, *(_number(row[m], digits=2) for m in MEASURES), _number(row["lag_ms"])]
            for name, row in section.items()
        ],
    )


def draw_display(figure: Figure, section: dict[str, Any]) -> None:
    """Error that delay adds, error against the truth, jitter and overshoot over the latency."""
    at_ms = [float(latency) for latency in section]
    panels = (
        ("own", "error that delay adds, mm"),
        ("truth", "error at display time, mm"),
        ("jitter", "jitter, mm/frame²"),
        ("overshoot", "overshoot, mm"),
    )
    for axes, (measure, heading) in zip(figure.subplots(1, 4), panels, strict=True):
        for number, method in enumerate(METHODS):
            rows = [group["methods"][method] for group in section.values()]
            axes.plot(at_ms, [row[measure] for row in rows], marker=".", color=f"C{number}", label=method)
            if f"{measure}_fast" in rows[0]:
                axes.plot(at_ms, [row[f"{measure}_fast"] for row in rows], ":", color=f"C{number}")
        axes.set(xlabel="latency, ms", title=heading)
    figure.axes[0].legend(title="dotted: fastest third", fontsize="small")
