"""Checkpoint → ONNX graph, held against the network over real frames before it gets its name.

    python -m engines.export [--model FILE.safetensors] [--form step|window] [--precision fp32|fp16|int8] [--out FILE]

Needs torch and onnx (pip install "hmmr-live[torch]"); what it writes needs neither.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.util
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from realtime.errors import install_command

if __name__ == "__main__" and any(
    importlib.util.find_spec(name) is None for name in ("torch", "safetensors")
):
    print(f"exporting weights needs torch: {install_command('torch')}", file=sys.stderr)
    raise SystemExit(4)  # as LoadError

import torch
from torch import nn

from engines.gate import Gate, load_gate
from engines.graph_file import FORMS, PRECISIONS, GraphInfo, written_whole
from engines.graphs import StepGraph, info_of
from engines.network.checkpoint import load_checkpoint
from engines.network.model import HMMRLive
from engines.onnx_builder import write_graph
from engines.onnx_graph import build
from engines.parity import Track, check, compare, horizons_ms, measure, print_measured, shape_rate
from realtime.assets import ASSETS
from realtime.body.kinematics import forward_kinematics
from realtime.body.smpl import Body, load_body
from realtime.errors import ConfigError, HmmrLiveError


def export(
    checkpoint: Path, form: str, out_path: Path, precision: str = "fp32", gate: Gate | None = None
) -> dict[str, Any]:
    """Write the graph of one form ("step" | "window") of a checkpoint, whole and within the gate's limits or not at
    all. gate: None: assets/gate.npz. Returns what the gate measured.

    Raises LoadError for a checkpoint that cannot be loaded or takes other features than the gate's, a graph that
    fails the gate, one too large for a file, and a place that cannot be written to.
    """
    if form not in FORMS:
        raise ConfigError(f"--form {form}: expected {' or '.join(FORMS)}")
    if precision not in PRECISIONS:
        raise ConfigError(f"--precision {precision}: expected one of {', '.join(PRECISIONS)}")
    gate = gate or load_gate()
    model, _ = load_checkpoint(checkpoint, gate.feature_version, gate.features.shape[1])
    with written_whole(out_path) as part:
        if precision == "fp32":
            return write_gated(model, form, part, gate, out_path.name)
        from engines.precision import convert

        exact = part.with_suffix(".fp32.part")
        try:
            write_gated(model, form, exact, gate, out_path.name)
            return convert(exact, precision, part, gate=gate)
        finally:
            exact.unlink(missing_ok=True)


def write_gated(model: HMMRLive, form: str, path: Path, gate: Gate, name: str) -> dict[str, Any]:
    """Build, write and measure; raises LoadError where the gate fails. name: what the message calls it."""
    proto = build(model, form)
    body = load_body(None)
    write_graph(proto, graph_info_of(model, form, {}), path)
    reference = clip_track(model, gate, body)
    measured = measure(path, gate, body, reference, "clip pass of torch")
    stepped = compare(stepped_track(model, gate, body), reference)
    measured["torch_step"] = {key: float(f"{stepped[key]:.3g}") for key in ("theta", "joints_mm")}
    check(name, "fp32", measured)
    write_graph(proto, graph_info_of(model, form, measured), path)
    return measured


def graph_info_of(model: HMMRLive, form: str, parity: Mapping[str, Any]) -> GraphInfo:
    """What goes into the metadata of its fp32 graph; parity: what the gate measured."""
    return replace(info_of(model, form, "fp32"), weights_sha256=weights_sha256(model), parity=parity)


def weights_sha256(model: nn.Module) -> str:
    """Of names, shapes and float32 values of all weights: how they are stored does not matter."""
    digest = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        array = np.ascontiguousarray(tensor.detach().cpu().numpy(), "<f4")
        digest.update(f"{name} {array.shape}\n".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()


@torch.inference_mode()
def clip_track(model: HMMRLive, gate: Gate, body: Body) -> Track:
    """The truth: the clip pass of the network, joints by realtime.body.kinematics."""
    features, starts = torch.from_numpy(gate.features), torch.from_numpy(gate.starts)
    clip = model(features[None], starts[None])
    camera, pose, betas = model.decode(clip.theta6d[0])
    strip = clip.movie_strip[0]
    ahead = model.dynamics(strip[:, None], pose[:, None], torch.tensor(horizons_ms(model.config.horizon_ms)))
    shape = np.zeros((len(features), 10), np.float32)
    for t, age in enumerate(gate.ages()):
        before = shape[t - 1] if age else np.zeros(10, np.float32)
        shape[t] = before + np.float32(shape_rate(age)) * (betas[t].numpy() - before)
    both = np.stack((betas.numpy(), shape), axis=1)
    poses = np.broadcast_to(pose.numpy()[:, None], (*both.shape[:2], 24, 3, 3))
    joints, _ = forward_kinematics(body, poses, both)
    return {
        "camera": camera.numpy(),
        "pose": pose.numpy(),
        "betas": betas.numpy(),
        "shape": shape,
        "joints": joints - joints[:, :, :1],
        "ahead": ahead.numpy(),
        "movie_strip": strip.numpy(),
    }


@torch.inference_mode()
def stepped_track(model: HMMRLive, gate: Gate, body: Body) -> Track:
    """The same frames one by one through engines.graphs.StepGraph."""
    graph = StepGraph(model).eval()
    dt_ms = torch.tensor(horizons_ms(model.config.horizon_ms))
    rest = torch.from_numpy(body.J_template), torch.from_numpy(body.J_shapedirs)
    state = model.encoder.initial_state(1)
    rows: list[dict[str, np.ndarray]] = []
    shape = torch.zeros(1, 10)
    for features, age in zip(torch.from_numpy(gate.features), gate.ages(), strict=True):
        if age == 0:
            state, shape = torch.zeros_like(state), torch.zeros_like(shape)
        seen = torch.tensor([float(min(age, model.receptive_field - 1))])
        rate = torch.tensor([shape_rate(age)])
        outputs = graph(features[None], state, seen, dt_ms, *rest, shape[0], rate)
        named = dict(zip(graph.outputs, outputs, strict=True))
        state, shape = named.pop("next_state"), named["shape"]
        rows.append({k: (v if k in ("joints", "ahead") else v[0]).numpy() for k, v in named.items()})
    return {name: np.stack([row[name] for row in rows]) for name in rows[0]}


def main() -> None:
    from engines import MODELS, model_path

    parser = argparse.ArgumentParser(
        prog="python -m engines.export", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument(
        "--model", default="default", help=f"{', '.join(MODELS)}, or a .safetensors file; default %(default)s"
    )
    parser.add_argument("--form", default="step", help=" | ".join(FORMS))
    parser.add_argument("--precision", default="fp32", help=" | ".join(PRECISIONS))
    parser.add_argument("--out", type=Path, help="default: beside the weights of a shipped model, in assets/")
    parser.add_argument(
        "--gate", type=Path, help="frames of a model with other features (engines.parity --make)"
    )
    options = parser.parse_args()
    out = options.out or ASSETS / f"{MODELS.get(options.model, MODELS['default'])}.onnx"
    torch.set_num_threads(1)
    try:
        gate = load_gate(options.gate)
        measured = export(model_path(options.model), options.form, out, options.precision, gate)
    except HmmrLiveError as error:
        parser.exit(error.exit_code, f"{error}\n")
    print_measured(out, f"{options.form}, {options.precision}", measured)


if __name__ == "__main__":
    main()
