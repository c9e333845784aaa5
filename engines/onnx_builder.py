"""Writing ONNX graphs by hand, node by node: the few lines that `onnx.helper` lacks for that."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from engines.graph_file import GraphInfo, sealed
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
        self.nodes: list[onnx.NodeProto] = []  # of the graph or, inside `either`, of a branch
        self._top = self.nodes
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
        """A matrix or a kernel of the network, float32."""
        array = np.ascontiguousarray(array, dtype=np.float32)
        with np.errstate(over="ignore"):
            half = array.astype(np.float16)
        if not np.array_equal(half.astype(np.float32), array):
            self.initializers[name] = numpy_helper.from_array(array, name)
            return name
        stored = f"{name}.fp16"
        self.initializers[stored] = numpy_helper.from_array(half, stored)
        # Never inside a branch: there nothing is folded.
        self._top.append(helper.make_node("Cast", [stored], [name], name=name, to=TensorProto.FLOAT))
        return name

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

    def convolution(
        self, tensor: str, kernel: str, bias: str, *, stride: int = 1, padding: int = 0, name: str = ""
    ) -> str:
        """Of maps (B, C, H, W) by a kernel (D, C, h, w), with the same stride and padding of zeros on every side."""
        strides, pads = [stride, stride], [padding] * 4
        return self.node("Conv", tensor, kernel, bias, name=name, strides=strides, pads=pads)

    def split(self, tensor: str, sizes: Sequence[int], axis: int) -> list[str]:
        outputs = [self._fresh("split") for _ in sizes]
        split_sizes = self.constant(sizes, np.int64)
        self.nodes.append(
            helper.make_node("Split", [tensor, split_sizes], outputs, name=outputs[0], axis=axis)
        )
        return outputs

    def either(
        self, condition: str, then: Callable[[], str], otherwise: str, shape: Shape, name: str
    ) -> None:
        """`name` is what `then` writes where the condition (one bool) holds, else the tensor `otherwise`."""
        branches = []
        for write in (then, lambda: self.node("Identity", otherwise)):
            self.nodes = []
            result = helper.make_tensor_value_info(write(), TensorProto.FLOAT, shape)
            branches.append(helper.make_graph(self.nodes, result.name, [], [result]))
        self.nodes = self._top
        self.node("If", condition, name=name, then_branch=branches[0], else_branch=branches[1])

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


def branches(node: onnx.NodeProto) -> Iterator[onnx.GraphProto]:
    """The graphs inside a node: an If has two, most have none."""
    for attribute in node.attribute:
        if attribute.type == onnx.AttributeProto.GRAPH:
            yield attribute.g


def used_names(nodes: Iterable[onnx.NodeProto]) -> set[str]:
    """All tensors that nodes read, branches included."""
    names: set[str] = set()
    for node in nodes:
        names.update(node.input)
        for branch in branches(node):
            names |= used_names(branch.node) | {output.name for output in branch.output}
    return names


def without_branches(nodes: Iterable[onnx.NodeProto]) -> list[onnx.NodeProto]:
    """The nodes with each If replaced by its first branch: the general case, computed in every run."""
    plain: list[onnx.NodeProto] = []
    for node in nodes:
        if node.op_type != "If":
            plain.append(node)
            continue
        general = next(attribute.g for attribute in node.attribute if attribute.name == "then_branch")
        for inner in general.node:
            moved = onnx.NodeProto()
            moved.CopyFrom(inner)
            if inner.output[0] == general.output[0].name:
                moved.output[0] = node.output[0]
            plain.append(moved)
    return plain


def write_graph(model: onnx.ModelProto, info: GraphInfo, path: Path) -> None:
    """Write a graph file with its metadata and its seal. Raises LoadError for one that is too large for a file."""
    size = model.ByteSize()
    if size > LARGEST_FILE:
        raise LoadError(f"{path}: {size / 1e9:.1f} GB; an ONNX file holds 2 GB: save the weights as fp16")
    del model.metadata_props[:]
    helper.set_model_props(model, info.metadata())
    path.write_bytes(sealed(model.SerializeToString()))
