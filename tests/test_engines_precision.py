"""Precisions: made without torch, legal where they are to run, and as far from fp32 as they say."""

import json
import subprocess
import sys

import numpy as np
import onnx
import pytest
from engine_kinds import frames, network, write_graph
from onnx import TensorProto, numpy_helper

from engines import parity, precision
from engines.gate import Gate, load_gate
from engines.onnx_builder import used_names
from engines.parity import compare, run_graph
from engines.precision import KINDS, convert
from realtime.assets import asset
from realtime.body.smpl import load_body
from realtime.errors import ConfigError, LoadError

CONVERSIONS = [("fp16", "tensorrt"), ("int8", "onnxruntime"), ("int8", "tensorrt"), ("fp32", "tensorrt")]


@pytest.fixture(scope="module")
def gate():
    starts = np.zeros(40, bool)
    starts[[0, 4, 20]] = True
    return Gate(frames(40), starts, feature_version=1)


@pytest.fixture(scope="module")
def fp32(tmp_path_factory):
    return write_graph(network(), "step", tmp_path_factory.mktemp("fp32") / "net.onnx")


@pytest.fixture(scope="module")
def shipped(tmp_path_factory):
    """The shipped network in every precision: (precision, target) → file and what was measured."""
    folder = tmp_path_factory.mktemp("shipped")
    made = {}
    for kind in CONVERSIONS:
        path = folder / f"{'-'.join(kind)}.onnx"
        made[kind] = path, convert(asset("model.onnx"), kind[0], path, kind[1])
    return made


def test_the_cost_over_300_real_frames(shipped):
    costs = {kind: measured["joints_mm"] for kind, (_, measured) in shipped.items()}
    assert costs["fp32", "tensorrt"] < 0.001
    # Not a millionth: the roundings of fp16 are in it, though ONNX Runtime leaves them out on a CPU.
    assert 0.01 < costs["fp16", "tensorrt"] < 1.0
    for target in ("onnxruntime", "tensorrt"):
        assert costs["fp16", "tensorrt"] < costs["int8", target] < 10.0
        measured = shipped["int8", target][1]
        assert all(np.isfinite(value) for value in measured.values() if isinstance(value, float))
        assert 0 < measured["joints_mean_mm"] < 1.0


@pytest.mark.parametrize("kind", CONVERSIONS)
def test_the_file_says_what_it_is(kind, shipped):
    path, measured = shipped[kind]
    gate, body = load_gate(), load_body(None)
    track, info = run_graph(path, gate, body)
    _, source = run_graph(asset("model.onnx"), gate, body)
    assert (info.precision, info.form) == (kind[0], "step")
    assert info.parity == measured and measured["against"] == "fp32 graph"
    assert info.weights_sha256 == source.weights_sha256
    assert all(np.isfinite(array).all() for array in track.values())


@pytest.mark.parametrize("kind", CONVERSIONS)
def test_what_is_computed_in_which_type(kind, shipped):
    proto = onnx.load(str(shipped[kind][0]))
    onnx.checker.check_model(proto, full_check=True)
    operators = [node.op_type for node in proto.graph.node]
    stored = {tensor.name: tensor.data_type for tensor in proto.graph.initializer}
    assert stored.keys() <= used_names(proto.graph.node)
    if kind[1] == "tensorrt":
        assert "If" not in operators and "DynamicQuantizeLinear" not in operators
    inferred = onnx.shape_inference.infer_shapes(proto, strict_mode=True)
    types = {value.name: value.type.tensor_type.elem_type for value in inferred.graph.value_info} | stored
    factors = {types[node.input[1]] for node in proto.graph.node if node.op_type == "MatMul"}
    if kind in (("fp16", "tensorrt"), ("int8", "tensorrt")):
        assert factors == {TensorProto.FLOAT16}  # Turing has no other products in TensorRT
    matrices = {stored[name] for name in stored if name.startswith("encoder.") and ".taps.weight" in name}
    int8 = {("int8", "tensorrt"): TensorProto.INT8, ("int8", "onnxruntime"): TensorProto.UINT8}
    assert matrices & {TensorProto.INT8, TensorProto.UINT8} == ({int8[kind]} if kind in int8 else set())


@pytest.mark.parametrize(("target", "count"), [("tensorrt", 15), ("onnxruntime", 12)])
def test_int8_weights_are_within_half_a_step(target, count, shipped):
    """For ONNX Runtime the hallucinator's three stay as they are."""
    proto = onnx.load(str(shipped["int8", target][0]))
    source = {t.name: numpy_helper.to_array(t) for t in onnx.load(str(asset("model.onnx"))).graph.initializer}
    tensors = {tensor.name: numpy_helper.to_array(tensor) for tensor in proto.graph.initializer}
    quantised = [name for name in tensors if name.endswith(".int8")]
    assert len(quantised) == count
    for name in quantised:
        weight = source[name.replace(".int8", ".fp16")].astype(np.float32)
        scale = tensors[name.replace(".int8", ".scale")].astype(np.float32)
        steps = tensors[name].astype(np.float32) - (128 if target == "onnxruntime" else 0)
        assert (np.abs(steps * scale - weight) <= 0.51 * scale).all()


@pytest.mark.parametrize("kind", [kind for kind in CONVERSIONS if kind[1] == "tensorrt"])
@pytest.mark.parametrize("form", ["step", "window"])
def test_tensorrt_builds_it(kind, form, fp32, gate, tmp_path):
    """For real, without a GPU; fp16 and int8 for Turing too, which has no product in fp32."""
    trt = pytest.importorskip("tensorrt_rtx", reason="pip install tensorrt-rtx")
    path = write_graph(network(), form, tmp_path / "net.onnx")
    convert(path, kind[0], tmp_path / "out.onnx", kind[1], gate)
    logger = trt.Logger(trt.Logger.ERROR)
    builder = trt.Builder(logger)
    graph = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    parser = trt.OnnxParser(graph, logger)
    assert parser.parse((tmp_path / "out.onnx").read_bytes()), parser.get_error(0).desc()
    horizons = next(graph.get_input(i) for i in range(graph.num_inputs) if graph.get_input(i).name == "dt_ms")
    horizons.shape = (1,)
    config = builder.create_builder_config()
    config.num_compute_capabilities = 1
    target = trt.ComputeCapability.SM86 if kind[0] == "fp32" else trt.ComputeCapability.SM75
    config.set_compute_capability(target, 0)
    assert builder.build_serialized_network(graph, config) is not None


@pytest.mark.parametrize("form", ["step", "window"])
@pytest.mark.parametrize("kind", CONVERSIONS)
def test_small_networks_of_both_forms(kind, form, gate, tmp_path):
    """Random weights: fp16 rounds a thousandth, int8 some hundredths; the branch and its absence give the same."""
    path = write_graph(network(delay=3), form, tmp_path / "net.onnx")
    body = load_body(None)
    measured = convert(path, kind[0], tmp_path / "out.onnx", kind[1], gate)
    converted, info = run_graph(tmp_path / "out.onnx", gate, body)
    assert info.delay == 3
    apart = compare(converted, run_graph(path, gate, body)[0])
    limit = {"fp32": 1e-5, "fp16": 0.02, "int8": 0.3}[kind[0]]
    assert measured["theta"] < limit and apart["theta"] < limit


def test_torch_is_not_needed(tmp_path):
    program = (
        "import sys; from pathlib import Path; from engines.precision import convert\n"
        f"convert(Path({str(asset('model.onnx'))!r}), 'int8', Path({str(tmp_path / 'int8.onnx')!r}))\n"
        "print([name for name in ('torch', 'safetensors') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_what_cannot_be_converted_is_refused(fp32, gate, tmp_path):
    convert(fp32, "int8", tmp_path / "int8.onnx", gate=gate)
    with pytest.raises(LoadError, match="is int8 already"):
        convert(tmp_path / "int8.onnx", "fp16", tmp_path / "out.onnx", gate=gate)
    with pytest.raises(LoadError, match="not a graph of this program"):
        convert(asset("blazepose_landmarks.onnx"), "fp16", tmp_path / "out.onnx", gate=gate)
    for wanted in (("fp8", "tensorrt"), ("fp32", "onnxruntime"), ("int8", "abacus")):
        with pytest.raises(ConfigError, match=KINDS[0]):
            convert(fp32, wanted[0], tmp_path / "out.onnx", wanted[1], gate)
    assert not (tmp_path / "out.onnx").exists()


def test_a_graph_that_is_too_far_off_is_not_written(fp32, gate, tmp_path, monkeypatch):
    monkeypatch.setitem(parity.LIMITS, "int8", (float("inf"), 1e-3))
    with pytest.raises(
        LoadError, match=r"out.onnx: not written.*\(int8\).*joints by .* mm \(allowed: 0.001\)"
    ):
        convert(fp32, "int8", tmp_path / "out.onnx", gate=gate)
    assert not list(tmp_path.iterdir())


def test_wrong_scales_do_not_pass(gate, fp32, tmp_path, monkeypatch):
    def wrong(self, *arguments, **options):
        int8, scale = right(self, *arguments, **options)
        self._stored[scale] = numpy_helper.from_array(3 * numpy_helper.to_array(self._stored[scale]), scale)
        return int8, scale

    right = precision._Converter._int8_weight
    monkeypatch.setattr(precision._Converter, "_int8_weight", wrong)
    with pytest.raises(LoadError, match="fails the parity gate"):
        convert(fp32, "int8", tmp_path / "out.onnx", gate=gate)


def test_the_command(fp32, tmp_path):
    command = [
        sys.executable,
        "-m",
        "engines.precision",
        "int8",
        str(asset("model.onnx")),
        str(tmp_path / "a.onnx"),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "joints_mm" in done.stdout
    metadata = {p.key: p.value for p in onnx.load(str(tmp_path / "a.onnx")).metadata_props}
    assert f"{json.loads(metadata['parity'])['joints_mm']}" in done.stdout
