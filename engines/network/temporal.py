"""The causal temporal encoder f_movie: φ → movie strip Φ (HMMR §3.2, made causal to be stepped)."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engines.network.config import NetworkConfig

KERNEL = 3
CACHED = KERNEL - 1  # columns a convolution remembers of the past


class CausalConv(nn.Module):
    """Convolution over time, kernel 3, that sees frames t−2, t−1, t.

    Kept as one matrix (D, 3D) over [x_{t−2}, x_{t−1}, x_t]: a clip is one product, a step is one matvec.
    """

    def __init__(self, width: int, gain: float) -> None:
        super().__init__()
        self.taps = nn.Linear(KERNEL * width, width)
        nn.init.normal_(self.taps.weight, std=math.sqrt(gain / (KERNEL * width)))
        nn.init.zeros_(self.taps.bias)

    def forward(self, columns: Tensor, age: Tensor | None) -> Tensor:
        """columns (B, T, D), age (B, T) frames since the last start or None → (B, T, D)."""
        length = columns.shape[1]
        padded = F.pad(columns, (0, 0, CACHED, 0))
        delayed = []
        for lag in range(CACHED, 0, -1):
            tap = padded[:, CACHED - lag : CACHED - lag + length]
            if age is not None:
                # What lies before a start counts as zero padding: the same as running the segments apart.
                tap = torch.where((age >= lag).unsqueeze(-1), tap, 0.0)
            delayed.append(tap)
        return self.taps(torch.cat((*delayed, columns), dim=-1))

    def step(self, column: Tensor, cached: Tensor) -> tuple[Tensor, Tensor]:
        """column (B, D), cached (B, 2D): those of t−2 and t−1 → output (B, D), cached for the next frame."""
        window = torch.cat((cached, column), dim=1)
        return self.taps(window), window[:, column.shape[1] :]


class FrameNorm(nn.GroupNorm):
    """GroupNorm whose statistics span the channels of ONE frame.

    HMMR's own spans time as well, so a frame's output changes with every frame after it and no cached
    step can reproduce it.
    """

    def forward(self, input: Tensor) -> Tensor:
        """(…, D) → (…, D)."""
        # torch.group_norm, not F.group_norm: the latter's checks in Python cost a step more than the norm.
        if input.dim() == 2:
            return torch.group_norm(input, self.num_groups, self.weight, self.bias, self.eps)
        frames = input.reshape(-1, self.num_channels)
        return torch.group_norm(frames, self.num_groups, self.weight, self.bias, self.eps).view(input.shape)


class ResidualBlock(nn.Module):
    """norm → ReLU → conv → norm → ReLU → conv → + input."""

    def __init__(self, width: int, groups: int) -> None:
        super().__init__()
        self.norm1 = FrameNorm(groups, width, eps=1e-6)
        self.conv1 = CausalConv(width, gain=2.0)
        self.norm2 = FrameNorm(groups, width, eps=1e-6)
        self.conv2 = CausalConv(width, gain=0.001)  # a fresh block is nearly the identity

    def forward(self, features: Tensor, age: Tensor | None) -> Tensor:
        inner = self.conv1(torch.relu(self.norm1(features)), age)
        return features + self.conv2(torch.relu(self.norm2(inner)), age)

    def step(self, feature: Tensor, cached1: Tensor, cached2: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        inner, cached1 = self.conv1.step(torch.relu(self.norm1(feature)), cached1)
        output, cached2 = self.conv2.step(torch.relu(self.norm2(inner)), cached2)
        return feature + output, cached1, cached2


class CausalTemporalEncoder(nn.Module):
    """Three residual blocks of two causal convolutions: 13 frames in view.

        φ      t−12 ············ t−6 ··· t−2  t−1   t
               └──────────┬─────────────────────────┘
        Φ                 ├──────────────────────►  t        receptive_field 13, delay 0: no look-ahead
                          └──────► t−6                       receptive_field 13, delay 6

    The delay is what Φ was trained to tell of; it changes nothing in the computation: with frame t comes the Φ of
    frame t − delay, and whoever steps it knows which frame that was.

    `forward` on a clip and `step` frame by frame give the same Φ: the norm sees one frame at a time, and the
    zero padding is inserted after norm and ReLU, where an all-zero initial state stands for it exactly.
    """

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.width = config.width
        self.receptive_field = config.receptive_field
        self.delay = config.delay
        self.blocks = nn.ModuleList(ResidualBlock(config.width, config.groups) for _ in range(config.blocks))

    def forward(self, features: Tensor, age: Tensor | None = None) -> Tensor:
        """Clip pass.

        features (B, T, D) → Φ (B, T, D). `age` (B, T) integer: frames since the last start at each frame
        (0 at a start itself); None: the clip starts at its first frame only. No frame sees across a start.
        """
        for block in self.blocks:
            features = block(features, age)
        return features

    def initial_state(self, batch: int) -> Tensor:
        """(batch, 2·blocks, 2, D) zeros: for each convolution its input columns at t−2 and t−1."""
        shape = (batch, 2 * len(self.blocks), CACHED, self.width)
        return next(self.parameters()).new_zeros(shape)

    def step(self, feature: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """feature (B, D), state → Φ (B, D), next state (a new tensor; the given one is left as it is)."""
        cached = list(state.flatten(2).unbind(1))
        for index, block in enumerate(self.blocks):
            assert isinstance(block, ResidualBlock)
            pair = slice(2 * index, 2 * index + 2)
            feature, *cached[pair] = block.step(feature, *cached[pair])
        return feature, torch.stack(cached, dim=1).view(state.shape)
