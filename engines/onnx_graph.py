"""The network as ONNX graphs: the same functions as engines/graphs.py, written node by node.

Torch's exporters lack an operator of it or want one more package, and would leave the choice of nodes to chance: here
a convolution step is Concat + MatMul, a norm Reshape + LayerNormalization, and what does not depend on the input is
computed beforehand. engines/parity.py holds both against each other before any file gets its name.

The hallucinator stands in an If: with the ring full its share is zero, and it holds up to an eighth of all weights.
Tensors between the parts have names: `embedded`, `encoded` (the newest frame's, (1, D)), `movie_strip`.
"""

from __future__ import annotations

import math

import numpy as np
import onnx
from torch import Tensor, nn

from engines.graph_file import HORIZONS
from engines.graphs import ancestor_jumps, bone_matrix, path_matrix
from engines.network.config import BETAS_SIZE, CAMERA_SIZE, POSE6D_SIZE, POSE_JOINTS, THETA6D_SIZE
from engines.network.model import FEATURE_LIMIT, HMMRLive
from engines.network.regressors import SLOPE, DynamicsHead, IterativeRegressor
from engines.network.rotations import rotation_basis
from engines.network.temporal import CACHED, FrameNorm, ResidualBlock
from engines.onnx_builder import GraphBuilder
from realtime.body.skeleton import PARENTS

_EPS = 1e-8  # as in engines/network/rotations.py


def build(model: HMMRLive, form: str) -> onnx.ModelProto:
    """The ONNX graph of one form, "step" or "window", without metadata. Inputs and outputs: engines/graph_file.py."""
    writer = _Writer(model)
    writer.inputs(form)
    strip = writer.step() if form == "step" else writer.window()
    writer.heads(strip)
    return writer.graph.model(f"hmmr_live_{form}")


def _array(tensor: Tensor) -> np.ndarray:
    return tensor.detach().cpu().numpy()


class _Writer:
    """Methods take and return names of tensors; shapes in the comments."""

    def __init__(self, model: HMMRLive) -> None:
        self.graph = GraphBuilder()
        self.model = model
        self.width = model.config.width
        self.convolutions = 2 * model.config.blocks
        self.names = {module: name for name, module in model.named_modules()}

    def inputs(self, form: str) -> None:
        graph, config = self.graph, self.model.config
        if form == "step":
            graph.input("features", (1, config.feature_dim))
            graph.input("state", (1, self.convolutions, CACHED, self.width))
        else:
            graph.input("features", (1, config.receptive_field, config.feature_dim))
        graph.input("age", (1,))
        graph.input("dt_ms", (HORIZONS,))
        graph.input("rest_joints", (POSE_JOINTS, 3))
        graph.input("rest_directions", (POSE_JOINTS, 3, BETAS_SIZE))
        graph.input("shape_mean", (BETAS_SIZE,))
        graph.input("shape_rate", (1,))

    # Layers

    def matmul(self, layer: nn.Linear, tensor: str) -> str:
        name = self.names[layer]
        weight = f"{name}.weight"
        if weight not in self.graph.initializers and f"{weight}.fp16" not in self.graph.initializers:
            self.graph.weight(weight, _array(layer.weight).T)
        return self.graph.node("MatMul", tensor, weight)

    def linear(self, layer: nn.Linear, tensor: str, name: str = "") -> str:
        bias = self.graph.constant(_array(layer.bias))
        return self.graph.node("Add", self.matmul(layer, tensor), bias, name=name)

    def relu(self, tensor: str) -> str:
        return self.graph.node("Relu", tensor)

    def norm(self, layer: FrameNorm, tensor: str, rows: int) -> str:
        """(rows, D) → (rows, D): per frame, ReLU included."""
        graph, groups = self.graph, layer.num_groups
        size = self.width // groups
        grouped = graph.reshape(tensor, rows, groups, size)
        plain = graph.node(
            "LayerNormalization", grouped, graph.constant(np.ones(size)), axis=-1, epsilon=layer.eps
        )
        scaled = graph.node(
            "Mul", graph.reshape(plain, rows, self.width), graph.constant(_array(layer.weight))
        )
        return self.relu(graph.node("Add", scaled, graph.constant(_array(layer.bias))))

    # Movie strip

    def embed(self, tensor: str, name: str) -> str:
        graph, layer = self.graph, self.model.embed
        centred = graph.node("Sub", tensor, graph.constant(_array(layer.mean)))
        standard = graph.node("Div", centred, graph.constant(_array(layer.std)))
        limits = graph.constant(-FEATURE_LIMIT), graph.constant(FEATURE_LIMIT)
        clipped = graph.node("Clip", standard, *limits)
        return self.linear(layer.fc2, self.relu(self.linear(layer.fc1, clipped)), name)

    def step(self) -> str:
        graph = self.graph
        embedded = self.embed("features", "embedded")
        flat = graph.reshape("state", 1, self.convolutions * CACHED * self.width)
        cached = graph.split(flat, [self.width] * (self.convolutions * CACHED), axis=1)
        kept: list[str] = []

        def convolve(layer: nn.Linear, column: str) -> str:
            older, newer = cached[len(kept) : len(kept) + CACHED]
            kept.extend((newer, column))
            return self.linear(layer, graph.node("Concat", older, newer, column, axis=1))

        feature = embedded
        for block in self.model.encoder.blocks:
            assert isinstance(block, ResidualBlock)
            inner = convolve(block.conv1.taps, self.norm(block.norm1, feature, 1))
            inner = convolve(block.conv2.taps, self.norm(block.norm2, inner, 1))
            name = "encoded" if len(kept) == CACHED * self.convolutions else ""
            feature = graph.node("Add", feature, inner, name=name)
        state_shape = (1, self.convolutions, CACHED, self.width)
        graph.reshape(graph.node("Concat", *kept, axis=1), *state_shape, name="next_state")
        return self.blend(feature, embedded)

    def window(self) -> str:
        graph, rows = self.graph, self.model.receptive_field
        columns = self.embed(graph.reshape("features", rows, self.model.config.feature_dim), "columns")
        # age ≥ frames before the newest: seen
        ages = graph.constant(np.arange(rows - 1, -1, -1.0)[:, None])
        seen = graph.node("Cast", graph.node("GreaterOrEqual", "age", ages), to=onnx.TensorProto.FLOAT)

        def newest(tensor: str, have: int, want: int) -> str:
            first, last = graph.constant([have - want], np.int64), graph.constant([have], np.int64)
            return graph.node("Slice", tensor, first, last, graph.constant([0], np.int64))

        def convolve(layer: nn.Linear, columns: str, have: int) -> str:
            mask = newest(seen, rows, have)
            columns = graph.node("Mul", columns, mask)
            taps = []
            for lag in range(CACHED, -1, -1):
                first = graph.constant([CACHED - lag], np.int64)
                last = graph.constant([have - lag], np.int64)
                taps.append(graph.node("Slice", columns, first, last, graph.constant([0], np.int64)))
            return self.linear(layer, graph.node("Concat", *taps, axis=1))

        newest_embedded = graph.node("Identity", newest(columns, rows, 1), name="embedded")
        have = rows
        for block in self.model.encoder.blocks:
            assert isinstance(block, ResidualBlock)
            inner = convolve(block.conv1.taps, self.norm(block.norm1, columns, have), have)
            have -= CACHED
            inner = convolve(block.conv2.taps, self.norm(block.norm2, inner, have), have)
            have -= CACHED
            name = "encoded" if have == 1 else ""
            columns = graph.node("Add", newest(columns, have + 2 * CACHED, have), inner, name=name)
        return self.blend(columns, newest_embedded)

    def blend(self, encoded: str, embedded: str) -> str:
        """Φ (1, D) → output movie_strip; the hallucinator runs only while the ring fills."""
        graph, layer = self.graph, self.model.hallucinator
        last = self.model.receptive_field - 1.0

        def blended() -> str:
            inner = self.relu(self.linear(layer.fc2, self.relu(self.linear(layer.fc1, embedded))))
            hallucinated = graph.node("Add", embedded, self.linear(layer.fc3, inner))
            share = graph.node("Min", graph.node("Div", "age", graph.constant(last)), graph.constant(1.0))
            rest = graph.node("Sub", graph.constant(1.0), share)
            parts = graph.node("Mul", share, encoded), graph.node("Mul", rest, hallucinated)
            return graph.node("Add", *parts)

        filling = graph.node("Less", "age", graph.constant([last]))
        graph.either(filling, blended, encoded, (1, self.width), name="movie_strip")
        return "movie_strip"

    # Heads

    def heads(self, strip: str) -> None:
        graph = self.graph
        theta = self.regress(self.model.f3d, strip)
        camera, pose6d, betas = graph.split(theta, (CAMERA_SIZE, POSE6D_SIZE, BETAS_SIZE), axis=1)
        pose, pose6d = self.decode(pose6d)
        self.dynamics(self.model.dynamics, strip, pose, pose6d)
        change = graph.node("Mul", "shape_rate", graph.node("Sub", betas, "shape_mean"))
        shape = graph.node("Add", "shape_mean", change, name="shape")
        self.kinematics(pose, graph.node("Concat", betas, shape, axis=0))
        graph.output("camera", camera, (1, CAMERA_SIZE))
        graph.output("pose", "pose", (1, POSE_JOINTS, 3, 3))
        graph.output("betas", betas, (1, BETAS_SIZE))
        graph.output("shape", "shape", (1, BETAS_SIZE))
        graph.output("joints", "joints", (2, POSE_JOINTS, 3))
        graph.output("ahead", "ahead", (HORIZONS, POSE_JOINTS, 3, 3))
        graph.output("movie_strip", "movie_strip", (1, self.width))
        if any(tensor.name == "state" for tensor in graph.inputs):
            graph.output("next_state", "next_state", (1, self.convolutions, CACHED, self.width))

    def regress(self, head: IterativeRegressor, strip: str) -> str:
        """Φ (1, D) → Θ' (1, 157). The first iteration starts from constants: half of it is computed here."""
        graph = self.graph
        from_strip = self.linear(head.from_strip, strip)
        mean = _array(head.mean_theta)
        first = (_array(head.from_theta.weight).astype(np.float64) @ mean).astype(np.float32)
        theta = ""
        for _ in range(head.iterations):
            from_theta = self.matmul(head.from_theta, theta) if theta else graph.constant(first)
            inner = self.relu(graph.node("Add", from_theta, from_strip))
            inner = self.relu(self.linear(head.hidden, inner))
            change = self.linear(head.out, inner)
            theta = graph.node("Add", theta or graph.constant(mean[None]), change)
        assert mean.shape == (THETA6D_SIZE,)
        return theta

    def decode(self, pose6d: str) -> tuple[str, str]:
        """6-D (1, 144) → matrices (24, 3, 3), and their first two columns (1, 144); output pose."""
        graph = self.graph
        first, second = graph.split(graph.reshape(pose6d, POSE_JOINTS, 6), (3, 3), axis=1)
        x = self.unit(first)
        along = graph.node("Mul", self.dot(x, second), x)
        y = self.unit(graph.node("Sub", second, along))
        # x × y = [x]× · y, and row vectors times the constant basis give the matrices [x]×.
        cross = graph.node("MatMul", x, graph.constant(rotation_basis()[:3].numpy()))
        z = graph.node("MatMul", graph.reshape(cross, POSE_JOINTS, 3, 3), graph.reshape(y, POSE_JOINTS, 3, 1))
        columns = graph.node("Concat", x, y, graph.reshape(z, POSE_JOINTS, 3), axis=1)
        pose = graph.node("Transpose", graph.reshape(columns, POSE_JOINTS, 3, 3), perm=(0, 2, 1))
        graph.reshape(pose, 1, POSE_JOINTS, 3, 3, name="pose")
        return pose, graph.reshape(graph.node("Concat", x, y, axis=1), 1, POSE6D_SIZE)

    def dot(self, first: str, second: str) -> str:
        """(…, 3), (…, 3) → (…, 1). ReduceSumSquare and ReduceL2 change their form between opsets; this does not."""
        product = self.graph.node("Mul", first, second)
        return self.graph.node("ReduceSum", product, self.graph.constant([-1], np.int64), keepdims=1)

    def unit(self, vectors: str) -> str:
        """(24, 3) → (24, 3) of length 1."""
        length = self.graph.node("Sqrt", self.dot(vectors, vectors))
        return self.graph.node("Div", vectors, self.graph.node("Max", length, self.graph.constant(_EPS)))

    def dynamics(self, head: DynamicsHead, strip: str, pose: str, pose6d: str) -> None:
        """Φ (1, D), pose (24, 3, 3), its 6-D (1, 144) → output ahead (K, 24, 3, 3)."""
        graph = self.graph
        known = graph.node("Add", self.matmul(head.from_pose, pose6d), self.linear(head.from_strip, strip))
        ratio = graph.reshape(graph.node("Div", "dt_ms", graph.constant(head.horizon_ms)), -1, 1)
        angle = graph.node("Mul", ratio, graph.constant(math.pi))
        parts = (ratio, graph.node("Mul", ratio, ratio), graph.node("Sin", angle), graph.node("Cos", angle))
        time = graph.node("Concat", *parts, axis=1)
        inner = graph.node("Add", self.matmul(head.from_time, time), known)
        inner = self.linear(head.hidden, graph.node("LeakyRelu", inner, alpha=SLOPE))
        vectors = self.linear(head.out, graph.node("LeakyRelu", inner, alpha=SLOPE))
        vectors = graph.node("Add", vectors, self.matmul(head.direct, strip))
        vectors = graph.node("Mul", vectors, ratio)
        relative = self.rotations(graph.reshape(vectors, -1, POSE_JOINTS, 3))
        graph.node("MatMul", pose, relative, name="ahead")

    def rotations(self, vectors: str) -> str:
        """Rotation vectors (K, 24, 3) → matrices (K, 24, 3, 3), through the quaternion q: R is linear in q·qᵀ."""
        graph = self.graph
        square = self.dot(vectors, vectors)
        angle = graph.node("Sqrt", graph.node("Add", square, graph.constant(1e-12)))
        half = graph.node("Mul", angle, graph.constant(0.5))
        sine = graph.node("Div", graph.node("Sin", half), angle)
        q = graph.node("Concat", graph.node("Cos", half), graph.node("Mul", vectors, sine), axis=2)
        column = graph.reshape(q, -1, POSE_JOINTS, 4, 1)
        outer = graph.node("Mul", column, graph.reshape(q, -1, POSE_JOINTS, 1, 4))
        flat = graph.reshape(outer, -1, POSE_JOINTS, 16)
        matrix = graph.node("MatMul", flat, graph.constant(quaternion_basis()))
        return graph.reshape(matrix, -1, POSE_JOINTS, 3, 3)

    def kinematics(self, pose: str, shapes: str) -> None:
        """pose (24, 3, 3), shapes (2, 10) → output joints (2, 24, 3); see engines.graphs.Kinematics."""
        graph = self.graph
        identity = graph.constant(np.eye(3)[None])
        parents = graph.constant((POSE_JOINTS, *PARENTS[1:]), np.int64)
        above = graph.node("Gather", graph.node("Concat", pose, identity, axis=0), parents, axis=0)
        for jump in ancestor_jumps():
            upper = graph.node("Gather", above, graph.constant(jump, np.int64), axis=0)
            above = graph.node("MatMul", upper, above)
        moved = graph.node("MatMul", "rest_directions", graph.node("Transpose", shapes, perm=(1, 0)))
        rest = graph.node("Add", moved, graph.reshape("rest_joints", POSE_JOINTS, 3, 1))
        bones = graph.node("MatMul", graph.constant(bone_matrix()), graph.reshape(rest, POSE_JOINTS, 6))
        turned = graph.node("MatMul", above, graph.reshape(bones, POSE_JOINTS, 3, 2))
        joints = graph.node("MatMul", graph.constant(path_matrix()), graph.reshape(turned, POSE_JOINTS, 6))
        graph.node("Transpose", graph.reshape(joints, POSE_JOINTS, 3, 2), perm=(2, 0, 1), name="joints")


def quaternion_basis() -> np.ndarray:
    """(16, 9) float32 B with (q·qᵀ).reshape(16) @ B = the rotation matrix of the unit quaternion q = (w, x, y, z)."""
    basis = np.zeros((4, 4, 3, 3), np.float32)
    for i in range(3):
        basis[0, 0, i, i] = 1.0
        for j in range(3):
            # x_i² counts for row i and against the others; 2·x_i·x_j off the diagonal
            basis[j + 1, j + 1, i, i] = 1.0 if i == j else -1.0
            if i != j:
                basis[i + 1, j + 1, i, j] = 2.0
    for i, j, k in ((0, 1, 2), (1, 2, 0), (2, 0, 1)):
        basis[0, k + 1, i, j] = -2.0
        basis[0, k + 1, j, i] = 2.0
    return basis.reshape(16, 9)
