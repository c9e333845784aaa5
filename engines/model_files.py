"""Names of models → files; and the graph of a model in the form and precision that is asked for.

    default ───────► assets/model.onnx (step) ───────────────────────┐
            ───────► assets/model.safetensors ──┐                    ├─► fp32 ──precision.convert──► fp16 | int8
    lookahead ─────► assets/model_lookahead.… ──┤                    │
    FILE.safetensors ───────────────────────────┴─ engines.export ───┤
    FILE.onnx ───────────────────────────────────────────────────────┘

What is made is kept in the cache.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import subprocess
import sys
from pathlib import Path

from engines.cache import derived_file
from engines.graph_file import graph_info
from realtime.assets import asset
from realtime.errors import LoadError, install_command
from realtime.version import VERSION

# Names of shipped models → assets/NAME.safetensors and .onnx. lookahead waits for six more frames before it answers.
MODELS = {"default": "model", "lookahead": "model_lookahead"}
CODE = Path(__file__).parent  # what is derived depends on it


def model_path(model: str) -> Path:
    """Name or path → path of the weights. Raises LoadError for a name that is neither known nor a file's."""
    if model in MODELS:
        return _shipped(model, ".safetensors")
    path = Path(model)
    if path.suffix == ".safetensors":
        return path
    if path.suffix == ".onnx":
        raise LoadError(
            f"--model {model}: torch runs weights, not graphs; give the .safetensors it was made from"
        )
    raise _unknown(model)


def graph_path(model: str, form: str, precision: str, runner: str) -> tuple[Path, str]:
    """The .onnx of a model for a runner ("onnxruntime" | "tensorrt"), made where it has to be, and its form.

    A user's own .onnx may be of the other form when "step" is asked, and of any precision when "fp32" is: those
    are what is asked for where nobody says anything. Raises LoadError for a model that is unknown or missing, and
    where the graph cannot be had, with the reason.
    """
    path, form, has = _graph_of(model, form)
    if has == "fp32" and (precision != "fp32" or runner == "tensorrt"):  # which wants no branches
        return _converted(path, precision, runner), form
    if precision in ("fp32", has):
        return path, form
    raise LoadError(f"{path}: an {has} graph, {precision} cannot be made of it; give the fp32 one")


def _graph_of(model: str, form: str) -> tuple[Path, str, str]:
    """The graph before any conversion, its form and its precision."""
    if model in MODELS and form == "step":
        return _shipped(model, ".onnx"), form, "fp32"
    path = model_path(model) if model in MODELS else Path(model)
    if path.suffix not in (".onnx", ".safetensors"):
        raise _unknown(model)
    if not path.is_file():
        raise LoadError(
            f"{path}: no such file; use --model default, or make one with `python -m training.fit`"
        )
    if path.suffix == ".safetensors":
        return _exported(path, form), form, "fp32"

    from engines.onnxruntime_runner import read_metadata

    info = graph_info(path, read_metadata(path))
    if form not in ("step", info.form):
        raise LoadError(
            f"{path}: a {info.form} graph, not {form}; give the .safetensors or --set runtime.form={info.form}"
        )
    return path, info.form, info.precision


def _shipped(model: str, suffix: str) -> Path:
    try:
        return asset(MODELS[model] + suffix)
    except LoadError as error:
        if model == "default":
            raise
        raise LoadError(f"--model {model}: {error}, or use --model default") from None


def _unknown(model: str) -> LoadError:
    return LoadError(
        f"--model {model}: no such model; use {', '.join(MODELS)} or a .safetensors or .onnx file"
    )


def _converted(path: Path, precision: str, runner: str) -> Path:
    from engines.precision import convert

    target = f"-{runner}" if precision != "fp16" else ""  # fp16 is the same for all
    return derived_file(
        f"{path.stem}-{precision}{target}",
        _key(path, precision, target),
        ".onnx",
        lambda part: convert(path, precision, part, runner),
    )


def _exported(path: Path, form: str) -> Path:
    return derived_file(
        f"{path.stem}-{form}", _key(path, form), ".onnx", lambda part: _export(path, form, part)
    )


def _export(path: Path, form: str, part: Path) -> None:
    """In a process of its own: torch, hundreds of MB of it, must not stay in the live one."""
    if importlib.util.find_spec("torch") is None:
        raise LoadError(
            f"{path} must be exported by torch, which is not installed: {install_command('torch')}"
        )
    # Without Python's warnings: the first line that it writes is taken for the reason.
    command = [sys.executable, "-W", "ignore", "-m", "engines.export", "--model", str(path.absolute())]
    command += ["--form", form, "--out", str(part)]
    known = os.environ.get("PYTHONPATH")
    search = os.pathsep.join([str(CODE.parent), *([known] if known else [])])
    done = subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        env={**os.environ, "PYTHONPATH": search},
    )
    if done.returncode:
        lines = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
        # An error of ours is its first line, a traceback's reason its last.
        raise LoadError(lines[0] if done.returncode == LoadError.exit_code else lines[-1])


def _key(path: Path, *options: str) -> str:
    """All that a derived graph depends on: the model's content, what is asked for, and the code that makes it."""
    try:
        digest = hashlib.sha256(path.read_bytes())
    except OSError as error:
        raise LoadError(f"{path}: cannot be read ({error.strerror})") from None
    for file in sorted(CODE.rglob("*.py")):
        digest.update(file.read_bytes())
    return "|".join((digest.hexdigest(), VERSION, *options))
