"""Engines: whatever runs the network, live it gives what the clip pass of torch gives."""

import numpy as np
import pytest
import torch
from engine_kinds import FEATURES, KINDS, assert_same, frames, graph_engine, make_engine, network, write_graph

import engines
from engines.export import clip_track
from engines.gate import load_gate
from engines.network.checkpoint import load_checkpoint
from engines.parity import Track, compare, horizons_ms, shape_rate
from realtime.body.kinematics import forward_kinematics
from realtime.body.smpl import load_body
from realtime.ring import Ring


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("graphs")


@pytest.fixture(params=KINDS)
def make(request, folder):
    """A fresh engine of each kind, always with the same weights."""
    return lambda: make_engine(request.param, network(), folder)


@pytest.fixture(scope="module")
def body():
    return load_body(None)


# The shipped weights over the 300 real frames of the gate.


@pytest.fixture(scope="module")
def gate():
    return load_gate()


@pytest.fixture(scope="module")
def shipped():
    return load_checkpoint(engines.model_path("default"))[0]


@pytest.fixture(scope="module")
def truth(shipped, gate, body):
    return clip_track(shipped, gate, body)


def live_track(engine, gate, body) -> Track:
    """The gate's frames one by one, as the estimator steps them."""
    dt_ms = horizons_ms(engine.horizon_ms)
    engine.prepare(len(dt_ms), body)
    outputs, shape = [], None
    for features, age in zip(gate.features, gate.ages(), strict=True):
        if age == 0:
            engine.reset()
            shape = np.zeros(10, np.float32)
        outputs.append(engine.step(features, dt_ms, shape, shape_rate(age)))
        shape = outputs[-1].shape
    names = {"pose": "pose_matrix"}
    tracked = ("camera", "pose", "betas", "shape", "joints", "ahead", "movie_strip")
    return {name: np.stack([getattr(out, names.get(name, name)) for out in outputs]) for name in tracked}


@pytest.mark.parametrize("kind", KINDS)
def test_stepping_300_real_frames_with_resets_is_the_clip_pass(kind, tmp_path, shipped, gate, body, truth):
    assert len(gate.features) == 300 and gate.starts.sum() > 1
    if kind == "onnxruntime step":
        engine = engines.load("default", "onnxruntime")  # the very file that is shipped
    else:
        engine = make_engine(kind, shipped, tmp_path)
    apart = compare(live_track(engine, gate, body), truth)
    assert apart["theta"] < 1e-5 and apart["theta_axis_angle"] < 1e-4
    assert apart["joints_mm"] < 0.01


@pytest.mark.parametrize(("precision", "joints_mm"), [("fp16", 1.0), ("int8", 30.0)])
def test_other_precisions_cost_so_much(precision, joints_mm, tmp_path, monkeypatch, gate, body, truth):
    """int8 is reported; its bound only keeps out what is no pose any more."""
    monkeypatch.setenv("HMMR_LIVE_CACHE", str(tmp_path))
    engine = engines.load("default", "onnxruntime", precision)
    assert engine.describe()["precision"] == precision
    apart = compare(live_track(engine, gate, body), truth)
    print(precision, apart)
    assert 0 < apart["joints_mm"] < joints_mm


# A small random network on every kind.


def test_joints_are_forward_kinematics_with_both_shapes(make, body):
    engine = make()
    engine.prepare(0, body)
    mean = np.linspace(-1, 1, 10, dtype=np.float32)
    for feature in frames(3):
        output = engine.step(feature, (), mean, 0.25)
        assert np.abs(output.shape - (0.75 * mean + 0.25 * output.betas)).max() < 1e-6
        shapes = np.stack((output.betas, output.shape))
        joints, _ = forward_kinematics(body, np.stack([output.pose_matrix] * 2), shapes)
        assert np.abs(output.joints - (joints - joints[:, :1])).max() < 1e-6


def test_outputs_stay_as_they_were_after_later_steps(make, body):
    engine, features = make(), frames(5)
    engine.prepare(1, body)
    first = engine.step(features[0], (40.0,))
    names = ("camera", "pose_matrix", "betas", "shape", "joints", "ahead", "movie_strip")
    kept = {name: getattr(first, name).copy() for name in names}
    for feature in features[1:]:
        engine.step(feature, (40.0,))
    for name, array in kept.items():
        assert array.dtype == np.float32
        assert np.array_equal(getattr(first, name), array)


def test_reset_forgets(make):
    engine, features = make(), frames(30)
    fresh = [engine.step(feature) for feature in features[20:]]
    engine.reset()
    for feature in features[:20]:
        engine.step(feature)
    assert np.abs(engine.step(features[20]).movie_strip - fresh[0].movie_strip).max() > 1e-3
    engine.reset()
    for feature, expected in zip(features[20:], fresh, strict=True):
        assert_same(engine.step(feature), expected)


@pytest.mark.parametrize("seen", [0, 1, 5, 12, 13, 14, 40])
def test_rebuilding_from_the_ring_equals_having_stepped(make, seen):
    engine, rebuilt, whole = make(), make(), make()
    features = frames(seen + 20, seed=seen)
    ring = Ring(engine.receptive_field, FEATURES)
    for t, feature in enumerate(features[:seen]):
        ring.push(t + 1, feature)
        engine.step(feature)
    for other in (rebuilt, whole):
        other.step(frames(1, seed=99)[0])  # something to forget
    rebuilt.rebuild(ring.window())
    whole.rebuild(features[:seen])  # more than the ring holds is allowed
    for feature in features[seen:]:
        expected = engine.step(feature, (66.0,))
        assert_same(rebuilt.step(feature, (66.0,)), expected)
        assert_same(whole.step(feature, (66.0,)), expected)


def test_no_horizons_and_zero_horizon(make):
    engine, feature = make(), frames(1)[0]
    assert engine.step(feature).ahead.shape == (0, 24, 3, 3)
    engine.reset()
    output = engine.step(feature, [0.0])
    assert np.abs(output.ahead[0] - output.pose_matrix).max() < 1e-6


@pytest.mark.parametrize("horizons", [(), (50.0,), (-200.0, 66.0, 166.0)])
def test_any_number_of_horizons_at_any_time_leaves_the_stream_alone(make, horizons, body):
    """A runner is made for a number of horizons; another number must not disturb state, body and later answers."""
    engine, plain, features = make(), make(), frames(20)
    for one in (engine, plain):
        one.prepare(1, body)
    for t, feature in enumerate(features):
        asked = horizons if t == 15 else (100.0,)
        output, expected = engine.step(feature, asked), plain.step(feature, (100.0,))
        assert output.ahead.shape == (len(asked), 24, 3, 3)
        for name in ("pose_matrix", "joints", "movie_strip"):
            assert np.abs(getattr(output, name) - getattr(expected, name)).max() < 1e-6
        if t != 15:
            assert_same(output, expected, 1e-6)


def test_bad_input_raises_and_leaves_the_stream_as_it_was(make):
    engine, reference, features = make(), make(), frames(20)
    for feature in features[:15]:
        engine.step(feature)
        reference.step(feature)
    poisoned = features[15].copy()
    poisoned[3] = np.nan
    zeros = np.zeros(10, np.float32)
    for arguments in (
        (features[15][:-1],),
        (features[:2],),
        (poisoned,),
        (features[15], (200.1,)),
        (features[15], (0.0, float("nan"))),
        (features[15], (), zeros[:9]),
        (features[15], (), np.full(10, np.nan)),
        (features[15], (), zeros, 0.0),
        (features[15], (), zeros, float("nan")),
    ):
        with pytest.raises(ValueError, match="this model|finite|rate"):
            engine.step(*arguments)
    with pytest.raises(ValueError, match="this model takes"):
        engine.rebuild(features[:3, :-1])
    for feature in features[15:]:
        assert_same(engine.step(feature), reference.step(feature))


def test_describe_says_what_runs(make):
    description = make().describe()
    assert description["engine"] in ("torch", "onnxruntime")
    assert (description["device"], description["threads"]) == ("cpu", 1)
    assert (description["model"], description["precision"]) == ("random", "fp32")
    assert description["receptive_field"] == 13
    assert description["parameters"] == sum(p.numel() for p in network().parameters())


def test_a_closed_engine_says_so(make):
    engine = make()
    engine.close()
    engine.close()
    with pytest.raises(ValueError, match="closed"):
        engine.step(frames(1)[0])


def test_the_window_engine_reads_the_ring_and_nothing_before_the_start(folder):
    """Zeros stand for frames that never were: other frames must not give the same."""
    engine = make_engine("onnxruntime window", network(), folder)
    features = frames(6)
    alone = engine.step(features[5])
    engine.reset()
    assert not engine._window.any()
    for feature in features[:5]:
        engine.step(feature)
    assert np.abs(engine.step(features[5]).movie_strip - alone.movie_strip).max() > 1e-3


def test_a_graph_of_two_networks_is_told_apart(tmp_path):
    """The file alone decides: other weights under the same name give other answers."""
    other = network()
    with torch.no_grad():
        other.f3d.out.bias += 0.1
    path = tmp_path / "step.onnx"
    first = graph_engine(write_graph(network(), "step", path), "step").step(frames(1)[0])
    second = graph_engine(write_graph(other, "step", path), "step").step(frames(1)[0])
    assert np.abs(first.betas - second.betas).max() > 0.01
