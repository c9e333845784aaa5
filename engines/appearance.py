"""The appearance encoder as an ONNX graph, held against torch before it gets its name.

    python -m engines.appearance FILE.safetensors [--out assets/appearance.onnx]

Weights are stored as fp16 and computed as fp32. Every layer is a convolution, the last one too, whose kernel covers
its whole input: TensorRT has fp32 convolutions for GPUs on which it has no fp32 products of matrices. Needs torch and
onnx; what it writes needs neither.
"""

from __future__ import annotations

import argparse
import copy
import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from onnx import helper
from torch import Tensor, nn

from engines.export import weights_sha256
from engines.graph_file import APPEARANCE_FORMAT, MAP_SHAPE, sealed, written_whole
from engines.network.appearance import AppearanceEncoder, load_appearance
from engines.onnx_builder import GraphBuilder
from engines.onnxruntime_runner import OnnxRuntimeRunner
from realtime.assets import APPEARANCE, ASSETS
from realtime.errors import HmmrLiveError, LoadError
from realtime.features import APPEARANCE_DIM
from realtime.version import VERSION

LIMIT = 1e-4  # largest difference from torch, in parts of the largest number it gives
MAPS = 64  # random ones, by which that is measured


def export_appearance(encoder: AppearanceEncoder, path: Path, provenance: dict[str, Any]) -> dict[str, Any]:
    """Write the graph of an encoder, sealed, whole and within LIMIT of torch, or not at all.

    provenance: what the weights were made from (JSON values); it goes into the metadata. Weights are rounded to fp16,
    on a copy: `rounding` in what is returned says by how much z changes, as parts of its largest number; `parity`
    how far the graph is from torch with those weights. Raises LoadError for a graph that differs, for weights that
    fp16 does not hold, and where the place cannot be written to.
    """
    encoder = copy.deepcopy(encoder).cpu().float().eval()
    maps = _random_maps(encoder)
    exact = _run(encoder, maps)
    for module in (encoder.conv1, encoder.conv2, encoder.conv3, encoder.out):
        module.weight.data = module.weight.data.half().float()
    expected = _run(encoder, maps)
    if not np.isfinite(expected).all():
        raise LoadError(f"{path.name}: not written: its weights, or what they give, are not finite as fp16")
    largest = float(np.abs(expected).max())
    metadata = {
        "format": APPEARANCE_FORMAT,
        "source": f"hmmr-live {VERSION}",
        "weights_sha256": weights_sha256(encoder),
        "provenance": json.dumps(provenance),
    }
    with written_whole(path) as part:
        part.write_bytes(sealed(_with(build(encoder), metadata).SerializeToString()))
        runner = OnnxRuntimeRunner(part, dims={"batch": 1})
        found = np.concatenate([runner.run(map=one[None])["z"].copy() for one in maps])
        runner.close()
        measured = {
            "rounding": float(f"{np.abs(expected - exact).max() / largest:.3g}"),
            "parity": float(f"{np.abs(found - expected).max() / largest:.3g}"),
        }
        if not measured["parity"] <= LIMIT:  # NaN is not
            raise LoadError(
                f"{path.name}: not written: it differs from torch by {measured['parity']:.2g} of the largest number "
                f"(allowed: {LIMIT:g})"
            )
        metadata["parity"] = json.dumps(measured)
        part.write_bytes(sealed(_with(build(encoder), metadata).SerializeToString()))
    return measured


def build(encoder: AppearanceEncoder) -> onnx.ModelProto:
    """The graph, without metadata: map (batch, 144, 8, 8) → z (batch, 128), both float32."""
    graph = GraphBuilder()
    graph.input("map", ("batch", *MAP_SHAPE))
    statistics = (_array(buffer)[:, None, None] for buffer in (encoder.mean, encoder.std))
    mean, std = (graph.constant(values) for values in statistics)
    inner = graph.node("Div", graph.node("Sub", "map", mean), std)
    for name in ("conv1", "conv2", "conv3"):
        layer: nn.Conv2d = getattr(encoder, name)
        kernel, bias = graph.weight(f"{name}.weight", _array(layer.weight)), _array(layer.bias)
        stride, padding = int(layer.stride[0]), int(layer.padding[0])
        inner = graph.convolution(inner, kernel, graph.constant(bias), stride=stride, padding=padding)
        inner = graph.node("Relu", inner)
    rows, columns = MAP_SHAPE[1] // 2, MAP_SHAPE[2] // 2
    whole = _array(encoder.out.weight).reshape(APPEARANCE_DIM, -1, rows, columns)
    kernel, bias = graph.weight("out.weight", whole), _array(encoder.out.bias)
    graph.reshape(graph.convolution(inner, kernel, graph.constant(bias)), -1, APPEARANCE_DIM, name="z")
    graph.output("z", "z", ("batch", APPEARANCE_DIM))
    return graph.model("appearance")


def _with(model: onnx.ModelProto, metadata: dict[str, str]) -> onnx.ModelProto:
    del model.metadata_props[:]
    helper.set_model_props(model, metadata)
    return model


@torch.inference_mode()
def _run(encoder: AppearanceEncoder, maps: np.ndarray) -> np.ndarray:
    return encoder(torch.from_numpy(maps)).numpy()


def _random_maps(encoder: AppearanceEncoder) -> np.ndarray:
    """(MAPS, 144, 8, 8) float32, spread as those that the encoder was trained on."""
    spread = np.random.default_rng(0).normal(size=(MAPS, *MAP_SHAPE))
    mean, std = (_array(buffer)[:, None, None] for buffer in (encoder.mean, encoder.std))
    return (mean + std * spread).astype(np.float32)


def _array(tensor: Tensor | None) -> np.ndarray:
    assert tensor is not None
    return tensor.detach().numpy()


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m engines.appearance", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("weights", type=Path, help="an encoder's .safetensors")
    parser.add_argument("--out", type=Path, default=ASSETS / APPEARANCE)
    options = parser.parse_args()
    torch.set_num_threads(1)
    try:
        encoder, provenance = load_appearance(options.weights)
        measured = export_appearance(encoder, options.out, provenance)
    except HmmrLiveError as error:
        parser.exit(error.exit_code, f"{error}\n")
    size_mb = options.out.stat().st_size / 1e6
    print(f"{options.out}: {size_mb:.1f} MB, " + ", ".join(f"{k} {v:g}" for k, v in measured.items()))


if __name__ == "__main__":
    main()
