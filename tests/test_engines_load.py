"""Which engine a name gives, what is derived for it, and what is said where it cannot be had."""

import logging

import numpy as np
import pytest
import torch
from engine_kinds import FEATURES, assert_same, graph_engine, network, write_graph

import engines
from engines import model_files, torch_engine
from engines.cache import VARIABLE
from engines.network.checkpoint import save
from engines.tensorrt import api as tensorrt_api
from realtime import assets
from realtime.assets import asset
from realtime.errors import LoadError
from realtime.features import FEATURE_DIM, FEATURE_VERSION

NO_GPU = "no NVIDIA GPU here"


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv(VARIABLE, str(tmp_path / "cache"))
    monkeypatch.setattr(tensorrt_api, "available", lambda: NO_GPU)
    monkeypatch.setattr(
        torch_engine, "choose_device", lambda: torch.device("cpu")
    )  # also where there is a GPU
    return tmp_path / "cache"


@pytest.fixture(scope="module")
def ours():
    """A small network that takes what this program makes."""
    return network(FEATURE_DIM, FEATURE_VERSION)


@pytest.fixture
def own(tmp_path, ours):
    return write_graph(ours, "step", tmp_path / "own.onnx")


def features(count=5):
    return np.random.default_rng(0).normal(size=(count, FEATURE_DIM)).astype(np.float32)


def assert_steps_alike(first, second, tolerance=1e-5):
    for engine in (first, second):
        engine.reset()
    for feature in features():
        assert_same(first.step(feature, (100.0,)), second.step(feature, (100.0,)), tolerance)


def test_the_default_is_the_shipped_graph_and_says_why(cache, caplog):
    with caplog.at_level(logging.INFO, "engines"):
        engine = engines.load()
    assert (engine.name, engine.device, engine.feature_dim) == ("onnxruntime", "cpu", FEATURE_DIM)
    assert NO_GPU in engine.describe()["chosen"]
    assert f"engine onnxruntime on cpu: no TensorRT ({NO_GPU})" in caplog.text
    assert not cache.exists()  # nothing had to be made
    assert_steps_alike(engine, engines.load(engine="torch"))


# auto: the runners are scripted, there is no GPU here


@pytest.fixture
def scripted(monkeypatch, own):
    """scripted(tensorrt=error or None, …): what loading the model on each engine ends with."""

    def script(**errors):
        real = graph_engine(own, "step")

        def load_on(name):
            if errors.get(name):
                raise LoadError(errors[name])
            real.name = name
            return real

        monkeypatch.setattr(tensorrt_api, "available", lambda: errors.get("available"))
        monkeypatch.setattr(engines, "_graph", lambda model, engine, *_: load_on(engine))
        monkeypatch.setattr(engines, "_torch", lambda *_: load_on("torch"))

    return script


def test_auto_takes_tensorrt_where_it_runs(scripted):
    scripted()
    assert engines.load(engine="auto").name == "tensorrt"


def test_auto_goes_on_where_tensorrt_fails_and_says_so(scripted, caplog):
    scripted(tensorrt="the engine does not build\nask somebody")
    engine = engines.load(engine="auto")
    assert engine.name == "onnxruntime"
    assert "the engine does not build" in caplog.text
    assert engine.describe()["chosen"] == "no TensorRT (the engine does not build)"


def test_auto_ends_with_torch_and_says_so(scripted, caplog):
    scripted(available=NO_GPU, onnxruntime="the graph is damaged")
    engine = engines.load(engine="auto")
    assert engine.name == "torch"
    assert "the graph is damaged" in caplog.text and "the graph is damaged" in engine.describe()["chosen"]


def test_auto_that_finds_nothing_gives_the_reason_of_onnxruntime(scripted):
    scripted(available=NO_GPU, onnxruntime="the graph is damaged", torch="torch is not installed")
    with pytest.raises(LoadError, match="the graph is damaged"):
        engines.load(engine="auto")


# a user's own files


def test_own_weights_are_exported_once_by_another_process(tmp_path, ours, cache, monkeypatch):
    path = tmp_path / "own.safetensors"
    save(ours, path, {})
    engine = engines.load(str(path), "onnxruntime")
    assert engine.model_id == "random"
    assert_steps_alike(engine, engines.load(str(path), "torch"))
    (made,) = cache.iterdir()
    monkeypatch.setattr(model_files.subprocess, "run", None)  # not needed again
    assert_steps_alike(engines.load(str(path), "onnxruntime"), engine)
    assert list(cache.iterdir()) == [made]


def test_own_weights_that_are_none_are_refused_by_the_export(tmp_path, cache, monkeypatch):
    monkeypatch.setenv("PYTHONWARNINGS", "always")  # not what Python has to say about some package
    path = tmp_path / "text.safetensors"
    path.write_text("not weights")
    with pytest.raises(LoadError, match="text.safetensors: not a safetensors file"):
        engines.load(str(path), "onnxruntime")
    assert list(cache.iterdir()) == []


def test_exporting_and_torch_without_torch_say_what_to_install(tmp_path, monkeypatch, ours):
    path = tmp_path / "own.safetensors"
    save(ours, path, {})
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    for engine in ("onnxruntime", "torch"):
        with pytest.raises(LoadError, match=r'pip install .*"\.\[torch\]"'):
            engines.load(str(path), engine)


def test_an_own_graph_keeps_its_form_and_precision(tmp_path, own, ours, cache):
    window = write_graph(ours, "window", tmp_path / "window.onnx")
    assert engines.load(str(own), "onnxruntime").describe()["form"] == "step"
    engine = engines.load(str(window), "onnxruntime")
    assert engine.describe()["form"] == "window"
    assert_steps_alike(engine, engines.load(str(own), "onnxruntime"))
    with pytest.raises(LoadError, match="a step graph, not window"):
        engines.load(str(own), "onnxruntime", form="window")
    assert not cache.exists()


def test_an_own_graph_is_converted_once_and_only_from_fp32(tmp_path, cache):
    shipped = asset("model.onnx")
    engine = engines.load(str(shipped), "onnxruntime", "int8")
    assert engine.describe()["precision"] == "int8"
    (made,) = cache.iterdir()
    assert engines.load(str(made), "onnxruntime").describe()["precision"] == "int8"  # nobody asked for fp32
    assert engines.load(str(made), "onnxruntime", "int8").describe()["precision"] == "int8"
    with pytest.raises(LoadError, match="an int8 graph, fp16 cannot be made of it"):
        engines.load(str(made), "onnxruntime", "fp16")
    assert list(cache.iterdir()) == [made]


def test_a_damaged_derived_graph_is_made_anew(cache, caplog):
    first = engines.load("default", "onnxruntime", "int8")
    (made,) = cache.iterdir()
    whole = made.read_bytes()
    made.write_bytes(
        whole[:100_000] + bytes(8) + whole[100_008:]
    )  # a few weights: it would load, and be wrong
    engine = engines.load("default", "onnxruntime", "int8")
    assert "damaged" in caplog.text
    assert_steps_alike(engine, first, 1e-6)


@pytest.mark.parametrize(
    ("model", "options", "says"),
    [
        ("default", {"engine": "abacus"}, "auto, tensorrt, onnxruntime, torch"),
        ("default", {"engine": "tensorrt"}, NO_GPU),
        ("default", {"precision": "fp8"}, "fp32, fp16, int8"),
        ("default", {"engine": "torch", "precision": "int8"}, "--engine onnxruntime"),
        ("default", {"engine": "torch", "precision": "fp16"}, "--engine onnxruntime"),
        ("default", {"form": "circle"}, "step, window"),
        ("default", {"threads": 0}, "runtime.threads=1"),
        ("defualt", {}, "use default, lookahead or"),
        ("defualt", {"engine": "torch"}, "use default, lookahead or"),
        ("absent.safetensors", {}, "no such file"),
        ("absent.safetensors", {"engine": "torch"}, "no such file"),
        ("absent.onnx", {}, "no such file"),
        ("own.onnx", {"engine": "torch"}, ".safetensors"),
    ],
)
def test_errors_name_the_input_and_the_next_step(model, options, says):
    with pytest.raises(LoadError) as caught:
        engines.load(model, **options)
    message = str(caught.value)
    assert says in message
    assert len(message.splitlines()) <= 2
    assert str(list(options.values())[-1] if options and model == "default" else model) in message


@pytest.mark.parametrize(
    ("metadata", "says"),
    [
        ({"feature_version": FEATURE_VERSION + 1}, "features version"),
        ({"feature_dim": FEATURES}, f"takes {FEATURES} features"),
        ({"form": "circle"}, "circle"),
        ({"form": "window"}, "features, state not as"),
        ({"width": 65}, "movie_strip not as"),
        ({"receptive_field": "many"}, "damaged metadata"),
    ],
)
def test_a_graph_of_another_model_or_version_is_refused(tmp_path, ours, metadata, says):
    path = write_graph(ours, "step", tmp_path / "own.onnx", **metadata)
    with pytest.raises(LoadError, match=says) as caught:
        engines.load(str(path), "onnxruntime")
    assert "own.onnx" in str(caught.value) and len(str(caught.value).splitlines()) <= 2


@pytest.mark.parametrize("engine", ["onnxruntime", "torch"])
def test_look_ahead_is_a_model_of_its_own(engine, tmp_path, monkeypatch):
    """By its name, from assets/; where it is not there, that is said."""
    monkeypatch.setattr(assets, "ASSETS", tmp_path)
    with pytest.raises(LoadError, match="--model lookahead: assets/model_lookahead.* or use --model default"):
        engines.load("lookahead", engine)
    late = network(FEATURE_DIM, FEATURE_VERSION, delay=6)
    save(late, tmp_path / "model_lookahead.safetensors", {})
    write_graph(late, "step", tmp_path / "model_lookahead.onnx")
    loaded = engines.load("lookahead", engine)
    assert (loaded.delay, loaded.describe()["delay"]) == (6, 6)


def test_a_graph_of_another_program_is_refused():
    with pytest.raises(LoadError, match="not a graph of this program"):
        engines.load(str(asset("blazepose_mask.onnx")), "onnxruntime")


@pytest.mark.parametrize("engine", ["auto", "onnxruntime"])
def test_a_file_cut_off_is_refused(own, engine):
    own.write_bytes(own.read_bytes()[:-1000])
    with pytest.raises(LoadError, match="own.onnx"):
        engines.load(str(own), engine)


def test_weights_for_other_features_are_refused(tmp_path):
    path = tmp_path / "old.safetensors"
    save(network(FEATURE_DIM, FEATURE_VERSION + 1), path, {})
    with pytest.raises(LoadError, match="features version"):
        engines.load(str(path), "torch")
