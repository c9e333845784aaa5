"""Display time: the pose shown at a moment, which left the camera a while before, against the truth of that moment.

For pipeline latencies of 0 to 200 ms (frames of 1/30 s). A pose is shown its latency after its frame was taken, led by
as much or not. It is held against the truth then ("truth") and against the stream's own pose of then ("own"): what is
left of the latter is the error that delay adds, for without delay it is none. Points about the hips' middle, as MPJPE
has them; "fastest third": by the true speed at the moment of the frame that was led from.

jitter: mean ‖X₊₁ − 2X + X₋₁‖ over the 14 points shown, mm/frame².
still: how far the points shown go from frame to frame, mm, in frames in which the person keeps still: the truth moves
    slower than STILL_M_S for STILL_FRAMES and from the frame that was led from until it is shown. The median over
    those frames: where the stream takes somebody for lying down, one frame moves more than all others.
overshoot: at every change of direction of a point of the truth, at frame t: it came at least TURN_M in the TURN_FRAMES
    before, goes on as far in the TURN_FRAMES after it, and the two ways point apart (their dot product is below 0),
    and of neighbouring such frames the one in which they point apart most. u, the way it came (of length 1); the
    reach of a track, the farthest along u that its point gets from t − TURN_FRAMES to t + TURN_FRAMES + the latency.
    Overshoot is how much farther the shown track reaches than the stream's own undelayed one, at least 0, mm: no lead
    shows the same poses later, and overshoots nowhere but by what came before.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from bench.accuracy.live import Track
from bench.accuracy.rows import ONE_EURO_BETA, ONE_EURO_MIN_CUTOFF_HZ
from bench.accuracy.takes import START_NS, Truth
from realtime.body.kinematics import forward_kinematics
from realtime.body.rotations import axis_angle_to_matrix, between
from realtime.body.smpl import Body
from realtime.lead import Leader
from realtime.observation import Estimate
from realtime.translation import OneEuro
from training.metrics import LIMBS, POINT_JOINTS, mpjpe_mm, pa_mpjpe_mm
from training.motion import FPS

LATENCIES_MS = (0, 33, 66, 100, 133, 166, 200)
NO_LEAD, CONSTANT, ONE_EURO = "no lead", "constant velocity", "One-Euro, extrapolated"
NETWORK, OURS = "f_Δt alone", "ours"
METHODS = (NO_LEAD, CONSTANT, ONE_EURO, NETWORK, OURS)
STILL_M_S, STILL_FRAMES = 0.15, 7
TURN_M, TURN_FRAMES = 0.03, 3
FASTEST = 2.0 / 3.0  # quantile of speed
_HIPS = [LIMBS.index("left_hip"), LIMBS.index("right_hip")]

# Of one take: latency → {"speed": (n,) m/s} and method → measure → (n,) one value each; n differs between measures.
Shown = dict[int, dict[str, Any]]


def display_errors(truth: Truth, track: Track, ok: np.ndarray) -> Shown:
    """What every method shows of one take at every latency. ok (T,) bool: frames that are counted; a pose is where its
    own frame, the one before, and the one in which it is shown are."""
    count = len(ok)
    stamps = START_NS + np.round(truth.take.t_s * 1e9).astype(np.int64)
    own = np.stack([estimate.joints for estimate in track.estimates])[:, POINT_JOINTS].astype(np.float64)
    smooth = _one_euro(own, stamps, ok)
    velocity, steady = (np.diff(points, axis=0, prepend=points[:1]) for points in (own, smooth))
    begun = ok & np.r_[False, ok[:-1]] & np.isfinite(truth.speed_m_s)
    result: Shown = {}
    for latency_ms in LATENCIES_MS:
        k = round(latency_ms * FPS / 1000.0)
        led_ms = k * 1000.0 / FPS
        ahead = {
            NO_LEAD: own,
            CONSTANT: own + k * velocity,
            ONE_EURO: smooth + k * steady,
            NETWORK: _points(truth.body, track.estimates, _foretold(track.estimates, led_ms)),
            OURS: _led(truth.body, stamps, track.estimates, led_ms, own),
        }
        then = np.arange(k, count)
        then = then[begun[then - k] & ok[then]]
        of = then - k  # the frames led from
        shown = np.zeros(count, bool)
        shown[then] = True
        still = _still(truth, k) & shown & np.r_[False, shown[:-1]]
        result[latency_ms] = {"speed": truth.speed_m_s[of]}
        for method, points in ahead.items():
            late = np.zeros_like(points)
            late[k:] = points[: count - k]  # as it is on the screen, by the frame in which it is there
            step = np.linalg.norm(np.diff(late, axis=0, prepend=late[:1]), axis=-1).mean(axis=1) * 1000.0
            bend = np.linalg.norm(np.diff(late, n=2, axis=0), axis=-1).mean(axis=1) * 1000.0
            result[latency_ms][method] = {
                "truth": mpjpe_mm(late[then], truth.points[then]),
                "pa": pa_mpjpe_mm(late[then], truth.points[then]),
                "own": mpjpe_mm(late[then], own[then]),
                "jitter": bend[shown[:-2] & shown[1:-1] & shown[2:]],
                "still": step[still],
                "overshoot": _overshoot(truth.points, own, late, k, shown),
            }
    return result


def _led(
    body: Body, stamps: np.ndarray, estimates: Sequence[Estimate], ms: float, own: np.ndarray
) -> np.ndarray:
    """(T, 14, 3) about the pelvis, led as the stream leads; `own` (T, 14, 3) where the pose is left as it was seen, for
    joints that are worked out once more differ in the last bits, and to who keeps still that would be movement."""
    leader = Leader()
    poses = np.stack([leader.lead(int(t), one, ms).pose for t, one in zip(stamps, estimates, strict=True)])
    is_seen = (poses == np.stack([one.theta[3:75] for one in estimates])).all(axis=1)
    points = _points(body, estimates, axis_angle_to_matrix(poses.reshape(-1, 24, 3)))
    return np.where(is_seen[:, None, None], own, points)


def _foretold(estimates: Sequence[Estimate], ms: float) -> np.ndarray:
    """(T, 24, 3, 3): realtime.lead.pose_at of every frame, all at once."""
    horizons_ms = sorted(next((tuple(dt_ms for dt_ms, _ in one.ahead) for one in estimates if one.ahead), ()))
    known = {0.0: np.stack([one.theta[3:75] for one in estimates])}
    for dt_ms in horizons_ms:
        known[dt_ms] = np.stack([dict(one.ahead).get(dt_ms, one.theta[3:75]) for one in estimates])
    rotations = {at_ms: axis_angle_to_matrix(poses.reshape(-1, 24, 3)) for at_ms, poses in known.items()}
    before_ms = max(at_ms for at_ms in rotations if at_ms <= ms)
    after_ms = min((at_ms for at_ms in rotations if at_ms > ms), default=before_ms)
    if after_ms == before_ms:
        return rotations[before_ms]
    return between(rotations[before_ms], rotations[after_ms], (ms - before_ms) / (after_ms - before_ms))


def _points(body: Body, estimates: Sequence[Estimate], rotations: np.ndarray) -> np.ndarray:
    """(T, 14, 3) about the pelvis."""
    betas = np.stack([estimate.theta[75:] for estimate in estimates])
    joints, _ = forward_kinematics(body, rotations, betas)
    return (joints - joints[:, :1])[:, POINT_JOINTS].astype(np.float64)


def _one_euro(points: np.ndarray, stamps: np.ndarray, ok: np.ndarray) -> np.ndarray:
    """(T, 14, 3) through the One-Euro filter of the main table."""
    one_euro = OneEuro(ONE_EURO_MIN_CUTOFF_HZ, ONE_EURO_BETA)
    smooth = np.zeros_like(points)
    for t, frame in enumerate(points):
        if not ok[t]:
            one_euro.reset()
        smooth[t] = one_euro.filter(int(stamps[t]), frame.reshape(-1)).reshape(-1, 3)
    return smooth


def _still(truth: Truth, k: int) -> np.ndarray:
    """(T,) bool: the truth has kept still for STILL_FRAMES, and since the frame led from, k frames before."""
    slow = truth.speed_m_s < STILL_M_S
    still = slow
    for _ in range(max(k, STILL_FRAMES)):
        still = slow & np.r_[False, still[:-1]]
    return still


def _overshoot(true: np.ndarray, own: np.ndarray, late: np.ndarray, k: int, shown: np.ndarray) -> np.ndarray:
    """(turns,) mm, over all 14 points of a take; see above."""
    n = TURN_FRAMES
    true, own, late = (points - points[:, _HIPS].mean(axis=1, keepdims=True) for points in (true, own, late))
    came, goes = true[n:-n] - true[: -2 * n], true[2 * n :] - true[n:-n]
    apart = (came * goes).sum(axis=-1)
    far = np.minimum(np.linalg.norm(came, axis=-1), np.linalg.norm(goes, axis=-1)) >= TURN_M
    apart = np.where(far, apart, 0.0)
    most = np.array([apart[max(0, t - n) : t + n + 1].min(axis=0) for t in range(len(apart))])
    found = []
    for row, point in zip(*np.nonzero((apart < 0.0) & (apart == most)), strict=True):
        window = slice(row, row + 2 * n + k + 1)  # t = row + n
        if window.stop > len(true) or not shown[window].all():
            continue
        u = came[row, point] / np.linalg.norm(came[row, point])
        reach = (late[window, point] @ u).max() - (own[window, point] @ u).max()
        found.append(max(0.0, float(reach)) * 1000.0)
    return np.array(found)


def summarise(takes: list[Shown]) -> dict[str, Any]:
    """Over the frames of all takes: latency → method → measures, with the ratios to no lead of the same latency.

    "own_fast", "truth_fast": the fastest third. "takes_own": share of takes in which the error that delay adds is below
    no lead's.
    """
    result: dict[str, Any] = {}
    for latency_ms in LATENCIES_MS:
        speed = np.concatenate([take[latency_ms]["speed"] for take in takes])
        fast = speed >= np.quantile(speed, FASTEST) if len(speed) else np.zeros(0, bool)
        rows: dict[str, dict[str, float]] = {}
        for method in METHODS:
            joined = {
                measure: np.concatenate([take[latency_ms][method][measure] for take in takes])
                for measure in takes[0][latency_ms][method]
            }
            row = {measure: _mean(values) for measure, values in joined.items()}
            row["still"] = float(np.median(joined["still"])) if len(joined["still"]) else float("nan")
            row |= {f"{measure}_fast": _mean(joined[measure][fast]) for measure in ("own", "truth", "pa")}
            pairs = [(take[latency_ms][method]["own"], take[latency_ms][NO_LEAD]["own"]) for take in takes]
            better = [_mean(own) < _mean(held) for own, held in pairs if len(own)]
            row["takes_own"] = float(np.mean(better)) if better else float("nan")
            rows[method] = row
        for row in rows.values():
            for measure in ("own", "own_fast", "truth", "truth_fast", "pa", "pa_fast", "jitter", "still"):
                held = rows[NO_LEAD][measure]
                row[f"{measure}_ratio"] = row[measure] / held if held > 1e-6 else float("nan")
        result[str(latency_ms)] = {"frames": len(speed), "methods": rows}
    return result


def _mean(values: np.ndarray) -> float:
    return float(values.mean()) if len(values) else float("nan")
