"""A graph of the kind that engines step, small: one convolution with its two cached columns, and a head per horizon."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

WIDTH = 32
LOOPS = {"next_state": "state"}


def small_graph(state_dtype: str = "float32", metadata: dict[str, str] | None = None) -> onnx.ModelProto:
    """features (1, D), state (1, 2, D), dt_ms (horizons,) → strip (1, D), ahead (horizons, 3), next_state.

    The product runs in the state's dtype.
    """
    kind = {"float32": TensorProto.FLOAT, "float16": TensorProto.FLOAT16}[state_dtype]
    random = np.random.default_rng(0)
    constants = {
        "taps": random.normal(size=(3 * WIDTH, WIDTH), scale=0.2).astype(state_dtype),
        "rates": random.normal(size=(1, 3)).astype(np.float32),
        "row": np.array([1, 2 * WIDTH]),
        "column": np.array([-1, 1]),
        "columns": np.array([1, 2, WIDTH]),
        "from": np.array([WIDTH]),
        "to": np.array([3 * WIDTH]),
        "axis": np.array([1]),
    }
    nodes = [
        helper.make_node("Cast", ["features"], ["feature"], "cast_in", to=kind),
        helper.make_node("Reshape", ["state", "row"], ["cached"], "flatten"),
        helper.make_node("Concat", ["cached", "feature"], ["window"], "concat", axis=1),
        helper.make_node("MatMul", ["window", "taps"], ["product"], "conv"),
        helper.make_node("Tanh", ["product"], ["bounded"], "tanh"),
        helper.make_node("Cast", ["bounded"], ["strip"], "cast_out", to=TensorProto.FLOAT),
        helper.make_node("Slice", ["window", "from", "to", "axis"], ["newest"], "slice"),
        helper.make_node("Reshape", ["newest", "columns"], ["next_state"], "unflatten"),
        helper.make_node("Reshape", ["dt_ms", "column"], ["times"], "times"),
        helper.make_node("Mul", ["times", "rates"], ["angles"], "angles"),
        helper.make_node("ReduceMean", ["strip"], ["mean"], "mean", axes=[1]),
        helper.make_node("Add", ["angles", "mean"], ["ahead"], "add"),
    ]
    inputs = [
        helper.make_tensor_value_info("features", TensorProto.FLOAT, [1, WIDTH]),
        helper.make_tensor_value_info("state", kind, [1, 2, WIDTH]),
        helper.make_tensor_value_info("dt_ms", TensorProto.FLOAT, ["horizons"]),
    ]
    outputs = [
        helper.make_tensor_value_info("strip", TensorProto.FLOAT, [1, WIDTH]),
        helper.make_tensor_value_info("ahead", TensorProto.FLOAT, ["horizons", 3]),
        helper.make_tensor_value_info("next_state", kind, [1, 2, WIDTH]),
    ]
    initializers = [numpy_helper.from_array(array, name) for name, array in constants.items()]
    graph = helper.make_graph(nodes, "small", inputs, outputs, initializers)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    helper.set_model_props(model, metadata or {"kind": "small"})
    onnx.checker.check_model(model)
    return model


def write_small_graph(folder: Path, **options) -> Path:
    path = folder / "small.onnx"
    path.write_bytes(small_graph(**options).SerializeToString())
    return path
