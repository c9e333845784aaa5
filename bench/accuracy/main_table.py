"""The main table: every row against the truth, take by take; means, ratios, paired differences, groups."""

from __future__ import annotations

from typing import Any

import numpy as np

from bench.accuracy.live import Track
from bench.accuracy.rows import RAW, SINGLE, STREAM
from bench.accuracy.takes import Truth, posed_vertices
from training.metrics import (
    LIMBS,
    acceleration_error_mm,
    flips,
    lag_match,
    lag_of,
    mpjpe_mm,
    mpvpe_mm,
    mrsv,
    mrvpv_m,
    pa_mpjpe_mm,
    pck,
    to_hmmr_crop,
)
from training.motion import FPS

# metric → heading, digits. _12: the limb joints; _14: neck and head too.
METRICS = {
    "tracked_percent": ("tracked %", 1),
    "mpjpe_12": ("MPJPE", 1),
    "pa_12": ("PA", 1),
    "accel_12": ("accel", 1),
    "mpjpe_14": ("MPJPE+", 1),
    "pa_14": ("PA+", 1),
    "accel_14": ("accel+", 1),
    "lag_ms": ("lag ms", 1),
    "flips_percent": ("flips %", 2),
    "pck_percent": ("PCK %", 1),
    "mpvpe_mm": ("MPVPE", 1),
    "mrvpv_ratio": ("MRVPV", 2),
    "mrsv": ("MRSV", 4),
    "cost_ms": ("cost ms", 1),
}
PAIRED = ("mpjpe_12", "pa_12", "accel_12", "mpjpe_14", "pa_14", "accel_14")
LEAST_STEPS = 10  # in a row that every row tracked; takes with fewer are left out
AGAINST = {"raw": RAW, "single": SINGLE, "stream": STREAM}

Scores = dict[str, Any]  # metric → number of one take; lag_match: what lags of several takes are made of


def common_frames(tracks: list[Track]) -> np.ndarray:
    """(T,) bool: what every row calls tracked."""
    return np.all([track.usable for track in tracks], axis=0)


def runs_of_three(ok: np.ndarray) -> np.ndarray:
    """(T,) bool → (T−2,) bool: this frame and the two after it."""
    return ok[:-2] & ok[1:-1] & ok[2:]


def score(truth: Truth, track: Track, ok: np.ndarray) -> Scores:
    """One row on one take, frames (T,) bool counted: means over frames; MRVPV beside the truth's own, metres."""
    limbs = slice(0, len(LIMBS))
    triples, steps = runs_of_three(ok), ok[:-1] & ok[1:]
    said, true = track.points, truth.points
    scores: Scores = {
        "lag_match": lag_match(said[:, limbs], true[:, limbs], FPS, counted=ok),
        "flips_percent": 100.0 * float(flips(said, true)[ok].mean()),
        "cost_ms": float(np.median(track.cost_ms[ok])),
    }
    for name, part in (("12", limbs), ("14", slice(None))):
        a, b = said[:, part], true[:, part]
        scores[f"mpjpe_{name}"] = float(mpjpe_mm(a, b)[ok].mean())
        scores[f"pa_{name}"] = float(pa_mpjpe_mm(a, b)[ok].mean())
        scores[f"accel_{name}"] = float(acceleration_error_mm(a, b)[triples].mean())
    said_px, true_px = (
        to_hmmr_crop(px, truth.points_px, truth.in_picture)
        for px in (_projected(truth, track), truth.points_px)
    )
    found = pck(said_px, true_px, truth.in_picture)[ok]
    scores["pck_percent"] = 100.0 * float(np.nanmean(found)) if np.isfinite(found).any() else float("nan")
    body = track.body
    if body is not None:
        vertices = posed_vertices(truth.body, body.rotations, body.betas)
        scores["mpvpe_mm"] = float(mpvpe_mm(vertices[ok], truth.vertices[ok]).mean())
        scores["mrvpv_m"] = float(mrvpv_m(vertices)[steps].mean())
        scores["mrvpv_true_m"] = float(mrvpv_m(truth.vertices)[steps].mean())
        scores["mrsv"] = float(mrsv(body.betas)[steps].mean())
    return scores


def point_errors_mm(truth: Truth, track: Track, ok: np.ndarray) -> np.ndarray:
    """(14,) mean distance of every point over the counted frames, hips laid together, mm."""
    hips = [LIMBS.index("left_hip"), LIMBS.index("right_hip")]
    said, true = (
        points[ok] - points[ok][:, hips].mean(axis=1, keepdims=True)
        for points in (track.points, truth.points)
    )
    return np.linalg.norm(said - true, axis=-1).mean(axis=0) * 1000.0


def _projected(truth: Truth, track: Track) -> np.ndarray:
    """(T, 14, 2): a body as the camera would show it where it is said to stand; landmarks, which stand nowhere, from
    afar. PCK takes out scale and place of either."""
    if track.body is None:
        return track.points[..., :2] * 1000.0
    return truth.take.camera.project(track.points + track.body.trans[:, None])


def means(takes: list[dict[str, Scores]]) -> dict[str, dict[str, float]]:
    """Takes' rows' scores → row → metric → mean over takes; MRVPV over the truth's own, the lag of all together."""
    return {row: _mean_of([take[row] for take in takes]) for row in takes[0]}


def _mean_of(scores: list[Scores]) -> dict[str, float]:
    def over(metric: str) -> float:
        values = np.array([s[metric] for s in scores])
        values = values[np.isfinite(values)]  # of PCK: too little of him in the picture
        return float(values.mean()) if len(values) else float("nan")

    result = {metric: over(metric) for metric in METRICS if metric in scores[0]}
    result["lag_ms"] = lag_of(sum(s["lag_match"] for s in scores), FPS)
    if "mrvpv_m" in scores[0]:
        result["mrvpv_ratio"] = over("mrvpv_m") / over("mrvpv_true_m")
    return result


def paired(takes: list[dict[str, Scores]], row: str, other: str) -> dict[str, dict[str, float]]:
    """row minus other, take by take → metric → mean and standard error over takes; with the ratio of their means."""
    result = {}
    for metric in PAIRED:
        a, b = (np.array([take[name][metric] for take in takes]) for name in (row, other))
        error = (a - b).std(ddof=1) / np.sqrt(len(a)) if len(a) > 1 else float("nan")
        result[metric] = {
            "mean": float((a - b).mean()),
            "standard_error": float(error),
            "ratio": float(a.mean() / b.mean()),
        }
    result["lag_ms"] = _later(*([take[name]["lag_match"] for take in takes] for name in (row, other)))
    return result


def _later(row: list[np.ndarray], other: list[np.ndarray]) -> dict[str, float]:
    """How much later a row is than another, all takes together; the standard error by leaving out one after another."""

    def difference(left_out: int | None) -> float:
        both = (sum(m for k, m in enumerate(own) if k != left_out) for own in (row, other))
        late, early = (lag_of(np.asarray(match), FPS) for match in both)
        return late - early

    count = len(row)
    without = np.array([difference(k) for k in range(count)]) if count > 1 else np.full(1, np.nan)
    error = np.sqrt((count - 1) / count * np.square(without - without.mean()).sum())
    return {"mean": difference(None), "standard_error": float(error)}


def summarise(takes: list[dict[str, Scores]], views: list[str], subjects: list[str]) -> dict[str, Any]:
    """Everything the table holds, of takes' scores with their views and subjects."""

    def grouped(labels: list[str]) -> dict[str, Any]:
        groups = {}
        for label in sorted(set(labels)):
            chosen = [take for take, own in zip(takes, labels, strict=True) if own == label]
            groups[label] = {"takes": len(chosen), "rows": means(chosen), "against": against(chosen)}
        return groups

    def against(chosen: list[dict[str, Scores]]) -> dict[str, Any]:
        return {
            key: {row: paired(chosen, row, other) for row in chosen[0] if row != other}
            for key, other in AGAINST.items()
            if other in chosen[0]
        }

    return {
        "takes": len(takes),
        "rows": means(takes),
        "against": against(takes),
        "by_view": grouped(views),
        "by_subject": grouped(subjects),
    }
