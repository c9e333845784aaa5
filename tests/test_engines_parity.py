"""The gate: its frames, what is measured on them, and graphs that are none of ours."""

import json

import numpy as np
import pytest
from engine_kinds import frames, network, write_graph

from engines.export import graph_info_of
from engines.gate import Gate, load_gate, make_gate
from engines.graph_file import graph_info
from engines.parity import check, compare, run_graph, window
from realtime.assets import ASSETS, asset
from realtime.body.rotations import axis_angle_to_matrix
from realtime.body.smpl import load_body
from realtime.errors import LoadError, SourceError
from realtime.features import FEATURE_DIM, FEATURE_VERSION


@pytest.fixture(scope="module")
def gate():
    return Gate(frames(4), np.array([True, False, True, False]), feature_version=1)


def track(count: int = 3) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    return {
        "camera": rng.normal(size=(count, 3)),
        "pose": axis_angle_to_matrix(rng.normal(size=(count, 24, 3))),
        "betas": rng.normal(size=(count, 10)),
        "shape": rng.normal(size=(count, 10)),
        "joints": rng.normal(size=(count, 2, 24, 3)),
        "ahead": axis_angle_to_matrix(rng.normal(size=(count, 2, 24, 3))),
        "movie_strip": rng.normal(size=(count, 8)),
    }


def test_the_shipped_gate_is_300_real_frames_with_resets():
    gate = load_gate()
    assert gate.features.shape == (300, FEATURE_DIM) and gate.features.dtype == np.float32
    assert gate.feature_version == FEATURE_VERSION
    assert np.isfinite(gate.features).all()
    assert gate.starts[0] and 1 < gate.starts.sum() < 20
    assert gate.ages().max() > 60  # long enough to be stepped with a full ring
    assert (ASSETS / "gate.npz").stat().st_size < 300_000


def test_ages_count_from_the_last_start(gate):
    assert gate.ages().tolist() == [0, 1, 0, 1]


def test_a_gate_is_made_of_what_the_live_path_feeds_the_network(tmp_path):
    gate = make_gate([asset("demo.mp4")], tmp_path / "gate.npz", frames=5)
    kept = load_gate(tmp_path / "gate.npz")
    assert np.array_equal(gate.features, kept.features)
    assert kept.features.shape == (5, FEATURE_DIM)
    assert kept.starts.tolist() == [True, False, False, False, False]
    with pytest.raises(SourceError, match="a person in 0 frames only"):
        make_gate([], tmp_path / "none.npz", frames=5)
    assert not (tmp_path / "none.npz").exists()


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 cut off", None])
def test_a_damaged_gate_is_refused(content, tmp_path):
    path = tmp_path / "gate.npz"
    if content is None:
        np.savez(path, features=np.zeros((4, 20)), starts=np.zeros(4, bool), feature_version=1)  # no start
    else:
        path.write_bytes(content)
    with pytest.raises(LoadError, match="gate.npz: .*see assets/gate.md"):
        load_gate(path)


def test_nothing_is_nothing_apart():
    apart = compare(track(), track())
    assert set(apart.values()) == {0.0}


def test_every_output_counts():
    for name in ("camera", "pose", "betas", "shape", "ahead"):
        changed = track()
        changed[name][1] += 0.01
        assert compare(changed, track())["theta"] == pytest.approx(0.01, rel=1e-5), name
    changed = track()
    changed["joints"][1, 0, 4] += (0.003, 0, 0.004)
    apart = compare(changed, track())
    assert apart["joints_mm"] == pytest.approx(5)
    assert apart["joints_mean_mm"] == pytest.approx(5 / (3 * 2 * 24))


def test_both_names_of_a_rotation_by_pi_are_one():
    near_pi, beyond = track(), track()
    near_pi["pose"][0, 0] = axis_angle_to_matrix(np.array([np.pi - 1e-4, 0, 0]))
    beyond["pose"][0, 0] = axis_angle_to_matrix(np.array([np.pi + 1e-4, 0, 0]))
    assert compare(beyond, near_pi)["theta_axis_angle"] == pytest.approx(2e-4, rel=0.05)


def test_not_a_number_never_passes():
    for name in ("pose", "joints", "ahead"):
        poisoned = track()
        poisoned[name][2].flat[0] = np.nan
        measured = {"against": "truth", **compare(poisoned, track())}
        for precision in ("fp32", "fp16", "int8"):
            with pytest.raises(
                LoadError, match=f"x.onnx: not written, it fails the parity gate \\({precision}\\)"
            ):
                check("x.onnx", precision, measured)


def test_windows_are_padded_on_the_left():
    features = frames(20)
    padded = window(features, 4, 3, 13)
    assert padded.shape == (1, 13, 20)
    assert not padded[0, :10].any() and np.array_equal(padded[0, 10:], features[2:5])


def test_what_is_no_graph_of_ours_is_refused(gate, tmp_path):
    body = load_body(None)
    whole = write_graph(network(), "step", tmp_path / "net.onnx").read_bytes()
    for name, content in (("cut", whole[: len(whole) // 2]), ("text", b"not a graph"), ("empty", b"")):
        path = tmp_path / f"{name}.onnx"
        path.write_bytes(content)
        with pytest.raises(LoadError, match=rf"{name}.onnx: ONNX Runtime cannot load it") as caught:
            run_graph(path, gate, body)
        assert "\n" not in str(caught.value)
    with pytest.raises(LoadError, match="absent.onnx: ONNX Runtime cannot load it"):
        run_graph(tmp_path / "absent.onnx", gate, body)
    with pytest.raises(LoadError, match="blazepose_detector.onnx: not a graph of this program"):
        run_graph(asset("blazepose_detector.onnx"), gate, body)
    as_window = write_graph(network(), "step", tmp_path / "wrong.onnx", form="window")
    with pytest.raises(LoadError, match="inputs or outputs are not those"):
        run_graph(as_window, gate, body)
    wider = write_graph(network(21), "step", tmp_path / "wrong.onnx", feature_dim=20)
    with pytest.raises(LoadError, match="ONNX Runtime cannot run it"):
        run_graph(wider, gate, body)
    with pytest.raises(LoadError, match=f"takes {FEATURE_DIM} features, this program makes 20"):
        run_graph(asset("model.onnx"), Gate(gate.features, gate.starts, FEATURE_VERSION), body)
    with pytest.raises(LoadError, match=f"features version {FEATURE_VERSION}, this program makes version 1"):
        run_graph(asset("model.onnx"), gate, body)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("format", "hmmr-live graph 2"),
        ("form", "spiral"),
        ("precision", "fp8"),
        ("width", "wide"),
        ("feature_version", "2"),
        ("joint_names", "pelvis"),
        ("parity", json.dumps([1])),
        ("model_id", None),
    ],
)
def test_metadata_that_is_not_right_is_refused(name, value, tmp_path):
    metadata = graph_info_of(network(), "step", {"frames": 4}).metadata()
    assert graph_info(tmp_path, metadata).parity == {"frames": 4}
    metadata.pop(name)
    if value is not None:
        metadata[name] = value
    with pytest.raises(LoadError) as caught:
        graph_info(tmp_path / "net.onnx", metadata, feature_version=1, feature_dim=20)
    assert "net.onnx: " in str(caught.value) and "use --model default" in str(caught.value)
