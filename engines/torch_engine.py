"""The network stepped by torch: on the CPU with one thread, or on a GPU where torch has one."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from engines.model import HMMRLive
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


class TorchEngine:
    """Implements engines.runtime.Engine.

    threads: of torch in this whole process. One is best: with two, beside other work, medians rise 2–4 times
    (facts: spin barriers), and a step of this size has nothing to share out.
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
        for _ in range(WARM_UP_STEPS):
            self.step(np.zeros(self.feature_dim, np.float32), (0.0,))
        self.reset()
        log.info("engine torch on %s, %d thread(s), model %s", self.device, threads, self.model_id)

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
        model = self._model
        full = self._seen >= self.receptive_field - 1
        movie_strip, theta6d, self._state = model.step(column, self._state, full=full)
        self._seen += 1
        camera, pose_matrix, betas = model.decode(theta6d)
        if dt_ahead_ms:
            dt = torch.tensor(dt_ahead_ms, dtype=torch.float32, device=self._device)
            ahead = model.dynamics(movie_strip, pose_matrix, dt).cpu().numpy()
        else:
            ahead = np.empty((0, *pose_matrix.shape[1:]), np.float32)
        return EngineOutput(
            camera=camera[0].cpu().numpy(),
            pose_matrix=pose_matrix[0].cpu().numpy(),
            betas=betas[0].cpu().numpy(),
            ahead=ahead,
            movie_strip=movie_strip[0].cpu().numpy(),
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
        return torch.tensor(features, dtype=torch.float32, device=self._device)
