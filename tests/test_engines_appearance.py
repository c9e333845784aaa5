"""The appearance encoder: weights on disk come back, its graph is torch's function, what is damaged is refused."""

import json
import sys

import numpy as np
import pytest
import torch
from onnx import TensorProto, load
from safetensors.torch import save_file

import engines.appearance
from engines.appearance import build, export_appearance, main
from engines.graph_file import APPEARANCE_FORMAT, SEAL, SEAL_LENGTH, check_seal
from engines.network.appearance import AppearanceEncoder, load_appearance, save_appearance
from engines.onnxruntime_runner import OnnxRuntimeRunner
from realtime.assets import APPEARANCE, asset
from realtime.errors import LoadError

MADE = {"command": "python -m training.fit_appearance --seed 1"}


def encoder(seed: int = 0) -> AppearanceEncoder:
    torch.manual_seed(seed)
    made = AppearanceEncoder().eval()
    made.mean.normal_()
    made.std.uniform_(0.5, 2.0)
    return made


def maps(count: int) -> np.ndarray:
    return np.random.default_rng(1).normal(0.0, 2.0, (count, 144, 8, 8)).astype(np.float32)


def z_of(made: AppearanceEncoder, given: np.ndarray) -> np.ndarray:
    with torch.inference_mode():
        return made(torch.from_numpy(given)).numpy()


def run(path, given: np.ndarray) -> np.ndarray:
    runner = OnnxRuntimeRunner(path, dims={"batch": len(given)})
    assert (runner.inputs, runner.outputs) == ({"map": given.shape}, {"z": (len(given), 128)})
    found = runner.run(map=given)["z"].copy()
    runner.close()
    return found


def test_maps_are_standardised_per_channel():
    made, plain = encoder(), encoder()
    plain.mean.zero_()
    plain.std.fill_(1.0)
    given = maps(2)
    moved = given * made.std.numpy()[:, None, None] + made.mean.numpy()[:, None, None]
    np.testing.assert_allclose(z_of(made, moved), z_of(plain, given), atol=1e-5)
    assert np.abs(z_of(made, given) - z_of(plain, given)).max() > 0.01


def test_sizes():
    assert sum(parameter.numel() for parameter in AppearanceEncoder().parameters()) == 739_360
    assert z_of(encoder(), maps(3)).shape == (3, 128)


def test_the_graph_is_torch_with_weights_as_fp16_holds_them(tmp_path):
    path, made = tmp_path / "appearance.onnx", encoder()
    before = made.conv2.weight.detach().clone()
    measured = export_appearance(made, path, MADE)
    assert torch.equal(made.conv2.weight, before)  # rounded on a copy
    save_appearance(made, tmp_path / "encoder.safetensors", MADE)
    rounded, provenance = load_appearance(tmp_path / "encoder.safetensors")
    assert provenance == MADE and not rounded.training
    given = maps(5)
    expected = z_of(rounded, given)
    largest = np.abs(expected).max()
    together = run(path, given)
    assert np.abs(together - expected).max() < 1e-5 * largest
    for row in range(5):
        assert np.abs(run(path, given[row : row + 1]) - expected[row]).max() < 1e-5 * largest
    assert measured["parity"] < 1e-5
    # fp16 has eleven bits, and the errors of many weights nearly cancel
    assert 1e-5 < measured["rounding"] < 2e-3
    assert np.abs(expected - z_of(made, given)).max() < 2e-3 * largest


def test_the_file_is_small_sealed_and_says_what_it_is(tmp_path):
    path = tmp_path / "appearance.onnx"
    measured = export_appearance(encoder(), path, MADE)
    assert [file.name for file in tmp_path.iterdir()] == [path.name]
    assert path.stat().st_size < 1.5e6
    model = load(path)
    about = {entry.key: entry.value for entry in model.metadata_props}
    assert about["format"] == APPEARANCE_FORMAT
    assert json.loads(about["provenance"]) == MADE and json.loads(about["parity"]) == measured
    kinds = {node.op_type for node in model.graph.node}
    assert kinds == {"Cast", "Conv", "Div", "Relu", "Reshape", "Sub"}  # nothing that some GPU lacks in fp32
    floats = [item for item in model.graph.initializer if item.data_type == TensorProto.FLOAT]
    assert all(np.prod(item.dims) <= 192 for item in floats)
    whole = path.read_bytes()
    assert SEAL in whole[-SEAL_LENGTH:]
    path.write_bytes(whole[:9000] + bytes([whole[9000] ^ 1]) + whole[9001:])
    with pytest.raises(LoadError, match="damaged"):
        check_seal(path)


def test_other_weights_are_another_digest(tmp_path):
    digests = set()
    for seed in (0, 0, 1):
        export_appearance(encoder(seed), tmp_path / "a.onnx", {})
        about = {entry.key: entry.value for entry in load(tmp_path / "a.onnx").metadata_props}
        digests.add(about["weights_sha256"])
    assert len(digests) == 2


def test_a_graph_that_differs_is_not_written(tmp_path, monkeypatch):
    def wrong(made):
        model = build(made)
        (strided,) = (n for n in model.graph.node if n.op_type == "Conv" and 2 in n.attribute[1].ints)
        pads = next(attribute for attribute in strided.attribute if attribute.name == "pads")
        pads.ints[:] = [0, 0, 2, 2]  # the same shapes, other places
        return model

    monkeypatch.setattr(engines.appearance, "build", wrong)
    with pytest.raises(LoadError, match=r"appearance.onnx: not written: it differs from torch by"):
        export_appearance(encoder(), tmp_path / "appearance.onnx", {})
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("value", [float("nan"), 1e6])
def test_weights_that_fp16_does_not_hold_are_refused(tmp_path, value):
    made = encoder()
    made.conv3.weight.data[3, 4, 1, 1] = value
    with pytest.raises(LoadError, match="not finite as fp16"):
        export_appearance(made, tmp_path / "appearance.onnx", {})
    with pytest.raises(ValueError, match=r"conv3.weight: not finite"):
        save_appearance(made, tmp_path / "encoder.safetensors", {})
    assert not list(tmp_path.iterdir())


def changed(path, metadata, **tensors):
    state = {name: tensor.clone() for name, tensor in encoder().state_dict().items()}
    state = {name: tensor for name, tensor in {**state, **tensors}.items() if tensor is not None}
    save_file(state, path, metadata=metadata)


GOOD = {"format": APPEARANCE_FORMAT, "provenance": "{}"}
REFUSED = {
    "another format": ({"format": "hmmr-live 1", "provenance": "{}"}, {}, "not an appearance encoder"),
    "no provenance": ({"format": APPEARANCE_FORMAT}, {}, "damaged metadata"),
    "provenance no map": ({"format": APPEARANCE_FORMAT, "provenance": "3"}, {}, "damaged metadata"),
    "missing": (GOOD, {"std": None}, "std is missing"),
    "extra": (GOOD, {"more": torch.zeros(3)}, "more is unknown"),
    "shape": (GOOD, {"mean": torch.zeros(145)}, r"mean has shape \(145,\)"),
    "nan": (GOOD, {"mean": torch.full((144,), torch.nan)}, "mean holds values that are not finite"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_other_weights_are_refused(tmp_path, case):
    metadata, tensors, words = REFUSED[case]
    path = tmp_path / "encoder.safetensors"
    changed(path, metadata, **tensors)
    with pytest.raises(LoadError, match=words) as caught:
        load_appearance(path)
    assert "training.fit_appearance" in str(caught.value)
    assert len(str(caught.value).splitlines()) <= 2


def test_files_that_are_no_encoder_are_refused(tmp_path):
    with pytest.raises(LoadError, match="no such file"):
        load_appearance(tmp_path / "none.safetensors")
    with pytest.raises(LoadError, match="not an appearance encoder"):
        load_appearance(asset("model.safetensors"))


def test_command(tmp_path, monkeypatch, capsys):
    save_appearance(encoder(), tmp_path / "encoder.safetensors", MADE)
    out = tmp_path / "out.onnx"
    monkeypatch.setattr(sys, "argv", ["x", str(tmp_path / "encoder.safetensors"), "--out", str(out)])
    main()
    assert "out.onnx: 1.5 MB, rounding 0, parity " in capsys.readouterr().out  # they were rounded when saved
    assert out.is_file()
    monkeypatch.setattr(sys, "argv", ["x", str(tmp_path / "none.safetensors"), "--out", str(out)])
    with pytest.raises(SystemExit) as caught:
        main()
    assert caught.value.code == LoadError.exit_code


def test_the_shipped_one_runs():
    check_seal(asset(APPEARANCE))
    assert np.isfinite(run(asset(APPEARANCE), maps(1))).all()
