"""The same numbers as pictures (PNG)."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bench.accuracy.display_report import draw_display
from bench.accuracy.dynamics import METHODS, ORACLE
from bench.accuracy.evaluate import TakeResult
from bench.accuracy.rows import LOOK_AHEAD, RAW, SINGLE, STREAM
from realtime.errors import LoadError, install_command
from training.metrics import POINTS
from training.motion import FPS

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SHOWN = (RAW, SINGLE, STREAM, LOOK_AHEAD)


def check_plots() -> None:
    """Raises LoadError where there is nothing to draw with: better before an hour's run than after it."""
    try:
        import matplotlib.figure  # noqa: F401
    except ImportError:
        raise LoadError(f"--plots: matplotlib is not installed: {install_command('train')}") from None


def draw_all(folder: Path, results: list[TakeResult], summary: dict[str, Any]) -> list[Path]:
    """error_over_time, error_histogram, error_per_joint; dynamics and display where they were run → the files."""
    from matplotlib.figure import Figure

    folder.mkdir(parents=True, exist_ok=True)
    shown = [row for row in SHOWN if row in results[0].scores]
    pictures = {"error_over_time": _over_time, "error_histogram": _histogram, "error_per_joint": _per_joint}
    files = []
    for name, draw in pictures.items():
        figure = Figure(figsize=(9, 4.5), layout="constrained")
        draw(figure, results, shown)
        files.append(folder / f"{name}.png")
        figure.savefig(files[-1], dpi=120)
    if summary.get("dynamics"):
        figure = Figure(figsize=(9, 4.5), layout="constrained")
        _dynamics(figure, summary["dynamics"][STREAM])
        files.append(folder / "dynamics.png")
        figure.savefig(files[-1], dpi=120)
    if summary.get("display"):
        figure = Figure(figsize=(15, 4), layout="constrained")
        draw_display(figure, summary["display"])
        files.append(folder / "display.png")
        figure.savefig(files[-1], dpi=80)
    return files


def _over_time(figure: Figure, results: list[TakeResult], shown: list[str]) -> None:
    """The take whose error of the stream is the median one."""
    error = [result.scores[STREAM]["mpjpe_14"] for result in results]
    result = results[int(np.argsort(error)[len(error) // 2])]
    axes = figure.subplots()
    seconds = np.arange(result.frames) / FPS
    for row in shown:
        axes.plot(seconds, result.mpjpe_mm[row], label=row, linewidth=1.2)
    axes.set(xlabel="s", ylabel="MPJPE, mm", ylim=(0, None))
    axes.set_title(f"take {result.index}: {result.clip}, seen from the {result.view}")
    axes.legend()


def _histogram(figure: Figure, results: list[TakeResult], shown: list[str]) -> None:
    for axes, name, kind in zip(
        figure.subplots(1, 2), ("mpjpe_mm", "pa_mm"), ("MPJPE", "PA-MPJPE"), strict=True
    ):
        values = {row: np.concatenate([getattr(result, name)[row] for result in results]) for row in shown}
        values = {row: v[np.isfinite(v)] for row, v in values.items()}
        edges = np.linspace(0, max(np.percentile(v, 99) for v in values.values()), 50)
        for row, v in values.items():
            axes.hist(v, edges, histtype="step", density=True, label=row)
        axes.set(xlabel=f"{kind}, mm", ylabel="share of frames", yticks=[])
    axes.legend()


def _per_joint(figure: Figure, results: list[TakeResult], shown: list[str]) -> None:
    axes = figure.subplots()
    names = [name.replace("_", " ") for name in POINTS]
    width = 0.8 / len(shown)
    for place, row in enumerate(shown):
        error = np.mean([result.point_mm[row] for result in results], axis=0)
        axes.bar(np.arange(len(names)) + (place - (len(shown) - 1) / 2) * width, error, width, label=row)
    axes.set_xticks(range(len(names)), names, rotation=45, ha="right")
    axes.set(ylabel="mean distance, mm")
    axes.legend()


def _dynamics(figure: Figure, horizons: dict[str, Any]) -> None:
    ahead = {float(name): groups for name, groups in horizons.items() if name.startswith("+")}
    for axes, key, heading in zip(
        figure.subplots(1, 2), ("position_mm", "displacement_mm"), ("position", "displacement"), strict=True
    ):
        for number, method in enumerate(METHODS):
            for frames, style in (("all", "-"), ("fastest third", ":")):
                values = [groups[frames][method][key] for groups in ahead.values()]
                name = f"[{method}]" if method == ORACLE else method
                label = name if frames == "all" else None
                axes.plot(list(ahead), values, style, color=f"C{number}", marker=".", label=label)
        axes.set(xlabel="ms ahead", ylabel=f"{heading} error, mm", ylim=(0, None))
    axes.legend(title="dotted: fastest third")
