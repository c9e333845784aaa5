"""The engines that bench.gpu tries: each opened on its own, or listed with the reason why it cannot be."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from engines import tensorrt_api
from engines.gate import Gate
from engines.graph_engine import LOOPS, GraphEngine
from engines.graph_file import HORIZONS
from engines.parity import Track, horizons_ms, shape_rate
from engines.runner import Runner
from engines.runtime import Engine
from realtime.assets import asset
from realtime.body.smpl import Body
from realtime.errors import LoadError

OpenRunner = Callable[[Path, Mapping[str, int]], Runner]  # graph file, dims


@dataclass(frozen=True)
class Network:
    """One network in every shape that an engine may want; what could not be made is the reason, as text."""

    name: str
    checkpoint: Path | str
    graphs: Mapping[str, Path | str]  # precision → file


@dataclass(frozen=True)
class Candidate:
    name: str
    precision: str
    open: Callable[[Network], Engine]  # raises LoadError, ImportError, RuntimeError


def default_network(folder: Path, device: str) -> Network:
    """The shipped model; its fp16 and int8 graphs are made in `folder`, int8 as the device's engines want it."""
    fp32 = asset("model.onnx")
    return Network("default", asset("model.safetensors"), {"fp32": fp32, **_converted(fp32, folder, device)})


def random_network(width: int, folder: Path, device: str) -> Network:
    """Random weights of any width, heads as in bench.encoder. Needs torch; for graphs onnx, too."""
    name = f"random, D={width}"
    if importlib.util.find_spec("torch") is None:
        reason = f"{name}: made by torch, which is not installed"
        return Network(name, reason, dict.fromkeys(("fp32", "fp16", "int8"), reason))
    from bench.encoder_models import random_weights, write_graph
    from engines.checkpoint import save

    checkpoint, fp32 = folder / "random.safetensors", folder / "random.onnx"
    network = random_weights(width)
    save(network, checkpoint, {"made by": "bench.gpu"})
    write_graph(network, "step", fp32)
    return Network(name, checkpoint, {"fp32": fp32, **_converted(fp32, folder, device)})


def _converted(fp32: Path, folder: Path, device: str) -> dict[str, Path | str]:
    try:
        from engines.precision import convert
    except ImportError as error:
        return dict.fromkeys(("fp16", "int8"), str(error))
    made: dict[str, Path | str] = {}
    for precision in ("fp16", "int8"):
        made[precision] = out = folder / f"{fp32.stem}-{precision}.onnx"
        try:
            convert(fp32, precision, out, "tensorrt" if device == "cuda" else "onnxruntime")
        except LoadError as error:
            made[precision] = str(error)
    return made


def candidates(device: str) -> list[Candidate]:
    """device: "cuda" or "cpu"."""
    if device == "cpu":
        return [
            Candidate("torch", "fp32", _torch("fp32", "cpu")),
            Candidate("ONNX Runtime", "fp32", _graph("fp32", _onnxruntime("cpu"))),
            Candidate("ONNX Runtime", "int8", _graph("int8", _onnxruntime("cpu"))),
        ]
    found = [Candidate("torch, CUDA graph", p, _torch(p, "cuda")) for p in ("fp32", "fp16")]
    for provider, label in (("cuda", "CUDA"), ("tensorrt", "TensorRT")):
        opened = _onnxruntime(provider)
        found += [Candidate(f"ONNX Runtime, {label}", p, _graph(p, opened)) for p in ("fp32", "fp16")]
    for runtime in tensorrt_api.RUNTIMES:
        found += [Candidate(runtime, p, _graph(p, _tensorrt(runtime))) for p in ("fp32", "fp16", "int8")]
    return found


def _torch(precision: str, device: str) -> Callable[[Network], Engine]:
    def open_engine(network: Network) -> Engine:
        import torch

        from engines.checkpoint import load_checkpoint
        from engines.torch_engine import torch_engine

        path = _there(network.checkpoint)
        if device == "cuda" and not torch.cuda.is_available():
            raise LoadError("torch sees no NVIDIA GPU; is it a CPU build?")
        model, _ = load_checkpoint(path)
        return torch_engine(model, path, precision=precision, device=torch.device(device))

    return open_engine


def _graph(precision: str, opened: OpenRunner) -> Callable[[Network], Engine]:
    def open_engine(network: Network) -> Engine:
        path = _there(network.graphs[precision])
        return GraphEngine(lambda horizons: opened(path, {HORIZONS: horizons}), path)

    return open_engine


def _onnxruntime(provider: str) -> OpenRunner:
    def opened(path: Path, dims: Mapping[str, int]) -> Runner:
        from engines.onnxruntime_runner import OnnxRuntimeRunner

        return OnnxRuntimeRunner(path, loops=LOOPS, dims=dims, provider=provider)

    return opened


def _tensorrt(runtime: str) -> OpenRunner:
    def opened(path: Path, dims: Mapping[str, int]) -> Runner:
        from engines.tensorrt_runner import TensorRTRunner

        tensorrt_api.load_api(runtime)  # its reason, if it is not there
        _, chosen = tensorrt_api.find()
        if chosen.runtime != runtime:
            raise LoadError(f"not run: on this GPU the program takes {chosen.label}")
        return TensorRTRunner(path, loops=LOOPS, dims=dims)

    return opened


def _there(made: Path | str) -> Path:
    if isinstance(made, str):
        raise LoadError(made)
    return made


def run_gate(engine: Engine, gate: Gate, body: Body) -> Track:
    """Every frame of the gate through an engine, with its resets: what engines.parity compares."""
    ahead_ms = horizons_ms(engine.horizon_ms)
    engine.prepare(len(ahead_ms), body)
    rows: list[dict[str, np.ndarray]] = []
    mean = None
    for features, age in zip(gate.features, gate.ages(), strict=True):
        if age == 0:
            engine.reset()  # the mean starts anew, too: its first rate is 1
        out = engine.step(features, ahead_ms, mean, shape_rate(int(age)))
        mean = out.shape
        rows.append(
            {
                "camera": out.camera,
                "pose": out.pose_matrix,
                "betas": out.betas,
                "shape": out.shape,
                "joints": out.joints,
                "ahead": out.ahead,
                "movie_strip": out.movie_strip,
            }
        )
    return {name: np.stack([row[name] for row in rows]) for name in rows[0]}
