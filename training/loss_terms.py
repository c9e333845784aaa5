"""The parts that HMMR's losses are made of (Kanazawa et al., CVPR 2019, §3.1–3.3). Plain functions on tensors, fp32."""

from __future__ import annotations

import torch
from torch import Tensor

from realtime.features import NOMINAL_DT_S

# HMMR holds the scale of the closed-form camera in [.7, 10] of keypoints in [−1, 1]. Our crop is the same, 1.493 ×
# the box's diagonal, but people raise and spread their arms before it: 2.7 m of diagonal are a scale of .49.
SCALE_RANGE = (0.4, 10.0)
# No step counts as shorter: a picture that came early would shout down all others, by its square in accelerations.
SHORTEST_DT_S = 1.0 / 60.0
SOFT_M = 0.05
SOFT_DELAY = 0.5  # 1/30 s: about what the delay of one batch differs from that of the next
# Of the true motion: a network that knows nothing yet tells none, and what tells none has no delay.
LEAST_TOLD = 0.2


def distance(vectors: Tensor) -> Tensor:
    """(…, 3) → (…) lengths, with a gradient at zero."""
    return (vectors.square().sum(dim=-1) + 1e-8).sqrt()


def soft_distance(vectors: Tensor) -> Tensor:
    """(…, 3) metres → (…): lengths, but squares where they are well below SOFT_M.

    For what is foretold: with plain lengths a head that knows nothing yet pays for every bit that it says on a frame
    where nobody moves, and falls silent for good (measured: every unit dead after a hundred steps).
    """
    return (vectors.square().sum(dim=-1) + SOFT_M**2).sqrt() - SOFT_M


def weighted_mean(values: Tensor, weights: Tensor) -> Tensor:
    """Σ w·v / Σ w over everything; 0 where all weights are."""
    return (values * weights).sum() / weights.sum().clamp(min=1e-6)


def reprojection(flat: Tensor, target: Tensor, weights: Tensor) -> Tensor:
    """L1 in half crops. flat, target (…, K, 2), weights (…, K) ≥ 0 → weighted mean over points and both axes.

    Targets of weight 0 may be nan.
    """
    target = torch.where(weights[..., None] > 0, target, flat.detach())
    return weighted_mean((flat - target).abs().mean(dim=-1), weights)


def project(camera: Tensor, points: Tensor) -> Tensor:
    """Weak perspective: camera (…, 3) [s, tx, ty], points (…, K, 3) metres → (…, K, 2) half crops, s·(X_xy + t)."""
    return camera[..., None, :1] * (points[..., :2] + camera[..., None, 1:])


@torch.no_grad()
def closed_form_camera(points: Tensor, target: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
    """Scale (…, 1, 1) and shift (…, 1, 2) of least squares: s·X_xy + shift ≈ target (HMMR §3.2).

    points (…, K, 3 or 2), target (…, K, 2), weights (…, K) ≥ 0. Only scale and translation; the scale is held in
    SCALE_RANGE, the shift is the best one for it. No gradient flows through either. Targets of weight 0 may be nan.
    """
    share = (weights / weights.sum(dim=-1, keepdim=True).clamp(min=1e-6))[..., None]
    x, y = points[..., :2], torch.where(weights[..., None] > 0, target, 0.0)
    x_mean, y_mean = (share * x).sum(dim=-2, keepdim=True), (share * y).sum(dim=-2, keepdim=True)
    off_x, off_y = x - x_mean, y - y_mean
    along = (share * off_x * off_y).sum(dim=(-1, -2), keepdim=True)
    scale = along / (share * off_x.square()).sum(dim=(-1, -2), keepdim=True).clamp(min=1e-8)
    scale = scale.clamp(*SCALE_RANGE)
    return scale, y_mean - scale * x_mean


def velocity_error(off: Tensor, dt_s: Tensor, stride: int = 1) -> Tensor:
    """Mean length of the error's velocity, metres per 1/30 s; see `acceleration_error`."""
    return distance(_velocity(off, _steps(dt_s, stride), stride)).mean()


def acceleration_error(off: Tensor, dt_s: Tensor, stride: int = 1) -> Tensor:
    """Mean length of the error's acceleration, metres per (1/30 s)².

    off (B, T, K, 3) predicted minus true, dt_s (B, T) seconds since the frame before; over `stride` frames. Divided
    by the true time between the frames: windows of 60, 30 and 5 pictures a second then speak of the same motion,
    while per frame² those of 5 would drown the rest. On even frames 1/30 s apart it is the acceleration error of
    training/metrics.py. A length, not its square: that is what is measured, and one jump weighs as much as it is long.
    """
    steps = _steps(dt_s, stride)
    velocity = _velocity(off, steps, stride)
    between = (steps[:, :-stride] + steps[:, stride:])[..., None, None] / 2.0
    return distance((velocity[:, stride:] - velocity[:, :-stride]) / between).mean()


def mean_delay(predicted: Tensor, true: Tensor, dt_s: Tensor) -> Tensor:
    """How late predictions come, in 1/30 s, over all windows at once: (), below 0 where they come early.

    predicted, true (B, T, K, 3) metres, dt_s (B, T) seconds since the frame before. Who says at t where things were d
    before is off by −d·v. So it is what is wrong along the true velocity, over how much of that velocity is told: the
    first step to where the correlation of both is greatest, which is the lag of training/metrics.py. Neither constant
    offsets nor damped motion are a delay.
    """
    steps = _steps(dt_s, 2)
    velocity, told = _velocity(true, steps, 2), _velocity(predicted.detach(), steps, 2)
    off = (predicted - true)[:, 1:-1]
    off = off - off.mean(dim=1, keepdim=True)
    moved = torch.maximum((told * velocity).sum(), LEAST_TOLD * velocity.square().sum())
    return -(off * velocity).sum() / moved.clamp(min=1e-9)


def soft_size(value: Tensor, soft: float) -> Tensor:
    """|value|, but its square where it is well below `soft`: so small a one, measured on one batch, may be chance."""
    return (value.square() + soft**2).sqrt() - soft


def _steps(dt_s: Tensor, stride: int) -> Tensor:
    """(B, T) → (B, T − stride): time from frame t to t + stride, in 1/30 s."""
    time = dt_s.clamp(min=SHORTEST_DT_S).cumsum(dim=1) / NOMINAL_DT_S
    return time[:, stride:] - time[:, :-stride]


def _velocity(off: Tensor, steps: Tensor, stride: int) -> Tensor:
    return (off[:, stride:] - off[:, :-stride]) / steps[..., None, None]


def hallucination_error(hallucinated: Tensor, encoded: Tensor) -> Tensor:
    """Mean square of what the hallucinator misses, as a share of the strip's own mean square; (…, D) twice.

    The strip is the target and gets no gradient. Scaling both by one number changes nothing, so the loss cannot be
    lowered by making the strip small, nor does it grow with one that drifts.
    """
    target = encoded.detach()
    return (hallucinated - target).square().mean() / target.square().mean().clamp(min=1e-12)


def strip_size(encoded: Tensor) -> Tensor:
    """log² of the strip's mean square: 0 where it is 1. Nothing else holds the size of Φ, which would drift."""
    return encoded.square().mean().clamp(min=1e-12).log().square()


def nearest_frames(dt_s: Tensor, dt_ahead_ms: Tensor) -> tuple[Tensor, Tensor]:
    """For each frame of a window the frame of it that is nearest to dt_ahead later.

    (B, T) twice → index (B, T) int64, and the time (B, T) to it, ms; negative: before.
    """
    time = dt_s.cumsum(dim=1) * 1000.0
    index = (time[:, None, :] - (time + dt_ahead_ms)[:, :, None]).abs().argmin(dim=-1)
    return index, time.gather(1, index) - time
