"""The filter after the model (realtime/smoothing.py) at several settings: error, jitter and lag of the same estimates.

Every setting filters what the stream said, so what differs is the filter alone. jitter: mean ‖X₊₁ − 2X + X₋₁‖ of the
14 points, mm/frame², whatever the truth does; accel: its distance to the truth's; still: how far the points go from
frame to frame, mm, while the person keeps still, median (bench/accuracy/display.py).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from bench.accuracy.display import STILL_M_S
from bench.accuracy.live import Track
from bench.accuracy.main_table import runs_of_three
from bench.accuracy.takes import START_NS, Truth
from realtime.config import SmoothingConfig
from realtime.smoothing import Smoother
from training.metrics import (
    LIMBS,
    POINT_JOINTS,
    acceleration_error_mm,
    lag_match,
    lag_of,
    mpjpe_mm,
    pa_mpjpe_mm,
)
from training.motion import FPS

OFF = "off"
SETTINGS = {OFF: SmoothingConfig(filter="off")} | {
    f"{cutoff_hz:g} Hz, beta {beta:g}": SmoothingConfig("one-euro", cutoff_hz, beta)
    for cutoff_hz, beta in ((0.5, 0.5), (1, 0.25), (1, 0.5), (1, 1), (2, 0.5), (2, 1), (2, 2), (4, 1), (4, 2))
}
MEASURES = ("mpjpe", "pa", "accel", "jitter", "still")

Smoothed = dict[str, dict[str, np.ndarray]]  # of one take: setting → measure → values; lag_match


def smoothing_errors(truth: Truth, track: Track, ok: np.ndarray) -> Smoothed:
    """ok (T,) bool: frames that are counted."""
    stamps = START_NS + np.round(truth.take.t_s * 1e9).astype(np.int64)
    limbs, triples = slice(0, len(LIMBS)), runs_of_three(ok)
    still = ok & np.r_[False, ok[:-1]] & (truth.speed_m_s < STILL_M_S)
    result: Smoothed = {}
    for name, config in SETTINGS.items():
        smoother = Smoother(truth.body, config)
        said = [
            smoother.smooth(int(t), estimate) for t, estimate in zip(stamps, track.estimates, strict=True)
        ]
        points = np.stack([estimate.joints[POINT_JOINTS] for estimate in said]).astype(np.float64)
        step = np.linalg.norm(np.diff(points, axis=0, prepend=points[:1]), axis=-1).mean(axis=1) * 1000.0
        bend = np.linalg.norm(np.diff(points, n=2, axis=0), axis=-1).mean(axis=1) * 1000.0
        result[name] = {
            "mpjpe": mpjpe_mm(points, truth.points)[ok],
            "pa": pa_mpjpe_mm(points, truth.points)[ok],
            "accel": acceleration_error_mm(points, truth.points)[triples],
            "jitter": bend[triples],
            "still": step[still],
            "lag_match": lag_match(points[:, limbs], truth.points[:, limbs], FPS, counted=ok),
        }
    return result


def summarise(takes: list[Smoothed]) -> dict[str, Any]:
    """Setting → measures over the frames of all takes, and the lag of all takes together, ms."""
    result = {}
    for name in SETTINGS:
        row = {}
        for measure in MEASURES:
            values = np.concatenate([take[name][measure] for take in takes])
            middle = np.median if measure == "still" else np.mean
            row[measure] = float(middle(values)) if len(values) else float("nan")
        row["lag_ms"] = lag_of(np.sum([take[name]["lag_match"] for take in takes], axis=0), FPS)
        result[name] = row
    return result
