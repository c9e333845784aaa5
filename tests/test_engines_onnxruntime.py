"""The ONNX Runtime runner: any graph, by name; loops that stay; what cannot be run is answered in a line or two."""

import logging

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper
from small_graph import LOOPS, WIDTH, small_graph, write_small_graph

from engines import onnxruntime_runner
from engines.onnxruntime_runner import OnnxRuntimeRunner
from engines.runner import make_runner
from realtime.errors import LoadError

DIMS = {"horizons": 2}


@pytest.fixture
def runner(tmp_path):
    return make_runner(write_small_graph(tmp_path), "onnxruntime", loops=LOOPS, dims=DIMS)


def features(count, seed=0):
    return np.random.default_rng(seed).normal(size=(count, 1, WIDTH)).astype(np.float32)


def test_what_it_says_of_itself(runner):
    assert runner.inputs == {"features": (1, WIDTH), "dt_ms": (2,)}
    assert runner.outputs == {"strip": (1, WIDTH), "ahead": (2, 3)}
    assert (runner.name, runner.device, runner.metadata) == ("onnxruntime", "cpu", {"kind": "small"})
    assert runner.describe()["onnxruntime"] == onnxruntime.__version__
    assert runner.describe()["threads"] == 1


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_a_loop_is_what_feeding_the_state_by_hand_gives(tmp_path, dtype):
    path = write_small_graph(tmp_path, state_dtype=dtype)
    runner = make_runner(path, "onnxruntime", loops=LOOPS, dims=DIMS)
    session = onnxruntime.InferenceSession(str(path))
    state, dt_ms = np.zeros((1, 2, WIDTH), dtype), np.array([10.0, 20.0], np.float32)
    for t, feature in enumerate(features(20)):
        if t == 9:  # an odd number of runs: the buffers have changed places
            runner.clear()
            state[:] = 0
        if t == 14:
            state = np.random.default_rng(1).normal(size=state.shape).astype(dtype)
            runner.write_loop("state", state)
        assert runner.read_loop("state").dtype == dtype
        assert np.array_equal(runner.read_loop("state"), state)
        strip, ahead, state = session.run(None, {"features": feature, "dt_ms": dt_ms, "state": state})
        made = runner.run(features=feature, dt_ms=dt_ms)
        assert made["strip"].dtype == np.float32
        assert np.array_equal(made["strip"], strip) and np.array_equal(made["ahead"], ahead)


def test_an_input_left_out_keeps_its_value_and_the_callers_array_is_not_kept(runner):
    feature, dt_ms = features(1)[0], np.array([5.0, 7.0], np.float32)
    before = runner.run(features=feature)["ahead"].copy()  # Δt still zero
    assert np.array_equal(before[0], before[1])
    runner.clear()
    with_dt = runner.run(dt_ms=dt_ms)["ahead"].copy()
    assert np.abs(with_dt - before).max() > 0.1
    feature[:], dt_ms[:] = 99.0, 99.0
    runner.clear()
    assert np.array_equal(runner.run()["ahead"], with_dt)


@pytest.mark.parametrize(
    ("inputs", "says"),
    [
        ({"feature": np.zeros((1, WIDTH), np.float32)}, "no input feature"),
        ({"state": np.zeros((1, 2, WIDTH), np.float32)}, "no input state"),
        ({"features": np.zeros(WIDTH, np.float32)}, "takes"),
        ({"features": np.ones((1, WIDTH), np.float32), "dt_ms": np.zeros(3, np.float32)}, "takes"),
    ],
)
def test_wrong_names_and_shapes_change_nothing(runner, inputs, says):
    expected = runner.run()["strip"].copy()
    runner.clear()
    with pytest.raises(ValueError, match=says):
        runner.run(**inputs)
    assert np.array_equal(runner.run()["strip"], expected)
    with pytest.raises(ValueError, match="takes"):
        runner.write_loop("state", np.zeros(3))
    with pytest.raises(ValueError, match="no loop strip"):
        runner.read_loop("strip")


def test_a_graph_that_is_none_of_ours_with_a_batch_of_two(tmp_path):
    """As BlazePose's: no metadata, no loops, several pictures at once."""
    node = helper.make_node("Relu", ["pictures"], ["found"])
    shape = [2, 3, 4, 4]
    graph = helper.make_graph(
        [node],
        "plain",
        [helper.make_tensor_value_info("pictures", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("found", TensorProto.FLOAT, None)],
    )
    path = tmp_path / "plain.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    runner = make_runner(path, "onnxruntime")
    assert runner.outputs == {"found": (2, 3, 4, 4)}
    assert runner.metadata == {}
    pictures = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    assert np.array_equal(runner.run(pictures=pictures)["found"], np.maximum(pictures, 0))


def broken(tmp_path, how):
    path = write_small_graph(tmp_path)
    if how == "cut off":
        path.write_bytes(path.read_bytes()[:-500])
    elif how == "text":
        path.write_text("not a graph")
    elif how == "a newer opset":
        model = small_graph()
        model.opset_import[0].version = 99
        path.write_bytes(model.SerializeToString())
    elif how == "integers":
        model = small_graph()
        model.graph.input[2].type.tensor_type.elem_type = TensorProto.INT64
        model.graph.node.insert(0, helper.make_node("Cast", ["dt_ms"], ["dt_float"], to=TensorProto.FLOAT))
        next(node for node in model.graph.node if node.name == "times").input[0] = "dt_float"
        path.write_bytes(model.SerializeToString())
    elif how == "absent":
        path.unlink()
    return path


@pytest.mark.parametrize(
    ("how", "options", "says"),
    [
        ("cut off", {}, "cannot load it"),
        ("text", {}, "cannot load it"),
        ("a newer opset", {}, "cannot load it"),
        ("absent", {}, "no such file"),
        ("integers", {}, "dt_ms is tensor"),
        ("whole", {"dims": {}}, "no fixed shape"),
        ("whole", {"loops": {"strip": "state"}}, "does not fit"),
        ("whole", {"loops": {"next": "state"}}, "no output next"),
        ("whole", {"threads": 0}, "runtime.threads"),
        ("whole", {"engine": "abacus"}, "abacus"),
    ],
)
def test_what_cannot_be_run_is_said_in_a_line_or_two(tmp_path, how, options, says):
    arguments = {"engine": "onnxruntime", "loops": LOOPS, "dims": DIMS, **options}
    with pytest.raises(LoadError, match=says) as caught:
        make_runner(broken(tmp_path, how), **arguments)
    assert len(str(caught.value).splitlines()) <= 2
    assert "small.onnx" in str(caught.value) or "threads" in str(caught.value)


def test_a_provider_that_does_not_start_is_no_silent_cpu(tmp_path):
    if "CUDAExecutionProvider" in onnxruntime.get_available_providers():
        pytest.skip("this onnxruntime has CUDA: it may start")
    with pytest.raises(LoadError, match="CUDAExecutionProvider"):
        OnnxRuntimeRunner(write_small_graph(tmp_path), dims=DIMS, provider="cuda")


def test_where_there_is_a_choice_the_faster_provider_is_kept(tmp_path, monkeypatch, caplog):
    """Two names for the CPU stand for a GPU and the CPU; what they take is scripted."""
    takes_ms = iter((3.0, 1.0))
    monkeypatch.setattr(
        onnxruntime_runner, "PROVIDERS", {"first": "CPUExecutionProvider", "cpu": "CPUExecutionProvider"}
    )
    monkeypatch.setattr(OnnxRuntimeRunner, "trial_ms", lambda self: next(takes_ms))
    made = []
    monkeypatch.setattr(OnnxRuntimeRunner, "close", lambda self: made.append(self))
    with caplog.at_level(logging.INFO):
        runner = make_runner(write_small_graph(tmp_path), "onnxruntime", loops=LOOPS, dims=DIMS)
    assert len(made) == 1 and made[0] is not runner  # the slower one was let go
    assert "3.000 ms" in caplog.text and "1.000 ms" in caplog.text
    runner.run(features=features(1)[0])


def test_a_trial_leaves_no_trace(runner):
    expected = runner.run()["strip"].copy()
    runner.clear()
    assert runner.trial_ms() > 0
    assert np.array_equal(runner.run()["strip"], expected)
