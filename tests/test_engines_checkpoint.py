"""Checkpoints: what is saved comes back; what is damaged is refused with one or two lines."""

import json

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from engines.network.checkpoint import load_checkpoint, save
from engines.network.config import NetworkConfig
from engines.network.model import HMMRLive
from realtime.errors import LoadError

CONFIG = NetworkConfig(feature_dim=6, feature_version=3, model_id="tiny", width=8, head_width=8, groups=1)
PROVENANCE = {"command": "python -m training.fit --seed 1", "motion": ["a", "b"]}


def tiny() -> HMMRLive:
    torch.manual_seed(0)
    model = HMMRLive(CONFIG)
    model.embed.mean.normal_(std=1e5)  # beyond fp16
    return model


@pytest.fixture
def saved(tmp_path):
    path = tmp_path / "tiny.safetensors"
    save(tiny(), path, PROVENANCE)
    return path


def rewrite(path, tensors=None, **metadata):
    """Write the file again with some tensors (name → tensor, or None to drop) and metadata changed."""
    with safe_open(path, framework="pt") as file:
        old = {name: file.get_tensor(name).clone() for name in file.keys()}  # noqa: SIM118
        info = {**file.metadata(), **metadata}
    new = {name: tensor for name, tensor in {**old, **(tensors or {})}.items() if tensor is not None}
    save_file(new, path, metadata={key: value for key, value in info.items() if value is not None})


def refusal(path, **expected) -> str:
    with pytest.raises(LoadError) as caught:
        load_checkpoint(path, **expected)
    message = str(caught.value)
    assert str(path) in message
    assert "--model default" in message  # the next step
    assert message.count("\n") <= 1
    return message


def test_round_trip_is_exact(saved):
    model, provenance = load_checkpoint(saved, feature_version=3, feature_dim=6)
    assert model.config == CONFIG
    assert provenance == PROVENANCE
    assert not model.training
    original = tiny()
    features = torch.randn(1, 20, 6) + original.embed.mean
    assert torch.equal(model(features).theta6d, original.eval()(features).theta6d)
    assert [item.name for item in saved.parent.iterdir()] == [saved.name]
    plain = saved.with_name("plain")
    plain.touch()
    assert saved.stat().st_mode == plain.stat().st_mode  # readable for whom the user lets read his files


def test_half_precision_is_smaller_close_and_loads_as_float32(saved, tmp_path):
    path = tmp_path / "half.safetensors"
    save(tiny(), path, PROVENANCE, half=True)
    assert path.stat().st_size < 0.85 * saved.stat().st_size
    model, _ = load_checkpoint(path)
    for name, tensor in tiny().state_dict().items():
        loaded = model.state_dict()[name]
        assert loaded.dtype == torch.float32
        tolerance = 0 if tensor.dim() < 2 else 1e-3
        assert (loaded - tensor).abs().max() <= tolerance, name


def test_weights_that_are_not_finite_are_not_saved(saved):
    before = saved.read_bytes()
    model = tiny()
    model.f3d.out.weight.data[0, 0] = 1e6  # infinite in fp16
    with pytest.raises(ValueError, match="f3d.out.weight"):
        save(model, saved, PROVENANCE, half=True)
    assert saved.read_bytes() == before


def test_a_file_cut_anywhere_is_refused(saved, tmp_path):
    whole = saved.read_bytes()
    cut = tmp_path / "cut.safetensors"
    header = 8 + int.from_bytes(whole[:8], "little")
    lengths = {0, 1, 7, 8, 9, header - 1, header, header + 1, len(whole) - 1}
    lengths |= set(range(0, len(whole), max(1, len(whole) // 200)))
    for length in sorted(lengths):
        cut.write_bytes(whole[:length])
        refusal(cut)


def test_bytes_turned_over_are_refused_or_harmless(saved, tmp_path):
    whole = bytearray(saved.read_bytes())
    generator = torch.Generator().manual_seed(0)
    header = 8 + int.from_bytes(whole[:8], "little")
    for _ in range(300):
        broken = bytearray(whole)
        at = int(torch.randint(header, (1,), generator=generator))
        broken[at] ^= 1 << int(torch.randint(8, (1,), generator=generator))
        path = tmp_path / "broken.safetensors"
        path.write_bytes(broken)
        try:
            load_checkpoint(path, feature_version=3, feature_dim=6)
        except LoadError as error:
            assert "broken.safetensors" in str(error)


def test_what_is_no_checkpoint_is_refused(saved, tmp_path):
    assert "no such file" in refusal(tmp_path / "absent.safetensors")
    refusal(tmp_path)  # a folder
    text = tmp_path / "text.safetensors"
    text.write_text("not weights")
    assert "not a safetensors file" in refusal(text)
    other = tmp_path / "other.safetensors"
    save_file({"x": torch.zeros(2)}, other)
    assert "not a checkpoint" in refusal(other)


def test_a_missing_an_extra_and_a_misshapen_tensor_are_named(saved):
    rewrite(saved, {"f3d.out.weight": None})
    assert "f3d.out.weight is missing" in refusal(saved)
    save(tiny(), saved, PROVENANCE)
    rewrite(saved, {"stranger": torch.zeros(3)})
    assert "stranger is unknown" in refusal(saved)
    save(tiny(), saved, PROVENANCE)
    rewrite(saved, {"embed.mean": torch.zeros(7)})
    assert "embed.mean has shape (7,), not (6,)" in refusal(saved)
    save(tiny(), saved, PROVENANCE)
    rewrite(saved, {"embed.mean": torch.zeros(6, dtype=torch.int32)})
    assert "embed.mean is torch.int32" in refusal(saved)
    save(tiny(), saved, PROVENANCE)
    rewrite(saved, {"embed.std": torch.full((6,), float("nan"))})
    assert "embed.std holds values that are not finite" in refusal(saved)


def test_other_features_are_refused(saved):
    assert "version 3" in refusal(saved, feature_version=4)
    assert "6 features" in refusal(saved, feature_dim=7)


UNKNOWN_KEY = json.dumps({"feature_dim": 6, "feature_version": 3, "model_id": "m", "no": 1})


@pytest.mark.parametrize("config", ["{", "[]", "7", "null", "{}", UNKNOWN_KEY])
def test_damaged_configuration_is_refused(saved, config):
    rewrite(saved, config=config)
    assert "damaged metadata" in refusal(saved)


@pytest.mark.parametrize(
    ("delay", "says"), [(None, 0), (6, 6), (13, "damaged metadata"), ("6", "damaged metadata")]
)
def test_look_ahead_is_in_the_configuration_and_older_files_have_none(saved, delay, says):
    with safe_open(saved, framework="pt") as file:
        config = json.loads(file.metadata()["config"])
    del config["delay"]
    rewrite(saved, config=json.dumps(config | ({} if delay is None else {"delay": delay})))
    if isinstance(says, str):
        assert says in refusal(saved)
    else:
        assert load_checkpoint(saved)[0].delay == says


def test_missing_or_damaged_provenance_is_refused(saved):
    rewrite(saved, provenance="[]")
    assert "provenance" in refusal(saved)
    rewrite(saved, provenance=None)
    assert "provenance" in refusal(saved)


def test_a_configuration_of_giant_size_is_refused_without_building_it(saved):
    with safe_open(saved, framework="pt") as file:
        config = json.loads(file.metadata()["config"])
    rewrite(saved, config=json.dumps({**config, "width": 1 << 14, "head_width": 1 << 14, "blocks": 64}))
    assert "has shape" in refusal(saved) or "is missing" in refusal(saved)  # 200 GB had it been built
