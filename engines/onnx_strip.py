"""φ → movie strip Φ as ONNX nodes: embedding, temporal encoder with cached columns or over the whole ring, the blend.

The hallucinator stands in an If: with the ring full its share is zero, and it holds up to an eighth of all weights.
"""

from __future__ import annotations

import numpy as np
import onnx
from torch import nn

from engines.network.model import FEATURE_LIMIT, HMMRLive
from engines.network.temporal import CACHED, ResidualBlock
from engines.onnx_builder import GraphBuilder
from engines.onnx_layers import LayerWriter, array


def convolutions(model: HMMRLive) -> int:
    """Of the temporal encoder; each keeps CACHED columns."""
    return 2 * model.config.blocks


class StripWriter(LayerWriter):
    """`step` or `window`: from the graph's inputs to the tensor movie_strip (1, D)."""

    def __init__(self, graph: GraphBuilder, model: HMMRLive) -> None:
        super().__init__(graph, model)
        self.convolutions = convolutions(model)

    def embed(self, tensor: str, name: str) -> str:
        graph, layer = self.graph, self.model.embed
        centred = graph.node("Sub", tensor, graph.constant(array(layer.mean)))
        standard = graph.node("Div", centred, graph.constant(array(layer.std)))
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
