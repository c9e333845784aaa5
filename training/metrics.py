"""Errors of pose over clips, with their units. Joints and vertices in metres in, millimetres out.

HMMR's definitions where it has them (Kanazawa et al., CVPR 2019, and its public evaluation): MPJPE after alignment of
the hips' middle, PA-MPJPE after a similarity Procrustes fit per frame, PCK after a camera per frame, acceleration error
of second differences per frame² at the clip's own rate. Mesh and shape: MVIPER (Liu et al., §5.1). Every function
returns one value per frame, or per step between frames, for the caller to mask and to average; only the lag is one
number per clip, or of several together.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from realtime.body.skeleton import BLAZEPOSE_NAMES, JOINT_NAMES

LIMBS = tuple(
    f"{side}_{joint}"
    for joint in ("shoulder", "elbow", "wrist", "hip", "knee", "ankle")
    for side in ("left", "right")
)
LIMB_JOINTS = np.array([JOINT_NAMES.index(name) for name in LIMBS])
LIMB_LANDMARKS = np.array([BLAZEPOSE_NAMES.index(name) for name in LIMBS])
LIMB_PAIRS = np.array(
    [
        (i, LIMBS.index(name.replace("left", "right")))
        for i, name in enumerate(LIMBS)
        if name.startswith("left")
    ]
)  # (6, 2) left and right of each limb joint, as indices into LIMBS
# HMMR's 14 (of LSP): the limbs, then neck and head, SMPL's joints of these names. World landmarks have neither: their
# head is the middle of the ears, their neck halfway from the shoulders' middle to it, as it lies on the body.
POINTS = (*LIMBS, "neck", "head")
POINT_JOINTS = np.array([JOINT_NAMES.index(name) for name in POINTS])
_SHOULDERS, _EARS = (
    [BLAZEPOSE_NAMES.index(f"{side}_{name}") for side in ("left", "right")] for name in ("shoulder", "ear")
)
_HIPS = np.array([LIMBS.index("left_hip"), LIMBS.index("right_hip")])

PCK_THRESHOLD_PX = 0.05 * 224  # HMMR: α = .05 of its crop's side
PCK_MIN_VISIBLE = 6
CROP_DIAGONAL_PX = 150.0  # HMMR scales the diagonal of the box around the keypoints to this
FLIP_MARGIN_MM = 50.0  # left and right are some 300 mm apart: well above what depth noise moves the mean by
LAG_MIN_FRAMES = 10


def points_of_landmarks(world: np.ndarray) -> np.ndarray:
    """World landmarks (…, 33, 3) → (…, 14, 3) POINTS."""
    shoulders, head = (world[..., pair, :].mean(axis=-2, keepdims=True) for pair in (_SHOULDERS, _EARS))
    return np.concatenate((world[..., LIMB_LANDMARKS, :], (shoulders + head) / 2.0, head), axis=-2)


def _about_hips(joints: np.ndarray, hips: np.ndarray | None) -> np.ndarray:
    """(T, J, 3) → the same about the middle of the hips in every frame; unchanged without hips."""
    return joints if hips is None else joints - joints[:, hips].mean(axis=1, keepdims=True)


def mpjpe_mm(predicted: np.ndarray, true: np.ndarray, hips: np.ndarray = _HIPS) -> np.ndarray:
    """(T, J, 3) twice → (T,) mean joint distance per frame with the middles of the hips laid on each other."""
    a = predicted - predicted[:, hips].mean(axis=1, keepdims=True)
    b = true - true[:, hips].mean(axis=1, keepdims=True)
    return np.linalg.norm(a - b, axis=-1).mean(axis=1) * 1000.0


def procrustes(predicted: np.ndarray, true: np.ndarray) -> np.ndarray:
    """Predicted (T, J, 3) moved onto true by the best rotation, scale and translation of each frame."""
    mean_p, mean_t = predicted.mean(axis=1, keepdims=True), true.mean(axis=1, keepdims=True)
    p, t = predicted - mean_p, true - mean_t
    U, S, Vt = np.linalg.svd(np.swapaxes(p, 1, 2) @ t)
    sign = np.ones_like(S)
    sign[:, 2] = np.sign(np.linalg.det(U @ Vt))
    R = (U * sign[:, None, :]) @ Vt
    scale = (S * sign).sum(axis=1) / np.maximum((p**2).sum(axis=(1, 2)), 1e-12)
    return scale[:, None, None] * (p @ R) + mean_t


def pa_mpjpe_mm(predicted: np.ndarray, true: np.ndarray) -> np.ndarray:
    """(T, J, 3) twice → (T,) mean joint distance per frame after Procrustes."""
    return np.linalg.norm(procrustes(predicted, true) - true, axis=-1).mean(axis=1) * 1000.0


def acceleration_error_mm(
    predicted: np.ndarray, true: np.ndarray, hips: np.ndarray | None = _HIPS
) -> np.ndarray:
    """(T, J, 3) twice → (T−2,) mean over joints of ‖(X₊₁ − 2X + X₋₁) predicted − the same of true‖, mm/frame².

    HMMR's definition: per frame², without the frame rate; multiply by fps² for mm/s². HMMR takes the joints as they
    come: hips=None. By default the hips are laid together first, for joints that carry a translation of the person.
    """
    a, b = _about_hips(predicted, hips), _about_hips(true, hips)
    difference = np.diff(a, n=2, axis=0) - np.diff(b, n=2, axis=0)
    return np.linalg.norm(difference, axis=-1).mean(axis=1) * 1000.0


def displacement_error_mm(
    ahead: np.ndarray,
    now: np.ndarray,
    true_ahead: np.ndarray,
    true_now: np.ndarray,
    hips: np.ndarray | None = _HIPS,
) -> np.ndarray:
    """Dynamics fΔt: (T, J, 3) four times → (T,) mean ‖(ahead − now) − (true_ahead − true_now)‖, mm.

    Frame t holds the pose of t in `now` and that of t+Δt, as foretold at t, in `ahead`. What is wrong in the pose of
    t already cancels: only the foretold change counts. Holding the last pose (ahead = now) costs the whole true change.
    """
    foretold = _about_hips(ahead, hips) - _about_hips(now, hips)
    real = _about_hips(true_ahead, hips) - _about_hips(true_now, hips)
    return np.linalg.norm(foretold - real, axis=-1).mean(axis=1) * 1000.0


def pck(
    predicted_px: np.ndarray,
    true_px: np.ndarray,
    visible: np.ndarray | None = None,
    threshold_px: float = PCK_THRESHOLD_PX,
) -> np.ndarray:
    """(T, K, 2) twice in pixels of a 224² crop, (T, K) bool → (T,) share in [0, 1] of keypoints within the threshold.

    After the best scale and translation of each frame, as HMMR computes them: visible keypoints about their means, X
    predicted and Y true; scale = ½ trace((XᵀX)⁻¹XᵀY), the mean over both axes of a linear regression, which differs
    from least squares where x and y disagree on the scale. Only visible keypoints count; nan below six of them.
    """
    x, y = np.asarray(predicted_px, np.float64), np.asarray(true_px, np.float64)
    seen = np.ones(x.shape[:2], bool) if visible is None else np.asarray(visible, bool)
    weight, count = seen[..., None], seen.sum(axis=1)
    share = np.maximum(count, 1)[:, None, None]
    # where, not a product: an invisible keypoint may be nan
    x, y = np.where(weight, x, 0.0), np.where(weight, y, 0.0)
    x = np.where(weight, x - x.sum(axis=1, keepdims=True) / share, 0.0)
    y = np.where(weight, y - y.sum(axis=1, keepdims=True) / share, 0.0)
    xt = np.swapaxes(x, 1, 2)
    linear = np.linalg.solve(xt @ x + 1e-6 * np.eye(2), xt @ y)  # HMMR's ridge, against keypoints on one spot
    scale = np.trace(linear, axis1=1, axis2=2) / 2.0
    near = (np.linalg.norm(scale[:, None, None] * x - y, axis=-1) < threshold_px) & seen
    return np.where(count >= PCK_MIN_VISIBLE, near.sum(axis=1) / share[:, 0, 0], np.nan)


def to_hmmr_crop(points_px: np.ndarray, true_px: np.ndarray, visible: np.ndarray) -> np.ndarray:
    """(T, K, 2) pixels of any picture → pixels of HMMR's 224² crop around the true keypoints (T, K, 2), visible ones
    (T, K) bool: the box's middle at 112, its diagonal 150 long. nan where none is visible or all lie on one spot."""
    seen = visible[..., None]
    low = np.where(seen, true_px, np.inf).min(axis=1, keepdims=True)
    high = np.where(seen, true_px, -np.inf).max(axis=1, keepdims=True)
    with np.errstate(invalid="ignore", divide="ignore"):
        scale = CROP_DIAGONAL_PX / np.linalg.norm(high - low, axis=-1, keepdims=True)
        cropped = (points_px - (low + high) / 2.0) * scale + 112.0
    return np.where(np.isfinite(scale) & (scale > 0), cropped, np.nan)


def mpvpe_mm(predicted: np.ndarray, true: np.ndarray) -> np.ndarray:
    """(T, V, 3) twice → (T,) mean distance between corresponding vertices, mm. MVIPER, and HMMR's posed mesh error.

    Neither aligns: lay the pelvises on each other beforehand where the two carry different translations.
    """
    return np.linalg.norm(predicted - true, axis=-1).mean(axis=1) * 1000.0


def mrvpv_m(vertices: np.ndarray, p: int = 2) -> np.ndarray:
    """(T, V, 3) → (T−1,) L_p norm of the change of all 3V coordinates between consecutive frames, metres.

    The mean over steps is MVIPER's MRVPV_p. Of the prediction alone: a frozen mesh scores 0, so hold it against the
    truth's own value. It grows with the vertex count (V for p = 1, √V for p = 2): compare only meshes of one topology
    at one frame rate.
    """
    return _step_norms(vertices, p)


def mrsv(betas: np.ndarray, p: int = 2) -> np.ndarray:
    """(T, 10) betas → (T−1,) L_p norm of the change from frame to frame, no unit; the mean is MRSV_p (MVIPER)."""
    return _step_norms(betas, p)


def _step_norms(values: np.ndarray, p: int) -> np.ndarray:
    change = np.diff(np.asarray(values, np.float64), axis=0)
    return np.linalg.norm(change.reshape(len(change), int(np.prod(change.shape[1:]))), ord=p, axis=1)


def lag_match(
    predicted: np.ndarray,
    true: np.ndarray,
    fps: float,
    *,
    velocities: bool = False,
    max_lag_ms: float = 200.0,
    counted: np.ndarray | None = None,
    hips: np.ndarray | None = _HIPS,
) -> np.ndarray:
    """(T, J, 3) twice at a constant rate → (S, 3): at every shift of whole frames, S of them within ±max_lag_ms, the
    product of predicted(t) and true(t − shift), and the squared lengths of both. Those of several clips may be added.

    Over all joints at once, by position or by velocity, without the mean of every shift. The same predicted frames
    are compared at every shift: those a whole range away from both ends and, where `counted` (T,) bool is given,
    marked in it. All zeros where fewer than ten frames can be compared.
    """
    a = _about_hips(np.asarray(predicted, np.float64), hips)
    b = _about_hips(np.asarray(true, np.float64), hips)
    ok = np.ones(len(a), bool) if counted is None else np.asarray(counted, bool)
    if velocities:
        a, b, ok = np.diff(a, axis=0), np.diff(b, axis=0), ok[1:] & ok[:-1]
    reach = int(np.ceil(max_lag_ms / 1000.0 * fps))
    shifts = np.arange(-reach, reach + 1)
    frames = np.flatnonzero(ok)
    frames = frames[(frames >= reach) & (frames < len(a) - reach)]
    if len(frames) < LAG_MIN_FRAMES:
        return np.zeros((len(shifts), 3))
    now = a[frames].reshape(len(frames), -1)
    then = b[frames - shifts[:, None]].reshape(len(shifts), len(frames), -1)
    now, then = now - now.mean(axis=0), then - then.mean(axis=1, keepdims=True)
    product = np.einsum("td,ktd->k", now, then)
    return np.stack((product, np.full(len(shifts), (now**2).sum()), (then**2).sum(axis=(1, 2))), axis=1)


def lag_of(match: np.ndarray, fps: float) -> float:
    """(S, 3) of lag_match, or a sum of such → the delay of the prediction, ms; positive: it comes late.

    The shift of the best correlation: whole frames first, then the vertex of the parabola through the best three. So
    neither a constant offset nor damped motion is a lag. nan where nothing moves, or the best shift lies at the border.
    """
    lengths = np.sqrt(match[:, 1] * match[:, 2])
    if lengths.min() < 1e-12:
        return float("nan")
    agreement = match[:, 0] / lengths
    best = int(agreement.argmax())
    if best in (0, len(match) - 1):
        return float("nan")
    before, top, after = agreement[best - 1 : best + 2]
    curvature = before - 2.0 * top + after
    if curvature > -1e-9:  # motion along one straight line matches at every shift
        return float("nan")
    return float((best - len(match) // 2 + 0.5 * (before - after) / curvature) * 1000.0 / fps)


def lag_ms(predicted: np.ndarray, true: np.ndarray, fps: float, **options: Any) -> float:
    """The lag of one clip: see lag_match for the arguments and lag_of for the result."""
    return lag_of(lag_match(predicted, true, fps, **options), fps)


def flips(
    predicted: np.ndarray,
    true: np.ndarray,
    pairs: np.ndarray = LIMB_PAIRS,
    margin_mm: float = FLIP_MARGIN_MM,
    hips: np.ndarray | None = _HIPS,
) -> np.ndarray:
    """(T, J, 3) twice, (P, 2) left and right joints → (T,) bool, left and right exchanged; the mean is the flip rate.

    A frame is flipped if exchanging left and right in the prediction lowers its mean distance over the paired joints
    by more than the margin, hips laid together. Not after Procrustes: that turns an exchanged flat pose around, and
    the two errors become one. For arms or legs alone pass only their pairs.
    """
    a, b = _about_hips(predicted, hips), _about_hips(true, hips)
    kept, swapped = a[:, pairs.ravel()], a[:, pairs[:, ::-1].ravel()]
    true_pairs = b[:, pairs.ravel()]
    as_is = np.linalg.norm(kept - true_pairs, axis=-1).mean(axis=1)
    exchanged = np.linalg.norm(swapped - true_pairs, axis=-1).mean(axis=1)
    return (as_is - exchanged) * 1000.0 > margin_mm


def rotation_error_deg(predicted: np.ndarray, true: np.ndarray) -> np.ndarray:
    """(…, 3, 3) twice → (…) geodesic distance on SO(3), degrees in [0, 180]: the angle of RᵀR'.

    (T, 24, 3, 3) gives it per joint. By sine and cosine together: the arc cosine of the trace alone loses half the
    digits near 0° and 180°.
    """
    between = np.swapaxes(np.asarray(true, np.float64), -1, -2) @ np.asarray(predicted, np.float64)
    axis = np.stack(
        [between[..., i, j] - between[..., j, i] for i, j in ((2, 1), (0, 2), (1, 0))], axis=-1
    )  # 2 sin(angle) times the axis
    trace = np.trace(between, axis1=-2, axis2=-1)
    return np.degrees(np.arctan2(np.linalg.norm(axis, axis=-1), trace - 1.0))


def mean_rotation(rotations: np.ndarray, weights: np.ndarray | None = None) -> np.ndarray:
    """(N, …, 3, 3), weights (N,) → (…, 3, 3) the rotation with the least summed squared difference to all of them."""
    moment = np.average(np.asarray(rotations, np.float64), axis=0, weights=weights)
    U, _, Vt = np.linalg.svd(moment)
    U[..., 2] *= np.sign(np.linalg.det(U @ Vt))[..., None]
    return U @ Vt


def knee_flexion_deg(rotations: np.ndarray) -> np.ndarray:
    """(T, 24, 3, 3) local rotations → (T, 2) angle of left and right knee, degrees; 0 is a straight leg."""
    knees = rotations[:, [JOINT_NAMES.index("left_knee"), JOINT_NAMES.index("right_knee")]]
    # The angle between thigh and shank, both −y in the T-pose: twist does not count.
    return np.degrees(np.arccos(np.clip(knees[..., 1, 1], -1.0, 1.0)))
