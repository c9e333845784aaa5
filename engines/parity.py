"""Parity: what a graph gives over the gate's frames, against the network, and how far apart they may be.

    python -m engines.parity GRAPH.onnx [REFERENCE.onnx | MODEL.safetensors]   measure
    python -m engines.parity --make CLIP… [--out assets/gate.npz]              make the gate's frames

Needs onnxruntime; torch only where a .safetensors is the reference.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from engines.gate import FRAMES, Gate, load_gate, make_gate
from engines.graph_file import (
    STEP_INPUTS,
    STEP_OUTPUTS,
    WINDOW_INPUTS,
    WINDOW_OUTPUTS,
    GraphInfo,
    check_seal,
    graph_info,
)
from realtime.assets import ASSETS
from realtime.body.rotations import matrix_to_axis_angle
from realtime.body.smpl import Body, load_body
from realtime.errors import HmmrLiveError, LoadError

SHAPE_FRAMES = 300  # as in realtime/estimator.py: shape is a running mean over about so many frames
HORIZON_SHARES = (0.5, 1.0)  # Δt of the poses ahead, of the largest that the model looks

# Largest difference allowed: of Θ (rotation matrices, camera, betas, poses ahead) and of joints, mm. int8 is
# opt-in and its cost reported; only what is of no use, or broken, is held back.
LIMITS: dict[str, tuple[float, float]] = {
    "fp32": (1e-4, 0.1),
    "fp16": (float("inf"), 1.0),
    "int8": (float("inf"), 30.0),
}

Track = Mapping[str, np.ndarray]  # outputs of a graph without their leading 1, all frames stacked


def horizons_ms(horizon_ms: float) -> tuple[float, ...]:
    return tuple(share * horizon_ms for share in HORIZON_SHARES)


def shape_rate(age: int) -> float:
    """The weight of a new frame's betas in the person's shape."""
    return 1.0 / float(min(age + 1, SHAPE_FRAMES))


def run_graph(path: Path, gate: Gate, body: Body, optimise: bool = True) -> tuple[Track, GraphInfo]:
    """Every frame of the gate through an ONNX graph of ours, by ONNX Runtime on the CPU.

    Raises LoadError for a file that cannot be run, and one that is no graph of ours or of another φ.
    """
    import onnxruntime

    check_seal(path)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    if not optimise:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    try:
        session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # its exceptions share no base but this one
        raise LoadError(f"{path}: ONNX Runtime cannot load it ({_first_line(error)})") from None
    metadata = session.get_modelmeta().custom_metadata_map
    info = graph_info(path, metadata, gate.feature_version, gate.features.shape[1])
    names = [tensor.name for tensor in session.get_outputs()]
    expected = (STEP_INPUTS, STEP_OUTPUTS) if info.form == "step" else (WINDOW_INPUTS, WINDOW_OUTPUTS)
    found = {tensor.name for tensor in session.get_inputs()}, set(names)
    if found != tuple(map(set, expected)):
        raise LoadError(
            f"{path}: its inputs or outputs are not those of this program's graphs; export it again"
        )
    shapes = {tensor.name: tensor.shape for tensor in session.get_inputs()}
    inputs: dict[str, np.ndarray] = {
        "dt_ms": np.array(horizons_ms(info.horizon_ms), np.float32),
        "rest_joints": body.J_template,
        "rest_directions": body.J_shapedirs,
    }
    track: dict[str, list[np.ndarray]] = {name: [] for name in names if name != "next_state"}
    for t, age in enumerate(gate.ages()):
        if age == 0:
            inputs["shape_mean"] = np.zeros(10, np.float32)
            if info.form == "step":
                inputs["state"] = np.zeros(shapes["state"], np.float32)
        inputs["age"] = np.array([min(age, info.receptive_field - 1)], np.float32)
        inputs["shape_rate"] = np.array([shape_rate(age)], np.float32)
        inputs["features"] = gate.features[t : t + 1]
        if info.form == "window":
            inputs["features"] = window(
                gate.features, t, min(age + 1, info.receptive_field), info.receptive_field
            )
        try:
            outputs = dict(zip(names, session.run(names, inputs), strict=True))
        except Exception as error:
            raise LoadError(f"{path}: ONNX Runtime cannot run it ({_first_line(error)})") from None
        inputs["shape_mean"] = outputs["shape"][0]
        if info.form == "step":
            inputs["state"] = outputs.pop("next_state")
        for name, array in outputs.items():
            track[name].append(array if name in ("joints", "ahead") else array[0])
    return {name: np.stack(arrays) for name, arrays in track.items()}, info


def window(features: np.ndarray, t: int, count: int, length: int) -> np.ndarray:
    """(1, length, F): the last `count` frames up to t, zeros before them."""
    padded = np.zeros((1, length, features.shape[1]), np.float32)
    padded[0, length - count :] = features[t + 1 - count : t + 1]
    return padded


def compare(track: Track, reference: Track) -> dict[str, float]:
    """Largest differences between two runs over the same frames; joints in mm, their mean too.

    theta: rotation matrices, camera, betas, poses ahead. theta_axis_angle: the same as the interface gives
    them, the two names of one rotation by π counted as one.
    """
    near = {name: _largest(track[name] - reference[name]) for name in reference}
    rotations = matrix_to_axis_angle(track["pose"]).astype(np.float64)
    expected = matrix_to_axis_angle(reference["pose"]).astype(np.float64)
    angle = np.linalg.norm(rotations, axis=-1, keepdims=True)
    flipped = rotations * (1 - 2 * np.pi / np.maximum(angle, 1e-9))
    apart = np.minimum(np.abs(rotations - expected).max(-1), np.abs(flipped - expected).max(-1))
    distances_mm = 1e3 * np.linalg.norm(track["joints"] - reference["joints"], axis=-1)
    return {
        # Not max(): it may lose a NaN.
        "theta": float(np.max([near[name] for name in ("camera", "pose", "betas", "shape", "ahead")])),
        "theta_axis_angle": float(np.max([_largest(apart), near["camera"], near["betas"]])),
        "joints_mm": _largest(distances_mm),
        "joints_mean_mm": float(distances_mm.mean()),
        "movie_strip": near["movie_strip"],
    }


def measure(
    path: Path, gate: Gate, body: Body, reference: Track, against: str, optimise: bool = True
) -> dict[str, Any]:
    """The parity of a graph file, as it goes into the metadata. against: what the reference is, in words."""
    import onnxruntime

    track, _ = run_graph(path, gate, body, optimise)
    measured = {name: float(f"{value:.3g}") for name, value in compare(track, reference).items()}
    frames = {"frames": len(gate.features), "starts": int(gate.starts.sum())}
    return {"against": against, "runtime": f"onnxruntime {onnxruntime.__version__}", **frames, **measured}


def check(name: str, precision: str, measured: Mapping[str, Any]) -> None:
    """Raises LoadError, saying by how much, where a graph is further from its reference than allowed."""
    theta, joints_mm = LIMITS[precision]
    # NaN is not ≤ anything.
    if measured["theta"] <= theta and measured["joints_mm"] <= joints_mm:
        return
    raise LoadError(
        f"{name}: not written, it fails the parity gate ({precision}): Θ differs by {measured['theta']:.2g} "
        f"from the {measured['against']} (allowed: {theta:g}), joints by {measured['joints_mm']:.3g} mm "
        f"(allowed: {joints_mm:g})"
    )


def print_measured(path: Path, what: str, measured: Mapping[str, Any]) -> None:
    print(f"{path}: {what}, {path.stat().st_size / 1e6:.1f} MB")
    print("\n".join(f"  {name:18}{value}" for name, value in measured.items()))


def _largest(difference: np.ndarray) -> float:
    return float(np.abs(difference).max(initial=0.0))


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m engines.parity", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("graph", type=Path, nargs="?", default=ASSETS / "model.onnx")
    parser.add_argument("reference", type=Path, nargs="?", default=ASSETS / "model.safetensors")
    parser.add_argument("--make", type=Path, nargs="+", metavar="CLIP", help="make the gate from these clips")
    parser.add_argument("--frames", type=int, default=FRAMES, help="how many (with --make)")
    parser.add_argument("--out", type=Path, default=ASSETS / "gate.npz", help="where to (with --make)")
    options = parser.parse_args()
    try:
        if options.make:
            gate = make_gate(options.make, options.out, options.frames)
            print(f"{options.out}: {len(gate.features)} frames, {int(gate.starts.sum())} starts")
            return
        gate, body = load_gate(), load_body(None)
        if options.reference.suffix == ".onnx":
            reference, _ = run_graph(options.reference, gate, body)
        else:
            from engines.export import clip_track
            from engines.network.checkpoint import load_checkpoint

            reference = clip_track(load_checkpoint(options.reference)[0], gate, body)
        measured = measure(options.graph, gate, body, reference, options.reference.name)
        print_measured(options.graph, "parity", measured)
    except HmmrLiveError as error:
        parser.exit(error.exit_code, f"{error}\n")


if __name__ == "__main__":
    main()
