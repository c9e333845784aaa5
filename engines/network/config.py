"""Sizes of the network: everything that must be known to build it before its weights are loaded."""

from __future__ import annotations

from dataclasses import dataclass

POSE_JOINTS = 24
CAMERA_SIZE = 3  # weak perspective [s, tx, ty]
POSE6D_SIZE = POSE_JOINTS * 6
BETAS_SIZE = 10
THETA6D_SIZE = CAMERA_SIZE + POSE6D_SIZE + BETAS_SIZE  # 157: Θ' inside the network; Θ at the interface has 85

# Fewer channels per group make the per-frame norm ill-conditioned: with two it is nearly a sign function, and
# rounding alone drove stepping and the clip pass 0.2 apart; with four 1e-5, with eight 3e-6 at the most.
SMALLEST_GROUP = 8

LARGEST_SIZE = 1 << 14  # bound of every size: a damaged file must not ask for terabytes


@dataclass(frozen=True, kw_only=True)
class NetworkConfig:
    """Hyper-parameters of `HMMRLive`. Stored beside the weights; frozen once trained.

    Raises ValueError, naming the field, for a value that no network can be built from.
    """

    feature_dim: int  # F of the raw per-frame features φ (realtime/features.py)
    feature_version: int  # which definition of φ the weights were trained on
    model_id: str  # goes onto the bus with every pose
    width: int = 256  # D: embedded φ and movie strip Φ
    head_width: int = 512  # hidden layers of the embedding, f3D and fΔt
    blocks: int = 3  # residual blocks; the receptive field is 1 + 4·blocks frames
    groups: int = 32  # of the per-frame GroupNorm
    iterations: int = 3  # of the iterative regressor
    horizon_ms: float = 200.0  # largest |Δt| of fΔt (HMMR: 5 frames at 25 fps)
    dropout: float = 0.1  # in the heads, training only (HMMR: 0.5 at width 1024)
    delay: int = 0  # frames of look-ahead: with frame t it answers for frame t − delay (files without it: 0)
    # Whose appearance features it was trained on: weights_sha256 of the encoder, "" for none of any, None: not known
    # (files without it).
    appearance: str | None = None

    def __post_init__(self) -> None:
        for name in ("feature_dim", "width", "head_width", "blocks", "groups", "iterations"):
            value = getattr(self, name)
            if type(value) is not int or not 0 < value <= LARGEST_SIZE:
                raise ValueError(f"{name} must be an integer from 1 to {LARGEST_SIZE}, not {value!r}")
        for name in ("blocks", "iterations"):
            if getattr(self, name) > 64:
                raise ValueError(f"{name} must be at most 64, not {getattr(self, name)}")
        if self.width % self.groups:
            raise ValueError(f"groups ({self.groups}) must divide width ({self.width})")
        if self.width // self.groups < SMALLEST_GROUP:
            raise ValueError(
                f"groups ({self.groups}) leave less than {SMALLEST_GROUP} channels each of width {self.width}"
            )
        if type(self.feature_version) is not int:
            raise ValueError(f"feature_version must be an integer, not {self.feature_version!r}")
        if not isinstance(self.model_id, str) or not self.model_id:
            raise ValueError(f"model_id must be a non-empty text, not {self.model_id!r}")
        for name in ("horizon_ms", "dropout"):
            if type(getattr(self, name)) not in (int, float):
                raise ValueError(f"{name} must be a number, not {getattr(self, name)!r}")
        if not 0 < self.horizon_ms <= 10_000:
            raise ValueError(f"horizon_ms must lie in (0, 10000], not {self.horizon_ms!r}")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout must lie in [0, 1), not {self.dropout!r}")
        if type(self.delay) is not int or not 0 <= self.delay < self.receptive_field:
            raise ValueError(
                f"delay must be an integer from 0 to {self.receptive_field - 1}, not {self.delay!r}"
            )
        if self.appearance is not None and not isinstance(self.appearance, str):
            raise ValueError(f"appearance must be a text, not {self.appearance!r}")

    @property
    def receptive_field(self) -> int:
        """Frames that one output of the temporal encoder depends on."""
        return 1 + 4 * self.blocks
