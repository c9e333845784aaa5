"""Poses ahead: fΔt against holding the last pose and against going on at the same velocity.

Position error: where the points will be, hips laid together. Displacement error: the foretold change against the true
one, which forgives what is wrong already (training.metrics.displacement_error_mm). One method, the oracle, goes on
from the true points of this frame and of the one before: what is lost although nothing is seen wrong.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from bench.accuracy.live import BodyTrack
from bench.accuracy.rows import ONE_EURO_BETA, ONE_EURO_MIN_CUTOFF_HZ
from bench.accuracy.takes import START_NS, Truth
from realtime.body.kinematics import forward_kinematics
from realtime.body.rotations import axis_angle_to_matrix, matrix_to_axis_angle
from realtime.translation import OneEuro
from training.metrics import POINT_JOINTS, displacement_error_mm, mpjpe_mm
from training.motion import FPS

STEPS = (1, 2, 3, 5, -5)  # frames of 1/30 s: +33, +67, +100, +167 ms, and HMMR's ±5 frames
HORIZONS_MS = tuple(step * 1000.0 / FPS for step in STEPS)
OURS, HOLD = "ours", "hold last"
CONSTANT = ("constant velocity", "constant velocity, One-Euro", "constant velocity, rotations")
ORACLE = "truth, constant velocity"  # is told the truth: no baseline, and not among CONSTANT
METHODS = (OURS, HOLD, *CONSTANT, ORACLE)

# Of one take: step → "speed" (n,) m/s, and per method (2, n): position and displacement error, mm.
Errors = dict[int, dict[str, np.ndarray]]


def dynamics_errors(truth: Truth, body: BodyTrack, ok: np.ndarray) -> Errors:
    """Errors of every method on the frames that are counted: ok (T,) bool there and one frame before, and the truth
    reaches as far as is asked. body.horizons_ms must be HORIZONS_MS."""
    if body.horizons_ms != HORIZONS_MS:
        raise ValueError(f"a track with horizons {body.horizons_ms}: expected {HORIZONS_MS}")
    frames = np.arange(len(ok))
    begun = ok & np.r_[False, ok[:-1]] & np.isfinite(truth.speed_m_s)
    now = body.joints[:, POINT_JOINTS]
    steady = _velocity(truth.points)
    result: Errors = {}
    for k, step in enumerate(STEPS):
        rows = frames[begun & (frames + step >= 0) & (frames + step < len(ok))]
        there = {
            OURS: _points_ahead(truth, body, body.ahead[:, k]),
            HOLD: now,
            CONSTANT[0]: now + step * _velocity(now),
            CONSTANT[1]: now + step * _velocity(_smoothed(now, ok)),
            CONSTANT[2]: _points_ahead(truth, body, _turned_on(body.rotations, step)),
        }
        true_now, true_then = truth.points[rows], truth.points[rows + step]
        result[step] = {"speed": truth.speed_m_s[rows]} | {
            method: _errors(points[rows], now[rows], true_then, true_now) for method, points in there.items()
        }
        result[step][ORACLE] = _errors(true_now + step * steady[rows], true_now, true_then, true_now)
    return result


def _errors(ahead: np.ndarray, now: np.ndarray, true_ahead: np.ndarray, true_now: np.ndarray) -> np.ndarray:
    """(n, 14, 3) four times → (2, n) position and displacement error, mm."""
    position = mpjpe_mm(ahead, true_ahead)
    return np.stack((position, displacement_error_mm(ahead, now, true_ahead, true_now))).astype(np.float32)


def _points_ahead(truth: Truth, body: BodyTrack, rotations: np.ndarray) -> np.ndarray:
    joints, _ = forward_kinematics(truth.body, rotations, body.betas)
    return (joints - joints[:, :1])[:, POINT_JOINTS]


def _velocity(points: np.ndarray) -> np.ndarray:
    """(T, 14, 3) per frame, by the frame before."""
    return np.diff(points, axis=0, prepend=points[:1])


def _turned_on(rotations: np.ndarray, steps: int) -> np.ndarray:
    """(T, 24, 3, 3) every joint turned on by what it turned since the frame before, so many times."""
    before = np.concatenate((rotations[:1], rotations[:-1]))
    turn = matrix_to_axis_angle(np.swapaxes(before, -1, -2) @ rotations)
    return rotations @ axis_angle_to_matrix(turn * np.float32(steps))


def _smoothed(points: np.ndarray, ok: np.ndarray) -> np.ndarray:
    """(T, 14, 3) through the One-Euro filter of the main table; begun anew where frames are not counted."""
    smooth, one_euro = np.empty(points.shape), OneEuro(ONE_EURO_MIN_CUTOFF_HZ, ONE_EURO_BETA)
    for t, frame in enumerate(points):
        if not ok[t]:
            one_euro.reset()
        smooth[t] = one_euro.filter(START_NS + round(t * 1e9 / FPS), frame.reshape(-1)).reshape(-1, 3)
    return smooth


def summarise(takes: list[Errors]) -> dict[str, Any]:
    """Over the frames of all takes: horizon → all | fastest third (by the true speed at that moment) → method →
    position and displacement error, mm, with their ratios to holding the last pose, the stream's own."""
    result: dict[str, Any] = {}
    for step, horizon_ms in zip(STEPS, HORIZONS_MS, strict=True):
        joined = {key: np.concatenate([take[step][key] for take in takes], axis=-1) for key in takes[0][step]}
        fast = joined["speed"] >= np.quantile(joined["speed"], 2.0 / 3.0)
        result[f"{horizon_ms:+.0f}"] = {
            name: {"frames": int(chosen.sum())}
            | {method: _means(joined, method, chosen) for method in METHODS}
            for name, chosen in (("all", np.ones(len(fast), bool)), ("fastest third", fast))
        }
    return result


def _means(joined: dict[str, np.ndarray], method: str, chosen: np.ndarray) -> dict[str, float]:
    position, displacement = joined[method][:, chosen].mean(axis=1, dtype=np.float64)
    hold = joined[HOLD][:, chosen].mean(axis=1, dtype=np.float64)
    return {
        "position_mm": float(position),
        "displacement_mm": float(displacement),
        "position_ratio": float(position / hold[0]),
        "displacement_ratio": float(displacement / hold[1]),
    }
