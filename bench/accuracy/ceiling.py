"""What the 33 markers tell of the rotations where they are seen without any error: inverse kinematics on the true ones.

A marker on the axis of a bone does not move when the bone twists, so joints can be in their places and rotations far
off. What markers leave open is taken from the mean pose, or from all that mean and covariance of the training poses say
(which twist goes with which pose). The columns say how much of a stream's error is not one of seeing. They are no
bounds: who knows more of people than a covariance, or sees more of them than markers, gets below.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from bench.accuracy import rotations
from engines.network.rotations import rotation_basis, rotation_vector_to_matrix
from realtime.body.smpl import Body
from training.body_points import BodyPoints
from training.metrics import rotation_error_deg
from training.motion import Clip, clip_weights
from training.noise import first_markers

SIGMA_M = 0.03  # Gaussian error of every marker, per axis, where there is one
SHAPE_PULL = 1e-4  # toward betas of 0, m² per unit²
ITERATIONS = 20  # of Levenberg-Marquardt; 15 are enough on takes of the training split
_CLIP_STEP = 10  # one frame in so many speaks for its clip's poses
_RIDGE = 1e-3  # on the covariance: of 207 numbers of a pose about a third can vary


class Poses(NamedTuple):
    """What is known of poses: |by · (R − toward)|² is what one costs. R: (207,) the 23 rotations but the root's."""

    toward: Tensor  # (207,)
    by: Tensor  # (207, 207)


def about_mean(mean: np.ndarray) -> Poses:
    """mean (24, 3, 3): every joint alike, |R − R_mean|²."""
    return Poses(torch.from_numpy(mean[1:].reshape(-1).astype(np.float32)), torch.eye(207))


def gaussian(clips: list[Clip]) -> Poses:
    """The Mahalanobis distance to the poses of these clips, weighted as takes are drawn."""
    frames = [clip.rotations[::_CLIP_STEP, 1:].reshape(-1, 207) for clip in clips]
    share = np.repeat(clip_weights(clips) / [len(own) for own in frames], [len(own) for own in frames])
    poses = np.concatenate(frames).astype(np.float64)
    mean = np.average(poses, axis=0, weights=share)
    covariance = np.cov(poses, rowvar=False, aweights=share, ddof=0)
    by = np.linalg.inv(np.linalg.cholesky(covariance + _RIDGE * np.eye(207)))
    return Poses(torch.from_numpy(mean.astype(np.float32)), torch.from_numpy(by.astype(np.float32)))


@torch.no_grad()
def solve(
    points: BodyPoints,
    markers: Tensor,
    start: Tensor,
    poses: Poses,
    pull: float,
    shape_pull: float = SHAPE_PULL,
) -> tuple[Tensor, Tensor]:
    """Levenberg-Marquardt: rotations and shape that bring a body's markers onto these, each frame for itself.

    markers (N, 33, 3) metres about the pelvis, start (N, 24, 3, 3), pull: m² per unit of what a pose costs.
    → (N, 24, 3, 3), betas (N, 10).
    """
    basis = rotation_basis()

    def moved(step: Tensor, pose: Tensor, betas: Tensor) -> tuple[Tensor, Tensor]:
        turn = rotation_vector_to_matrix(step[..., :72].unflatten(-1, (24, 3)), basis)
        return pose @ turn, betas + step[..., 72:]

    def residual(step: Tensor, pose: Tensor, betas: Tensor, seen: Tensor) -> Tensor:
        pose, betas = moved(step, pose, betas)
        apart = points(pose[None], betas[None])[0, 24:] - seen
        odd = poses.by @ (pose[1:].flatten() - poses.toward)
        return torch.cat((apart.flatten(), pull**0.5 * odd, shape_pull**0.5 * betas))

    residuals, jacobian = torch.func.vmap(residual), torch.func.vmap(torch.func.jacfwd(residual))
    pose, betas = start, start.new_zeros(len(start), points.shape.shape[0])
    still, damping = start.new_zeros(len(start), 72 + betas.shape[1]), start.new_full((len(start), 1), 1e-3)
    now = residuals(still, pose, betas, markers)
    for _ in range(ITERATIONS):
        slopes = jacobian(still, pose, betas, markers)
        curvature = slopes.mT @ slopes + torch.diag_embed(damping.expand_as(still))
        step = -torch.linalg.solve(curvature, (slopes.mT @ now[..., None])[..., 0])
        then = residuals(step, pose, betas, markers)
        better = then.square().sum(dim=1, keepdim=True) < now.square().sum(dim=1, keepdim=True)
        pose, betas = moved(torch.where(better, step, still), pose, betas)
        now = torch.where(better, then, now)
        damping = torch.where(better, 0.3 * damping, 5.0 * damping).clamp(1e-9, 1e3)
    return pose, betas


def measure(
    body: Body, takes: list[tuple[np.ndarray, np.ndarray]], mean: np.ndarray, clips: list[Clip], seed: int = 0
) -> dict[str, Any]:
    """Column → frames and groups of joints, as rotations.summarise gives them, beside the mean pose on these frames.

    takes: true rotations (n, 24, 3, 3) and betas (10,) of each; n may differ. mean (24, 3, 3): rotations.mean_pose of
    the clips. Frames start at the mean pose, turned as the person is. Markers sit where anatomy says
    (training.noise.first_markers): nobody has to have been seen for it.
    """
    points = BodyPoints(body, first_markers())
    lengths = [len(own) for own, _ in takes]
    ends = np.cumsum(lengths)[:-1]
    true = np.concatenate([own for own, _ in takes]).astype(np.float32)
    betas = np.repeat(np.stack([shape for _, shape in takes]), lengths, axis=0).astype(np.float32)
    start = np.broadcast_to(mean, true.shape).astype(np.float32)
    start[:, 0] = true[:, 0]
    exact = points(torch.from_numpy(true), torch.from_numpy(betas))[:, 24:]
    noise = torch.randn(exact.shape, generator=torch.Generator().manual_seed(seed))
    noisy = exact + SIGMA_M * noise
    average, known = about_mean(mean), gaussian(clips)
    # The pull is weak enough that it decides what the markers leave open; of the known poses with noise it is σ².
    columns = {
        "true markers": (exact, average, 1e-3),
        "true markers ± 30 mm": (noisy, average, 1e-2),
        "true markers, known poses": (exact, known, 1e-5),
        "true markers ± 30 mm, known poses": (noisy, known, SIGMA_M**2),
    }
    base = rotation_error_deg(np.broadcast_to(mean, true.shape), true)
    result: dict[str, Any] = {}
    for column, (markers, poses, pull) in columns.items():
        found, _ = solve(points, markers, torch.from_numpy(start), poses, pull)
        error = rotation_error_deg(found.numpy(), true)
        per_take = [
            rotations.RotationErrors(own.mean(axis=0), of_mean.mean(axis=0), 0, float("nan"), float("nan"))
            for own, of_mean in zip(np.split(error, ends), np.split(base, ends), strict=True)
        ]
        result[column] = {"frames": len(true), "groups": rotations.summarise(per_take)["groups"]}
    return result
