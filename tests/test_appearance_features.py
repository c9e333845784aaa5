"""Which encoder made the appearance features beside takes: told, never mixed, asked before a training."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from engines.appearance import export_appearance
from engines.export import weights_sha256
from engines.network.appearance import AppearanceEncoder, load_appearance, save_appearance
from engines.onnxruntime_runner import read_metadata
from realtime.body.smpl import load_body
from realtime.errors import LoadError
from tests.motions import observed_take
from training.appearance_features import MADE_BY, describe_takes, encoder_of, name_encoder
from training.observe import MAP_SHAPE, appearance_path, map_path, take_path


def an_encoder(seed):
    torch.manual_seed(seed)
    return AppearanceEncoder().half().float().eval()


@pytest.fixture(scope="module")
def seen():
    return observed_take(load_body(None), 0)


@pytest.fixture
def takes(seen, tmp_path):
    """Two in a folder, of which only the maps are written."""
    made = [replace(seen, path=take_path(tmp_path, k), detected=np.ones(4, bool)) for k in range(2)]
    for index, take in enumerate(made):
        maps = np.random.default_rng(index).normal(size=(4, 2, *MAP_SHAPE))
        np.save(map_path(take.path), maps.astype(np.float16))
    return made


def test_takes_tell_the_encoder_by_the_number_that_its_graph_tells(takes, tmp_path):
    """Of weights that fp16 does not hold: what is rounded on the way into the file is what counts."""
    torch.manual_seed(0)
    raw = AppearanceEncoder()
    save_appearance(raw, tmp_path / "e.safetensors", {})
    export_appearance(raw, tmp_path / "e.onnx", {})
    shipped, _ = load_appearance(tmp_path / "e.safetensors")
    assert encoder_of(takes) == ""
    describe_takes(shipped, takes[1:])
    told = encoder_of(takes)  # the first has no features, and need not
    assert told == read_metadata(tmp_path / "e.onnx")["weights_sha256"] != weights_sha256(raw)


def test_features_of_another_encoder_do_not_stay_beside_new_ones(takes):
    describe_takes(an_encoder(0), takes)
    kept = appearance_path(takes[0].path).read_bytes()
    describe_takes(an_encoder(0), takes[1:])  # the same again
    assert appearance_path(takes[0].path).read_bytes() == kept
    describe_takes(an_encoder(1), takes[1:])
    assert [appearance_path(take.path).exists() for take in takes] == [False, True]
    assert map_path(takes[0].path).exists()
    assert encoder_of(takes) == weights_sha256(an_encoder(1))
    # Nor those of nobody knows whom.
    (takes[0].path.parent / MADE_BY).unlink()
    name_encoder(an_encoder(1), [takes[0].path.parent])
    assert not appearance_path(takes[1].path).exists()


def test_two_encoders_or_an_unknown_one_are_refused(takes, tmp_path):
    describe_takes(an_encoder(0), takes)
    elsewhere = replace(takes[0], path=take_path(tmp_path / "videos", 0))
    elsewhere.path.parent.mkdir()
    np.save(map_path(elsewhere.path), np.load(map_path(takes[0].path)))
    describe_takes(an_encoder(0), [elsewhere])
    assert encoder_of([*takes, elsewhere]) == weights_sha256(an_encoder(0))
    describe_takes(an_encoder(1), [elsewhere])
    with pytest.raises(LoadError, match=r"different encoders .*videos.*\n.*fit_appearance"):
        encoder_of([*takes, elsewhere])
    told = tmp_path / MADE_BY
    told.unlink()
    with pytest.raises(LoadError, match=r"no appearance.json to tell.*\n.*fit_appearance"):
        encoder_of(takes)
    for damage in ("{", "{}", "[]", json.dumps("text")):
        told.write_text(damage)
        with pytest.raises(LoadError, match="damaged.*delete it"):
            encoder_of(takes)
