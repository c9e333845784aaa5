"""python -m training: what it runs, in which order, with which arguments; when the encoder is not trained anew."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from engines.network.appearance import AppearanceEncoder, load_appearance, save_appearance
from realtime.body.smpl import load_body
from realtime.errors import LoadError
from tests.motions import observed_take, swinging_clip
from training import __main__ as command
from training import fit_options
from training.appearance_features import MADE_BY, describe_takes, is_described
from training.observe import MAP_SHAPE, Observed, appearance_path, load_takes, save_take, take_path
from training.staging import stage


def options(*more):
    return command.arguments().parse_args([*more])


def test_renderers_share_the_takes():
    given = options("--takes", "30", "--processes", "3", "--observed", "there/takes", "--motion", "m.npz")
    runs = command.renderings(given)
    assert [run[-2:] for run in runs] == [["--shard", f"{k}/3"] for k in range(3)]
    assert {tuple(run[:-2]) for run in runs} == {
        ("synthesis", "--takes", "30", "--motion", "m.npz", "--out", str(Path("there/takes")))
    }


def test_encoder_network_and_look_ahead_one_after_the_other():
    given = options("--takes", "30", "--observed", "there/takes", "--minutes", "50", "--out", "w")
    encoder, *fits = command.trainings(given, described=False)
    weights = str(Path("w/appearance.safetensors"))
    assert encoder == [
        *("fit_appearance", "--observed", str(Path("there/takes")), "--minutes", "20", "--out", weights)
    ]
    assert [fit.pop(0) for fit in fits] == ["fit", "fit"]
    model, late = (fit_options.arguments("").parse_args(fit) for fit in fits)  # it knows all that it is told
    assert model.takes == late.takes == 30 and model.observed == late.observed == Path("there/takes")
    assert model.motion == late.motion == given.motion
    assert (model.minutes, late.minutes) == (50.0, 20.0)
    assert (model.delay, late.delay, model.init, late.init) == (0, 6, None, model.out)
    assert late.rate < model.rate
    assert (model.out, late.out) == (Path("w/model.safetensors"), Path("w/model_lookahead.safetensors"))
    assert command.trainings(given, described=True) == command.trainings(given, described=False)[1:]


def test_no_two_trainings_share_a_folder_of_checkpoints():
    given = [options(), options("--observed", "data/observed/other"), options("--work", "elsewhere")]
    folders = [
        fit_options.arguments("").parse_args(fit[1:]).work
        for one in given
        for fit in command.trainings(one, described=True)
    ]
    assert len(set(folders)) == 6
    assert folders[0].parent.parent == Path("data/observed")  # beside --observed
    assert {folder.parent for folder in folders[4:]} == {Path("elsewhere")}


class Ended:
    def __init__(self, code):
        self.wait = lambda: code


@pytest.mark.parametrize(("module", "code"), [("synthesis", -9), ("fit_appearance", 4), ("fit", 1), ("", 0)])
def test_a_step_that_fails_is_the_last(monkeypatch, tmp_path, module, code):
    ran = []

    def start(step):
        ran.append(step[0])
        return Ended(code if step[0] == module else 0)

    monkeypatch.setattr(command, "_start", start)
    monkeypatch.setattr(sys, "argv", ["training", "--processes", "1", "--out", str(tmp_path / "w")])
    assert command.main() == code
    order = ["synthesis", "fit_appearance", "fit"]
    assert ran == (order[: order.index(module) + 1] if module else [*order, "fit"])


@pytest.fixture
def takes(tmp_path):
    """A folder of six, of which nobody was found in the last; the third is another stranger's."""
    folder = tmp_path / "takes"
    folder.mkdir()
    body = load_body(None)
    for index in range(6):
        seen = observed_take(body, index)
        detected = np.full(90, index < 5)
        maps = np.zeros((90, 2, *MAP_SHAPE), np.float16)
        take = stage(swinging_clip(seed=index), 0, 90, np.random.default_rng(index))
        observed = Observed(seen.landmarks_px, seen.world, seen.visibility, detected, maps)
        save_take(folder, index, take, observed)
    return folder


def test_an_encoder_that_has_described_its_takes_is_not_trained_anew(takes, tmp_path):
    torch.manual_seed(0)
    weights = tmp_path / "appearance.safetensors"
    assert not is_described(takes, weights)  # there is none
    save_appearance(AppearanceEncoder(), weights, {})
    assert not is_described(takes, weights)
    encoder, _ = load_appearance(weights)
    strangers = [load_takes(takes, load_body(None))[2]]
    describe_takes(encoder, strangers)
    assert is_described(takes, weights)
    # It was cut off before it had described all.
    appearance_path(take_path(takes, 2)).unlink()
    assert not is_described(takes, weights)
    # The features are another encoder's.
    describe_takes(encoder, strangers)
    save_appearance(AppearanceEncoder(), weights, {})
    assert not is_described(takes, weights)
    (takes / MADE_BY).write_text("{}")
    with pytest.raises(LoadError, match="damaged"):
        is_described(takes, weights)
