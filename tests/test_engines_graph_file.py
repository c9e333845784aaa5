"""The seal of a graph file: any byte that is another is found out, and nobody else minds it."""

import dataclasses
import json
import random

import numpy as np
import onnx
import pytest
from small_graph import LOOPS, WIDTH, small_graph, write_small_graph

from engines.graph_file import SEAL_LENGTH, GraphInfo, check_seal, graph_info, sealed
from engines.runner import make_runner
from realtime.assets import asset
from realtime.errors import LoadError

SHIPPED = ("model", "blazepose_detector", "blazepose_landmarks", "blazepose_mask")


def run(path):
    runner = make_runner(path, "onnxruntime", loops=LOOPS, dims={"horizons": 1})
    return runner.run(features=np.ones((1, WIDTH), np.float32))["strip"].copy(), dict(runner.metadata)


def test_a_sealed_graph_is_the_same_graph(tmp_path):
    path = write_small_graph(tmp_path)
    expected, metadata = run(path)
    content = path.read_bytes()
    path.write_bytes(sealed(content))
    check_seal(path)
    found, sealed_metadata = run(path)
    assert np.array_equal(found, expected)
    assert sealed_metadata.pop("sha256") and sealed_metadata == metadata
    onnx.checker.check_model(onnx.load(str(path)))
    assert len(path.read_bytes()) == len(content) + SEAL_LENGTH


@pytest.mark.parametrize("name", SHIPPED)
def test_what_is_shipped_is_sealed_and_whole(name, tmp_path):
    check_seal(asset(f"{name}.onnx"))
    content = bytearray(asset(f"{name}.onnx").read_bytes())
    content[len(content) // 2] ^= 1
    path = tmp_path / "flipped.onnx"
    path.write_bytes(content)
    with pytest.raises(LoadError, match=r"flipped.onnx: damaged"):
        check_seal(path)


def test_one_bit_is_found_wherever_it_is(tmp_path):
    """In the weights it is a graph as good as any, and another pose."""
    whole = sealed(small_graph().SerializeToString())
    path = tmp_path / "flipped.onnx"
    places = random.Random(0).sample(range(len(whole) - SEAL_LENGTH), 20)
    for place in (0, *places, len(whole) - 1):
        content = bytearray(whole)
        content[place] ^= 1 << place % 8
        path.write_bytes(content)
        with pytest.raises(LoadError, match=r"flipped.onnx: damaged") as caught:
            run(path)
        assert len(str(caught.value).splitlines()) == 1


def test_without_a_seal_nothing_is_said(tmp_path):
    check_seal(write_small_graph(tmp_path))
    check_seal(tmp_path / "absent.onnx")
    (tmp_path / "empty.onnx").write_bytes(b"")
    check_seal(tmp_path / "empty.onnx")
    check_seal(tmp_path)


def test_names_and_metadata_that_are_no_text_are_refused(tmp_path):
    """ONNX Runtime's binding answers them with UnicodeDecodeError, which is none of its own errors."""
    whole = write_small_graph(tmp_path).read_bytes()
    path = tmp_path / "flipped.onnx"
    refused = []
    for word in (b"small", b"kind", b"ahead", b"product", b"conv", b"horizons", b"next_state"):
        for place in (whole.find(word), whole.rfind(word)):
            path.write_bytes(whole[:place] + b"\xff" + whole[place + 1 :])
            try:
                run(path)
            except LoadError as error:
                refused.append(str(error))
    assert len(refused) > 7  # a node may be called anything
    assert any("metadata are" in said or "names are" in said for said in refused)
    assert any("cannot load it" in said for said in refused)


@pytest.mark.parametrize(
    "damage",
    [
        *({"receptive_field": "0"}, {"receptive_field": "-1"}, {"feature_dim": "0"}, {"horizon_ms": "nan"}),
        *({"delay": "13"}, {"delay": "-1"}, {"delay": "1.5"}),
    ],
)
def test_sizes_that_cannot_be_are_refused(tmp_path, damage):
    info = GraphInfo(
        form="step",
        precision="fp32",
        model_id="m",
        feature_version=1,
        feature_dim=5,
        receptive_field=13,
        delay=6,
        horizon_ms=200.0,
        width=8,
        parameters=1,
        weights_sha256="",
        hmmr_live="0",
        joint_names=("a",),
        parity={},
    )
    metadata = info.metadata()
    assert json.loads(metadata["joint_names"]) == ["a"]
    assert graph_info(tmp_path, metadata) == info
    assert graph_info(tmp_path, {k: v for k, v in metadata.items() if k != "delay"}).delay == 0  # older files
    assert info.appearance is None and "appearance" not in metadata  # as in older files
    with pytest.raises(LoadError, match="damaged metadata"):
        graph_info(tmp_path, {**metadata, **damage})


@pytest.mark.parametrize("appearance", [None, "", "ab" * 32])
@pytest.mark.parametrize("kind", ["torch step", "onnxruntime step"])
def test_the_encoder_that_a_network_knows_is_told_by_weights_graph_and_engine(appearance, kind, tmp_path):
    """ "": it knows none; None: nobody knows. They are not the same, and no way on may confuse them."""
    torch = pytest.importorskip("torch", reason='networks: pip install -e ".[torch]"')
    from engine_kinds import make_engine, network

    from engines.export import graph_info_of
    from engines.network.checkpoint import load_checkpoint, save

    torch.set_num_threads(1)
    model = network()
    model.config = dataclasses.replace(model.config, appearance=appearance)
    save(model, tmp_path / "model.safetensors", {})
    model, _ = load_checkpoint(tmp_path / "model.safetensors")
    assert model.config.appearance == appearance
    assert graph_info(tmp_path, graph_info_of(model, "step", {}).metadata()).appearance == appearance
    engine = make_engine(kind, model, tmp_path)
    assert engine.appearance == appearance
    assert engine.describe()["appearance"] == (appearance and appearance[:16])
    engine.close()
