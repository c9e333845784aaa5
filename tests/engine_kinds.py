"""One network on everything that runs here: what the tests of engines step."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from engines.export import graph_info_of
from engines.graph_engine import LOOPS, GraphEngine
from engines.graph_file import HORIZONS
from engines.network.config import NetworkConfig
from engines.network.model import HMMRLive
from engines.onnx_builder import write_graph as write
from engines.onnx_graph import build
from engines.runner import make_runner
from engines.torch_engine import torch_engine

FEATURES = 20
KINDS = ("torch step", "torch window", "onnxruntime step", "onnxruntime window")


def network(feature_dim: int = FEATURES, feature_version: int = 1, seed: int = 0, delay: int = 0) -> HMMRLive:
    """Small, random, and not as tame as a fresh one: every part has its say."""
    torch.manual_seed(seed)
    sizes = {"feature_dim": feature_dim, "width": 64, "head_width": 48, "groups": 8, "delay": delay}
    model = HMMRLive(NetworkConfig(**sizes, feature_version=feature_version, model_id="random"))
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() > 1:
                torch.nn.init.normal_(parameter, std=0.8 * parameter.shape[1] ** -0.5)
        # Poses near the rest pose, as a trained network gives them: two nearly parallel columns of a wholly
        # random 6-D rotation would magnify rounding.
        model.f3d.out.weight *= 0.2
    return model.eval()


def write_graph(model: HMMRLive, form: str, path: Path, /, **metadata: object) -> Path:
    """Export without the gate. metadata: fields of GraphInfo that are to be said otherwise."""
    info = graph_info_of(model, form, {})
    for name, value in metadata.items():
        object.__setattr__(info, name, value)
    write(build(model, form), info, path)
    return path


def graph_engine(path: Path, form: str) -> GraphEngine:
    """A graph on ONNX Runtime."""
    loops = LOOPS if form == "step" else {}
    return GraphEngine(lambda n: make_runner(path, "onnxruntime", loops=loops, dims={HORIZONS: n}), path)


def make_engine(kind: str, model: HMMRLive, folder: Path) -> GraphEngine:
    """kind: one of KINDS."""
    name, form = kind.split()
    if name == "torch":
        return torch_engine(model, folder / "weights", form=form, device=torch.device("cpu"))
    path = folder / f"{form}.onnx"
    return graph_engine(path if path.is_file() else write_graph(model, form, path), form)


def frames(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(count, FEATURES)).astype(np.float32)


def assert_same(first, second, tolerance: float = 1e-5) -> None:
    for name in ("camera", "pose_matrix", "betas", "shape", "joints", "ahead", "movie_strip"):
        assert np.abs(getattr(first, name) - getattr(second, name)).max(initial=0) < tolerance, name
