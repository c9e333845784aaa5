"""Engines compiled for real, for every GPU that tensorrt_rtx knows, without one."""

import os
import shutil
import signal
import subprocess
import sys
import threading

import pytest
from small_graph import small_graph, write_small_graph

from engines import build as program
from engines.build import choose, parse, perception_graphs, run
from engines.gate import Gate, load_gate
from engines.onnx_builder import write_graph
from engines.onnx_graph import build as build_graph
from engines.precision import convert
from engines.tensorrt import cuda
from engines.tensorrt.api import FP16_ONLY, Api, load_api
from engines.tensorrt.compiler import ProgressLine, build
from engines.tensorrt.cuda import Gpu
from realtime.assets import ASSETS, asset
from realtime.errors import ConfigError, LoadError
from realtime.features import FEATURE_DIM, FEATURE_VERSION

pytest.importorskip("tensorrt_rtx", reason='TensorRT compiles: pip install -e ".[tensorrt-rtx]"')
torch = pytest.importorskip("torch", reason='writes the graphs: pip install -e ".[torch]"')

TARGETS = load_api("tensorrt_rtx").targets
FORMS = ("step", "window")


@pytest.fixture(scope="module")
def api():
    return load_api("tensorrt_rtx")


@pytest.fixture(scope="module")
def graph(tmp_path_factory):
    """graph(size, form, precision) → path. "large" is as wide as HMMR, with random weights."""
    folder = tmp_path_factory.mktemp("graphs")
    whole = load_gate()
    few = Gate(whole.features[:4], whole.starts[:4], whole.feature_version)

    def get(size, form, precision):
        exact, path = folder / f"{size}-{form}.onnx", folder / f"{size}-{form}-{precision}.onnx"
        if not exact.exists():
            write(size, form, exact)
        if not path.exists():
            convert(exact, precision, path, "tensorrt", few)
        return path

    yield get
    shutil.rmtree(folder)  # a GB


@torch.inference_mode()
def write(size, form, path):
    from engines.export import graph_info_of
    from engines.network.checkpoint import load_checkpoint
    from engines.network.config import NetworkConfig
    from engines.network.model import HMMRLive

    if size == "default":
        model, _ = load_checkpoint(ASSETS / "model.safetensors")
    else:
        torch.manual_seed(0)
        phi = {"feature_dim": FEATURE_DIM, "feature_version": FEATURE_VERSION}
        model = HMMRLive(NetworkConfig(**phi, model_id="large", width=2048, head_width=1024)).eval()
        for parameter in model.parameters():  # stored as fp16, the file is half as large
            parameter.copy_(parameter.half())
    write_graph(build_graph(model, form), graph_info_of(model, form, {}), path)


def compiled(path, api, target, dims):
    return build(path, path.read_bytes(), api, target, dims)


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize(
    ("form", "precision"), [*((form, kind) for form in FORMS for kind in ("fp32", "fp16")), ("step", "int8")]
)
def test_the_default_model_compiles_for_every_target(api, graph, form, precision, target):
    path = graph("default", form, precision)
    if precision == "fp32" and target in FP16_ONLY:
        with pytest.raises(
            LoadError, match="for this GPU it multiplies fp16 and int8 only; use --precision fp16"
        ):
            compiled(path, api, target, {"horizons": 1})
    else:
        assert len(compiled(path, api, target, {"horizons": 1})) > 2_700_000  # its weights are in there


@pytest.mark.parametrize("target", TARGETS)
def test_a_model_as_wide_as_hmmr_compiles_for_every_target(api, graph, target):
    """As steps; as a window the default model does for every target, and its layers are the same."""
    assert len(compiled(graph("large", "step", "fp16"), api, target, {"horizons": 2})) > 194e6


def test_a_model_as_wide_as_hmmr_compiles_in_fp32(api, graph):
    assert len(compiled(graph("large", "step", "fp32"), api, "sm80", {"horizons": 2})) > 388e6


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("name", perception_graphs())
def test_what_perception_runs_compiles_for_every_target(api, name, target):
    path = asset(name)
    for batch in (1, 2) if target == "sm86" else (1,):
        assert compiled(path, api, target, {"batch": batch})


@pytest.mark.parametrize("target", TARGETS)
def test_an_appearance_encoder_compiles_for_every_target(api, tmp_path, target):
    """For Turing GPUs too, which have no fp32 products of matrices."""
    from engines.appearance import export_appearance
    from engines.network.appearance import AppearanceEncoder

    torch.manual_seed(0)
    export_appearance(AppearanceEncoder(), tmp_path / "appearance.onnx", {})
    assert len(compiled(tmp_path / "appearance.onnx", api, target, {"batch": 1})) > 2.9e6


def test_every_gpu_that_is_promised_is_a_target():
    assert {"sm75", "sm80", "sm86", "sm89", "sm120", "sm121"} <= set(TARGETS)


class Recorder:
    """TensorRT's module; keeps the network and the configuration that were built."""

    def __init__(self, trt):
        self.trt, self.kept = trt, []

    def __getattr__(self, name):
        return getattr(self.trt, name)

    def Builder(self, logger):
        return RecordedBuilder(self, logger)


class RecordedBuilder:
    def __init__(self, recorder, logger):
        self.builder, self.recorder = recorder.trt.Builder(logger), recorder

    def create_network(self, flags):
        return self.builder.create_network(flags)

    def create_builder_config(self):
        return self.builder.create_builder_config()

    def build_serialized_network(self, network, config):
        flags = {
            name for name, flag in self.recorder.trt.BuilderFlag.__members__.items() if config.get_flag(flag)
        }
        tensors = [network.get_input(each) for each in range(network.num_inputs)]
        tensors += [network.get_output(each) for each in range(network.num_outputs)]
        shapes = {tensor.name: tuple(tensor.shape) for tensor in tensors}
        targets = [
            config.get_compute_capability(each).name for each in range(config.num_compute_capabilities)
        ]
        self.recorder.kept.append((flags, shapes, targets))
        return self.builder.build_serialized_network(network, config)


def test_shapes_are_fixed_and_nothing_is_rounded_behind_our_back(api):
    recorder = Recorder(api.trt)
    recorded = Api(api.runtime, api.version, recorder, api.logger)
    build(program.Path("x"), small_graph().SerializeToString(), recorded, "sm86", {"horizons": 5})
    [(flags, shapes, targets)] = recorder.kept
    assert (shapes["dt_ms"], shapes["ahead"], targets) == ((5,), (5, 3), ["SM86"])
    assert "TF32" not in flags  # fp32 products would keep ten bits of their factors
    assert "REQUIRE_USER_ALLOCATION" in flags  # or no CUDA graph could be made of it


def refused(api, graph, path="some.onnx", target="sm86", dims=(("horizons", 1),)):
    with pytest.raises(LoadError) as caught:
        build(program.Path(path), graph, api, target, dict(dims))
    text = str(caught.value)
    assert len(text.splitlines()) <= 2
    return text


def test_what_cannot_be_compiled_is_named_with_its_node(api):
    unknown, misfit = small_graph(), small_graph()
    unknown.graph.node[4].op_type = "Foo"
    misfit.graph.node[3].input[1] = "features"
    assert "cannot read node tanh (Foo)" in refused(api, unknown.SerializeToString())
    assert "cannot read node conv (MatMul)" in refused(api, misfit.SerializeToString())


def test_what_is_no_whole_graph_is_refused(api):
    whole = small_graph().SerializeToString()
    for content in (b"", b"no graph", whole[: len(whole) // 2]):
        assert refused(api, content).startswith("some.onnx: not an ONNX file, or cut off")
    assert "dt_ms has no fixed shape (horizons)" in refused(api, whole, dims=())
    assert "builds for sm75, sm80" in refused(api, whole, target="sm90")


def test_progress_is_told(api, capfd):
    told = []
    build(program.Path("x"), small_graph().SerializeToString(), api, "sm86", {"horizons": 1}, told.append)
    assert told[0].startswith("Building engine 0/")
    with ProgressLine("x") as line:  # no terminal here
        line("something")
    assert capfd.readouterr().err == ""


def test_an_interrupt_ends_the_build_and_arrives(api):
    arrived = []

    def handler(*_):
        arrived.append(True)

    before = signal.signal(signal.SIGINT, handler)

    def interrupt(_text):
        if not sent:
            sent.append(True)
            signal.raise_signal(signal.SIGINT)
            assert not arrived  # not inside TensorRT

    sent = []
    try:
        with pytest.raises(LoadError):
            build(
                program.Path("x"), small_graph().SerializeToString(), api, "sm86", {"horizons": 1}, interrupt
            )
        assert arrived == [True]
        assert signal.getsignal(signal.SIGINT) is handler
    finally:
        signal.signal(signal.SIGINT, before)


def test_it_compiles_in_a_thread(api):
    made = []
    graph = small_graph().SerializeToString()
    thread = threading.Thread(
        target=lambda: made.append(build(program.Path("x"), graph, api, "sm86", {"horizons": 1}))
    )
    thread.start()
    thread.join()
    assert made


@pytest.fixture
def folder(monkeypatch, tmp_path):
    monkeypatch.setenv("HMMR_LIVE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_the_program_builds_ahead_and_lists(folder, capsys):
    run(parse(["--target", "sm86,SM120"]))
    first = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in first] == ["sm86", "sm120"]
    assert all(program.Path(line.split()[-1]).is_file() for line in first)
    run(parse(["--target", "sm86"]))
    assert "was there" in capsys.readouterr().out
    run(parse(["--target", "sm86", "--anew"]))
    assert "was there" not in capsys.readouterr().out
    (folder / "x.engine").write_bytes(b"?")
    run(parse(["--list"]))
    *listed, total = capsys.readouterr().out.splitlines()
    assert sum("step, fp32, horizons 1" in line for line in listed) == 2
    assert sum("damaged" in line for line in listed) == 1
    assert str(folder) in total


def test_a_target_that_fails_does_not_keep_the_others_from_it(folder, capsys):
    with pytest.raises(LoadError, match="sm75"):
        run(parse(["--target", "sm75,sm80"]))
    assert capsys.readouterr().out.startswith("sm80")


def test_bad_arguments():
    for arguments in (["--target", "sm90"], ["--target", "sm86,"], ["--target", "sm86", "--horizons", "0"]):
        with pytest.raises(ConfigError):
            run(parse(arguments))


def test_the_gpu_here_is_the_default(monkeypatch):
    monkeypatch.setattr(cuda, "find_gpu", lambda: Gpu(0, "NVIDIA GeForce RTX 4090", (8, 9)))
    api, targets = choose("tensorrt_rtx", "here")
    assert (api.runtime, targets) == ("tensorrt_rtx", [("sm89", "NVIDIA GeForce RTX 4090")])
    monkeypatch.setattr(cuda, "find_gpu", lambda: Gpu(0, "NVIDIA H200", (9, 0)))
    with pytest.raises(LoadError, match=r"NVIDIA H200 is sm90; pip install -e \"\.\[tensorrt\]\""):
        choose("tensorrt_rtx", "here")


def test_the_command_says_what_is_missing(tmp_path):
    path = write_small_graph(tmp_path)
    env = {**os.environ, "HMMR_LIVE_CACHE": str(tmp_path / "cache"), "CUDA_VISIBLE_DEVICES": ""}
    command = [sys.executable, "-m", "engines.build", "--model", str(path), "--target"]
    done = subprocess.run([*command, "here"], capture_output=True, text=True, env=env)
    assert done.returncode == 4 and "without a GPU: --target sm86" in done.stderr
    done = subprocess.run([*command, "sm86"], capture_output=True, text=True, env=env)
    assert done.returncode == 4 and "not a graph of this program" in done.stderr
