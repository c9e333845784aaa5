"""The engines that bench.gpu tries: each opened on its own, or listed with the reason why it cannot be."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from engines.gate import Gate
from engines.graph_engine import LOOPS, GraphEngine
from engines.graph_file import HORIZONS
from engines.parity import Track, horizons_ms, shape_rate
from engines.runner import Runner
from engines.runtime import Engine
from engines.tensorrt import api as tensorrt_api
from realtime.assets import asset
from realtime.body.smpl import Body
from realtime.errors import LoadError

OpenRunner = Callable[[Path, Mapping[str, int]], Runner]  # graph file, dims


@dataclass(frozen=True)
class Network:
    """One network in every shape that an engine may want; what could not be made is the reason, as text."""

    name: str
    checkpoint: Path | str
    graphs: Mapping[tuple[str, str], Path | str]  # "onnxruntime" | "tensorrt", precision → file


@dataclass(frozen=True)
class Candidate:
    name: str
    precision: str
    open: Callable[[Network], Engine]  # raises LoadError, ImportError, RuntimeError
    weight_bytes: Callable[[Network], int]  # read by one step


def default_network(folder: Path, device: str) -> Network:
    """The shipped model; its graphs of other precisions are made in `folder`."""
    checkpoint, graph = asset("model.safetensors"), asset("model.onnx")
    return Network("default", checkpoint, _graphs(graph, folder, device))


def random_network(width: int, folder: Path, device: str) -> Network:
    """Random weights of any width, heads as in bench.encoder. Needs torch; for graphs onnx, too."""
    name = f"random, D={width}"
    if importlib.util.find_spec("torch") is None:
        reason = f"{name}: made by torch, which is not installed"
        return Network(name, reason, dict.fromkeys(_wanted("cuda"), reason))
    from engines.network.checkpoint import save

    try:
        from bench.encoder_models import random_weights, write_graph
    except ImportError as error:
        return Network(name, str(error), dict.fromkeys(_wanted("cuda"), str(error)))
    checkpoint, graph = folder / "random.safetensors", folder / "random.onnx"
    network = random_weights(width)
    save(network, checkpoint, {"made by": "bench.gpu"})
    write_graph(network, "step", graph)
    return Network(name, checkpoint, _graphs(graph, folder, device))


def _wanted(device: str) -> list[tuple[str, str]]:
    if device == "cpu":
        return [("onnxruntime", "fp32"), ("onnxruntime", "int8")]
    tensorrt = [("tensorrt", precision) for precision in ("fp32", "fp16", "int8")]
    return [("onnxruntime", "fp32"), ("onnxruntime", "fp16"), *tensorrt]


def _graphs(fp32: Path, folder: Path, device: str) -> dict[tuple[str, str], Path | str]:
    """What each runner wants: engines.model_files makes the same for the live program."""
    made: dict[tuple[str, str], Path | str] = {}
    for runner, precision in _wanted(device):
        if (runner, precision) == ("onnxruntime", "fp32"):
            made[runner, precision] = fp32
            continue
        made[runner, precision] = out = folder / f"{fp32.stem}-{runner}-{precision}.onnx"
        try:
            from engines.precision import convert

            convert(fp32, precision, out, runner)
        except (LoadError, ImportError) as error:
            made[runner, precision] = str(error)
    return made


def candidates(device: str) -> list[Candidate]:
    """device: "cuda" or "cpu"."""
    if device == "cpu":
        cpu = _onnxruntime("cpu")
        return [
            _torch("torch", "fp32", "cpu"),
            *(_graph("ONNX Runtime", "onnxruntime", p, cpu) for p in ("fp32", "int8")),
        ]
    found = [_torch("torch, CUDA graph", precision, "cuda") for precision in ("fp32", "fp16")]
    for provider, label in (("cuda", "CUDA"), ("tensorrt", "TensorRT")):
        opened = _onnxruntime(provider)
        found += [_graph(f"ONNX Runtime, {label}", "onnxruntime", p, opened) for p in ("fp32", "fp16")]
    for runtime in tensorrt_api.RUNTIMES:
        opened = _tensorrt(runtime)
        found += [_graph(runtime, "tensorrt", p, opened) for p in ("fp32", "fp16", "int8")]
    return found


def _torch(name: str, precision: str, device: str) -> Candidate:
    def open_engine(network: Network) -> Engine:
        import torch

        from engines.network.checkpoint import load_checkpoint
        from engines.torch_engine import torch_engine

        path = _there(network.checkpoint)
        if device == "cuda" and not torch.cuda.is_available():
            raise LoadError("torch sees no NVIDIA GPU; is it a CPU build?")
        model, _ = load_checkpoint(path)
        return torch_engine(model, path, precision=precision, device=torch.device(device))

    def weight_bytes(network: Network) -> int:
        from engines.network.checkpoint import load_checkpoint

        model, _ = load_checkpoint(_there(network.checkpoint))
        each = 2 if precision == "fp16" else 4
        return sum(each * parameter.numel() for parameter in model.parameters() if parameter.dim() > 1)

    return Candidate(name, precision, open_engine, weight_bytes)


def _graph(name: str, runner: str, precision: str, opened: OpenRunner) -> Candidate:
    def open_engine(network: Network) -> Engine:
        path = _there(network.graphs[runner, precision])
        return GraphEngine(lambda horizons: opened(path, {HORIZONS: horizons}), path)

    def weight_bytes(network: Network) -> int:
        from bench.graph_bytes import graph_bytes

        return graph_bytes(_there(network.graphs[runner, precision]))

    return Candidate(name, precision, open_engine, weight_bytes)


def _onnxruntime(provider: str) -> OpenRunner:
    def opened(path: Path, dims: Mapping[str, int]) -> Runner:
        from engines.onnxruntime_runner import OnnxRuntimeRunner

        return OnnxRuntimeRunner(path, loops=LOOPS, dims=dims, provider=provider)

    return opened


def _tensorrt(runtime: str) -> OpenRunner:
    def opened(path: Path, dims: Mapping[str, int]) -> Runner:
        from engines.tensorrt.runner import TensorRTRunner

        return TensorRTRunner(path, loops=LOOPS, dims=dims, runtime=runtime)

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
