"""The network as ONNX graphs: the same functions as engines/graphs.py, written node by node.

Torch's exporters lack an operator of it or want one more package, and would leave the choice of nodes to chance: here
a convolution step is Concat + MatMul, a norm Reshape + LayerNormalization, and what does not depend on the input is
computed beforehand. engines/parity.py holds both against each other before any file gets its name.

Tensors between the parts have names: `embedded`, `encoded` (the newest frame's, (1, D)), `movie_strip`.
"""

from __future__ import annotations

import onnx

from engines.graph_file import HORIZONS
from engines.network.config import BETAS_SIZE, CAMERA_SIZE, POSE_JOINTS
from engines.network.model import HMMRLive
from engines.network.temporal import CACHED
from engines.onnx_builder import GraphBuilder
from engines.onnx_heads import HeadWriter
from engines.onnx_strip import StripWriter, convolutions


def build(model: HMMRLive, form: str) -> onnx.ModelProto:
    """The ONNX graph of one form, "step" or "window", without metadata. Inputs and outputs: engines/graph_file.py."""
    graph, config = GraphBuilder(), model.config
    state_shape = (1, convolutions(model), CACHED, config.width)
    if form == "step":
        graph.input("features", (1, config.feature_dim))
        graph.input("state", state_shape)
    else:
        graph.input("features", (1, config.receptive_field, config.feature_dim))
    graph.input("age", (1,))
    graph.input("dt_ms", (HORIZONS,))
    graph.input("rest_joints", (POSE_JOINTS, 3))
    graph.input("rest_directions", (POSE_JOINTS, 3, BETAS_SIZE))
    graph.input("shape_mean", (BETAS_SIZE,))
    graph.input("shape_rate", (1,))

    writer = StripWriter(graph, model)
    strip = writer.step() if form == "step" else writer.window()
    camera, betas = HeadWriter(graph, model).write(strip)

    graph.output("camera", camera, (1, CAMERA_SIZE))
    graph.output("pose", "pose", (1, POSE_JOINTS, 3, 3))
    graph.output("betas", betas, (1, BETAS_SIZE))
    graph.output("shape", "shape", (1, BETAS_SIZE))
    graph.output("joints", "joints", (2, POSE_JOINTS, 3))
    graph.output("ahead", "ahead", (HORIZONS, POSE_JOINTS, 3, 3))
    graph.output("movie_strip", "movie_strip", (1, config.width))
    if form == "step":
        graph.output("next_state", "next_state", state_shape)
    return graph.model(f"hmmr_live_{form}")
