"""The whole network: φ → movie strip → camera, pose, shape, and the pose a moment away."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from engines.network.config import BETAS_SIZE, CAMERA_SIZE, POSE_JOINTS, NetworkConfig
from engines.network.hallucinator import Hallucinator
from engines.network.regressors import DynamicsHead, IterativeRegressor
from engines.network.rotations import rotation6d_to_matrix
from engines.network.temporal import CausalTemporalEncoder

# Standardised features are cut here: further out nothing was ever seen in training, and one wild landmark
# must not throw the body about.
FEATURE_LIMIT = 8.0


class ClipOutput(NamedTuple):
    """What a clip pass gives. T frames, D channels."""

    movie_strip: Tensor  # (B, T, D): what the heads read; blended with the hallucinated while the ring fills
    encoded: Tensor  # (B, T, D): the temporal encoder's own output, the hallucinator's target
    hallucinated: Tensor  # (B, T, D): guessed from each single frame
    theta6d: Tensor  # (B, T, 157)


class StreamState(NamedTuple):
    """What a stream remembers between two steps."""

    encoder: Tensor  # (B, 2·blocks, 2, D) cached convolution columns
    age: Tensor  # (B,) float32: frames since the start, up to receptive_field


class FeatureEmbedding(nn.Module):
    """Raw φ (F) → D channels, frame by frame: stands where HMMR has its image features."""

    mean: Tensor
    std: Tensor

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(config.feature_dim))
        self.register_buffer("std", torch.ones(config.feature_dim))
        self.fc1 = nn.Linear(config.feature_dim, config.head_width)
        self.fc2 = nn.Linear(config.head_width, config.width)

    def forward(self, features: Tensor) -> Tensor:
        """Raw φ (…, F) → (…, D)."""
        standard = ((features - self.mean) / self.std).clamp(-FEATURE_LIMIT, FEATURE_LIMIT)
        return self.fc2(torch.relu(self.fc1(standard)))


class HMMRLive(nn.Module):
    """HMMR made causal. `forward` on clips and `step` on a stream compute the same function (to 1e-5).

    While the ring is not full (n < 13 frames since the start), the heads read
    Φ = a·Φ_encoder + (1 − a)·Φ_hallucinated with a = (n − 1) / 12:

        n      1     2     3   ···   12    13    14 ···
        a      0    1/12  2/12 ···  11/12   1     1

    A person appears from the single-frame guess, and nothing jumps when the ring becomes full.

    With a delay (look-ahead), frame t brings the answer for frame t − delay; the first `delay` frames after a
    start bring none. n counts the frames seen all the same: the first answer, at n = delay + 1, is half the
    encoder's with a delay of 6.
    """

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.config = config
        self.receptive_field = config.receptive_field
        self.delay = config.delay
        self.embed = FeatureEmbedding(config)
        self.encoder = CausalTemporalEncoder(config)
        self.hallucinator = Hallucinator(config)
        self.f3d = IterativeRegressor(config)
        self.dynamics = DynamicsHead(config)

    def forward(self, features: Tensor, starts: Tensor | None = None) -> ClipOutput:
        """Clip pass.

        features (B, T, F) raw φ; starts (B, T) bool: frames at which the ring was reset; nothing before them
        is seen (the first frame always counts as one). The same as running the segments one by one.
        """
        age = frames_since_start(features, starts)
        embedded = self.embed(features)
        encoded = self.encoder(embedded, None if starts is None else age)
        hallucinated = self.hallucinator(embedded)
        movie_strip = self.blend(encoded, hallucinated, age.to(encoded.dtype))
        return ClipOutput(movie_strip, encoded, hallucinated, self.f3d(movie_strip))

    def initial_state(self, batch: int) -> StreamState:
        """The state of `batch` streams that have seen nothing."""
        encoder = self.encoder.initial_state(batch)
        return StreamState(encoder, encoder.new_zeros(batch))

    def step(
        self, features: Tensor, state: StreamState, full: bool = False
    ) -> tuple[Tensor, Tensor, StreamState]:
        """One frame: features (B, F), state → movie strip Φ (B, D), Θ' (B, 157), next state.

        full: the caller knows that every stream has already seen receptive_field − 1 frames; the
        hallucinator, whose weight would be zero, is then left out.
        """
        embedded = self.embed(features)
        movie_strip, encoder = self.encoder.step(embedded, state.encoder)
        if not full:
            movie_strip = self.blend(movie_strip, self.hallucinator(embedded), state.age)
        age = (state.age + 1).clamp(max=self.receptive_field)
        return movie_strip, self.f3d(movie_strip), StreamState(encoder, age)

    def remember(self, features: Tensor, state: StreamState) -> StreamState:
        """The state after one more frame, without the heads; features (B, F). Rebuilds from the ring."""
        _, encoder = self.encoder.step(self.embed(features), state.encoder)
        return StreamState(encoder, (state.age + 1).clamp(max=self.receptive_field))

    def blend(self, encoded: Tensor, hallucinated: Tensor, age: Tensor) -> Tensor:
        """Φ (…, D) from both sources; age (…) float: frames since the start (n − 1)."""
        share = (age / (self.receptive_field - 1)).clamp(max=1.0).unsqueeze(-1)
        return share * encoded + (1 - share) * hallucinated

    @staticmethod
    def decode(theta6d: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Θ' (…, 157) → camera (…, 3) [s, tx, ty], pose matrices (…, 24, 3, 3), betas (…, 10)."""
        camera, pose6d, betas = theta6d.split(
            (CAMERA_SIZE, theta6d.shape[-1] - CAMERA_SIZE - BETAS_SIZE, BETAS_SIZE), dim=-1
        )
        return camera, rotation6d_to_matrix(pose6d.unflatten(-1, (POSE_JOINTS, 6))), betas


def frames_since_start(features: Tensor, starts: Tensor | None) -> Tensor:
    """(B, T, …) and (B, T) bool or None → (B, T) int64: frames since the last start, 0 at it."""
    batch, length = features.shape[:2]
    index = torch.arange(length, device=features.device).expand(batch, length)
    if starts is None:
        return index
    return index - torch.where(starts, index, 0).cummax(dim=1).values
