"""Operators of a `.tflite` network → an ONNX graph: maps N C H W, weights as precise as the file stores them.

TensorFlow Lite keeps channels last; ONNX and every runtime of it want them second, so the weights are turned here and
no layout change is left in the graph. A picture is the exception: a camera's pixels have their channels last too, and
an interleaved row of 3·W numbers is, read as one channel, what the first convolution needs if its kernel is laid
out alike: 3×3 pixels of 3 channels become 3×9 numbers, a step of two pixels six numbers, and nothing is moved at all.

Most of the detector is zeros. A weight that is so is stored as its other values (fp16) and the gaps between them (one
byte each); CumSum and ScatterElements put it together again, which ONNX Runtime does once, when it loads.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from engines.onnx_builder import GraphBuilder
from training.tflite_file import Network, Operator

SAME, VALID = 0, 1  # padding
NONE, RELU6 = 0, 3  # activation
SPARSE = 0.5  # weights with fewer non-zero values than this share are stored by gaps
WHITE = 255.0


@dataclass(frozen=True)
class Picture:
    """How a network wants its picture: pixels 0 … 255 become low … high."""

    low: float
    high: float

    @property
    def grey(self) -> float:
        """The pixel value that becomes 0, which is also what the network pads its picture with."""
        return -self.low * WHITE / (self.high - self.low)


def needed(network: Network, ends: Iterable[int], starts: Iterable[int]) -> list[Operator]:
    """The operators, in running order, that lead from the tensors `starts` to the tensors `ends`."""
    known, wanted, chosen = set(starts), set(ends), []
    for operator in reversed(network.operators):
        if wanted.difference(known).intersection(operator.outputs):
            chosen.append(operator)
            wanted.update(operator.inputs)
    return chosen[::-1]


def convert(
    network: Network,
    inputs: Mapping[str, int],
    outputs: Mapping[str, tuple[int, tuple[int, ...]]],
    picture: Picture,
) -> onnx.ModelProto:
    """The part of `network` between some of its tensors, as ONNX; all float32, batch symbolic ("batch").

    inputs: name → tensor number. The network's own input becomes (batch, H, W, 3), BGR, 0 … 255; any other map
    becomes (batch, C, H, W). outputs: name → (tensor number, shape without batch, in the order C H W).
    ValueError for an operator or a form of one that is not converted here.
    """
    names = {number: name for name, (number, _) in outputs.items()} | {n: name for name, n in inputs.items()}
    converter = _Converter(network, names, {name: shape for name, (_, shape) in outputs.items()}, picture)
    for name, number in inputs.items():
        height, width, channels = network.shapes[number][1:]
        own = number in network.inputs
        converter.graph.input(
            name, ["batch", *((height, width, channels) if own else (channels, height, width))]
        )
    for operator in needed(network, [number for number, _ in outputs.values()], inputs.values()):
        converter.add(operator)
    for name, (_, shape) in outputs.items():
        converter.graph.output(name, name, ["batch", *shape])
    model = converter.graph.model("blazepose")
    onnx.checker.check_model(model, full_check=True)
    return model


class _Converter:
    def __init__(
        self,
        network: Network,
        names: dict[int, str],
        shapes: dict[str, tuple[int, ...]],
        picture: Picture,
    ) -> None:
        self.network, self.names, self.shapes, self.picture = network, names, shapes, picture
        self.graph = GraphBuilder()
        self._weights: dict[int, str] = {}
        self._padded: dict[
            int, tuple[int, int]
        ] = {}  # tensor → (the one it was made of, pixels on every side)

    def name(self, tensor: int) -> str:
        return self.names.get(tensor, f"map_{tensor}")

    def add(self, operator: Operator) -> None:
        """The nodes of one operator."""
        graph, options, result = self.graph, operator.options, operator.outputs[0]
        first = self.name(operator.inputs[0])
        if operator.kind in ("CONV_2D", "DEPTHWISE_CONV_2D"):
            self._convolution(operator)
        elif operator.kind == "PAD":
            amounts = self.network.constants[operator.inputs[1]]
            pixels = int(amounts[1, 0])
            if not np.array_equal(amounts, [[0, 0], [pixels, pixels], [pixels, pixels], [0, 0]]):
                raise ValueError(f"padding by {amounts.tolist()} is not converted here")
            self._padded[result] = operator.inputs[0], pixels  # a convolution takes it over
        elif operator.kind == "ADD":
            self._activated(operator, "Add", first, self.name(operator.inputs[1]))
        elif operator.kind == "LOGISTIC":
            graph.node("Sigmoid", first, name=self.name(result))
        elif operator.kind == "MAX_POOL_2D":
            kernel, strides = self._window(operator)
            graph.node("MaxPool", first, name=self.name(result), kernel_shape=kernel, strides=strides)
        elif operator.kind == "RESIZE_BILINEAR":
            self._resize(operator)
        elif operator.kind == "DEPTH_TO_SPACE":
            graph.node("DepthToSpace", first, name=self.name(result), blocksize=options["block"], mode="DCR")
        elif operator.kind == "RESHAPE":
            # The file's order, channels last, is what is reshaped; a map of one pixel has it anyway.
            if self.network.shapes[operator.inputs[0]][1:3] != (1, 1):
                first = graph.node("Transpose", first, perm=[0, 2, 3, 1])
            shape = self.shapes.get(self.name(result), self.network.shapes[result][1:])
            graph.reshape(first, -1, *shape, name=self.name(result))
        elif operator.kind == "CONCATENATION":
            parts = [self.name(tensor) for tensor in operator.inputs]
            graph.node("Concat", *parts, name=self.name(result), axis=options["axis"])
        else:
            raise ValueError(f"{operator.kind} is not converted here")

    def _activated(self, operator: Operator, kind: str, *inputs: str, **attributes: object) -> None:
        """A node and the activation after it; the result is called like the operator's."""
        activation = operator.options["activation"]
        if activation not in (NONE, RELU6):
            raise ValueError(f"{operator.kind} with activation {activation} is not converted here")
        result = self.name(operator.outputs[0])
        name = f"{result}_before" if activation else result
        self.graph.node(kind, *inputs, name=name, **attributes)
        if activation:
            self.graph.node("Clip", name, self.graph.constant(0), self.graph.constant(6), name=result)

    def _window(self, operator: Operator) -> tuple[list[int], list[int]]:
        """Kernel and strides [y, x] of a pooling, whose windows must lie side by side."""
        options = operator.options
        kernel, strides = [options["height"], options["width"]], [options["stride_y"], options["stride_x"]]
        sizes = self.network.shapes[operator.inputs[0]][1:3]
        if (
            kernel != strides
            or any(n % k for n, k in zip(sizes, kernel, strict=True))
            or options["activation"]
        ):
            raise ValueError(f"a pooling {kernel} of {sizes} by {strides} is not converted here")
        return kernel, strides

    def _resize(self, operator: Operator) -> None:
        before, after = (self.network.shapes[n][1:3] for n in (operator.inputs[0], operator.outputs[0]))
        if not operator.options["half_pixel_centers"] or operator.options["align_corners"]:
            raise ValueError("a resize by other than half-pixel centres is not converted here")
        scales = self.graph.constant([1, 1, after[0] / before[0], after[1] / before[1]])
        self.graph.node(
            "Resize",
            self.name(operator.inputs[0]),
            "",
            scales,
            name=self.name(operator.outputs[0]),
            mode="linear",
            coordinate_transformation_mode="half_pixel",
        )

    def _convolution(self, operator: Operator) -> None:
        source, weights, bias = operator.inputs
        options = operator.options
        values = self.network.constants[weights]  # out, y, x, in; depthwise: 1, y, x, out
        depthwise = operator.kind == "DEPTHWISE_CONV_2D"
        values = values.transpose(3, 0, 1, 2) if depthwise else values.transpose(0, 3, 1, 2)
        source, pads = self._pads(operator, values.shape[2:])
        strides = [options["stride_y"], options["stride_x"]]
        group = len(values) if depthwise else 1
        if source in self.network.inputs:
            picture, kernel = self._rows(source, values)
            pads, strides = [pads[0], 3 * pads[1], pads[2], 3 * pads[3]], [strides[0], 3 * strides[1]]
            inputs = [picture, self._weight(weights, kernel), self._weight(bias)]
            shape = kernel.shape[2:]
        else:
            inputs = [self.name(source), self._weight(weights, values), self._weight(bias)]
            shape = values.shape[2:]
        self._activated(
            operator, "Conv", *inputs, kernel_shape=list(shape), pads=pads, strides=strides, group=group
        )

    def _pads(self, operator: Operator, kernel: tuple[int, ...]) -> tuple[int, list[int]]:
        """The tensor that a convolution really reads, and how far it is padded: [top, left, bottom, right]."""
        source = operator.inputs[0]
        if source in self._padded:
            source, pixels = self._padded[source]
            if operator.options["padding"] != VALID:
                raise ValueError("padding of what is padded already is not converted here")
            return source, [pixels] * 4
        if operator.options["padding"] == VALID:
            return source, [0] * 4
        missing = []
        for size, side, stride in zip(self.network.shapes[source][1:3], kernel, ("y", "x"), strict=True):
            step = operator.options[f"stride_{stride}"]
            missing.append(max((-(-size // step) - 1) * step + side - size, 0))
        return source, [n // 2 for n in missing] + [n - n // 2 for n in missing]

    def _rows(self, source: int, values: np.ndarray) -> tuple[str, np.ndarray]:
        """The picture as rows of numbers (see the module's text), and the first kernel (out, 1, y, 3·x) for it."""
        height, width, channels = self.network.shapes[source][1:]
        pixels = self.name(source)
        if self.picture.grey:
            pixels = self.graph.node("Sub", pixels, self.graph.constant(self.picture.grey))
        rows = self.graph.reshape(pixels, -1, 1, height, width * channels)
        bgr = values.astype(np.float32)[:, ::-1] * np.float32((self.picture.high - self.picture.low) / WHITE)
        out, _, kernel_height, kernel_width = bgr.shape
        return rows, bgr.transpose(0, 2, 3, 1).reshape(out, 1, kernel_height, kernel_width * channels)

    def _weight(self, tensor: int, values: np.ndarray | None = None) -> str:
        """A constant of the network, float32 in the graph, stored as what it is."""
        if tensor not in self._weights:
            values = self.network.constants[tensor] if values is None else values
            name = f"weight_{tensor}"
            if values.ndim == 4 and np.count_nonzero(values) < SPARSE * values.size:
                self._sparse(name, values)
            else:
                self.graph.weight(name, values)
            self._weights[tensor] = name
        return self._weights[tensor]

    def _sparse(self, name: str, values: np.ndarray) -> None:
        flat = values.ravel()
        places = np.flatnonzero(flat)
        gaps = np.diff(places, prepend=0)
        if gaps.max() > 255 or values.dtype != np.float16:
            raise ValueError(f"{name}: weights so sparse, or of {values.dtype}, are not stored here")
        graph = self.graph
        for part, array in (("gaps", gaps.astype(np.uint8)), ("values", flat[places])):
            graph.initializers[f"{name}.{part}"] = numpy_helper.from_array(array, f"{name}.{part}")
        steps = graph.node("Cast", f"{name}.gaps", to=TensorProto.INT32)
        indices = graph.node("CumSum", steps, graph.constant(0, np.int64))
        zero = helper.make_tensor("zero", TensorProto.FLOAT16, [1], [0])
        empty = graph.node("ConstantOfShape", graph.constant([flat.size], np.int64), value=zero)
        filled = graph.node("ScatterElements", empty, indices, f"{name}.values", axis=0)
        graph.node("Cast", graph.reshape(filled, *values.shape), name=name, to=TensorProto.FLOAT)
