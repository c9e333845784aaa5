"""Make `assets/blazepose_*.onnx`: MediaPipe's pose detector and landmark network as ONNX.

pip install mediapipe==0.10.21 onnx
python -m training.make_blazepose [--out assets]
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from training.tflite_file import Network, Operator, read

OPSET = 17
RELU6 = 3


def needed(network: Network, ends: list[int], starts: set[int]) -> list[Operator]:
    """The operators, in running order, that lead from the tensors `starts` to the tensors `ends`."""
    wanted, chosen = set(ends), []
    for operator in reversed(network.operators):
        if wanted.intersection(operator.outputs) - starts:
            chosen.append(operator)
            wanted.update(operator.inputs)
    return chosen[::-1]


@dataclass
class Converter:
    network: Network
    names: dict[int, str]
    stem: str = "u8row"
    nodes: list[onnx.NodeProto] = field(default_factory=list)
    initializers: dict[str, onnx.TensorProto] = field(default_factory=dict)
    done: set[str] = field(default_factory=set)
    padded: dict[int, tuple[int, int]] = field(default_factory=dict)

    def name(self, tensor: int) -> str:
        return self.names.get(tensor, f"t{tensor}")

    def node(self, kind: str, inputs: list[str], output: str, **attributes) -> str:
        self.nodes.append(helper.make_node(kind, inputs, [output], name=f"{kind}:{output}", **attributes))
        return output

    def constant(self, name: str, values: np.ndarray) -> str:
        if name in self.done:
            return name
        self.done.add(name)
        stored = f"{name}.half" if values.dtype == np.float16 else name
        if values.dtype == np.float16 and values.ndim == 4 and np.count_nonzero(values) < 0.5 * values.size:
            self.sparse(stored, values)
        else:
            self.initializers[stored] = numpy_helper.from_array(np.ascontiguousarray(values), stored)
        return self.node("Cast", [stored], name, to=TensorProto.FLOAT) if stored != name else name

    def sparse(self, name: str, values: np.ndarray) -> None:
        flat = values.ravel()
        places = np.flatnonzero(flat)
        gaps = np.diff(places, prepend=0)
        assert gaps.max() < 256
        g = self.constant(f"{name}.gaps", gaps.astype(np.uint8))
        self.initializers[f"{name}.values"] = numpy_helper.from_array(flat[places], f"{name}.values")
        v = f"{name}.values"
        p = self.node("Cast", [g], f"{name}.steps", to=TensorProto.INT32)
        p = self.node("CumSum", [p, self.constant("axis", np.array(0, np.int32))], f"{name}.places")
        z = self.node(
            "ConstantOfShape",
            [self.constant(f"{name}.size", np.array([flat.size], np.int64))],
            f"{name}.zeros",
            value=numpy_helper.from_array(np.zeros(1, np.float16)),
        )
        p = self.node("ScatterElements", [z, p, v], f"{name}.flat", axis=0)
        self.node("Reshape", [p, self.constant(f"{name}.shape", np.array(values.shape, np.int64))], name)

    def activated(self, operator: Operator) -> tuple[str, str | None]:
        """Names (before, after) the activation of `operator`."""
        name = self.name(operator.outputs[0])
        if not operator.options.get("activation"):
            return name, None
        assert operator.options["activation"] == RELU6
        return f"{name}.linear", name

    def finish(self, linear: str, after: str | None) -> None:
        if after is not None:
            low, high = self.constant("zero", np.float32(0)), self.constant("six", np.float32(6))
            self.node("Clip", [linear, low, high], after)

    def conv(self, op: Operator) -> None:
        source, weights, bias = op.inputs
        values = self.network.constants[weights]
        depthwise = op.kind == "DEPTHWISE_CONV_2D"
        values = values.transpose(3, 0, 1, 2) if depthwise else values.transpose(0, 3, 1, 2)
        source, pads = self.source(op, source, values.shape[2:])
        linear, after = self.activated(op)
        group = values.shape[0] if depthwise else 1
        strides = [op.options["stride_y"], op.options["stride_x"]]
        if source == self.network.inputs[0]:
            x = self.image_conv(values, pads, strides, bias, linear)
        else:
            w, b = (
                self.constant(f"w{weights}", values),
                self.constant(f"b{bias}", self.network.constants[bias]),
            )
            self.node(
                "Conv",
                [self.name(source), w, b],
                linear,
                kernel_shape=list(values.shape[2:]),
                pads=pads,
                strides=strides,
                group=group,
            )
        self.finish(linear, after)

    def image_conv(self, values, pads, strides, bias, linear):
        b = self.constant(f"b{bias}", self.network.constants[bias])
        if self.stem == "f32":  # float NCHW RGB in 0..1
            w = self.constant("w_image", values)
            return self.node("Conv", ["image", w, b], linear, kernel_shape=[3, 3], pads=pads, strides=strides)
        values = values.astype(np.float32)[:, ::-1] / np.float32(255)  # BGR, 0..255
        if self.stem == "f32row":
            x = "image"
        elif self.stem in ("u8row", "u8cast"):
            x = self.node("Cast", ["image"], "image.float", to=TensorProto.FLOAT)
        if self.stem in ("u8row", "f32row"):
            size = self.network.shapes[self.network.inputs[0]][1]
            x = self.node(
                "Reshape",
                [
                    x,
                    self.constant(
                        "rows",
                        np.array([0, 1, size, 3 * size], np.int64)
                        if 0
                        else np.array([-1, 1, size, 3 * size], np.int64),
                    ),
                ],
                "image.rows",
            )
            n, c, h, w = values.shape
            values = values.transpose(0, 2, 3, 1).reshape(n, 1, h, w * c)
            pads = [pads[0], 3 * pads[1], pads[2], 3 * pads[3]]
            strides = [strides[0], 3 * strides[1]]
        elif self.stem == "u8cast":
            x = self.node("Transpose", [x], "image.planes", perm=[0, 3, 1, 2])
        elif self.stem == "u8":
            x = self.node("Transpose", ["image"], "image.planes", perm=[0, 3, 1, 2])
            x = self.node("Cast", [x], "image.float", to=TensorProto.FLOAT)
        w = self.constant("w_image", values)
        return self.node(
            "Conv", [x, w, b], linear, kernel_shape=list(values.shape[2:]), pads=pads, strides=strides
        )

    def source(self, op: Operator, tensor: int, kernel: tuple[int, ...]) -> tuple[int, list[int]]:
        """The tensor that a padded one was made of, and the padding (top, left, bottom, right)."""
        if tensor in self.padded:
            tensor, n = self.padded[tensor]
            assert op.options["padding"] == 1
            return tensor, [n] * 4
        if op.options["padding"] == 1:
            return tensor, [0] * 4
        sizes, strides = self.network.shapes[tensor][1:3], (op.options["stride_y"], op.options["stride_x"])
        total = [
            max(((n + s - 1) // s - 1) * s + k - n, 0) for n, s, k in zip(sizes, strides, kernel, strict=True)
        ]
        return tensor, [n // 2 for n in total] + [n - n // 2 for n in total]

    def convert(self, op: Operator) -> None:
        constants = self.network.constants
        inputs, out = [self.name(n) for n in op.inputs], self.name(op.outputs[0])
        if op.kind in ("CONV_2D", "DEPTHWISE_CONV_2D"):
            self.conv(op)
        elif op.kind == "PAD":
            amounts = constants[op.inputs[1]]
            n = int(amounts[1, 0])
            assert (amounts == [[0, 0], [n, n], [n, n], [0, 0]]).all()
            self.padded[op.outputs[0]] = op.inputs[0], n
        elif op.kind == "ADD":
            linear, after = self.activated(op)
            self.node("Add", inputs, linear)
            self.finish(linear, after)
        elif op.kind == "LOGISTIC":
            self.node("Sigmoid", inputs, out)
        elif op.kind == "MAX_POOL_2D":
            self.node("MaxPool", inputs, out, kernel_shape=[2, 2], strides=[2, 2])
        elif op.kind == "RESIZE_BILINEAR":
            assert op.options["half_pixel_centers"]
            scales = self.constant("twice", np.array([1, 1, 2, 2], np.float32))
            self.node(
                "Resize",
                [inputs[0], "", scales],
                out,
                mode="linear",
                coordinate_transformation_mode="half_pixel",
            )
        elif op.kind == "DEPTH_TO_SPACE":
            self.node("DepthToSpace", inputs, out, blocksize=op.options["block"], mode="DCR")
        elif op.kind == "RESHAPE":
            shape = self.network.shapes[op.inputs[0]]
            target = RESHAPED.get(out) or self.network.shapes[op.outputs[0]]
            if shape[1:3] != (1, 1):
                inputs[0] = self.node("Transpose", inputs[:1], f"{out}.last", perm=[0, 2, 3, 1])
            self.node(
                "Reshape",
                [inputs[0], self.constant(f"{out}.shape", np.array([-1, *target[1:]], np.int64))],
                out,
            )
        elif op.kind == "CONCATENATION":
            self.node("Concat", inputs, out, axis=op.options["axis"])
        else:
            raise ValueError(op.kind)


RESHAPED = {"landmarks": (1, 39, 5), "world": (1, 39, 3)}


def build(
    network: Network, outputs: dict[str, int], starts: dict[str, int], stem: str = "u8row"
) -> onnx.ModelProto:
    names = {n: k for k, n in {**outputs, **starts}.items()}
    c = Converter(network, names, stem)
    for op in needed(network, list(outputs.values()), set(starts.values())):
        c.convert(op)

    def chw(shape):
        return ["batch", shape[3], *shape[1:3]] if len(shape) == 4 else ["batch", *shape[1:]]

    ins = []
    for k, n in starts.items():
        shape = network.shapes[n]
        if n == network.inputs[0] and stem != "f32":
            ins.append(
                helper.make_tensor_value_info(
                    k, TensorProto.FLOAT if stem == "f32row" else TensorProto.UINT8, ["batch", *shape[1:]]
                )
            )
        else:
            ins.append(helper.make_tensor_value_info(k, TensorProto.FLOAT, chw(shape)))
    outs = [
        helper.make_tensor_value_info(k, TensorProto.FLOAT, chw(RESHAPED.get(k) or network.shapes[n]))
        for k, n in outputs.items()
    ]
    graph = helper.make_graph(c.nodes, "blazepose", ins, outs, list(c.initializers.values()))
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=9)
    onnx.checker.check_model(model, full_check=True)
    return model


LANDMARKS = {
    "landmarks": 337,
    "pose_flag": 342,
    "heatmaps": 298,
    "world": 339,
    "map": 269,
    "mask_features": 279,
}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, default=Path("assets"))
    out = parser.parse_args().out
    import mediapipe

    modules = Path(mediapipe.__file__).parent / "modules"
    detector = read(modules / "pose_detection" / "pose_detection.tflite")
    landmarks = read(modules / "pose_landmark" / "pose_landmark_full.tflite")
    onnx.save(build(detector, {"boxes": 441, "scores": 429}, {"image": 0}), out / "blazepose_detector.onnx")
    onnx.save(build(landmarks, LANDMARKS, {"image": 0}), out / "blazepose_landmarks.onnx")
    onnx.save(
        build(landmarks, {"mask": 297}, {"image": 0, "mask_features": 279}), out / "blazepose_mask.onnx"
    )


if __name__ == "__main__":
    main()
