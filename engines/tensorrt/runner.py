"""A graph run by TensorRT on an NVIDIA GPU.

All memory is taken when the graph is loaded, and a run is one CUDA graph of a handful of nodes:

    pinned host   [ inputs ]                                          [ outputs ]
                      │ one copy                                          ▲ one copy
    GPU           [ inputs ] ──┐                                 ┌──► [ outputs ]
                               ├──► the engine's kernels ────────┤
                  [ state  ] ──┘        [ next state ] ◄─────────┘
                      ▲                       │
                      └─────── one copy ──────┘

What this module does is tested against a double of the driver and of TensorRT's execution (tests/); docs/engines.md
says what of it has run on real hardware.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from engines.cache import cache_folder
from engines.runner import check_inputs
from engines.tensorrt.api import find
from engines.tensorrt.cache import Entry, Kernels, get_or_build
from engines.tensorrt.compiler import ProgressLine
from engines.tensorrt.cuda import Block, Cuda, CudaError, Tensor
from realtime.errors import LoadError

log = logging.getLogger(__name__)


class TensorRTRunner:
    """Implements engines.runner.Runner."""

    name = "tensorrt"

    def __init__(
        self,
        path: Path,
        *,
        loops: Mapping[str, str] | None = None,
        dims: Mapping[str, int] | None = None,
        runtime: str = "",
    ) -> None:
        """loops, dims: see make_runner. runtime: "tensorrt" or "tensorrt_rtx"; "": the first that can.

        Builds the engine unless it is there. Raises LoadError, with what to do, without a package, a driver or a
        GPU that it needs, for a file that cannot be read or built, a dimension that is not fixed and a loop that
        does not fit.
        """
        gpu, self._api = find(runtime)
        self.device = gpu.device
        self._path, self._loops = path, dict(loops or {})
        self._context: Any = None
        self._cuda = Cuda(gpu)
        self._closed = False
        try:
            self._open(dict(dims or {}), cache_folder())
        except LoadError:
            self.close()
            raise
        log.info("%s: %s on %s, CUDA graph: %s", path.name, self._api.label, self.device, self._captured)

    def _open(self, dims: Mapping[str, int], folder: Path) -> None:
        entry = self._load_engine(dims, folder)
        self.metadata: Mapping[str, str] = entry.metadata
        self._kept = entry.path.name if entry.path else "not kept"
        kernels = Kernels(entry, self._cuda.gpu.name, folder) if self._api.targets else None
        self._context = (
            kernels.make_context(self._engine) if kernels else self._engine.create_execution_context()
        )
        if self._context is None:
            raise LoadError(f"{self._path}: no room for it on {self.device} ({self._api.logger.reason()})")
        self._place(self._read_tensors())
        self._warm_up()
        if kernels:
            kernels.keep()

    def _load_engine(self, dims: Mapping[str, int], folder: Path) -> Entry:
        """Sets `_engine`. One that TensorRT refuses although its file is whole is built anew, once."""
        gpu, api = self._cuda.gpu, self._api
        self._runtime = api.trt.Runtime(api.logger)
        for anew in (False, True):
            once = f"building the {api.label} engine of {self._path.name} for {gpu.name}; this is done once"
            with ProgressLine(self._path.name, once) as progress:
                entry = get_or_build(
                    self._path, api, gpu.target, gpu.name, dims, folder=folder, progress=progress, anew=anew
                )
            api.logger.forget()
            self._engine = self._runtime.deserialize_cuda_engine(entry.payload)
            if self._engine is not None:
                return entry
            if entry.seconds is not None:
                break
            log.warning("%s: refused (%s); built anew", entry.path, api.logger.reason())
        raise LoadError(
            f"{self._path}: {api.label} cannot load what it built for {gpu.name} ({api.logger.reason()})\n"
            "is the NVIDIA driver up to date? --engine onnxruntime runs without it"
        )

    def _read_tensors(self) -> list[Tensor]:
        trt, engine = self._api.trt, self._engine
        tensors = []
        for index in range(engine.num_io_tensors):
            name = engine.get_tensor_name(index)
            shape = tuple(int(size) for size in engine.get_tensor_shape(name))
            if min(shape, default=1) < 1 or engine.get_tensor_location(name) != trt.TensorLocation.DEVICE:
                raise LoadError(f"{self._path}: {name} has no fixed shape; not this graph")
            try:
                dtype = np.dtype(trt.nptype(engine.get_tensor_dtype(name)))
            except TypeError:  # bfloat16, fp8: numpy has none
                raise LoadError(f"{self._path}: {name} is not float32; export the graph again") from None
            is_input = engine.get_tensor_mode(name) == trt.TensorIOMode.INPUT
            tensors.append(Tensor(name, is_input, shape, dtype))
        return tensors

    def _place(self, tensors: list[Tensor]) -> None:
        """Take all memory, and tell TensorRT which tensor lies where."""
        named = {tensor.name: tensor for tensor in tensors}
        fed = set(self._loops.values())
        for source, target in self._loops.items():
            if (
                source not in named
                or target not in named
                or named[source].is_input
                or not named[target].is_input
            ):
                raise LoadError(
                    f"{self._path}: no output {source} that could feed an input {target}; not this graph"
                )
            if (named[source].shape, named[source].dtype) != (named[target].shape, named[target].dtype):
                raise LoadError(f"{self._path}: output {source} does not fit input {target}; not this graph")
        shown = [tensor for tensor in tensors if tensor.name not in fed and tensor.name not in self._loops]
        for tensor in shown:
            if not tensor.is_input and tensor.dtype != np.float32:
                raise LoadError(
                    f"{self._path}: {tensor.name} is {tensor.dtype}, not float32; export the graph again"
                )
        self._given = Block(self._cuda, [tensor for tensor in shown if tensor.is_input])
        self._made = Block(self._cuda, [tensor for tensor in shown if not tensor.is_input])
        self._state = Block(self._cuda, [named[target] for target in self._loops.values()])
        self._next_state = Block(self._cuda, [named[source] for source in self._loops])
        for block in (self._given, self._made, self._state, self._next_state):
            for name, address in block.addresses.items():
                if not self._context.set_tensor_address(name, address):
                    raise LoadError(f"{self._path}: {name} cannot be placed ({self._api.logger.reason()})")
        self.inputs: Mapping[str, tuple[int, ...]] = {t.name: t.shape for t in shown if t.is_input}
        self.outputs: Mapping[str, tuple[int, ...]] = {t.name: t.shape for t in shown if not t.is_input}

    def _enqueue(self) -> None:
        """One run, on the stream."""
        cuda = self._cuda
        cuda.upload(self._given.address, self._given.pinned)
        if not self._context.execute_async_v3(cuda.stream):
            raise CudaError(f"{self._path}: TensorRT could not run it ({self._api.logger.reason()})")
        if self._loops:
            cuda.copy(self._state.address, self._next_state.address, self._state.nbytes)
        cuda.download(self._made.pinned, self._made.address)

    def _warm_up(self) -> None:
        """The first run, in which TensorRT sets itself up and which cannot be captured; then the capture."""
        self.clear()
        self._enqueue()
        self._cuda.synchronize()
        self._graph: Any = None
        self._captured = "yes"
        try:
            self._capture()
        except LoadError as error:
            self._captured = f"no: {str(error).partition('; ')[0]}"
            log.warning(
                "%s: no CUDA graph can be made of it (%s); every run costs more launches",
                self._path.name,
                error,
            )
        self._start()  # whatever became of the capture, the stream must still work
        self._cuda.synchronize()
        self.clear()

    def _capture(self) -> None:
        # Only tensorrt_rtx can be asked; its builder was told (engines/tensorrt/compiler.py) that the answer be yes.
        ask = getattr(self._context, "is_stream_capturable", None)
        if ask is not None and not ask(self._cuda.stream):
            raise LoadError("TensorRT says that this engine cannot be captured")
        self._graph = self._cuda.capture(self._enqueue)

    def _start(self) -> None:
        if self._graph is None:
            self._enqueue()
        else:
            self._cuda.launch(self._graph)

    def run(self, **inputs: np.ndarray) -> Mapping[str, np.ndarray]:
        """See Runner.run. Raises LoadError (exit 4) when the GPU fails."""
        self._check_open()
        check_inputs(inputs, self.inputs)
        for name, array in inputs.items():
            if not np.can_cast(array.dtype, self._given.arrays[name].dtype, "same_kind"):
                raise ValueError(
                    f"{name} is {array.dtype}: this graph takes {self._given.arrays[name].dtype}"
                )
        for name, array in inputs.items():
            self._given.arrays[name][...] = array
        self._cuda.activate()
        self._start()
        self._cuda.synchronize()
        return self._made.arrays

    def clear(self) -> None:
        """See Runner.clear."""
        self._check_open()
        self._cuda.activate()
        self._cuda.zero(self._state.address, self._state.nbytes)

    def read_loop(self, name: str) -> np.ndarray:
        """See Runner.read_loop."""
        array = self._loop(name)
        self._cuda.activate()
        self._cuda.download(array, self._state.addresses[name])
        self._cuda.synchronize()
        return array.copy()

    def write_loop(self, name: str, array: np.ndarray) -> None:
        """See Runner.write_loop."""
        slot = self._loop(name)
        if array.shape != slot.shape:
            raise ValueError(f"{name} of shape {array.shape}: this graph takes {slot.shape}")
        slot[...] = array
        self._cuda.activate()
        self._cuda.upload(self._state.addresses[name], slot)
        self._cuda.synchronize()

    def _loop(self, name: str) -> np.ndarray:
        self._check_open()
        if name not in self._state.arrays:
            raise ValueError(f"no loop {name}: this runner has {', '.join(self._state.arrays) or 'none'}")
        return self._state.arrays[name]

    def _check_open(self) -> None:
        if self._closed:
            raise ValueError("this runner is closed")

    def describe(self) -> dict[str, Any]:
        """See Runner.describe."""
        return {
            "engine": self.name,
            "device": self.device,
            "tensorrt": self._api.label,
            "cuda_graph": self._captured,
            "engine_file": self._kept,
        }

    def close(self) -> None:
        """See Runner.close."""
        # In this order: TensorRT frees what it has on the GPU while the context is still there.
        self._context = self._engine = self._runtime = None
        self._closed = True
        self._cuda.close()
