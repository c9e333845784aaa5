"""Writing ONNX graphs by hand, node by node: the few lines that `onnx.helper` lacks for that."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from engines.graph_file import GraphInfo
from realtime.errors import LoadError

OPSET = 17  # LayerNormalization; everything that runs ONNX today knows it
IR_VERSION = 8  # of the same release
LARGEST_FILE = (1 << 31) - (1 << 20)  # protobuf's own limit is 2 GiB

Shape = Sequence[int | str]


class GraphBuilder:
    """Collects nodes and weights. Tensors are named by their text; every method returns the name of its result.

    Matrices that fp16 holds without loss are stored so, with a Cast that runtimes fold when they load.
    """

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.inputs: list[onnx.ValueInfoProto] = []
        self.outputs: list[onnx.ValueInfoProto] = []
        self.initializers: dict[str, TensorProto] = {}
        self._names: set[str] = set()
        self._constants: dict[tuple[Any, ...], str] = {}

    def input(self, name: str, shape: Shape) -> str:
        self.inputs.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, shape))
        return name

    def output(self, name: str, tensor: str, shape: Shape) -> None:
        """Give a tensor out under a name of its own."""
        self.node("Identity", tensor, name=name) if tensor != name else None
        self.outputs.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, shape))

    def weight(self, name: str, array: np.ndarray) -> str:
        """A matrix of the network, float32."""
        array = np.ascontiguousarray(array, dtype=np.float32)
        with np.errstate(over="ignore"):
            half = array.astype(np.float16)
        if not np.array_equal(half.astype(np.float32), array):
            self.initializers[name] = numpy_helper.from_array(array, name)
            return name
        stored = f"{name}.fp16"
        self.initializers[stored] = numpy_helper.from_array(half, stored)
        return self.node("Cast", stored, name=name, to=TensorProto.FLOAT)

    def constant(self, values: Any, dtype: type = np.float32) -> str:
        """A small constant; equal ones are stored once."""
        array: np.ndarray = np.asarray(values, dtype)
        key = (array.dtype.str, array.shape, array.tobytes())
        if key not in self._constants:
            name = self._fresh("constant")
            self.initializers[name] = numpy_helper.from_array(array, name)
            self._constants[key] = name
        return self._constants[key]

    def node(self, op: str, *inputs: str, name: str = "", **attributes: Any) -> str:
        """One node with one output, called `name` where given."""
        output = name or self._fresh(op.lower())
        self.nodes.append(helper.make_node(op, inputs, [output], name=output, **attributes))
        return output

    def split(self, tensor: str, sizes: Sequence[int], axis: int) -> list[str]:
        outputs = [self._fresh("split") for _ in sizes]
        split_sizes = self.constant(sizes, np.int64)
        self.nodes.append(
            helper.make_node("Split", [tensor, split_sizes], outputs, name=outputs[0], axis=axis)
        )
        return outputs

    def reshape(self, tensor: str, *shape: int, name: str = "") -> str:
        return self.node("Reshape", tensor, self.constant(shape, np.int64), name=name)

    def model(self, name: str) -> onnx.ModelProto:
        graph = helper.make_graph(
            self.nodes, name, self.inputs, self.outputs, initializer=list(self.initializers.values())
        )
        opset = [helper.make_operatorsetid("", OPSET)]
        return helper.make_model(graph, producer_name="hmmr-live", ir_version=IR_VERSION, opset_imports=opset)

    def _fresh(self, stem: str) -> str:
        name = f"{stem}_{len(self._names)}"
        self._names.add(name)
        return name


def write_graph(model: onnx.ModelProto, info: GraphInfo, path: Path) -> None:
    """Write a graph file with its metadata. Raises LoadError for one that is too large for a file."""
    size = model.ByteSize()
    if size > LARGEST_FILE:
        raise LoadError(f"{path}: {size / 1e9:.1f} GB; an ONNX file holds 2 GB: save the weights as fp16")
    del model.metadata_props[:]
    helper.set_model_props(model, info.metadata())
    path.write_bytes(model.SerializeToString())
