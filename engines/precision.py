"""Graphs in other precisions, made from an fp32 one without torch and measured against it over the gate's frames.

    python -m engines.precision fp16|int8 GRAPH.onnx OUT.onnx [--target onnxruntime|tensorrt]

Only products with weights change; norms, biases, states and the algebra of rotations stay fp32. Every tensor has one
type of its own, as strongly typed TensorRT networks want it.

fp16   Both factors and the result in fp16.
int8   Weights in int8 with a scale per output channel, except in the first layer and in f3D: they hold a seventh of the
       weights, and made three quarters of the error.
       For ONNX Runtime (target "onnxruntime") the other factor is quantised too, by its range in this very frame;
       TensorRT does not read that (DynamicQuantizeLinear). For it (target "tensorrt") the weights become fp16 again
       right before the product, and the layers left out are fp16. Nothing has to be calibrated for either.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from engines.gate import Gate, load_gate
from engines.graph_file import written_whole
from engines.onnx_builder import used_names, without_branches, write_graph
from engines.parity import check, measure, print_measured, run_graph
from realtime.body.smpl import load_body
from realtime.errors import ConfigError, HmmrLiveError, LoadError

TARGETS = ("onnxruntime", "tensorrt")
KINDS = ("fp16", "int8 onnxruntime", "int8 tensorrt", "fp32 tensorrt")
ROUNDED = ("fp16", "int8 tensorrt")  # of those, what computes in fp16
SMALLEST = 16  # rows: below, a matrix is not worth it
ZERO = 128  # of weights stored as uint8
NOT_INT8 = ("embed.fc1.", "f3d.")
HALF_SCALES_OPSET, HALF_SCALES_IR = 21, 10  # DequantizeLinear gives fp16; everything else means the same


def convert(
    fp32: Path, precision: str, out_path: Path, target: str = "onnxruntime", gate: Gate | None = None
) -> dict[str, Any]:
    """Write the graph file `fp32` in another precision, within the gate's limits or not at all.

    precision: "fp16", "int8", or "fp32" for TensorRT, which wants no branches. target: what will run it; fp16 is the
    same for both. gate: None: assets/gate.npz. Returns what was measured against the fp32 graph, fp16 as a GPU
    computes it. Raises LoadError for a file that is no fp32 graph of ours, a result that fails the gate, and a place
    that cannot be written to; ConfigError for an unknown precision or target.
    """
    kind = "fp16" if precision == "fp16" else f"{precision} {target}"
    if target not in TARGETS or kind not in KINDS:
        raise ConfigError(f"{precision} for {target}: expected {', '.join(KINDS)} (fp16 for either)")
    gate, body = gate or load_gate(), load_body(None)
    reference, info = run_graph(fp32, gate, body)  # refuses what is not ours before anything else reads it
    if info.precision != "fp32":
        raise LoadError(f"{fp32}: is {info.precision} already; convert the fp32 graph")
    model = _Converter(onnx.load(str(fp32))).converted(kind)
    info = replace(info, precision=precision, parity={})
    rounds = kind in ROUNDED
    with written_whole(out_path) as part:
        write_graph(_rounding_kept(model) if rounds else model, info, part)
        measured = measure(part, gate, body, reference, "fp32 graph", optimise=not rounds)
        check(out_path.name, precision, measured)
        write_graph(model, replace(info, parity=measured), part)
    return measured


class _Converter:
    def __init__(self, model: onnx.ModelProto) -> None:
        self._model = model
        self._stored = {tensor.name: tensor for tensor in model.graph.initializer}
        # Weights that are stored as fp16 pass a Cast first.
        self._casts = {
            node.output[0]: node.input[0]
            for node in model.graph.node
            if node.op_type == "Cast" and node.input[0] in self._stored
        }
        self._nodes: list[onnx.NodeProto] = []

    def converted(self, kind: str) -> onnx.ModelProto:
        """kind: one of KINDS."""
        source = self._model.graph
        # A CUDA graph holds no branch, so TensorRT computes the general case. For ONNX Runtime, what stands in the
        # branch stays as it is: it costs nothing but in a person's first frames.
        nodes = source.node if kind == "int8 onnxruntime" else without_branches(source.node)
        for node in nodes:
            if node.op_type == "MatMul":
                self._convert(node, kind)
            else:
                self._nodes.append(node)
        used = used_names(self._nodes)
        nodes = [node for node in self._nodes if node.output[0] in used or node.output[0] not in self._casts]
        used = used_names(nodes)
        weights = [tensor for name, tensor in self._stored.items() if name in used]
        graph = helper.make_graph(nodes, source.name, source.input, source.output, weights)
        opset, ir_version = self._model.opset_import[0].version, self._model.ir_version
        if kind == "int8 tensorrt":
            opset, ir_version = HALF_SCALES_OPSET, HALF_SCALES_IR
        opsets = [helper.make_operatorsetid("", opset)]
        return helper.make_model(
            graph, producer_name=self._model.producer_name, ir_version=ir_version, opset_imports=opsets
        )

    def _convert(self, product: onnx.NodeProto, kind: str) -> None:
        name = product.input[1]
        weight = self._stored[self._casts.get(name, name)] if name.endswith(".weight") else None
        half = kind in ROUNDED
        if weight is None or weight.dims[0] < SMALLEST:
            self._summed_product(product) if half else self._nodes.append(product)
        elif kind.startswith("int8") and not name.startswith(NOT_INT8):
            if half:
                restored = f"{name}.restored"
                self._node("DequantizeLinear", self._int8_weight(name, weight, np.float16), restored, axis=1)
                self._half_product(product, restored)
            else:
                self._int8_product(product, *self._int8_weight(name, weight, np.float32, zero=ZERO))
        elif half:
            self._half_product(product, self._half_weight(name, weight))
        else:
            self._nodes.append(product)

    def _node(self, op: str, inputs: Sequence[str], *outputs: str, **attributes: Any) -> None:
        """A node, unless its output exists already: several products share factors and weights."""
        if all(node.output[0] != outputs[0] for node in self._nodes):
            self._nodes.append(helper.make_node(op, inputs, outputs, name=outputs[0], **attributes))

    def _store(self, name: str, array: np.ndarray) -> str:
        if name not in self._stored:
            self._stored[name] = numpy_helper.from_array(array, name)
        return name

    def _half_weight(self, name: str, weight: TensorProto) -> str:
        if weight.data_type == TensorProto.FLOAT16:
            return weight.name
        with np.errstate(over="ignore"):  # an infinity does not get past the gate
            return self._store(f"{name}.fp16", numpy_helper.to_array(weight).astype(np.float16))

    def _half_product(self, product: onnx.NodeProto, weight: str) -> None:
        factor, result = f"{product.input[0]}.fp16", f"{product.output[0]}.fp16"
        self._node("Cast", [product.input[0]], factor, to=TensorProto.FLOAT16)
        self._node("MatMul", [factor, weight], result)
        self._node("Cast", [result], product.output[0], to=TensorProto.FLOAT)

    def _summed_product(self, product: onnx.NodeProto) -> None:
        """A product in fp32 that is no MatMul: Turing GPUs have none in TensorRT. Those left are as small as 3×3."""
        left, right, result = product.input[0], product.input[1], product.output[0]
        self._node("Unsqueeze", [left, self._store("last_axis", np.array([-1]))], f"{result}.left")
        self._node("Unsqueeze", [right, self._store("third_last_axis", np.array([-3]))], f"{result}.right")
        self._node("Mul", [f"{result}.left", f"{result}.right"], f"{result}.terms")
        axis = self._store("second_last_axis", np.array([-2]))
        self._node("ReduceSum", [f"{result}.terms", axis], result, keepdims=0)

    def _int8_weight(
        self, name: str, weight: TensorProto, scale_type: type, zero: int = 0
    ) -> tuple[str, str]:
        """Symmetric, each output channel by its largest weight; stored from `zero` on."""
        matrix = numpy_helper.to_array(weight).astype(np.float32)
        largest = np.abs(matrix).max(axis=0)
        scale: np.ndarray = (largest / 127).astype(scale_type)
        scale[scale == 0] = 1
        steps = np.clip(np.rint(matrix / scale.astype(np.float32)), -127, 127) + zero
        quantised = steps.astype(np.uint8 if zero else np.int8)
        return self._store(f"{name}.int8", quantised), self._store(f"{name}.scale", scale)

    def _int8_product(self, product: onnx.NodeProto, weight: str, scale: str) -> None:
        """Nodes that ONNX Runtime fuses into one.

        Both factors are unsigned: with signed weights, processors without VNNI add pairs of products in 16 bits
        and cut what does not fit. It costs 3 % where they have it.
        """
        factor, result = product.input[0], product.output[0]
        quantised = [f"{factor}.{part}" for part in ("int8", "int8_scale", "int8_zero")]
        self._node("DynamicQuantizeLinear", [factor], *quantised)
        zero = self._store("weight_zero", np.array(ZERO, np.uint8))
        self._node("MatMulInteger", [quantised[0], weight, quantised[2], zero], f"{result}.int32")
        self._node("Cast", [f"{result}.int32"], f"{result}.counts", to=TensorProto.FLOAT)
        self._node("Mul", [quantised[1], scale], f"{result}.scale")
        self._node("Mul", [f"{result}.counts", f"{result}.scale"], result)


def _rounding_kept(model: onnx.ModelProto) -> onnx.ModelProto:
    """The same graph, for measuring only, unoptimised. ONNX Runtime computes fp16 products in fp32 on a CPU and
    leaves out the roundings too: a Reshape to the same shape holds each in its place. Weights are restored here, not
    in every frame."""
    kept = onnx.ModelProto()
    kept.CopyFrom(model)
    graph = kept.graph
    stored = {tensor.name: tensor for tensor in graph.initializer}
    graph.initializer.append(numpy_helper.from_array(np.array([0, -1]), "same_shape"))
    nodes = list(graph.node)
    del graph.node[:]
    for node in nodes:
        name = node.output[0]
        if node.op_type == "DequantizeLinear":
            steps, scale = (numpy_helper.to_array(stored[given]) for given in node.input)
            restored = (steps * scale.astype(np.float32)).astype(np.float16)
            graph.initializer.append(numpy_helper.from_array(restored, name))
        elif name.endswith(".fp16"):
            node.output[0] = f"{name}.rounded"
            graph.node.extend((node, helper.make_node("Reshape", [node.output[0], "same_shape"], [name])))
        else:
            graph.node.append(node)
    return kept


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m engines.precision", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("precision", help="fp16 | int8")
    parser.add_argument("graph", type=Path, help="an fp32 graph of this program")
    parser.add_argument("out", type=Path)
    parser.add_argument("--target", default="onnxruntime", help=" | ".join(TARGETS))
    options = parser.parse_args()
    try:
        measured = convert(options.graph, options.precision, options.out, options.target)
    except HmmrLiveError as error:
        parser.exit(error.exit_code, f"{error}\n")
    print_measured(options.out, options.precision, measured)


if __name__ == "__main__":
    main()
