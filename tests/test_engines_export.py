"""Export: a graph gives what the network gives, in every form and at every frame, or it is not written."""

import subprocess
import sys

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from bodies import random_body
from engine_kinds import FEATURES, frames, network, write_graph
from onnx import numpy_helper

import engines.export
from engines.export import clip_track, export, stepped_track, weights_sha256
from engines.gate import Gate
from engines.graph_file import STEP_INPUTS, STEP_OUTPUTS, WINDOW_INPUTS, WINDOW_OUTPUTS
from engines.graphs import Kinematics
from engines.network.checkpoint import load_checkpoint, save
from engines.onnx_graph import build
from engines.onnx_heads import quaternion_basis
from engines.parity import compare, run_graph
from realtime.assets import asset
from realtime.body.kinematics import forward_kinematics
from realtime.body.rotations import axis_angle_to_matrix
from realtime.errors import LoadError

FORMS = ("step", "window")
STARTS = (0, 1, 6, 20, 33)  # segments of 1, 5, 14, 13 and 27 frames


@pytest.fixture(scope="module")
def gate():
    """Random frames, with starts before, at and after the ring is full."""
    starts = np.zeros(60, bool)
    starts[list(STARTS)] = True
    return Gate(frames(60), starts, feature_version=1)


@pytest.fixture(scope="module")
def body():
    return random_body(3)


@pytest.fixture
def checkpoint(tmp_path):
    path = tmp_path / "net.safetensors"
    save(network(), path, {})
    return path


def broken(model, form):
    """One output of one layer off by a hundredth."""
    proto = build(model, form)
    tensor = next(t for t in proto.graph.initializer if t.name.startswith("encoder.blocks.1.conv1"))
    weight = numpy_helper.to_array(tensor).copy()
    weight[:, 3] *= 1.01
    tensor.CopyFrom(numpy_helper.from_array(weight, tensor.name))
    return proto


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("form", FORMS)
def test_a_graph_is_the_clip_pass_at_every_frame_with_resets(form, seed, tmp_path, gate, body):
    """Joints too, on a body of its own: clip_track takes them from realtime.body.kinematics."""
    model = network(seed=seed)
    track, info = run_graph(write_graph(model, form, tmp_path / "net.onnx"), gate, body)
    truth = clip_track(model, gate, body)
    apart = compare(track, truth)
    assert apart["theta"] < 1e-5 and apart["movie_strip"] < 1e-5
    assert apart["joints_mm"] < 0.01
    assert track["ahead"].shape == (60, 2, 24, 3, 3)
    assert np.abs(track["ahead"] - track["pose"][:, None]).max() > 0.1
    assert info.form == form


@pytest.mark.parametrize("seed", [0, 1])
def test_stepping_the_torch_graph_is_the_clip_pass(seed, gate, body):
    model = network(seed=seed)
    apart = compare(stepped_track(model, gate, body), clip_track(model, gate, body))
    assert apart["theta"] < 1e-5 and apart["joints_mm"] < 0.01


@pytest.mark.parametrize("form", FORMS)
def test_the_movie_strip_goes_from_hallucinated_to_encoded(form, tmp_path, gate, body):
    model = network()
    track, _ = run_graph(write_graph(model, form, tmp_path / "net.onnx"), gate, body)
    with torch.no_grad():
        clip = model(torch.from_numpy(gate.features)[None], torch.from_numpy(gate.starts)[None])
    hallucinated, encoded = clip.hallucinated[0].numpy(), clip.encoded[0].numpy()
    assert np.abs(hallucinated - encoded).min(axis=1).max() > 1e-3
    for t, age in enumerate(gate.ages()):
        share = min(age, 12) / 12
        expected = share * encoded[t] + (1 - share) * hallucinated[t]
        assert np.abs(track["movie_strip"][t] - expected).max() < 1e-5, age


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("horizons", [(120.0,), (-200.0, 0.0, 33.0)])
def test_any_number_of_horizons(horizons, form, tmp_path):
    model = network()
    session = onnxruntime.InferenceSession(str(write_graph(model, form, tmp_path / "net.onnx")))
    inputs = {
        tensor.name: np.full(
            [d if isinstance(d, int) else len(horizons) for d in tensor.shape], 0.3, np.float32
        )
        for tensor in session.get_inputs()
    }
    inputs["dt_ms"] = np.array(horizons, np.float32)
    outputs = session.run(["ahead", "pose", "movie_strip"], inputs)
    ahead, pose, strip = (torch.from_numpy(array) for array in outputs)
    with torch.no_grad():
        expected = model.dynamics(strip, pose, torch.tensor(horizons))
    assert ahead.shape == (len(horizons), 24, 3, 3)
    assert (ahead - expected).abs().max() < 1e-5


def test_names_and_shapes_are_the_contract(tmp_path):
    for form, inputs, outputs in (
        ("step", STEP_INPUTS, STEP_OUTPUTS),
        ("window", WINDOW_INPUTS, WINDOW_OUTPUTS),
    ):
        proto = build(network(), form)
        onnx.checker.check_model(proto, full_check=True)
        assert tuple(tensor.name for tensor in proto.graph.input) == inputs
        assert tuple(tensor.name for tensor in proto.graph.output) == outputs


@pytest.mark.parametrize("seed", [0, 1])
def test_joints_of_another_body_equal_the_live_kinematics(seed):
    rng, body = np.random.default_rng(seed), random_body(seed)
    pose = axis_angle_to_matrix(rng.normal(size=(24, 3)))
    shapes = rng.normal(size=(2, 10)).astype(np.float32)
    expected, _ = forward_kinematics(body, np.stack((pose, pose)), shapes)
    rest = torch.from_numpy(body.J_template), torch.from_numpy(body.J_shapedirs)
    joints = Kinematics()(torch.from_numpy(pose), torch.from_numpy(shapes), *rest).numpy()
    assert np.abs(joints - (expected - expected[:, :1])).max() < 1e-5


def test_the_quaternion_basis_gives_the_rotation():
    vectors = np.random.default_rng(0).normal(size=(50, 3))
    angle = np.linalg.norm(vectors, axis=1, keepdims=True)
    q = np.concatenate((np.cos(angle / 2), np.sin(angle / 2) * vectors / angle), axis=1)
    outer = q[:, :, None] * q[:, None]
    matrices = (outer.reshape(50, 16) @ quaternion_basis()).reshape(50, 3, 3)
    assert np.abs(matrices - axis_angle_to_matrix(vectors)).max() < 1e-6


def test_the_shipped_graph_is_what_export_makes_of_the_shipped_weights():
    model, _ = load_checkpoint(asset("model.safetensors"))
    shipped = onnx.load(str(asset("model.onnx")))
    assert {p.key: p.value for p in shipped.metadata_props}["weights_sha256"] == weights_sha256(model)
    del shipped.metadata_props[:]
    assert shipped == build(model, "step")


def test_weights_are_stored_as_the_checkpoint_stores_them(tmp_path, gate):
    sizes, digests = {}, set()
    for half in (False, True):
        save(network(), tmp_path / "net.safetensors", {}, half=half)
        export(tmp_path / "net.safetensors", "step", tmp_path / "net.onnx", gate=gate)
        proto = onnx.load(str(tmp_path / "net.onnx"))
        sizes[half] = sum(len(t.raw_data) for t in proto.graph.initializer if ".weight" in t.name)
        digests.add({p.key: p.value for p in proto.metadata_props}["weights_sha256"])
    assert sizes[True] == sizes[False] // 2
    assert len(digests) == 2  # rounded weights are others


@pytest.mark.parametrize("form", FORMS)
def test_export_writes_what_it_measured(form, checkpoint, tmp_path, gate, body):
    measured = export(checkpoint, form, tmp_path / "folder" / "net.onnx", gate=gate)
    _, info = run_graph(tmp_path / "folder" / "net.onnx", gate, body)
    assert (info.form, info.precision, info.feature_dim, info.width) == (form, "fp32", FEATURES, 64)
    assert info.parity == measured
    assert measured["frames"] == 60 and measured["starts"] == len(STARTS)
    assert [p.name for p in (tmp_path / "folder").iterdir()] == ["net.onnx"]


def test_a_broken_graph_is_not_written(checkpoint, tmp_path, gate, monkeypatch):
    out = tmp_path / "net.onnx"
    out.write_bytes(b"what was there")
    monkeypatch.setattr(engines.export, "build", broken)
    with pytest.raises(
        LoadError, match=r"net.onnx: not written.*Θ differs by .*joints by .* mm \(allowed: 0.1\)"
    ):
        export(checkpoint, "step", out, gate=gate)
    assert out.read_bytes() == b"what was there"
    assert not list(tmp_path.glob("*.part"))


def test_features_other_than_the_gates_are_refused(tmp_path, gate):
    save(network(feature_version=2), tmp_path / "net.safetensors", {})
    with pytest.raises(LoadError, match="features version 2"):
        export(tmp_path / "net.safetensors", "step", tmp_path / "net.onnx", gate=gate)


def test_a_place_that_cannot_be_written_to_is_named(checkpoint, gate):
    with pytest.raises(LoadError, match=r"net.safetensors/x.onnx: cannot be written"):
        export(checkpoint, "step", checkpoint / "x.onnx", gate=gate)


def test_the_command_says_what_is_wrong_in_one_line(tmp_path):
    command = [
        sys.executable,
        "-m",
        "engines.export",
        "--model",
        "absent.safetensors",
        "--out",
        str(tmp_path / "x"),
    ]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == LoadError.exit_code
    assert done.stderr.count("\n") == 1 and "absent.safetensors: no such file" in done.stderr
    assert not list(tmp_path.iterdir())
