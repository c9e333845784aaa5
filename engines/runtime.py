"""The one interface of every runtime that steps the network live."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np


@dataclass(frozen=True, slots=True)
class EngineOutput:
    """What the network says about one frame. float32; K horizons, D channels. Rotations in SMPL's order."""

    camera: np.ndarray  # (3,) [s, tx, ty]: keypoints = s·(X_xy + t) in [−1, 1] of the crop
    pose_matrix: np.ndarray  # (24, 3, 3), global orientation (camera frame) first
    betas: np.ndarray  # (10,)
    ahead: np.ndarray  # (K, 24, 3, 3), the pose at each asked Δt
    movie_strip: np.ndarray  # (D,) Φ


class Engine(Protocol):
    """A network that is stepped frame by frame and remembers the last `receptive_field` of them."""

    name: str  # "torch"
    device: str  # "cpu", "cuda:0 (NVIDIA …)", …
    model_id: str
    feature_dim: int  # F
    receptive_field: int  # frames
    horizon_ms: float  # largest |Δt| that may be asked for

    def prepare(self, horizons: int) -> None:
        """Get ready to step with this many `dt_ahead_ms`, before a stream rather than on its first frame; forgets
        every frame, as `reset` does."""

    def reset(self) -> None:
        """Forget every frame: the next one is the first."""

    def step(self, features: np.ndarray, dt_ahead_ms: Sequence[float] = ()) -> EngineOutput:
        """One frame: features (F,) float32 raw φ; dt_ahead_ms: K times, each within ±horizon_ms.

        Raises ValueError for features of another shape or not finite, and for a Δt beyond the horizon; the
        state is then as before.
        """

    def rebuild(self, features: np.ndarray) -> None:
        """Forget, then remember the frames of the ring: features (n, F), oldest first, without their outputs.

        With the newest `receptive_field` frames of a stream (or all of a shorter one) every later step gives
        what it would have given had all of them been stepped. Raises ValueError as `step` does.
        """

    def describe(self) -> dict[str, Any]:
        """Name, device, precision, model, sizes and versions, for the summary and the status message."""
