"""An ONNX graph → the bytes of a TensorRT engine, for one GPU and with every shape fixed.

Networks are strongly typed: an engine computes in what the graph says, fp16 where the graph is fp16. TensorFloat-32 is
off: with it, fp32 is good for three digits only.
"""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import FrameType
from typing import Any

from engines.tensorrt.api import FP16_ONLY, Api
from realtime.errors import LoadError
from realtime.stop import SIGNALS

log = logging.getLogger(__name__)

RECIPE = 1  # goes up with every change here that changes engines: cached ones are then built anew
MESSAGE_LENGTH = 300  # of TensorRT's own words in one of our messages

Progress = Callable[[str], None]  # what is being done, a few words


def build(
    path: Path,
    graph: bytes,
    api: Api,
    target: str,
    dims: Mapping[str, int] | None = None,
    progress: Progress | None = None,
) -> bytes:
    """Compile `graph`, the content of the ONNX file `path` (named in messages).

    target: "sm86", …; for `tensorrt` it must be the GPU of this machine, for `tensorrt_rtx` any of `api.targets`.
    dims: symbolic dimensions, fixed by name ({"horizons": 1}). progress: called now and then.
    Raises LoadError, with TensorRT's reason and the node it concerns, when the graph cannot be read or compiled.
    A signal (Ctrl-C) ends the build at its next step and is delivered then.
    """
    trt = api.trt
    api.logger.forget()
    if api.targets and target not in api.targets:
        raise LoadError(f"--target {target}: {api.label} builds for {', '.join(api.targets)}")
    builder = trt.Builder(api.logger)
    network = builder.create_network(_network_flags(trt))
    _parse(path, graph, api, network)
    _fix_shapes(path, network, dims or {})
    config = builder.create_builder_config()
    config.clear_flag(trt.BuilderFlag.TF32)
    if api.targets:
        config.num_compute_capabilities = 1
        config.set_compute_capability(trt.ComputeCapability.__members__[target.upper()], 0)
        # Without it the engine may allocate while it runs, and no CUDA graph can be made of it.
        config.set_flag(trt.BuilderFlag.REQUIRE_USER_ALLOCATION)
    with _held_signals() as signals:
        monitor = _make_monitor(trt, progress, signals)
        config.progress_monitor = monitor
        engine = builder.build_serialized_network(network, config)
    if engine is None:
        raise LoadError(f"{path}: {api.label} cannot build it for {target}{_advice(api, target)}")
    return bytes(memoryview(engine))


def _network_flags(trt: Any) -> int:
    """Strongly typed: to be asked for in TensorRT 10, the only way there is, and deprecated to say, from 11 on."""
    return 1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED)


def _parse(path: Path, graph: bytes, api: Api, network: Any) -> None:
    parser = api.trt.OnnxParser(network, api.logger)
    if parser.parse(graph) and network.num_outputs:
        return
    errors = [parser.get_error(index) for index in range(parser.num_errors)]
    if not errors or errors[0].code().name == "MODEL_DESERIALIZE_FAILED":
        raise LoadError(f"{path}: not an ONNX file, or cut off; get or export it again")
    first = errors[0]
    more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
    raise LoadError(
        f"{path}: {api.label} cannot read node {first.node_name() or first.node()} "
        f"({first.node_operator()}): {_short(first.desc())}{more}; use --engine onnxruntime"
    )


def _fix_shapes(path: Path, network: Any, dims: Mapping[str, int]) -> None:
    for index in range(network.num_inputs):
        tensor = network.get_input(index)
        shape = list(tensor.shape)
        for axis, size in enumerate(shape):
            if size >= 0:
                continue
            name = tensor.get_dimension_name(axis)
            if name not in dims:
                raise LoadError(f"{path}: {tensor.name} has no fixed shape ({name or axis}); not this graph")
            shape[axis] = dims[name]
        if shape != list(tensor.shape):
            tensor.shape = tuple(shape)


def _advice(api: Api, target: str) -> str:
    reason = _short(api.logger.reason())
    if target in FP16_ONLY and "fp32" in reason.lower():
        return ": for this GPU it multiplies fp16 and int8 only; use --precision fp16"
    return f": {reason}; use --engine onnxruntime"


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= MESSAGE_LENGTH else line[: MESSAGE_LENGTH - 1] + "…"


class _Signals:
    """Signals that came during a build: delivered when TensorRT has returned."""

    def __init__(self) -> None:
        self.came: list[int] = []

    def __call__(self, number: int, _frame: FrameType | None) -> None:
        self.came.append(number)


@contextlib.contextmanager
def _held_signals() -> Iterator[_Signals]:
    """An exception raised by a handler inside one of TensorRT's callbacks is lost, or ends the process; so signals
    are noted, the build is asked to stop, and they are raised anew outside."""
    signals = _Signals()
    before: dict[int, Any] = {}
    if threading.current_thread() is threading.main_thread():
        for number in SIGNALS:
            if signal.getsignal(number) not in (signal.SIG_IGN, None):
                before[number] = signal.signal(number, signals)
    try:
        yield signals
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        for number in signals.came[:1]:
            signal.raise_signal(number)


def _make_monitor(trt: Any, progress: Progress | None, signals: _Signals) -> Any:
    """An IProgressMonitor that names the innermost phase and how far it is."""

    class Monitor(trt.IProgressMonitor):
        """TensorRT calls it from threads of its own."""

        def __init__(self) -> None:
            trt.IProgressMonitor.__init__(self)
            self._steps: dict[str, int] = {}
            self._lock = threading.Lock()

        def phase_start(self, phase_name: str, parent_phase: str | None, num_steps: int) -> None:
            with self._lock:
                self._steps[phase_name] = num_steps
            self._tell(phase_name, 0)

        def step_complete(self, phase_name: str, step: int) -> bool:
            self._tell(phase_name, step + 1)
            return not signals.came

        def phase_finish(self, phase_name: str) -> None:
            with self._lock:
                self._steps.pop(phase_name, None)

        def _tell(self, phase_name: str, step: int) -> None:
            if progress is not None:
                progress(f"{phase_name} {step}/{self._steps.get(phase_name, step)}")

    return Monitor()


class ProgressLine:
    """A line on a terminal's stderr that is written over; nothing where that is no terminal.

    announcement: a line for the log before the first.
    """

    def __init__(self, title: str, announcement: str = "") -> None:
        self._title, self._announcement = title, announcement
        self._live = sys.stderr is not None and sys.stderr.isatty() and os.environ.get("TERM") != "dumb"
        self._shown = 0

    def __call__(self, text: str) -> None:
        if self._announcement:
            log.warning("%s", self._announcement)
            self._announcement = ""
        if self._live:
            line = f"{self._title}: {text}"[: shutil.get_terminal_size().columns - 1]
            with contextlib.suppress(OSError):
                sys.stderr.write("\r" + line.ljust(self._shown))
                sys.stderr.flush()
            self._shown = len(line)

    def __enter__(self) -> ProgressLine:
        return self

    def __exit__(self, *_: object) -> None:
        if self._shown:
            with contextlib.suppress(OSError):
                sys.stderr.write("\r" + " " * self._shown + "\r")
                sys.stderr.flush()
            self._shown = 0
