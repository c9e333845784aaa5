"""Networks, checkpoints and the runtimes that step them. `load` gives a ready engine."""

from __future__ import annotations

import importlib.util
import logging

from engines.graph_engine import LOOPS, GraphEngine
from engines.graph_file import FORMS, HORIZONS, PRECISIONS
from engines.model_files import MODELS, graph_path, model_path
from engines.runner import Runner, make_runner
from engines.runtime import Engine, EngineOutput
from engines.tensorrt import api as tensorrt_api
from realtime.errors import LoadError, install_command
from realtime.features import FEATURE_DIM, FEATURE_VERSION

__all__ = ["ENGINES", "MODELS", "Engine", "EngineOutput", "load", "model_path"]

ENGINES = ("auto", "tensorrt", "onnxruntime", "torch")

log = logging.getLogger(__name__)


def load(
    model: str = "default",
    engine: str = "auto",
    precision: str = "fp32",
    threads: int = 1,
    form: str = "step",
) -> Engine:
    """Load a model by name or file and make it ready to step.

    model: a key of MODELS, or the path of a .safetensors or .onnx file. engine: one of ENGINES; "auto" takes the
    first that works of TensorRT, ONNX Runtime and torch, and says why in one line of the log and as "chosen" in
    describe(). precision: "fp32", "fp16" or "int8". threads: of the CPU. form: "step", or "window", which computes
    the whole ring anew every frame. An .onnx file has its own form, and its own precision where "fp32" is asked.
    Raises LoadError for an unknown or missing model, a damaged file, one made for other features, an engine,
    precision or form not to be had; it names what to do, one or two lines.
    """
    for flag, value, known in (
        ("--engine", engine, ENGINES),
        ("--set runtime.precision", precision, PRECISIONS),
        ("--set runtime.form", form, FORMS),
    ):
        if value not in known:
            raise LoadError(f"{flag} {value}: unknown; use one of {', '.join(known)}")
    if threads < 1:
        raise LoadError(f"{threads} threads: use --set runtime.threads=1 or more")
    if engine == "torch":
        return _torch(model, precision, threads, form)
    if engine == "tensorrt" and (reason := tensorrt_api.available()):
        raise LoadError(f"--engine tensorrt: {reason}")
    if engine != "auto":
        return _graph(model, engine, precision, threads, form)
    return _first_that_works(model, precision, threads, form)


def _first_that_works(model: str, precision: str, threads: int, form: str) -> GraphEngine:
    """In the order of their speed (docs/engines.md); torch last, for it costs seconds and hundreds of MB to load."""
    reasons = []
    no_tensorrt = tensorrt_api.available()
    if no_tensorrt is None:
        try:
            return _chosen(_graph(model, "tensorrt", precision, threads, form), ["TensorRT runs here"])
        except LoadError as error:
            no_tensorrt = str(error)
            log.warning("not on TensorRT: %s", _first_line(error))
    reason, _, _ = _first_line(no_tensorrt).partition("; ")  # what to do stands behind it: not asked for here
    reasons.append(f"no TensorRT ({reason})")
    try:
        return _chosen(_graph(model, "onnxruntime", precision, threads, form), reasons)
    except LoadError as error:
        reasons.append(f"no ONNX Runtime ({_first_line(error)})")
        try:
            engine = _torch(model, precision, threads, form)
        except LoadError:
            raise error from None
        log.warning("not on ONNX Runtime but on torch: %s", _first_line(error))
        return _chosen(engine, reasons)


def _chosen(engine: GraphEngine, reasons: list[str]) -> GraphEngine:
    engine.chosen = "; ".join(reasons)
    log.info("engine %s on %s: %s", engine.name, engine.device, engine.chosen)
    return engine


def _graph(model: str, engine: str, precision: str, threads: int, form: str) -> GraphEngine:
    """ONNX Runtime or TensorRT."""
    path, form = graph_path(model, form, precision, engine)
    loops = LOOPS if form == "step" else {}

    def open_runner(horizons: int) -> Runner:
        return make_runner(path, engine, threads=threads, loops=loops, dims={HORIZONS: horizons})

    return GraphEngine(open_runner, path, FEATURE_VERSION, FEATURE_DIM)


def _torch(model: str, precision: str, threads: int, form: str) -> GraphEngine:
    path = model_path(model)
    if importlib.util.find_spec("torch") is None or importlib.util.find_spec("safetensors") is None:
        raise LoadError(f"--engine torch: torch is not installed: {install_command('torch')}")
    # A second, and hundreds of MB: only where it is asked for.
    from engines.network.checkpoint import load_checkpoint
    from engines.torch_engine import torch_engine

    network, _ = load_checkpoint(path, feature_version=FEATURE_VERSION, feature_dim=FEATURE_DIM)
    return torch_engine(network, path, form=form, precision=precision, threads=threads)


def _first_line(error: LoadError | str) -> str:
    return str(error).splitlines()[0]
