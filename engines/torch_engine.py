"""The network stepped by torch: on the CPU with one thread, or on a GPU where torch has one."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from engines.model import HMMRLive, StreamState
from engines.runtime import EngineOutput

log = logging.getLogger(__name__)

WARM_UP_STEPS = 3  # the first calls allocate and pick kernels: not on somebody's first frame


def choose_device() -> torch.device:
    """CUDA where torch has it, then Apple's MPS, else the CPU."""
    if torch.cuda.is_available():
        return torch.device("cuda", torch.cuda.current_device())
    if torch.backends.mps.is_available():
        return torch.device("mps")
    return torch.device("cpu")


class FullStep(nn.Module):
    """One frame of a stream whose ring is full, as a single function of tensors: what is traced."""

    def __init__(self, model: HMMRLive) -> None:
        super().__init__()
        self.model = model

    def forward(self, features: Tensor, encoder: Tensor, dt_ms: Tensor) -> tuple[Tensor, ...]:
        """features (1, F), encoder state, Δt (K,) → camera, pose, betas, ahead, Φ, next encoder state."""
        state = StreamState(encoder, encoder.new_full((1,), self.model.receptive_field))
        movie_strip, theta6d, state = self.model.step(features, state, full=True)
        camera, pose_matrix, betas = self.model.decode(theta6d)
        ahead = self.model.dynamics(movie_strip, pose_matrix, dt_ms)
        return camera, pose_matrix, betas, ahead, movie_strip, state.encoder


class TorchEngine:
    """Implements engines.runtime.Engine.

    On the CPU the step of a full ring runs as a traced graph, one per number of horizons: a frame costs a
    hundred small operations, and calling each from Python a good part of its time. The few frames of a filling
    ring, and GPUs, run the modules as they are.

    threads: of torch in this whole process. One is best: with two, beside other work, medians rise 2–4 times
    (its barriers spin), and a step of this size has nothing to share out.
    """

    name = "torch"

    def __init__(self, model: HMMRLive, threads: int = 1, device: torch.device | None = None) -> None:
        torch.set_num_threads(threads)
        self._device = device or choose_device()
        self._model = model.to(self._device).eval().requires_grad_(False)
        self._threads = threads
        self.device = str(self._device)
        if self._device.type == "cuda":
            self.device += f" ({torch.cuda.get_device_name(self._device)})"
        self.model_id = model.config.model_id
        self.feature_dim = model.config.feature_dim
        self.receptive_field = model.receptive_field
        self.horizon_ms = float(model.config.horizon_ms)
        self._seen = 0
        self._state = model.initial_state(1)
        self._full_age = self._state.age + self.receptive_field
        self._full_steps: dict[int, Callable[..., tuple[Tensor, ...]]] = {}
        self.prepare(1)
        log.info("engine torch on %s, %d thread(s), model %s", self.device, threads, self.model_id)

    @torch.inference_mode()
    def prepare(self, horizons: int) -> None:
        """See Engine.prepare."""
        if horizons in self._full_steps:
            self.reset()
            return
        full_step = FullStep(self._model).eval()
        if self._device.type == "cpu":
            features = torch.zeros(1, self.feature_dim)
            example = (features, self._model.initial_state(1).encoder, torch.zeros(horizons))
            with warnings.catch_warnings():
                # Deprecated in favour of torch.compile, which wants a C++ compiler on the user's machine.
                warnings.simplefilter("ignore", DeprecationWarning)
                self._full_steps[horizons] = torch.jit.freeze(torch.jit.trace(full_step, example))
        else:
            self._full_steps[horizons] = full_step
        for seen in [0] + [self.receptive_field] * WARM_UP_STEPS:
            self._seen = seen
            self.step(np.zeros(self.feature_dim, np.float32), (0.0,) * horizons)
        self.reset()

    def reset(self) -> None:
        """See Engine.reset."""
        self._state = self._model.initial_state(1)
        self._seen = 0

    @torch.inference_mode()
    def step(self, features: np.ndarray, dt_ahead_ms: Sequence[float] = ()) -> EngineOutput:
        """See Engine.step."""
        column = self._checked(features, (self.feature_dim,)).unsqueeze(0)
        for dt_ms in dt_ahead_ms:
            if not abs(dt_ms) <= self.horizon_ms:
                raise ValueError(f"dt_ahead_ms {dt_ms}: this model looks ±{self.horizon_ms:g} ms ahead")
        if len(dt_ahead_ms) not in self._full_steps:
            seen, state = self._seen, self._state
            self.prepare(len(dt_ahead_ms))
            self._seen, self._state = seen, state
        horizons = torch.tensor(dt_ahead_ms, dtype=torch.float32, device=self._device)
        if self._seen >= self.receptive_field - 1:
            *output, encoder = self._full_steps[len(dt_ahead_ms)](column, self._state.encoder, horizons)
            self._state = StreamState(encoder, self._full_age)
        else:
            movie_strip, theta6d, self._state = self._model.step(column, self._state)
            camera, pose_matrix, betas = self._model.decode(theta6d)
            ahead = self._model.dynamics(movie_strip, pose_matrix, horizons)
            output = [camera, pose_matrix, betas, ahead, movie_strip]
        self._seen += 1
        arrays = [tensor.cpu().numpy() for tensor in output]
        return EngineOutput(
            camera=arrays[0][0],
            pose_matrix=arrays[1][0],
            betas=arrays[2][0],
            ahead=arrays[3],
            movie_strip=arrays[4][0],
        )

    @torch.inference_mode()
    def rebuild(self, features: np.ndarray) -> None:
        """See Engine.rebuild."""
        columns = self._checked(features, (len(features), self.feature_dim))
        self.reset()
        for column in columns:
            self._state = self._model.remember(column.unsqueeze(0), self._state)
        self._seen = len(columns)

    def describe(self) -> dict[str, Any]:
        """See Engine.describe."""
        return {
            "engine": self.name,
            "device": self.device,
            "precision": "fp32",
            "threads": self._threads,
            "model": self.model_id,
            "feature_dim": self.feature_dim,
            "feature_version": self._model.config.feature_version,
            "receptive_field": self.receptive_field,
            "horizon_ms": self.horizon_ms,
            "parameters": sum(parameter.numel() for parameter in self._model.parameters()),
            "torch": torch.__version__,
        }

    def _checked(self, features: np.ndarray, shape: tuple[int, ...]) -> torch.Tensor:
        if features.shape != shape:
            raise ValueError(f"features of shape {features.shape}: this model takes {shape}")
        if not np.isfinite(features).all():
            raise ValueError("features hold values that are not finite")
        return torch.from_numpy(features.astype(np.float32)).to(self._device)
