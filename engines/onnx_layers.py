"""Layers and vectors as ONNX nodes, for the parts of the network: engines/onnx_strip.py and engines/onnx_heads.py."""

from __future__ import annotations

import numpy as np
from torch import Tensor, nn

from engines.network.model import HMMRLive
from engines.network.temporal import FrameNorm
from engines.onnx_builder import GraphBuilder

_EPS = 1e-8  # as in engines/network/rotations.py


def array(tensor: Tensor) -> np.ndarray:
    return tensor.detach().cpu().numpy()


class LayerWriter:
    """Writes into `graph` what `model` computes. Methods take and return names of tensors; shapes in the comments."""

    def __init__(self, graph: GraphBuilder, model: HMMRLive) -> None:
        self.graph = graph
        self.model = model
        self.width = model.config.width
        self.names = {module: name for name, module in model.named_modules()}

    def matmul(self, layer: nn.Linear, tensor: str) -> str:
        name = self.names[layer]
        weight = f"{name}.weight"
        if weight not in self.graph.initializers and f"{weight}.fp16" not in self.graph.initializers:
            self.graph.weight(weight, array(layer.weight).T)
        return self.graph.node("MatMul", tensor, weight)

    def linear(self, layer: nn.Linear, tensor: str, name: str = "") -> str:
        bias = self.graph.constant(array(layer.bias))
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
            "Mul", graph.reshape(plain, rows, self.width), graph.constant(array(layer.weight))
        )
        return self.relu(graph.node("Add", scaled, graph.constant(array(layer.bias))))

    def dot(self, first: str, second: str) -> str:
        """(…, 3), (…, 3) → (…, 1). ReduceSumSquare and ReduceL2 change their form between opsets; this does not."""
        product = self.graph.node("Mul", first, second)
        return self.graph.node("ReduceSum", product, self.graph.constant([-1], np.int64), keepdims=1)

    def unit(self, vectors: str) -> str:
        """(24, 3) → (24, 3) of length 1."""
        length = self.graph.node("Sqrt", self.dot(vectors, vectors))
        return self.graph.node("Div", vectors, self.graph.node("Max", length, self.graph.constant(_EPS)))
