"""HMMR's supervised losses on windows with full truth (§3.2–3.3), on what our network gives.

The weights were chosen so that in a trained network no term is over half of the sum.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from engines.network.model import HMMRLive
from realtime.body.skeleton import JOINT_NAMES
from realtime.body.smpl import Body
from training.body_torch import TorchBody
from training.noise import Markers

W_KEYPOINTS_2D = 6.0  # L1 in half crops
W_POINTS_3D = 24.0  # mean distance in metres, joints and markers
W_ROTATIONS = 3.0
W_VELOCITY = 32.0  # of the points, metres per frame: what keeps the stream from trembling …
W_ACCELERATION = 24.0  # … without dragging behind
W_BETAS = 0.05
W_CONSTANT_SHAPE = 0.5
W_DYNAMICS_3D = 16.0
W_DYNAMICS_ROTATIONS = 2.0
W_HALLUCINATION = 0.5
W_HALLUCINATED = 0.3  # share of the single-frame losses on the hallucinated strip
# Neighbouring frames say nearly the same: these losses read only every so many.
DYNAMICS_EVERY, HALLUCINATED_EVERY = 2, 4

FARTHEST_KEYPOINT = 2.5  # half crops

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


class WindowLoss(nn.Module):
    """loss(model, batch of tensors) → sum and its parts."""

    def __init__(self, body: Body, markers: Markers) -> None:
        super().__init__()
        self.body = TorchBody(body, vertex_indices=[0])
        self.register_buffer("seat", torch.from_numpy(markers.seat))
        self.register_buffer("carrier", torch.from_numpy(markers.carrier))
        self.register_buffer("offset", torch.from_numpy(markers.offset).float())
        weights = [
            next((weight for name, weight in _ROTATION_WEIGHT.items() if joint.endswith(name)), 1.0)
            for joint in JOINT_NAMES
        ]
        self.register_buffer("rotation_weight", torch.tensor(weights) / sum(weights))

    def points(self, pose: Tensor, betas: Tensor) -> Tensor:
        """(…, 24, 3, 3), (…, 10) → (…, 57, 3): 24 joints and 33 markers about the pelvis, metres."""
        joints, transforms = self.body.joints(pose, betas)
        turned = (transforms[..., self.carrier, :, :3] @ self.offset[:, :, None])[..., 0]
        points = torch.cat((joints, joints[..., self.seat, :] + turned), dim=-2)
        return points - joints[..., :1, :]

    def rotation_error(self, pose: Tensor, true: Tensor) -> Tensor:
        return (((pose - true) ** 2).sum(dim=(-1, -2)) * self.rotation_weight).sum(-1).mean()

    def single(
        self, model: HMMRLive, theta6d: Tensor, batch: dict[str, Tensor], true_points: Tensor
    ) -> dict[str, Tensor]:
        """Losses of one reading of f3D on (B, T)."""
        camera, pose, betas = model.decode(theta6d)
        points = self.points(pose, betas)
        flat = camera[..., None, :1] * (points[..., :24, :2] + camera[..., None, 1:])
        # A joint beside or behind the camera projects anywhere: one such would outweigh a thousand others.
        near = (batch["keypoints"].abs() < FARTHEST_KEYPOINT).all(-1, keepdim=True)
        off = points - true_points
        true_betas = batch["betas"][:, None].expand_as(betas)
        return {
            "keypoints": W_KEYPOINTS_2D * ((flat - batch["keypoints"]).abs() * near).mean(),
            "points": W_POINTS_3D * _distance(off).mean(),
            "velocity": W_VELOCITY * _distance(off.diff(dim=1)).mean(),
            "acceleration": W_ACCELERATION * _distance(off.diff(dim=1, n=2)).mean(),
            "rotations": W_ROTATIONS * self.rotation_error(pose, batch["rotations"]),
            "betas": W_BETAS * ((betas - true_betas) ** 2).mean(),
            "shape": W_CONSTANT_SHAPE * (betas.diff(dim=1) ** 2).mean(),
        }

    def dynamics(
        self, model: HMMRLive, strip: Tensor, theta6d: Tensor, batch: dict[str, Tensor]
    ) -> dict[str, Tensor]:
        """Losses of fΔt from the network's own pose: what is learned is the change, not the pose once more."""
        _, pose, betas = model.decode(theta6d.detach())
        ahead = model.dynamics(strip, pose, batch["dt_ahead_ms"])
        true = self.points(batch["ahead"], batch["betas"][:, None].expand_as(betas))
        return {
            "ahead": W_DYNAMICS_3D * _distance(self.points(ahead, betas) - true).mean(),
            "ahead_rot": W_DYNAMICS_ROTATIONS * self.rotation_error(ahead, batch["ahead"]),
        }

    def forward(self, model: HMMRLive, batch: dict[str, Tensor]) -> tuple[Tensor, dict[str, float]]:
        out = model(batch["features"])
        true_points = self.points(
            batch["rotations"], batch["betas"][:, None].expand(*batch["features"].shape[:2], 10)
        )
        parts = self.single(model, out.theta6d, batch, true_points)
        some = slice(None, None, DYNAMICS_EVERY)
        parts |= self.dynamics(model, out.movie_strip[:, some], out.theta6d[:, some], _frames(batch, some))
        parts["hallucination"] = W_HALLUCINATION * ((out.hallucinated - out.encoded.detach()) ** 2).mean()
        some = slice(None, None, HALLUCINATED_EVERY)
        guessed = self.single(
            model, model.f3d(out.hallucinated[:, some]), _frames(batch, some), true_points[:, some]
        )
        for name in ("keypoints", "points", "rotations"):
            parts[f"single_{name}"] = W_HALLUCINATED * guessed[name]
        total = torch.stack(list(parts.values())).sum()
        return total, {name: float(value.detach()) for name, value in parts.items()}


def _frames(batch: dict[str, Tensor], some: slice) -> dict[str, Tensor]:
    """The batch at some of its frames; betas (B, 10) hold for all."""
    return {name: value if name == "betas" else value[:, some] for name, value in batch.items()}


def _distance(vectors: Tensor) -> Tensor:
    return (vectors.square().sum(dim=-1) + 1e-8).sqrt()
