"""Networks, checkpoints and the runtimes that step them. `load` gives a ready engine."""

from __future__ import annotations

from pathlib import Path

from engines.runtime import Engine, EngineOutput
from realtime.assets import asset
from realtime.errors import LoadError

__all__ = ["ENGINES", "MODELS", "Engine", "EngineOutput", "load", "model_path"]

MODELS = {"default": "model.safetensors"}  # names of shipped weights → files in assets/
ENGINES = ("auto", "torch")
PLANNED = ("onnxruntime", "tensorrt")  # accepted on the command line, not built yet


def load(model: str, engine: str = "auto", precision: str = "fp32", threads: int = 1) -> Engine:
    """Load a model by name or file and make it ready to step.

    model: a key of MODELS or the path of a .safetensors file. engine: "auto" or "torch". precision: "fp32".
    Raises LoadError for an unknown or missing model, a damaged file, an engine or precision not to be had.
    """
    if engine in PLANNED:
        raise LoadError(f"--engine {engine}: this version runs torch only; use --engine torch")
    if engine not in ENGINES:
        raise LoadError(f"--engine {engine}: no such engine; use one of {', '.join(ENGINES)}")
    if precision != "fp32":
        raise LoadError(f"precision {precision}: torch runs fp32 only; use --set runtime.precision=fp32")
    if threads < 1:
        raise LoadError(f"{threads} threads: use --set runtime.threads=1 or more")
    path = model_path(model)
    # torch takes a second to import: a wrong argument is answered before.
    from engines.checkpoint import load_checkpoint
    from engines.torch_engine import TorchEngine
    from realtime.features import FEATURE_DIM, FEATURE_VERSION

    network, _ = load_checkpoint(path, feature_version=FEATURE_VERSION, feature_dim=FEATURE_DIM)
    return TorchEngine(network, threads=threads)


def model_path(model: str) -> Path:
    """Name or path → path of the weights. Raises LoadError for a name that is neither known nor a file's."""
    if model in MODELS:
        return asset(MODELS[model])
    path = Path(model)
    if path.suffix == ".safetensors":
        return path
    raise LoadError(f"--model {model}: no such model; use {', '.join(MODELS)} or a .safetensors file")
