"""The torch engine's own parts; what it shares with every engine is tested in test_engines_runtime.py."""

import numpy as np
import pytest
import torch
from engine_kinds import assert_same, frames, network

from engines.gate import load_gate
from engines.network.checkpoint import load_checkpoint
from engines.network.model import HMMRLive
from engines.torch_engine import ALIGNMENT, HalfLinear, halve_products, torch_engine
from realtime.assets import asset
from realtime.body.smpl import load_body
from realtime.errors import LoadError

CPU = torch.device("cpu")


def make(model: HMMRLive | None = None, **options):
    return torch_engine(model or network(), asset("model.safetensors"), **{"device": CPU, **options})


@pytest.fixture
def runner():
    return make()._runner


def test_it_is_a_runner_with_named_inputs_and_a_loop(runner):
    assert (runner.name, runner.device) == ("torch", "cpu")
    assert runner.describe()["mode"] == "eager"
    assert runner.inputs["rest_directions"] == (24, 3, 10)
    assert runner.outputs["joints"] == (2, 24, 3)
    runner.clear()
    assert not runner.read_loop("state").any()
    runner.run(features=frames(1), age=np.array([12.0]))  # not hallucinated: the state counts
    state = runner.read_loop("state")
    expected = runner.run(features=frames(1, seed=1))["movie_strip"].copy()
    runner.write_loop("state", state)
    assert np.array_equal(runner.run(features=frames(1, seed=1))["movie_strip"], expected)
    state[:] = 0  # a copy: what was written stays
    runner.write_loop("state", state)
    assert np.abs(runner.run(features=frames(1, seed=1))["movie_strip"] - expected).max() > 1e-3


@pytest.mark.parametrize(
    ("inputs", "says"),
    [
        ({"feature": np.zeros((1, 20), np.float32)}, "no input feature"),
        ({"state": np.zeros((1, 6, 2, 64), np.float32)}, "no input state"),
        ({"features": np.zeros(20, np.float32)}, "takes"),
    ],
)
def test_wrong_names_and_shapes_are_refused(runner, inputs, says):
    with pytest.raises(ValueError, match=says):
        runner.run(**inputs)
    with pytest.raises(ValueError, match="takes"):
        runner.write_loop("state", np.zeros(3, np.float32))
    with pytest.raises(ValueError, match="no loop other"):
        runner.read_loop("other")


def test_inputs_and_outputs_lie_apart_and_aligned(runner):
    """One block for all of them: an array that overlapped another would be overwritten by it."""
    for buffer, shapes in ((runner._host_in, runner.inputs), (runner._host_out, runner.outputs)):
        spans = []
        for name, shape in shapes.items():
            tensor = buffer.tensors[name]
            assert tuple(tensor.shape) == buffer.arrays[name].shape == shape
            start = tensor.storage_offset()
            assert start % ALIGNMENT == 0
            spans.append((start, start + tensor.numel()))
        spans.sort()
        assert all(end <= start for (_, end), (start, _) in zip(spans, spans[1:], strict=False))


def test_threads_are_set():
    make(threads=2)
    assert torch.get_num_threads() == 2
    assert make(threads=1).describe()["threads"] == torch.get_num_threads() == 1


@pytest.mark.parametrize("precision", ["fp16", "int8"])
def test_precisions_that_the_cpu_does_not_have_are_refused(precision):
    with pytest.raises(LoadError, match=f"precision {precision}.*--engine onnxruntime"):
        make(precision=precision)


def test_products_in_fp16_cost_less_than_a_millimetre():
    """The arithmetic of --engine torch --set runtime.precision=fp16 on CUDA, here on the CPU."""
    gate, body = load_gate(), load_body(None)
    exact = make(load_checkpoint(asset("model.safetensors"))[0])
    half = make(load_checkpoint(asset("model.safetensors"))[0])
    module = half._runner._module
    halve_products(module)
    kinds = [type(part) for part in module.modules()]
    assert HalfLinear in kinds and torch.nn.Linear not in kinds
    furthest_mm = 0.0
    for engine in (exact, half):
        engine.prepare(1, body)
    for features in gate.features[:60]:
        first, second = exact.step(features, (100.0,)), half.step(features, (100.0,))
        assert first.joints.dtype == second.joints.dtype == np.float32
        furthest_mm = max(furthest_mm, 1e3 * float(np.abs(first.joints - second.joints).max()))
    assert 0 < furthest_mm < 1.0


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an NVIDIA GPU that torch can use")
@pytest.mark.parametrize("form", ["step", "window"])
def test_a_cuda_graph_gives_what_the_cpu_gives(form):
    engine, expected = make(form=form, device=torch.device("cuda", 0)), make(form=form)
    assert engine.describe()["mode"] == "cuda graph"
    for t, feature in enumerate(frames(40)):
        if t == 20:
            engine.reset()
            expected.reset()
        assert_same(engine.step(feature, (100.0,)), expected.step(feature, (100.0,)), 1e-4)
