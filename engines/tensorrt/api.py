"""The two packages that are TensorRT, as one: `tensorrt` (10 and later) and `tensorrt_rtx`.

Their Python interfaces are the same in everything used here but three: which GPUs they know, that `tensorrt_rtx`
builds for any of its GPUs without having one (and finishes the work on the GPU, when an engine is loaded), and a
builder flag that lets its engines be captured.
"""

from __future__ import annotations

import functools
import importlib
import importlib.util
import logging
import threading
from dataclasses import dataclass
from typing import Any

from engines.tensorrt import cuda
from engines.tensorrt.cuda import Gpu
from realtime.errors import LoadError

log = logging.getLogger(__name__)

RUNTIMES = ("tensorrt", "tensorrt_rtx")  # the order in which they are preferred where both are there
OLDEST = {"tensorrt": 10, "tensorrt_rtx": 1}  # major versions
EXTRAS = {"tensorrt": "tensorrt", "tensorrt_rtx": "tensorrt-rtx"}
FP16_ONLY = ("sm75",)  # Turing, in tensorrt_rtx: no fp32 matrix product, however small
KEPT_MESSAGES = 20  # of TensorRT's own errors, for our error message


@dataclass(frozen=True, eq=False)
class Api:
    """One of the packages, imported."""

    runtime: str  # key of RUNTIMES
    version: str  # "1.7.1.116"
    trt: Any  # the module
    logger: Any  # an ILogger; `errors` holds what went wrong last

    @property
    def label(self) -> str:
        """ "tensorrt_rtx 1.7.1.116"."""
        return f"{self.runtime} {self.version}"

    @property
    def targets(self) -> tuple[str, ...]:
        """GPUs that engines can be built for without having them: ("sm75", …); empty for `tensorrt`."""
        if self.runtime == "tensorrt":
            return ()
        names = self.trt.ComputeCapability.__members__
        return tuple(sorted((name.lower() for name in names if name.startswith("SM")), key=_number))

    def refusal(self, gpu: Gpu) -> str | None:
        """Why this package cannot run on that GPU; None: it can."""
        if self.runtime == "tensorrt" or gpu.target in self.targets:
            return None
        known = ", ".join(self.targets)
        return (
            f"{self.label} knows {known}, and {gpu.name} is {gpu.target}; "
            f"{install_command('tensorrt')} runs on every NVIDIA GPU"
        )


def install_command(runtime: str) -> str:
    """What installs it, with the CUDA bindings."""
    return f'pip install -e ".[{EXTRAS[runtime]}]"'


def installed(runtime: str) -> bool:
    """Whether the package is there; it is not imported (a quarter of a gigabyte)."""
    return importlib.util.find_spec(runtime) is not None


@functools.cache
def load_api(runtime: str) -> Api:
    """Import the package.

    Raises LoadError, with the command that installs it, when it is missing, too old or cannot be loaded.
    """
    if runtime not in RUNTIMES:
        raise LoadError(f"--runtime {runtime}: no such runtime; use {' or '.join(RUNTIMES)}")
    if not installed(runtime):
        raise LoadError(f"{runtime} is not installed; {install_command(runtime)}")
    try:
        trt = importlib.import_module(runtime)
    except (ImportError, OSError) as error:  # OSError: a library that it wants is not there
        raise LoadError(f"{runtime} cannot be loaded ({error}); {install_command(runtime)}") from None
    version = str(trt.__version__)
    if int(version.split(".")[0]) < OLDEST[runtime]:
        raise LoadError(
            f"{runtime} {version} is too old, {OLDEST[runtime]} or later is needed; {install_command(runtime)}"
        )
    return Api(runtime, version, trt, _make_logger(trt))


def choose(gpu: Gpu) -> Api:
    """The package to use on this GPU. Raises LoadError, with every one's reason, when none of them can."""
    reasons = []
    for runtime in _installed():
        try:
            api = load_api(runtime)
        except LoadError as error:
            reasons.append(str(error))
            continue
        refusal = api.refusal(gpu)
        if refusal is None:
            return api
        reasons.append(refusal)
    raise LoadError("\n".join(reasons))


def find(runtime: str = "") -> tuple[Gpu, Api]:
    """The GPU and the package that TensorRT runs with here. runtime: a key of RUNTIMES; "": the first that can.

    What costs least is asked first: without a GPU no package is imported. Raises LoadError with the reason.
    """
    there = [runtime] if runtime else _installed()
    if not cuda.installed():
        raise LoadError(f"cuda-bindings is not installed; {install_command(there[0])}")
    gpu = cuda.find_gpu()
    if not runtime:
        return gpu, choose(gpu)
    api = load_api(runtime)
    refusal = api.refusal(gpu)
    if refusal:
        raise LoadError(refusal)
    return gpu, api


def available() -> str | None:
    """Why TensorRT cannot run here, with what to do; None: it can. Cheap where it cannot."""
    try:
        find()
    except LoadError as error:
        return str(error)
    return None


def _installed() -> list[str]:
    there = [runtime for runtime in RUNTIMES if installed(runtime)]
    if not there:
        raise LoadError(
            f"TensorRT is not installed; {install_command('tensorrt_rtx')} for GeForce and RTX cards, "
            f"{install_command('tensorrt')} for every NVIDIA GPU"
        )
    return there


def _number(target: str) -> int:
    return int(target.removeprefix("sm"))


def _make_logger(trt: Any) -> Any:
    """An ILogger that hands TensorRT's messages to `logging` and keeps its errors for ours."""

    class Logger(trt.ILogger):
        """TensorRT calls it from threads of its own."""

        def __init__(self) -> None:
            trt.ILogger.__init__(self)
            self.errors: list[str] = []
            self._lock = threading.Lock()

        def log(self, severity: Any, message: str) -> None:
            if severity <= trt.ILogger.ERROR:
                with self._lock:
                    self.errors = [*self.errors[1 - KEPT_MESSAGES :], message]
                log.debug("%s", message)
            elif severity == trt.ILogger.WARNING:
                log.debug("%s", message)

        def forget(self) -> None:
            """A new piece of work begins."""
            with self._lock:
                self.errors = []

        def reason(self) -> str:
            """The first error since, on one line: the later ones only follow from it."""
            with self._lock:
                return " ".join(self.errors[0].split()) if self.errors else "no reason given"

    return Logger()
