"""Networks of full size with random weights in which every layer matters: what tests of engines/network look at."""

from __future__ import annotations

import torch

from engines.network.config import NetworkConfig
from engines.network.model import HMMRLive
from engines.network.rotations import rotation6d_to_matrix

FEATURES = 40
FIELD = 13  # frames that are seen

torch.set_num_threads(1)  # two threads beside other work spin against each other


def network(seed: int = 0, **sizes) -> HMMRLive:
    """Full size unless told otherwise; every layer matters (a fresh block would be the identity)."""
    torch.manual_seed(seed)
    config = NetworkConfig(feature_dim=FEATURES, feature_version=1, model_id="random", **sizes)
    model = HMMRLive(config).eval().requires_grad_(False)
    for parameter in model.parameters():
        if parameter.dim() > 1:
            torch.nn.init.normal_(parameter, std=0.8 * parameter.shape[1] ** -0.5)
        else:
            parameter.add_(0.1 * torch.randn_like(parameter))
    model.embed.mean.normal_()
    model.embed.std.uniform_(0.5, 2.0)
    return model


def some_pose(*shape: int) -> torch.Tensor:
    return rotation6d_to_matrix(torch.randn(*shape, 24, 6))
