"""A graph run by ONNX Runtime: on the CPU, or on an NVIDIA GPU through its CUDA or TensorRT provider.

Every buffer is made once and bound once (IOBinding): measured cold, after other work has had the caches, a step
through bound buffers took 0.7 of one that allocates its outputs; hot, 0.94. A loop has two buffers that
change places from run to run:

    even runs   state ◄─ A      next_state ─► B
    odd runs    state ◄─ B      next_state ─► A

The GPU providers have never been executed by this project's tests (docs/engines.md): ONNX Runtime's ordinary wheel
holds none.
"""

from __future__ import annotations

import logging
import statistics
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from engines.graph_file import check_seal
from engines.runner import check_inputs
from realtime.errors import LoadError

try:
    import onnxruntime as ort
    from onnxruntime.capi import onnxruntime_pybind11_state as ort_errors
except ImportError as missing:
    raise LoadError(
        f'ONNX Runtime cannot be imported ({missing}); run pip install "onnxruntime>=1.20"'
    ) from None

log = logging.getLogger(__name__)

PROVIDERS = {
    "tensorrt": "TensorrtExecutionProvider",
    "cuda": "CUDAExecutionProvider",
    "cpu": "CPUExecutionProvider",
}
TRIALS = 20  # runs by which the providers are compared, where there is more than the CPU
DTYPES = {"tensor(float)": np.float32, "tensor(float16)": np.float16}  # the latter in loops only

# They share no base class but Exception. Text of a damaged file, in a message or a name, may be no text at all.
ORT_ERRORS: tuple[type[Exception], ...] = (
    *(kind for kind in vars(ort_errors).values() if isinstance(kind, type) and issubclass(kind, Exception)),
    UnicodeDecodeError,
)


def fastest_runner(
    path: Path, threads: int, loops: Mapping[str, str], dims: Mapping[str, int]
) -> OnnxRuntimeRunner:
    """The provider that runs this graph fastest here: a small network is often done on the CPU before a GPU has
    been told what to do, so where there is a choice it is measured. Raises LoadError."""
    installed = [name for name, provider in PROVIDERS.items() if provider in ort.get_available_providers()]
    if installed == ["cpu"]:
        return OnnxRuntimeRunner(path, threads=threads, loops=loops, dims=dims)
    if hasattr(ort, "preload_dlls"):
        ort.preload_dlls()  # CUDA's libraries, where pip has installed them
    trials: list[tuple[float, OnnxRuntimeRunner]] = []
    for name in installed:
        try:
            runner = OnnxRuntimeRunner(path, threads=threads, loops=loops, dims=dims, provider=name)
        except LoadError as error:
            if name == "cpu":
                raise
            log.warning("%s", str(error).splitlines()[0])
            continue
        trials.append((runner.trial_ms(), runner))
        log.info("%s: ONNX Runtime on %s takes %.3f ms", path.name, runner.provider, trials[-1][0])
    _, fastest = min(trials, key=lambda trial: trial[0])
    for _, runner in trials:
        if runner is not fastest:
            runner.close()
    return fastest


class OnnxRuntimeRunner:
    """Implements engines.runner.Runner."""

    name = "onnxruntime"

    def __init__(
        self,
        path: Path,
        *,
        threads: int = 1,
        loops: Mapping[str, str] | None = None,
        dims: Mapping[str, int] | None = None,
        provider: str = "cpu",
    ) -> None:
        """threads: of the CPU; they do not spin. loops, dims: see make_runner. provider: a key of PROVIDERS.

        Raises LoadError for a file that is missing, damaged or no graph that this ONNX Runtime runs, for a
        dimension that is not fixed, a loop that does not fit, and a provider that cannot be had.
        """
        if threads < 1:
            raise LoadError(f"{threads} threads: use --set runtime.threads=1 or more")
        self._threads, self.provider = threads, PROVIDERS[provider]
        self.device = "cpu" if self.provider == PROVIDERS["cpu"] else "cuda:0"
        self._device = self.device.partition(":")[0]
        loops = dict(loops or {})
        session = _open(path, self.provider, threads, dims or {})
        try:
            self.metadata: Mapping[str, str] = dict(session.get_modelmeta().custom_metadata_map)
            given = {item.name: _zeros(path, item) for item in session.get_inputs()}
            names = [item.name for item in session.get_outputs()]
        except UnicodeDecodeError:
            raise LoadError(f"{path}: damaged (its names are no text); get or export it again") from None
        # The first run fixes the outputs' shapes, and shows that the graph runs at all.
        try:
            made = dict(zip(names, session.run(names, given), strict=True))
        except ORT_ERRORS as error:
            raise LoadError(
                f"{path}: does not run ({_short(error)}); it is damaged or not for this"
            ) from None
        for source, target in loops.items():
            if source not in made or target not in given:
                raise LoadError(
                    f"{path}: no output {source} that could feed an input {target}; not this graph"
                )
            if (made[source].shape, made[source].dtype) != (given[target].shape, given[target].dtype):
                raise LoadError(f"{path}: output {source} does not fit input {target}; not this graph")
        fed = set(loops.values())
        for name, array in (*given.items(), *made.items()):
            if array.dtype != np.float32 and name not in fed and name not in loops:
                raise LoadError(f"{path}: {name} is {array.dtype}, not float32; export the graph again")
        self.inputs: Mapping[str, tuple[int, ...]] = {n: a.shape for n, a in given.items() if n not in fed}
        self.outputs: Mapping[str, tuple[int, ...]] = {n: a.shape for n, a in made.items() if n not in loops}
        self._session: ort.InferenceSession | None = session
        self._bind(given, made, loops)

    def _bind(
        self, given: dict[str, np.ndarray], made: dict[str, np.ndarray], loops: Mapping[str, str]
    ) -> None:
        assert self._session is not None
        # On the CPU an OrtValue made of an array lives in that array's memory: writing there is all there is to do.
        self._feeds = {name: (array, self._on_device(array)) for name, array in given.items()}
        self._results = {name: np.zeros_like(made[name]) for name in self.outputs}
        results = {name: ort.OrtValue.ortvalue_from_numpy(array) for name, array in self._results.items()}
        self._kept = results  # alive as long as the bindings that hold their memory
        self._loops = {
            target: (self._feeds[target], (made[source], self._on_device(made[source])))
            for source, target in loops.items()
        }
        self._turn = 0
        self._bindings = []
        for turn in (0, 1) if loops else (0,):
            binding = self._session.io_binding()
            for name, (_, value) in self._feeds.items():
                if name not in self._loops:
                    binding.bind_ortvalue_input(name, value)
            for name, value in results.items():
                binding.bind_ortvalue_output(name, value)
            for source, target in loops.items():
                binding.bind_ortvalue_input(target, self._loops[target][turn][1])
                binding.bind_ortvalue_output(source, self._loops[target][1 - turn][1])
            self._bindings.append(binding)
        self.clear()

    def _on_device(self, array: np.ndarray) -> ort.OrtValue:
        return ort.OrtValue.ortvalue_from_numpy(array, self._device, 0)

    def _write(self, slot: tuple[np.ndarray, ort.OrtValue], array: np.ndarray) -> None:
        slot[0][...] = array
        if self._device != "cpu":
            slot[1].update_inplace(slot[0])

    def run(self, **inputs: np.ndarray) -> Mapping[str, np.ndarray]:
        """See Runner.run."""
        if self._session is None:
            raise ValueError("this runner is closed")
        check_inputs(inputs, self.inputs)
        for name, array in inputs.items():
            self._write(self._feeds[name], array)
        self._session.run_with_iobinding(self._bindings[self._turn])
        self._turn = (self._turn + 1) % len(self._bindings)
        return self._results

    def clear(self) -> None:
        """See Runner.clear."""
        for buffers in self._loops.values():
            self._write(buffers[self._turn], np.zeros_like(buffers[0][0]))

    def read_loop(self, name: str) -> np.ndarray:
        """See Runner.read_loop."""
        return np.array(self._loop(name)[1].numpy())

    def write_loop(self, name: str, array: np.ndarray) -> None:
        """See Runner.write_loop."""
        slot = self._loop(name)
        if array.shape != slot[0].shape:
            raise ValueError(f"{name} of shape {array.shape}: this graph takes {slot[0].shape}")
        self._write(slot, array)

    def _loop(self, name: str) -> tuple[np.ndarray, ort.OrtValue]:
        if name not in self._loops:
            raise ValueError(f"no loop {name}: this runner has {', '.join(self._loops) or 'none'}")
        return self._loops[name][self._turn]

    def trial_ms(self) -> float:
        """Median duration of a run; loops are back at zero afterwards."""
        durations = []
        for _ in range(TRIALS):
            start = time.perf_counter()
            self.run()
            durations.append((time.perf_counter() - start) * 1e3)
        self.clear()
        return statistics.median(durations)

    def describe(self) -> dict[str, Any]:
        """See Runner.describe."""
        return {
            "engine": self.name,
            "device": self.device,
            "provider": self.provider,
            "threads": self._threads,
            "onnxruntime": ort.__version__,
        }

    def close(self) -> None:
        """See Runner.close."""
        self._session = None
        self._bindings = []


def read_metadata(path: Path) -> dict[str, str]:
    """Metadata of a graph file, whatever its shapes. Raises LoadError as the runner does."""
    session = _open(path, PROVIDERS["cpu"], 1, {})
    try:
        return dict(session.get_modelmeta().custom_metadata_map)
    except UnicodeDecodeError:
        raise LoadError(f"{path}: damaged (its metadata are no text); get or export it again") from None


def _open(path: Path, provider: str, threads: int, dims: Mapping[str, int]) -> ort.InferenceSession:
    if provider not in ort.get_available_providers():
        raise LoadError(f"this ONNX Runtime has no {provider}; pip install onnxruntime-gpu")
    check_seal(path)
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3  # errors; its warnings are about what we cannot change
    # A thread that waits in a busy loop takes the core from perception.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    for name, size in dims.items():
        options.add_free_dimension_override_by_name(name, size)
    try:
        session = ort.InferenceSession(str(path), options, providers=[provider])
    except ORT_ERRORS as error:
        if not path.is_file():
            raise LoadError(f"{path}: no such file") from None
        raise LoadError(
            f"{path}: ONNX Runtime {ort.__version__} cannot load it ({_short(error)})\n"
            "it is cut off, damaged, or made for a newer onnxruntime; get or export it again"
        ) from None
    # A provider whose libraries are missing is replaced by the CPU without an exception.
    if session.get_providers()[0] != provider:
        raise LoadError(f"ONNX Runtime could not start its {provider}; are its CUDA libraries installed?")
    return session


def _zeros(path: Path, item: Any) -> np.ndarray:
    if item.type not in DTYPES:
        raise LoadError(f"{path}: {item.name} is {item.type}, not float32; export the graph again")
    free = [size for size in item.shape if not isinstance(size, int)]
    if free:
        raise LoadError(
            f"{path}: {item.name} has no fixed shape ({', '.join(map(str, free))}); not this graph"
        )
    return np.zeros(item.shape, DTYPES[item.type])


def _short(error: Exception) -> str:
    """ONNX Runtime's message without its prefix and its stack."""
    text = " ".join(str(error).split())
    return text.rpartition("[ONNXRuntimeError] : ")[2][:160]
