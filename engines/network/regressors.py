"""The heads on the movie strip: f3D (camera, pose, shape now) and fΔt (pose a moment away)."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engines.network.config import POSE6D_SIZE, POSE_JOINTS, THETA6D_SIZE, NetworkConfig
from engines.network.rotations import matrix_to_rotation6d, rotation_basis, rotation_vector_to_matrix

TIME_EMBEDDING = 4
SLOPE = 0.1  # of fΔt's hidden units below zero


def rest_theta6d() -> Tensor:
    """(157,) where f3D starts unless trained otherwise: camera (.9, 0, 0), rest pose upright, zero betas.

    The body's y points up and the camera's down: the pelvis is turned by π about x, all else is the identity.
    """
    joint = torch.tensor([1.0, 0, 0, 0, 1, 0])
    pelvis = torch.tensor([1.0, 0, 0, 0, -1, 0])
    pose = torch.cat((pelvis, joint.repeat(POSE_JOINTS - 1)))
    return torch.cat((torch.tensor([0.9, 0.0, 0.0]), pose, torch.zeros(10)))


class Head(nn.Module):
    """What the two heads share: dropout on their hidden layers, in training only."""

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.dropout = float(config.dropout)

    def drop(self, inner: Tensor) -> Tensor:
        """(…, H) → (…, H). Costs a live step nothing, as a module of its own would."""
        return F.dropout(inner, self.dropout) if self.training else inner


class IterativeRegressor(Head):
    """f3D: Φ → Θ' by iterative error feedback (HMR, HMMR §3.2); one set of weights for all iterations.

    Θ' (157): camera [s, tx, ty] 0:3, 24 rotations in 6-D 3:147 (global orientation first), betas 147:157.
    The first layer W₁·[Φ; Θ'] is kept as W_Φ·Φ + W_Θ·Θ': the same function, and the larger half is computed
    once instead of once per iteration.
    """

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__(config)
        self.iterations = config.iterations
        self.mean_theta = nn.Parameter(rest_theta6d())
        self.from_strip = nn.Linear(config.width, config.head_width)
        self.from_theta = nn.Linear(THETA6D_SIZE, config.head_width, bias=False)
        self.hidden = nn.Linear(config.head_width, config.head_width)
        self.out = nn.Linear(config.head_width, THETA6D_SIZE)
        initialise_split_layer(self.from_strip, self.from_theta)
        nn.init.xavier_uniform_(self.out.weight, gain=0.01)
        nn.init.zeros_(self.out.bias)

    def iterates(self, movie_strip: Tensor) -> list[Tensor]:
        """Φ (…, D) → Θ' (…, 157) after each iteration."""
        from_strip = self.from_strip(movie_strip)
        theta = self.mean_theta.expand(*movie_strip.shape[:-1], THETA6D_SIZE)
        results = []
        for _ in range(self.iterations):
            inner = self.hidden(self.drop(torch.relu(from_strip + self.from_theta(theta))))
            theta = theta + self.out(self.drop(torch.relu(inner)))
            results.append(theta)
        return results

    def forward(self, movie_strip: Tensor) -> Tensor:
        """Φ (…, D) → Θ' (…, 157) of the last iteration."""
        return self.iterates(movie_strip)[-1]


class DynamicsHead(Head):
    """fΔt for any Δt in ±horizon_ms: Φ and the pose now → the pose at t + Δt.

    It predicts per joint the RELATIVE rotation R_tᵀ·R_{t+Δt} as a rotation vector that is multiplied by
    Δt / horizon: at Δt = 0 the answer is exactly the pose now, an untrained head holds the last pose, and
    the weights have only the change to learn. HMMR's head gives the absolute pose; measured, such a head only
    re-learns the static pose and errs more than holding the last one (relative: 5 % less than holding).
    HMMR iterates thrice because its output starts far from the answer; a relative rotation starts beside it,
    so one pass is made and the time goes into more horizons.

    Before Φ tells it of motion, all that the head can say is noise, and the cheapest way to say nothing is to silence
    its units: plain ReLUs were all dead after a hundred steps, and Φ never learned what nobody asked for. So units
    leak, and a linear way past them, zero at first, hands Φ its share of the error from the first step.
    """

    basis: Tensor

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__(config)
        self.horizon_ms = float(config.horizon_ms)
        self.from_strip = nn.Linear(config.width, config.head_width)
        self.from_pose = nn.Linear(POSE6D_SIZE, config.head_width, bias=False)
        self.from_time = nn.Linear(TIME_EMBEDDING, config.head_width, bias=False)
        self.hidden = nn.Linear(config.head_width, config.head_width)
        self.out = nn.Linear(config.head_width, POSE_JOINTS * 3)
        initialise_split_layer(self.from_strip, self.from_pose, self.from_time)
        nn.init.xavier_uniform_(self.out.weight, gain=0.01)
        nn.init.zeros_(self.out.bias)
        self.direct = nn.Linear(config.width, POSE_JOINTS * 3, bias=False)
        nn.init.zeros_(self.direct.weight)
        self.register_buffer("basis", rotation_basis(), persistent=False)

    def relative(self, movie_strip: Tensor, pose_matrix: Tensor, dt_ms: Tensor) -> Tensor:
        """Rotation vectors (…, 24, 3), radians, of R_tᵀ·R_{t+Δt}; arguments as in `forward`."""
        ratio = (dt_ms / self.horizon_ms).unsqueeze(-1)
        angle = math.pi * ratio
        time = torch.cat((ratio, ratio * ratio, torch.sin(angle), torch.cos(angle)), dim=-1)
        # Leading shapes broadcast: Φ and pose are taken in once, however many horizons are asked for.
        pose6d = matrix_to_rotation6d(pose_matrix).flatten(-2)
        inner = self.from_strip(movie_strip) + self.from_pose(pose6d) + self.from_time(time)
        inner = self.hidden(self.drop(F.leaky_relu(inner, SLOPE)))
        vectors = self.out(self.drop(F.leaky_relu(inner, SLOPE))) + self.direct(movie_strip)
        return (vectors * ratio).unflatten(-1, (POSE_JOINTS, 3))

    def forward(self, movie_strip: Tensor, pose_matrix: Tensor, dt_ms: Tensor) -> Tensor:
        """Φ (…, D), rotations now (…, 24, 3, 3), Δt (…) in ms → rotations at t + Δt (…, 24, 3, 3).

        The leading shapes broadcast against each other: (1, D), (1, 24, 3, 3) and (K,) give K horizons.
        """
        vectors = self.relative(movie_strip, pose_matrix, dt_ms)
        return pose_matrix @ rotation_vector_to_matrix(vectors, self.basis)


def initialise_split_layer(*parts: nn.Linear) -> None:
    """Initialise the parts of one split linear layer as the whole layer would be (its full fan-in)."""
    bound = 1 / math.sqrt(sum(part.in_features for part in parts))
    for part in parts:
        nn.init.uniform_(part.weight, -bound, bound)
        if part.bias is not None:
            nn.init.uniform_(part.bias, -bound, bound)
