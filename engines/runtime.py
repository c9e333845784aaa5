"""The one interface of every runtime that steps the network live."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

if TYPE_CHECKING:
    from realtime.body.smpl import Body


@dataclass(frozen=True, slots=True)
class EngineOutput:
    """What the network says about one frame, the one `delay` steps back. float32; K horizons, D channels.
    Rotations in SMPL's order.

    The arrays are the caller's: later steps leave them as they are.
    """

    camera: np.ndarray  # (3,) [s, tx, ty]: keypoints = s·(X_xy + t) in [−1, 1] of the crop
    pose_matrix: np.ndarray  # (24, 3, 3), global orientation (camera frame) first
    betas: np.ndarray  # (10,) of this frame alone
    shape: np.ndarray  # (10,) of the person: shape_mean + shape_rate·(betas − shape_mean)
    joints: np.ndarray  # (2, 24, 3) metres, relative to the pelvis; [0] with `betas`, [1] with `shape`
    ahead: np.ndarray  # (K, 24, 3, 3), the pose at each asked Δt
    movie_strip: np.ndarray  # (D,) Φ


class Engine(Protocol):
    """A network that is stepped frame by frame and remembers the last `receptive_field` of them."""

    name: str  # "onnxruntime" | "tensorrt" | "torch"
    device: str  # "cpu", "cuda:0 (NVIDIA …)", …
    model_id: str
    feature_dim: int  # F
    receptive_field: int  # frames
    delay: int  # frames of look-ahead: a step answers for the frame so many steps before
    appearance: (
        str | None
    )  # the encoder whose features it was trained on (weights_sha256); "": none; None: not known
    horizon_ms: float  # largest |Δt| that may be asked for

    def prepare(self, horizons: int, body: Body | None = None) -> None:
        """Get ready to step with this many `dt_ahead_ms`, before a stream rather than on its first frame; forgets
        every frame, as `reset` does.

        body: whose skeleton `joints` are of. None: the one given before; until one was given, joints are zero.
        """

    def reset(self) -> None:
        """Forget every frame: the next one is the first."""

    def step(
        self,
        features: np.ndarray,
        dt_ahead_ms: Sequence[float] = (),
        shape_mean: np.ndarray | None = None,
        shape_rate: float = 1.0,
    ) -> EngineOutput:
        """One frame: features (F,) float32 raw φ; dt_ahead_ms: K times, each within ±horizon_ms.

        shape_mean (10,): the mean betas of this person so far (None: zeros); shape_rate in (0, 1]: how much of
        this frame's goes into it, 1 for a new person.
        Raises ValueError for arguments of another shape or not finite, for a Δt beyond the horizon and a rate
        outside (0, 1]; the state is then as before.
        """

    def rebuild(self, features: np.ndarray) -> None:
        """Forget, then remember the frames of the ring: features (n, F), oldest first, without their outputs.

        With the newest `receptive_field` frames of a stream (or all of a shorter one) every later step gives
        what it would have given had all of them been stepped. Raises ValueError as `step` does.
        """

    def describe(self) -> dict[str, Any]:
        """Name, device, precision, model, sizes and versions, for the summary and the status message."""

    def close(self) -> None:
        """Let go of devices and memory; may be called twice. The engine cannot be stepped any more."""
