"""TensorRT as it is, but for what needs a GPU: engines are built for real, and run by ONNX Runtime on the double of the
GPU's memory."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnxruntime as ort
from cuda_double import DriverDouble

from engines.tensorrt.api import Api

DTYPES = {"tensor(float)": "float32", "tensor(float16)": "float16", "tensor(uint8)": "uint8"}


class TensorRTDouble:
    """Stands for the module: everything is the real one's, but Runtime.

    taken: the engines that were deserialised. refuse: so many of the next are refused. capturable: what
    is_stream_capturable says. spoil: a call of the driver that TensorRT makes while it runs (None: none).
    kernels: what a runtime cache gives to be kept; `known_kernels` what it was given.
    """

    def __init__(self, real: Any, driver: DriverDouble, path: Path, dims: dict[str, int]) -> None:
        self._real, self.driver, self.path, self.dims = real, driver, path, dims
        self.taken: list[bytes] = []
        self.refuse = 0
        self.capturable = True
        self.fails_captured = False
        self.allocates = False
        self.kernels = b"kernels"
        self.known_kernels: list[bytes] = []
        self.Runtime = lambda logger: _Runtime(self, logger)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)


def doubled(api: Api, driver: DriverDouble, path: Path, dims: dict[str, int]) -> tuple[Api, TensorRTDouble]:
    """`api` with the double in the place of its module; `path` is what its engines compute."""
    trt = TensorRTDouble(api.trt, driver, path, dims)
    return Api(api.runtime, api.version, trt, api.logger), trt


class _Runtime:
    def __init__(self, trt: TensorRTDouble, logger: Any) -> None:
        self._trt, self._logger = trt, logger

    def deserialize_cuda_engine(self, serialized_engine: bytes) -> Any:
        self._trt.taken.append(serialized_engine)
        if self._trt.refuse:
            self._trt.refuse -= 1
            self._logger.log(self._trt.ILogger.ERROR, "made by another version")
            return None
        return _Engine(self._trt)


class _Engine:
    def __init__(self, trt: TensorRTDouble) -> None:
        self.trt = trt
        options = ort.SessionOptions()
        options.intra_op_num_threads = 1
        for name, size in trt.dims.items():
            options.add_free_dimension_override_by_name(name, size)
        self.session = ort.InferenceSession(str(trt.path), options, providers=["CPUExecutionProvider"])
        self.inputs = {item.name: item for item in self.session.get_inputs()}
        given = {name: np.zeros(item.shape, DTYPES[item.type]) for name, item in self.inputs.items()}
        names = [item.name for item in self.session.get_outputs()]
        made = dict(zip(names, self.session.run(names, given), strict=True))
        self.tensors: dict[str, np.ndarray] = {**given, **made}
        self.outputs = names
        self.num_io_tensors = len(self.tensors)

    def get_tensor_name(self, index: int) -> str:
        return list(self.tensors)[index]

    def get_tensor_shape(self, name: str) -> Any:
        return self.trt.Dims(self.tensors[name].shape)

    def get_tensor_dtype(self, name: str) -> Any:
        kinds = {"float32": self.trt.float32, "float16": self.trt.float16, "uint8": self.trt.uint8}
        return kinds[self.tensors[name].dtype.name]

    def get_tensor_mode(self, name: str) -> Any:
        return self.trt.TensorIOMode.OUTPUT if name in self.outputs else self.trt.TensorIOMode.INPUT

    def get_tensor_location(self, name: str) -> Any:
        return self.trt.TensorLocation.DEVICE

    def create_runtime_config(self) -> Any:
        return _RuntimeConfig(self.trt)

    def create_execution_context(self, runtime_config: Any = None) -> Any:
        return _Context(self)


class _RuntimeConfig:
    def __init__(self, trt: TensorRTDouble) -> None:
        self._trt = trt

    def create_runtime_cache(self) -> Any:
        def deserialize(blob: bytes) -> bool:
            self._trt.known_kernels.append(bytes(blob))
            return True

        kept = np.frombuffer(self._trt.kernels, np.uint8)
        return SimpleNamespace(deserialize=deserialize, serialize=lambda: kept)

    def set_runtime_cache(self, cache: Any) -> bool:
        return True


class _Context:
    def __init__(self, engine: _Engine) -> None:
        self._engine, self._trt = engine, engine.trt
        self._places: dict[str, np.ndarray] = {}
        self._ran = False

    def set_tensor_address(self, name: str, memory: int) -> bool:
        array = self._engine.tensors[name]
        place = self._trt.driver.on_gpu(memory, array.nbytes)
        if place is None or memory % 256:
            return False
        self._places[name] = place.view(array.dtype).reshape(array.shape)
        return True

    def is_stream_capturable(self, stream: int) -> bool:
        return self._trt.capturable

    def execute_async_v3(self, stream_handle: int) -> bool:
        driver = self._trt.driver
        if driver.capturing is not None and (self._trt.fails_captured or not self._ran):
            return False  # what TensorRT does in its first run cannot be captured
        if self._trt.allocates:
            driver.cuMemAlloc(256)
        self._ran = True
        return driver.enqueue(stream_handle, self._compute)[0] == 0

    def _compute(self) -> None:
        given = {name: self._places[name] for name in self._engine.inputs}
        made = self._engine.session.run(self._engine.outputs, given)
        for name, array in zip(self._engine.outputs, made, strict=True):
            self._places[name][...] = array
