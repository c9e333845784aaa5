"""How many bytes of weights one run of a graph file reads, once its ring is full."""

from __future__ import annotations

from pathlib import Path

import onnx


def graph_bytes(path: Path) -> int:
    """Matrices only, as runtimes hold them: fp16 that is cast to fp32 counts as fp32. What only branches read (the
    hallucinator, while the ring fills) does not count."""
    graph = onnx.load(str(path)).graph
    stored = {tensor.name: tensor for tensor in graph.initializer if len(tensor.dims) > 1}
    cast = {node.input[0]: node for node in graph.node if node.op_type == "Cast" and node.input[0] in stored}
    casts = {node.output[0] for node in cast.values()}
    read = {name for node in graph.node if node.output[0] not in casts for name in node.input}
    total = 0
    for name, tensor in stored.items():
        held = cast[name].output[0] if name in cast else name
        dtype = cast[name].attribute[0].i if name in cast else tensor.data_type
        if held in read:
            values = onnx.numpy_helper.to_array(tensor).size
            total += values * onnx.helper.tensor_dtype_to_np_dtype(dtype).itemsize
    return total
