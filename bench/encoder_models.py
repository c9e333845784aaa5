"""The networks that bench.encoder times: the shipped one, and random ones of other sizes; torch and graph files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import onnx
import torch
from onnx import TensorProto, helper
from onnx.utils import Extractor
from torch import nn

from engines import model_path
from engines.export import graph_info_of
from engines.network.checkpoint import load_checkpoint, save
from engines.network.config import NetworkConfig
from engines.network.model import HMMRLive
from engines.network.temporal import KERNEL
from engines.onnx_graph import build
from engines.precision import convert
from realtime.assets import asset
from realtime.features import FEATURE_DIM, FEATURE_VERSION

HMMR_WIDTH, HMMR_HEAD_WIDTH = 2048, 1024  # Φ and the heads' hidden layers in HMMR
STATE, NEXT_STATE = "state", "next_state"


@dataclass
class BenchModel:
    """One network as torch modules and as graph files."""

    name: str
    network: HMMRLive
    checkpoint: Path
    graphs: dict[str, Path]  # "step fp32", "step int8", "window fp32" → file
    encoders: dict[str, Path]  # "fp32", "int8" → file of the temporal encoder alone, step form

    @property
    def width(self) -> int:
        return self.network.config.width


def default_model(folder: Path) -> BenchModel:
    """The shipped one. Raises LoadError."""
    checkpoint = model_path("default")
    network, _ = load_checkpoint(checkpoint, FEATURE_VERSION, FEATURE_DIM)
    network.requires_grad_(False)
    return _with_graphs("default", network, checkpoint, asset("model.onnx"), folder)


def random_model(width: int, folder: Path) -> BenchModel:
    """Its graphs are not gated here: bench.encoder holds every variant against the clip pass before timing it."""
    network, step, checkpoint = random_weights(width), folder / "step.onnx", folder / "weights.safetensors"
    save(network, checkpoint, {"made by": "bench.encoder"})
    write_graph(network, "step", step)
    return _with_graphs(f"random, D={width}", network, checkpoint, step, folder)


def random_weights(width: int) -> HMMRLive:
    """Weights of which every one counts, heads as large as HMMR's where the width is HMMR's."""
    torch.manual_seed(0)
    head_width = HMMR_HEAD_WIDTH if width == HMMR_WIDTH else NetworkConfig.head_width
    config = NetworkConfig(
        feature_dim=FEATURE_DIM,
        feature_version=FEATURE_VERSION,
        model_id=f"random-{width}",
        width=width,
        head_width=head_width,
    )
    network = HMMRLive(config).eval().requires_grad_(False)
    randomise(network)
    return network


def _with_graphs(name: str, network: HMMRLive, checkpoint: Path, step: Path, folder: Path) -> BenchModel:
    graphs = {
        "step fp32": step,
        "step int8": folder / "step-int8.onnx",
        "window fp32": folder / "window.onnx",
    }
    convert(step, "int8", graphs["step int8"], "onnxruntime")
    write_graph(network, "window", graphs["window fp32"])
    encoders = {precision: folder / f"encoder-{precision}.onnx" for precision in ("fp32", "int8")}
    for precision, out in encoders.items():
        write_encoder_alone(graphs[f"step {precision}"], out)
    return BenchModel(name, network, checkpoint, graphs, encoders)


def write_graph(network: HMMRLive, form: str, out: Path) -> None:
    """form: "step" or "window"; fp32, with the metadata that engines look for."""
    graph = build(network, form)
    onnx.helper.set_model_props(graph, graph_info_of(network, form, {}).metadata())
    out.write_bytes(graph.SerializeToString())


def randomise(network: HMMRLive) -> None:
    """A fresh network's blocks and hallucinator are nearly the identity, its heads hold still: all hide errors."""
    encoder = network.encoder
    for name, parameter in encoder.named_parameters():
        if name.endswith("taps.weight"):
            nn.init.normal_(parameter, std=(KERNEL * encoder.width) ** -0.5)
        else:
            nn.init.normal_(parameter, mean=float(name.endswith("weight")), std=0.1)
    for last in (network.hallucinator.fc3, network.f3d.out, network.dynamics.out):
        nn.init.xavier_uniform_(last.weight, gain=0.1)


def write_encoder_alone(step_graph: Path, out: Path) -> None:
    """The temporal encoder's nodes of a step graph, as they are: embedded frame (1, D), state → Φ (1, D), state."""
    model = onnx.load(str(step_graph))
    ends = ("embedded", "encoded")  # named so by engines/onnx_graph.py
    # Shape inference does not see through ONNX Runtime's own int8 nodes.
    width = (
        {tensor.name: tensor for tensor in model.graph.input}[STATE].type.tensor_type.shape.dim[-1].dim_value
    )
    for name in ends:
        model.graph.value_info.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, (1, width)))
    part = Extractor(model).extract_model([ends[0], STATE], [ends[1], NEXT_STATE])
    out.write_bytes(part.SerializeToString())


def weight_bytes(network: nn.Module) -> int:
    """What one step of torch reads of this module's matrices, each once."""
    return sum(4 * p.numel() for p in network.parameters() if p.dim() > 1)
