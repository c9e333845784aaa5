"""The few calls of the CUDA driver that a runner needs, by the `cuda-bindings` package, every result checked.

The driver's own API, not the runtime's: it asks for no CUDA toolkit and works with whatever driver is installed.
"""

from __future__ import annotations

import contextlib
import ctypes
import importlib.util
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from realtime.errors import LoadError

ALIGNMENT = 256  # bytes; TensorRT asks for tensors at multiples of it, and cuMemAlloc gives them


class CudaError(LoadError):
    """A call of the driver failed: which one, the driver's name for it, and what to do."""


@dataclass(frozen=True)
class Gpu:
    """One NVIDIA GPU as the driver tells of it."""

    index: int
    name: str  # "NVIDIA GeForce RTX 4090"
    capability: tuple[int, int]  # compute capability, (8, 9)

    @property
    def target(self) -> str:
        """ "sm89": what an engine is built for."""
        return f"sm{self.capability[0]}{self.capability[1]}"

    @property
    def device(self) -> str:
        """ "cuda:0 (NVIDIA GeForce RTX 4090)"."""
        return f"cuda:{self.index} ({self.name})"


def installed() -> bool:
    """Whether `cuda-bindings` is there; nothing is loaded."""
    try:
        return importlib.util.find_spec("cuda.bindings.driver") is not None
    except ModuleNotFoundError:
        return False


def load_driver() -> Any:
    """The module `cuda.bindings.driver`. Raises LoadError without the package."""
    try:
        from cuda.bindings import driver
    except ImportError as error:
        raise LoadError(f"cuda-bindings cannot be imported ({error}); pip install cuda-bindings") from None
    return driver


def find_gpu(index: int = 0) -> Gpu:
    """The GPU that CUDA counts as `index` (CUDA_VISIBLE_DEVICES chooses among several).

    Raises LoadError without the package, the driver, or a GPU.
    """
    driver = load_driver()
    _start(driver)
    count = _call(driver, "cuDeviceGetCount")
    if index >= count:
        raise LoadError(
            f"no NVIDIA GPU {index}: the driver counts {count}; see nvidia-smi and CUDA_VISIBLE_DEVICES"
        )
    device = _call(driver, "cuDeviceGet", index)
    name = _call(driver, "cuDeviceGetName", 128, device)
    attribute = driver.CUdevice_attribute
    capability = [
        _call(driver, "cuDeviceGetAttribute", kind, device)
        for kind in (
            attribute.CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR,
            attribute.CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR,
        )
    ]
    return Gpu(index, name.split(b"\0")[0].decode(errors="replace"), (int(capability[0]), int(capability[1])))


@dataclass(frozen=True)
class Tensor:
    """One input or output of a network."""

    name: str
    is_input: bool
    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    @property
    def nbytes(self) -> int:
        return int(np.prod(self.shape)) * self.dtype.itemsize


class Cuda:
    """A GPU's primary context (the one that TensorRT and torch use too) with one stream in it.

    Copies and launches are put on the stream and happen in order; `synchronize` waits for them. Pinned arrays must
    outlive the work that reads or writes them. `close` frees everything that came from here.
    """

    def __init__(self, gpu: Gpu) -> None:
        """Raises CudaError when the context cannot be made (the GPU is in exclusive use, out of memory, …)."""
        self.gpu = gpu
        self._driver = load_driver()
        _start(self._driver)
        self._device = self._call("cuDeviceGet", gpu.index)
        self._context = self._call("cuDevicePrimaryCtxRetain", self._device)
        self._undo: list[tuple[str, Any]] = [("cuDevicePrimaryCtxRelease", self._device)]
        try:
            self.activate()
            self._stream = self._call("cuStreamCreate", self._driver.CUstream_flags.CU_STREAM_NON_BLOCKING)
        except CudaError:
            self.close()
            raise
        self._undo.append(("cuStreamDestroy", self._stream))

    @property
    def stream(self) -> int:
        """The stream's handle, as TensorRT takes it."""
        return int(self._stream)

    def activate(self) -> None:
        """Make the context current in the calling thread; every other call needs it."""
        self._call("cuCtxSetCurrent", self._context)

    def pinned(self, nbytes: int) -> np.ndarray:
        """Host memory that the GPU copies from and to without a detour: (nbytes,) uint8, zeros."""
        pointer = self._call("cuMemHostAlloc", nbytes, 0)
        self._undo.append(("cuMemFreeHost", pointer))
        array = np.ctypeslib.as_array((ctypes.c_uint8 * nbytes).from_address(int(pointer)))
        array[:] = 0
        return array

    def memory(self, nbytes: int) -> int:
        """Address of so much memory on the GPU; holds anything."""
        pointer = self._call("cuMemAlloc", nbytes)
        self._undo.append(("cuMemFree", pointer))
        return int(pointer)

    def upload(self, target: int, source: np.ndarray) -> None:
        """Pinned array → GPU, on the stream."""
        self._call("cuMemcpyHtoDAsync", target, source.ctypes.data, source.nbytes, self._stream)

    def download(self, target: np.ndarray, source: int) -> None:
        """GPU → pinned array, on the stream."""
        self._call("cuMemcpyDtoHAsync", target.ctypes.data, source, target.nbytes, self._stream)

    def copy(self, target: int, source: int, nbytes: int) -> None:
        """GPU → GPU, on the stream."""
        self._call("cuMemcpyDtoDAsync", target, source, nbytes, self._stream)

    def zero(self, target: int, nbytes: int) -> None:
        """Zero bytes, on the stream."""
        self._call("cuMemsetD8Async", target, 0, nbytes, self._stream)

    def synchronize(self) -> None:
        """Wait for all that was put on the stream."""
        self._call("cuStreamSynchronize", self._stream)

    def capture(self, work: Callable[[], None]) -> Any:
        """What `work` puts on the stream, as one graph for `launch`; nothing of it is done now.

        Raises what `work` raises, and CudaError when it did something that cannot be captured; the stream can be
        used afterwards either way.
        """
        # Thread-local: what other threads do with the GPU meanwhile (another network loading) is none of its business.
        mode = self._driver.CUstreamCaptureMode.CU_STREAM_CAPTURE_MODE_THREAD_LOCAL
        self._call("cuStreamBeginCapture", self._stream, mode)
        try:
            work()
        except BaseException:
            with contextlib.suppress(CudaError):  # what went wrong inside is the news
                self._call("cuGraphDestroy", self._call("cuStreamEndCapture", self._stream))
            raise
        graph = self._call("cuStreamEndCapture", self._stream)
        try:
            launchable = self._call("cuGraphInstantiate", graph, 0)
        finally:
            self._call("cuGraphDestroy", graph)
        self._undo.append(("cuGraphExecDestroy", launchable))
        return launchable

    def launch(self, graph: Any) -> None:
        """Put a captured graph on the stream."""
        self._call("cuGraphLaunch", graph, self._stream)

    def close(self) -> None:
        """Free everything, newest first; may be called twice. No array or address from here is valid after it."""
        if self._undo:
            with contextlib.suppress(CudaError):
                self.activate()
        while self._undo:
            name, what = self._undo.pop()
            with contextlib.suppress(CudaError):  # a GPU that has fallen away cannot be tidied up
                self._call(name, what)

    def _call(self, name: str, *arguments: Any) -> Any:
        return _call(self._driver, name, *arguments)


class Block:
    """Tensors that lie one after another in pinned memory and, the same, on the GPU: one copy moves them all."""

    def __init__(self, cuda: Cuda, tensors: Sequence[Tensor]) -> None:
        offsets, size = [], 0
        for tensor in tensors:
            offsets.append(size)
            size += -(-tensor.nbytes // ALIGNMENT) * ALIGNMENT
        self.nbytes = max(size, ALIGNMENT)  # nothing at all cannot be allocated
        self.pinned = cuda.pinned(self.nbytes)
        self.address = cuda.memory(self.nbytes)
        self.arrays: dict[str, np.ndarray] = {}  # views of `pinned`
        self.addresses: dict[str, int] = {}
        for tensor, offset in zip(tensors, offsets, strict=True):
            view = self.pinned[offset : offset + tensor.nbytes].view(tensor.dtype)
            self.arrays[tensor.name] = view.reshape(tensor.shape)
            self.addresses[tensor.name] = self.address + offset


def _start(driver: Any) -> None:
    """cuInit, with what its failures mean to a user."""
    try:
        _call(driver, "cuInit", 0)
    except RuntimeError:  # cuda-bindings looks for the driver's library at the first call
        raise LoadError("no NVIDIA driver here (its library is not installed); see nvidia-smi") from None
    except CudaError as error:
        raise LoadError(f"the NVIDIA driver finds no GPU it can use ({error}); see nvidia-smi") from None


def _call(driver: Any, name: str, *arguments: Any) -> Any:
    """One call: its value, or None where it has none. Raises CudaError unless it succeeded."""
    code, *values = getattr(driver, name)(*arguments)
    if code != driver.CUresult.CUDA_SUCCESS:
        raise CudaError(f"{name}: {_describe(driver, code)}; see nvidia-smi, or use --engine onnxruntime")
    return values[0] if values else None


def _describe(driver: Any, code: Any) -> str:
    """ "CUDA_ERROR_OUT_OF_MEMORY, out of memory"."""
    _, text = driver.cuGetErrorString(code)
    name = getattr(code, "name", str(code))
    return f"{name}, {text.decode(errors='replace')}" if text else name
