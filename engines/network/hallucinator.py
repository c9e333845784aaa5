"""The hallucinator h: one frame's φ → the movie strip it would have had (HMMR §3.3)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from engines.network.config import NetworkConfig


class Hallucinator(nn.Module):
    """FC → ReLU → FC → ReLU → FC, + φ. Starts as the identity. Live, it serves while the ring fills."""

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.fc1 = nn.Linear(config.width, config.width)
        self.fc2 = nn.Linear(config.width, config.width)
        self.fc3 = nn.Linear(config.width, config.width)
        nn.init.normal_(self.fc3.weight, std=1e-3)
        nn.init.zeros_(self.fc3.bias)

    def forward(self, features: Tensor) -> Tensor:
        """Embedded φ (…, D) → hallucinated Φ (…, D)."""
        return features + self.fc3(torch.relu(self.fc2(torch.relu(self.fc1(features)))))
