"""A small batch of windows with their truth, a small network and markers, for the tests of losses and training."""

from __future__ import annotations

import torch
from torch import Tensor

from engines.network.config import NetworkConfig
from engines.network.model import HMMRLive
from engines.network.rotations import rotation_basis, rotation_vector_to_matrix
from training.loss_terms import project
from training.losses import JOINTS, MARKERS, WindowLoss

FEATURES = 20

# These tensors are tiny: on a busy machine threads that wait for each other take seconds over a step.
torch.set_num_threads(1)


def small_network(seed: int = 0, delay: int = 0) -> HMMRLive:
    torch.manual_seed(seed)
    return HMMRLive(
        NetworkConfig(
            feature_dim=FEATURES, feature_version=2, model_id="test", width=64, head_width=32, groups=8,
            dropout=0.0, delay=delay,
        )
    )  # fmt: skip


def random_rotations(*lead: int) -> Tensor:
    return rotation_vector_to_matrix(0.4 * torch.randn(*lead, 24, 3), rotation_basis())


def random_batch(loss: WindowLoss, windows: int = 3, frames: int = 8, seed: int = 0) -> dict[str, Tensor]:
    """Everything but the features hangs together: keypoints and landmarks are those of the rotations."""
    torch.manual_seed(seed)
    rotations = random_rotations(windows, frames)
    betas = torch.randn(windows, 10)
    points = loss.points(rotations, betas[:, None].expand(-1, frames, -1))
    flat = project(torch.tensor([0.8, 0.0, 0.0]).expand(windows, frames, 3), points)
    return {
        "features": torch.randn(windows, frames, FEATURES),
        "dt_s": torch.rand(windows, frames) * 0.05 + 0.02,
        "rotations": rotations,
        "ahead": random_rotations(windows, frames),
        "dt_ahead_ms": torch.rand(windows, frames) * 400.0 - 200.0,
        "betas": betas,
        "keypoints": flat[..., JOINTS, :],
        "landmarks": flat[..., MARKERS, :],
        "landmark_weight": torch.rand(windows, frames, 33),
        "has_3d": torch.ones(windows),
    }
