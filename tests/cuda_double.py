"""A double of the CUDA driver as `cuda.bindings.driver` gives it, for machines without a GPU.

It is as unforgiving as the real one, where that is asked of it: nothing on a stream happens before it is
synchronised; the GPU's addresses mean nothing to the host; copies want pinned memory and stay inside what was
allocated; a call without a current context fails, and so does one that is not allowed while a stream is captured.
"""

from __future__ import annotations

import ctypes
import enum
import threading
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np

Work = Callable[[], None]


class CUresult(enum.IntEnum):
    """The driver's own numbers."""

    CUDA_SUCCESS = 0
    CUDA_ERROR_INVALID_VALUE = 1
    CUDA_ERROR_OUT_OF_MEMORY = 2
    CUDA_ERROR_NO_DEVICE = 100
    CUDA_ERROR_INVALID_CONTEXT = 201
    CUDA_ERROR_INVALID_HANDLE = 400
    CUDA_ERROR_LAUNCH_FAILED = 719
    CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED = 900
    CUDA_ERROR_STREAM_CAPTURE_INVALIDATED = 901


OK = (CUresult.CUDA_SUCCESS,)
BAD_VALUE = (CUresult.CUDA_ERROR_INVALID_VALUE,)


class DriverDouble:
    """Stands for the module. Attributes that tests look at or set:

    calls: names in order. fail: {name: CUresult} to be returned in place of the work. memory: {address: array} of
    the GPU. pinned: {address: buffer}.
    """

    CUresult = CUresult
    CUdevice_attribute = SimpleNamespace(
        CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR=75, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR=76
    )
    CUstream_flags = SimpleNamespace(CU_STREAM_NON_BLOCKING=1)
    CUstreamCaptureMode = SimpleNamespace(CU_STREAM_CAPTURE_MODE_THREAD_LOCAL=1)

    def __init__(
        self, name: str = "NVIDIA Double", capability: tuple[int, int] = (8, 6), count: int = 1
    ) -> None:
        self.name, self.capability, self.count = name, capability, count
        self.calls: list[str] = []
        self.fail: dict[str, CUresult] = {}
        self.memory: dict[int, np.ndarray] = {}
        self.pinned: dict[int, Any] = {}
        self.contexts = 0  # retained and not yet released
        self.streams: dict[int, list[Work]] = {}
        self.graphs: dict[int, list[Work]] = {}  # captured, and ready to be launched
        self.capturing: list[Work] | None = None
        self._invalid = False  # what is being captured
        self._current = threading.local()
        self._next = 0x7F00_0000_0000

    def __getattribute__(self, name: str) -> Any:
        found = super().__getattribute__(name)
        if not name.startswith("cu") or name == "cuGetErrorString":
            return found

        def call(*arguments: Any) -> tuple[Any, ...]:
            self.calls.append(name)
            return (self.fail[name],) if name in self.fail else found(*arguments)

        return call

    # The calls, with the parameters of the real ones (a test compares them).

    def cuGetErrorString(self, error):
        return (*OK, error.name.removeprefix("CUDA_ERROR_").replace("_", " ").lower().encode())

    def cuInit(self, Flags):
        return OK if self.count else (CUresult.CUDA_ERROR_NO_DEVICE,)

    def cuDeviceGetCount(self):
        return (*OK, self.count)

    def cuDeviceGet(self, ordinal):
        return (*OK, ordinal)

    def cuDeviceGetName(self, length, dev):
        return (*OK, self.name.encode()[: length - 1] + b"\0\0")

    def cuDeviceGetAttribute(self, attrib, dev):
        return (*OK, self.capability[attrib - 75])

    def cuDevicePrimaryCtxRetain(self, dev):
        self.contexts += 1
        return (*OK, "context")

    def cuDevicePrimaryCtxRelease(self, dev):
        self.contexts -= 1
        return OK

    def cuCtxSetCurrent(self, ctx):
        self._current.context = ctx
        return OK

    def cuStreamCreate(self, Flags):
        return self._made(self.streams, [])

    def cuStreamDestroy(self, hStream):
        return self._drop(self.streams, hStream)

    def cuStreamSynchronize(self, hStream):
        if hStream not in self.streams or self._unusable():
            return (CUresult.CUDA_ERROR_INVALID_HANDLE,)
        if self._forbidden():
            return (CUresult.CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED,)
        work, self.streams[hStream] = self.streams[hStream], []
        for each in work:
            each()
        return OK

    def cuMemHostAlloc(self, bytesize, Flags):
        if self._forbidden():
            return (CUresult.CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED,)
        buffer = (ctypes.c_uint8 * bytesize)(*([0xA5] * bytesize))  # not zeros: nobody promised any
        address = ctypes.addressof(buffer)
        self.pinned[address] = buffer
        return (*OK, address)

    def cuMemFreeHost(self, p):
        return self._drop(self.pinned, p)

    def cuMemAlloc(self, bytesize):
        if self._forbidden():
            return (CUresult.CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED,)
        if self._unusable() or not bytesize:
            return BAD_VALUE
        return self._made(self.memory, np.full(bytesize, 0xA5, np.uint8))

    def cuMemFree(self, dptr):
        return self._drop(self.memory, dptr)

    def cuMemcpyHtoDAsync(self, dstDevice, srcHost, ByteCount, hStream):
        target, source = self.on_gpu(dstDevice, ByteCount), self._on_host(srcHost, ByteCount)
        return self._copy(target, source, hStream)

    def cuMemcpyDtoHAsync(self, dstHost, srcDevice, ByteCount, hStream):
        target, source = self._on_host(dstHost, ByteCount), self.on_gpu(srcDevice, ByteCount)
        return self._copy(target, source, hStream)

    def cuMemcpyDtoDAsync(self, dstDevice, srcDevice, ByteCount, hStream):
        return self._copy(self.on_gpu(dstDevice, ByteCount), self.on_gpu(srcDevice, ByteCount), hStream)

    def cuMemsetD8Async(self, dstDevice, uc, N, hStream):
        target = self.on_gpu(dstDevice, N)
        return BAD_VALUE if target is None else self.enqueue(hStream, lambda: target.fill(uc))

    def cuStreamBeginCapture(self, hStream, mode):
        if self.capturing is not None:
            return BAD_VALUE
        self.capturing, self._invalid = [], False
        return OK

    def cuStreamEndCapture(self, hStream):
        work, self.capturing = self.capturing, None
        if work is None or self._invalid:
            return (CUresult.CUDA_ERROR_STREAM_CAPTURE_INVALIDATED,)
        return self._made(self.graphs, work)

    def cuGraphInstantiate(self, hGraph, flags):
        return self._made(self.graphs, self.graphs[hGraph])

    def cuGraphDestroy(self, hGraph):
        return self._drop(self.graphs, hGraph)

    def cuGraphExecDestroy(self, hGraphExec):
        return self._drop(self.graphs, hGraphExec)

    def cuGraphLaunch(self, hGraphExec, hStream):
        work = self.graphs.get(hGraphExec)
        if work is None:
            return (CUresult.CUDA_ERROR_INVALID_HANDLE,)
        for each in work:
            self.enqueue(hStream, each)
        return OK

    # What the double of TensorRT uses, too.

    def enqueue(self, stream: int, work: Work) -> tuple[CUresult]:
        """Put work on a stream, or into the graph that is being captured."""
        if stream not in self.streams or self._unusable():
            return (CUresult.CUDA_ERROR_INVALID_HANDLE,)
        (self.streams[stream] if self.capturing is None else self.capturing).append(work)
        return OK

    def on_gpu(self, address: int, nbytes: int) -> np.ndarray | None:
        """The GPU's memory there; None where it does not lie inside one allocation."""
        for start, block in self.memory.items():
            if start <= int(address) and int(address) + nbytes <= start + len(block):
                return block[int(address) - start :][:nbytes]
        return None

    def _on_host(self, address: int, nbytes: int) -> np.ndarray | None:
        for start, buffer in self.pinned.items():
            if start <= address and address + nbytes <= start + len(buffer):
                return np.ctypeslib.as_array(buffer)[address - start :][:nbytes]
        return None

    def _copy(self, target: np.ndarray | None, source: np.ndarray | None, stream: int) -> tuple[CUresult]:
        if target is None or source is None:
            return BAD_VALUE
        return self.enqueue(stream, lambda: np.copyto(target, source))

    def _unusable(self) -> bool:
        return getattr(self._current, "context", None) is None

    def _forbidden(self) -> bool:
        """Whether a stream is being captured, which this call spoils."""
        self._invalid = self._invalid or self.capturing is not None
        return self.capturing is not None

    def _made(self, where: dict[int, Any], what: Any) -> tuple[CUresult, int]:
        self._next += 1 << 24
        where[self._next] = what
        return (CUresult.CUDA_SUCCESS, self._next)

    def _drop(self, where: dict[int, Any], handle: int) -> tuple[CUresult]:
        return OK if where.pop(int(handle), None) is not None else BAD_VALUE
