"""The same weights at other frame rates, and with frames dropped, on the same takes."""

from __future__ import annotations

from typing import Any

import numpy as np

from bench.accuracy.live import Track
from bench.accuracy.main_table import LEAST_STEPS
from bench.accuracy.takes import TICKS_PER_S, Truth, rate_ticks, with_drops
from training.metrics import mpjpe_mm, pa_mpjpe_mm

NOMINAL = "30 fps"
DROPPED = "30 fps, 20 % dropped"
RATES = {"15 fps": 15.0, "24 fps": 24.0, NOMINAL: 30.0, "60 fps": 60.0}
DROP_SHARE = 0.2


def schedules(seconds: float, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Name → ticks of its pictures."""
    ticks = {name: rate_ticks(seconds, fps) for name, fps in RATES.items()}
    return ticks | {DROPPED: with_drops(ticks[NOMINAL], DROP_SHARE, rng)}


def rate_errors(
    truths: dict[str, Truth], tracks: dict[str, Track], ticks: dict[str, np.ndarray]
) -> dict[str, dict[str, float]] | None:
    """One take: rate → mean MPJPE and PA-MPJPE of 14 points, mm, over its own frames from the moment on when every
    rate tracks the person; None if a rate then has fewer than ten."""
    if not all(track.usable.any() for track in tracks.values()):
        return None
    begin = max(ticks[name][np.flatnonzero(track.usable)[0]] for name, track in tracks.items())
    result = {}
    for name, track in tracks.items():
        ok = track.usable & (ticks[name] >= begin)
        if ok.sum() < LEAST_STEPS:
            return None
        said, true = track.points[ok], truths[name].points[ok]
        result[name] = {
            "mpjpe": float(mpjpe_mm(said, true).mean()),
            "pa": float(pa_mpjpe_mm(said, true).mean()),
        }
    return result


def summarise(takes: list[dict[str, dict[str, float]]]) -> dict[str, Any]:
    """Means over takes, ratio to 30 fps, and the paired difference with its standard error."""
    result: dict[str, Any] = {"takes": len(takes), "rates": {}}
    for name in takes[0]:
        row: dict[str, float] = {}
        for metric in ("mpjpe", "pa"):
            own = np.array([take[name][metric] for take in takes])
            nominal = np.array([take[NOMINAL][metric] for take in takes])
            error = (own - nominal).std(ddof=1) / np.sqrt(len(own)) if len(own) > 1 else float("nan")
            row |= {
                f"{metric}_mm": float(own.mean()),
                f"{metric}_ratio": float(own.mean() / nominal.mean()),
                f"{metric}_difference_mm": float((own - nominal).mean()),
                f"{metric}_standard_error_mm": float(error),
            }
        result["rates"][name] = row
    return result


def seconds_of(stamps_s: np.ndarray) -> float:
    """How long a take lasts, in whole ticks."""
    return np.floor(float(stamps_s[-1] - stamps_s[0]) * TICKS_PER_S + 1e-6) / TICKS_PER_S
