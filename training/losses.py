"""HMMR's losses on a batch of windows (Kanazawa et al., CVPR 2019, §3.1–3.3), on what our network gives.

Windows of three tiers stand side by side in a batch. Where the truth is known in 3-D (`has_3d`) everything counts.
Elsewhere only `landmarks` is true, and what counts is the reprojection of the markers, now and at t + Δt, the
adversarial prior, the shape's prior and constancy, and the hallucinator; the placeholders that stand for the rest are
not so much as read.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import NamedTuple

import torch
from torch import Tensor, nn

from engines.network.model import ClipOutput, HMMRLive
from engines.network.rotations import rotation_vector_to_matrix
from realtime.body.skeleton import JOINT_NAMES
from realtime.body.smpl import Body
from training.body_points import BodyPoints
from training.loss_terms import (
    SOFT_DELAY,
    acceleration_error,
    closed_form_camera,
    distance,
    hallucination_error,
    mean_delay,
    nearest_frames,
    project,
    reprojection,
    soft_distance,
    soft_size,
    strip_size,
    velocity_error,
)
from training.loss_weights import LossWeights
from training.noise import Markers
from training.prior import FactorisedPrior
from training.truth import DYNAMICS_EVERY, Truth

# Neighbouring frames say nearly the same: these losses read only every so many.
REPROJECTED_AHEAD_EVERY, HALLUCINATED_EVERY, PRIOR_EVERY = 4, 4, 12
ENDS_EVERY = 4  # windows; rows of a tier are drawn alike, so any will do
STRIDES = (1, 2)  # frames over which velocity and acceleration are taken
JOINTS, MARKERS = slice(0, 24), slice(24, 57)  # of the points

# Joints near the root move everything; head, wrists and ankles move nothing but themselves and would stay at the mean.
_ROTATION_WEIGHT = {
    "pelvis": 3.0,
    "head": 2.0,
    "neck": 1.5,
    "ankle": 1.5,
    "wrist": 1.5,
    "hand": 0.2,
    "foot": 0.3,
}


def with_ends(features: Tensor, delay: int) -> Tensor:
    """φ (B, T, F) as a network with look-ahead is fed it: in every so many windows nothing comes after frame T − delay.

    The frames that still wait are then answered as realtime/estimator.py does it: by the last φ again, unchanged,
    `delay` times. Steps and answers stay as many: T, and those of the first T − delay frames.
    """
    if not delay:
        return features
    features = features.clone()
    last = features.shape[1] - delay - 1
    features[::ENDS_EVERY, last + 1 :] = features[::ENDS_EVERY, last : last + 1]
    return features


class LossResult(NamedTuple):
    total: Tensor
    parts: dict[str, Tensor]  # weighted, detached; they add up to the total
    made_up: Tensor  # (N, 24, 3, 3) poses for the discriminator, detached
    real: Tensor  # (M, 24, 3, 3) true ones


class WindowLoss(nn.Module):
    """loss(model, batch of tensors, prior or None) → LossResult.

    delay: frames that the network's answer comes late (NetworkConfig.delay): at step t it is held against frame
    t − delay, and the first steps against nothing; `with_ends` says what it is fed. mixed: the network's products in
    bfloat16, where the loss, the rotations and the body stay in float32.
    """

    def __init__(
        self,
        body: Body,
        markers: Markers,
        weights: LossWeights | None = None,
        delay: int = 0,
        mixed: bool = False,
    ) -> None:
        super().__init__()
        self.weights = weights or LossWeights()
        self.delay, self.mixed = delay, mixed
        self.points = BodyPoints(body, markers)
        of_joints = [
            next((weight for name, weight in _ROTATION_WEIGHT.items() if joint.endswith(name)), 1.0)
            for joint in JOINT_NAMES
        ]
        self.register_buffer("rotation_weight", torch.tensor(of_joints) / sum(of_joints))

    def rotation_error(self, pose: Tensor, true: Tensor) -> Tensor:
        return (((pose - true) ** 2).sum(dim=(-1, -2)) * self.rotation_weight).sum(-1).mean()

    def forward(
        self, model: HMMRLive, batch: dict[str, Tensor], prior: FactorisedPrior | None = None
    ) -> LossResult:
        with self._autocast(batch["features"]):
            features = with_ends(batch["features"], self.delay)
            out = ClipOutput(*(part.float() for part in model(features)))
        out = ClipOutput(*(part[:, self.delay :] for part in out))
        truth = Truth(self.points, batch, out.theta6d.shape[1])
        parts, pose, points, betas = self._single(model, out.theta6d, truth)
        if truth.any_3d:
            parts |= self._over_time(truth.in_3d(points), truth.points, truth.in_3d(truth.dt_s))
        parts["shape"] = (betas.diff(dim=1) ** 2).mean()
        made_up = [pose[:, ::PRIOR_EVERY].flatten(0, 1)]
        if self.weights.dynamics > 0:
            ahead = self._dynamics(model, out.movie_strip, pose, points, betas, truth)
            flat, foretold = self._reprojected_ahead(model, out.movie_strip, pose, betas, truth)
            made_up.append(foretold.flatten(0, 1)[:: PRIOR_EVERY // REPROJECTED_AHEAD_EVERY])
            scale = self.weights.dynamics
            parts |= {name: scale * value for name, value in (ahead | flat).items()}
        parts["hallucination"] = hallucination_error(out.hallucinated, out.encoded)
        parts["strip_size"] = strip_size(out.encoded)
        if self.weights.hallucinated > 0:
            parts |= self._from_hallucinated(model, out.hallucinated, truth)
        if prior is not None:
            parts |= self._plausibility(prior, made_up)
        weighted = {name: self._weight(name) * value for name, value in parts.items()}
        weighted = {name: value for name, value in weighted.items() if self._weight(name) > 0}
        real = truth.rotations[:, ::PRIOR_EVERY].flatten(0, 1)
        return LossResult(
            torch.stack(list(weighted.values())).sum(),
            {name: value.detach() for name, value in weighted.items()},
            torch.cat(made_up).detach(),
            real,
        )

    def single(
        self, model: HMMRLive, theta6d: Tensor, batch: dict[str, Tensor], true_points: Tensor | None = None
    ) -> dict[str, Tensor]:
        """The weighted losses of one reading of f3D (B, T, 157) alone, frame by frame.

        true_points (B, T, 57, 3): where they are worked out already, for batches with 3-D in every window.
        """
        truth = Truth(self.points, batch, theta6d.shape[1])
        if true_points is not None:
            truth.points = true_points
        parts, *_ = self._single(model, theta6d, truth)
        return {name: self._weight(name) * value for name, value in parts.items()}

    def _weight(self, name: str) -> float:
        return float(getattr(self.weights, name.removeprefix("single_")))

    def _autocast(self, like: Tensor) -> AbstractContextManager[None]:
        return torch.autocast(like.device.type, torch.bfloat16, enabled=self.mixed)

    def _single(
        self, model: HMMRLive, theta6d: Tensor, truth: Truth, every: int = 1
    ) -> tuple[dict[str, Tensor], Tensor, Tensor, Tensor]:
        """Losses of one reading of f3D on every so many frames, with its pose, points and betas."""
        camera, pose, betas = model.decode(theta6d)
        points = self.points(pose, betas)
        flat = project(camera, points)
        some = slice(None, None, every)
        parts = {
            "landmarks": reprojection(
                flat[..., MARKERS, :], truth.landmarks[:, some], truth.landmark_weight[:, some]
            ),
            "shape_prior": betas.square().mean(),
        }
        if truth.any_3d:
            parts |= {
                "keypoints": reprojection(
                    truth.in_3d(flat[..., JOINTS, :]),
                    truth.keypoints[:, some],
                    truth.keypoint_weight[:, some],
                ),
                "points": distance(truth.in_3d(points) - truth.points[:, some]).mean(),
                "rotations": self.rotation_error(truth.in_3d(pose), truth.rotations[:, some]),
                "betas": (truth.in_3d(betas) - truth.betas[:, some]).square().mean(),
            }
        return parts, pose, points, betas

    @staticmethod
    def _over_time(points: Tensor, true: Tensor, dt_s: Tensor) -> dict[str, Tensor]:
        """points, true (B, T, 57, 3) metres."""
        off = points - true
        return {
            "lag": soft_size(mean_delay(points, true, dt_s), SOFT_DELAY),
            "velocity": torch.stack([velocity_error(off, dt_s, stride) for stride in STRIDES]).mean(),
            "acceleration": torch.stack([acceleration_error(off, dt_s, stride) for stride in STRIDES]).mean(),
        }

    def _foretell(self, model: HMMRLive, strip: Tensor, pose: Tensor, dt_ms: Tensor) -> Tensor:
        """fΔt, its turns made matrices in fp32."""
        with self._autocast(strip):
            vectors = model.dynamics.relative(strip, pose, dt_ms)
        return pose @ rotation_vector_to_matrix(vectors.float(), model.dynamics.basis)

    def _dynamics(
        self,
        model: HMMRLive,
        strip: Tensor,
        pose: Tensor,
        points: Tensor,
        betas: Tensor,
        truth: Truth,
    ) -> dict[str, Tensor]:
        """Losses of fΔt in 3-D, from the network's own pose: what is learned is the change, not the pose once more.

        That pose gets no gradient from here: a pose that is easily foretold is not what is wanted. All arguments over
        all frames; every DYNAMICS_EVERY-th is used.
        """
        if not truth.any_3d:
            return {}
        every = DYNAMICS_EVERY
        some = slice(None, None, every)
        strip, pose, points, betas = (
            truth.in_3d(part[:, some]) for part in (strip, pose.detach(), points.detach(), betas.detach())
        )
        ahead = self._foretell(model, strip, pose, truth.dt_ahead_ms[:, some])
        true_ahead, true_now = truth.points_ahead(every), truth.points[:, some]
        there = self.points(ahead, betas)
        return {
            "ahead_points": soft_distance(there - true_ahead).mean(),
            "ahead_change": soft_distance((there - points) - (true_ahead - true_now)).mean(),
            "ahead_rotations": self.rotation_error(ahead, truth.ahead[:, some]),
        }

    def _reprojected_ahead(
        self, model: HMMRLive, strip: Tensor, pose: Tensor, betas: Tensor, truth: Truth
    ) -> tuple[dict[str, Tensor], Tensor]:
        """Reprojection of fΔt at another frame of the same window, and the poses there: any tier has that truth.

        The camera is solved in closed form (HMMR §3.2). Both frames have crops of their own; over 200 ms their rays
        turn by a degree or two, which is left out.
        """
        some = slice(None, None, REPROJECTED_AHEAD_EVERY)
        index, dt_ms = nearest_frames(truth.dt_s, truth.all_dt_ahead_ms)
        index, dt_ms = index[:, some], dt_ms[:, some]
        within = (dt_ms.abs() <= model.dynamics.horizon_ms)[..., None].float()
        ahead = self._foretell(model, strip[:, some], pose[:, some].detach(), dt_ms)
        points = self.points(ahead, betas[:, some].detach())
        rows = torch.arange(len(index), device=index.device)[:, None]
        target, weight = truth.flat_points(rows, index)
        weight = weight * within
        scale, shift = closed_form_camera(points, target, weight)
        return {"ahead_keypoints": reprojection(scale * points[..., :2] + shift, target, weight)}, ahead

    def _from_hallucinated(self, model: HMMRLive, hallucinated: Tensor, truth: Truth) -> dict[str, Tensor]:
        """The losses of one frame and of fΔt on what the hallucinator guessed from each frame alone (HMMR §3.3)."""
        every = HALLUCINATED_EVERY
        strip = hallucinated[:, ::every]
        with self._autocast(strip):
            theta6d = model.f3d(strip)
        parts, pose, _, betas = self._single(model, theta6d.float(), truth, every)
        del parts["shape_prior"]
        if self.weights.dynamics > 0 and truth.any_3d:
            some = slice(None, None, every)
            strip, pose, betas = (truth.in_3d(part) for part in (strip, pose.detach(), betas.detach()))
            ahead = self._foretell(model, strip, pose, truth.dt_ahead_ms[:, some])
            off = self.points(ahead, betas) - truth.points_ahead(every)
            parts["ahead_points"] = self.weights.dynamics * soft_distance(off).mean()
        return {f"single_{name}": self.weights.hallucinated * value for name, value in parts.items()}

    def _plausibility(self, prior: FactorisedPrior, made_up: list[Tensor]) -> dict[str, Tensor]:
        names = ("adversarial", "ahead_adversarial")
        factors = (self.weights.prior, self.weights.prior * self.weights.dynamics)
        with self._autocast(made_up[0]):
            return {
                name: factor * prior.plausibility_loss(poses)
                for name, factor, poses in zip(names, factors, made_up, strict=False)
            }
