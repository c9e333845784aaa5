"""A network is fed the appearance features of the encoder that it was trained with, or says no: wherever they meet."""

import numpy as np
import pytest
from streams import ScriptedFeed, ScriptedPerception, write_model

import engines
import realtime.perception
from bench import gpu
from bench.accuracy import live
from bench.accuracy.rows import Row
from engines.gate import make_gate
from realtime import pipeline
from realtime.assets import asset
from realtime.body.smpl import load_body
from realtime.config import Config
from realtime.errors import LoadError
from realtime.perception import check_appearance

OURS, OTHER = "0123456789abcdef" * 4, "fedcba9876543210" * 4


class Seeing(ScriptedPerception):
    """With appearance features of OURS."""

    closed = 0

    def __init__(self):
        super().__init__()
        self.pixels *= 3.0  # large enough in the demo clip, too

    def describe(self):
        return super().describe() | {"appearance": OURS[:16]}

    def close(self):
        Seeing.closed += 1


class Knowing:
    """What of an engine is asked."""

    model_id = "some-model"

    def __init__(self, appearance):
        self.appearance = appearance


def test_another_encoder_is_refused_by_both_names():
    for passes in (OURS, "", None):  # of a model that knows none, the estimator keeps them away
        check_appearance(Seeing(), Knowing(passes))
    with pytest.raises(LoadError) as caught:
        check_appearance(Seeing(), Knowing(OTHER))
    what, next_step = str(caught.value).splitlines()
    assert "some-model" in what and OURS[:16] in what and OTHER[:16] in what
    assert "assets/appearance.onnx" in next_step and "--set perception.map=off" in next_step
    check_appearance(ScriptedPerception(), Knowing(OTHER))  # has no such features


def test_an_encoder_that_does_not_tell_which_it_is_is_none_that_is_known():
    class Silent(ScriptedPerception):
        def describe(self):
            return {"appearance": ""}

    check_appearance(Silent(), Knowing(None))
    with pytest.raises(LoadError, match="is another one"):
        check_appearance(Silent(), Knowing(OURS))


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    return {
        appearance: str(write_model(folder / f"{appearance[:4]}.onnx", appearance=appearance))
        for appearance in (OURS, OTHER)
    }


def run_live(model, folder):
    config = Config(source="scripted", viewer_kind="none", model=model, bus_address="tcp://127.0.0.1:0")
    pipeline.run(config)


def measure_rows(model, folder):
    rows = [Row("landmarks", "world"), Row("row", "stream", model)]
    live.Stream(rows, "onnxruntime", load_body(None)).close()


def make_a_gate(model, folder):
    make_gate([asset("demo.mp4")], folder / "gate.npz", frames=2)


def time_frames(model, folder):
    engine = engines.load(model, "onnxruntime")
    gpu.whole_frame(engine, load_body(None), [np.zeros((120, 160, 3), np.uint8)])()


@pytest.mark.parametrize("meet", [run_live, measure_rows, make_a_gate, time_frames])
def test_wherever_they_meet(meet, models, tmp_path, monkeypatch):
    for module in (pipeline, live, gpu, realtime.perception):
        monkeypatch.setattr(module, "make_perception", lambda config, *fps: Seeing())
    monkeypatch.setattr(pipeline, "open_feed", lambda config: ScriptedFeed(3))
    given, load = {"default": models[OURS]}, engines.load  # make_gate asks for that
    monkeypatch.setattr(
        engines, "load", lambda model, *more, **options: load(given.get(model, model), *more, **options)
    )
    meet(models[OURS], tmp_path)
    given["default"] = models[OTHER]
    closed = Seeing.closed
    with pytest.raises(LoadError, match="trained with appearance encoder"):
        meet(models[OTHER], tmp_path)
    assert meet is not run_live or Seeing.closed == closed + 1
