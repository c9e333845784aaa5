"""Options that take a part out of the training take out what they name; the ablations are made of such options."""

import shlex
import subprocess
from dataclasses import fields, replace

import numpy as np
import pytest

from bench.accuracy.rows import parse_also
from realtime.body.rotations import axis_angle_to_matrix
from realtime.body.smpl import load_body
from realtime.errors import ConfigError
from realtime.features import APPEARANCE_DIM, HAS_APPEARANCE
from tests.motions import observed_take
from training import ablation
from training.augment import MotionBank, Variety
from training.fit_options import arguments, check
from training.loss_weights import LossWeights, with_settings
from training.motion import Clip, mirror
from training.noise import first_markers
from training.observe import appearance_path, take_path
from training.take_tier import TakeTier


def still_clip(seed):
    """One pose all along: whatever moves, or is of another pose, was changed."""
    pose = axis_angle_to_matrix(np.random.default_rng(seed).normal(0.0, 0.4, (24, 3))).astype(np.float32)
    return Clip(f"0{seed}_01", "", "amc", np.tile(pose, (60, 1, 1, 1)), np.zeros((60, 3), np.float32))


def draws(on):
    """Over 80 windows with this change alone, or none: (80,) bool all joints are the clip's own; nothing moves."""
    clips = {clip.name: clip for clip in map(still_clip, range(3))}
    bank = MotionBank(
        list(clips.values()), Variety(**{field.name: field.name == on for field in fields(Variety)})
    )
    rng = np.random.default_rng(0)
    own, still = [], []
    for _ in range(80):
        window = bank.window(np.arange(8.0), np.empty(0), rng)
        pose = clips[window.name].rotations[:1]
        said = window.rotations
        own.append(any(np.allclose(said, true, atol=1e-4) for true in (pose, mirror(pose))))
        still.append(np.allclose(said, said[:1], atol=1e-4))
    return np.array(own), np.array(still)


def test_motion_without_any_change_is_the_clips():
    own, _ = draws(None)
    assert own.all()


@pytest.mark.parametrize("change", [field.name for field in fields(Variety)])
def test_each_change_alone_changes_windows(change):
    own, still = draws(change)
    assert not own.all() and own.any()  # some windows stay as they were captured
    assert still.all() == (change != "interpolation")  # which alone leads from one pose to another


def test_without_names_every_change():
    given = arguments("").parse_args(["--without", "mixing", "--without", "bending"])
    assert Variety(**dict.fromkeys(given.without, False)) == Variety(False, True, False)


@pytest.mark.parametrize("share", ["-0.1", "1.5", "nan"])
@pytest.mark.parametrize("name", ["rendered-share", "appearance-share", "flat-share", "video-share"])
def test_shares_are_shares(name, share):
    with pytest.raises(ConfigError, match=f"--{name} .*from 0 to 1") as caught:
        check(arguments("").parse_args([f"--{name}={share}"]))
    assert len(str(caught.value).splitlines()) == 1


def test_a_window_is_longer_than_the_delay():
    with pytest.raises(ConfigError, match="at least 9"):
        check(arguments("").parse_args(["--frames", "8", "--delay", "6"]))
    check(arguments("").parse_args(["--frames", "9", "--delay", "6"]))


def test_takes_with_appearance_features_come_thrice_as_often_unless_nobody_wants_them(tmp_path):
    body = load_body(None)
    takes = [replace(observed_take(body, k), path=take_path(tmp_path, k)) for k in range(2)]
    np.save(appearance_path(takes[1].path), np.ones((90, 2, APPEARANCE_DIM), np.float16))

    def drawn(appearance):
        tier = TakeTier(takes, first_markers(), 4, np.random.default_rng(0), appearance)
        batch = tier.windows(300)
        of_second = np.isclose(batch.betas, takes[1].betas).all(axis=1)
        given = (batch.features[..., HAS_APPEARANCE] > 0).any(axis=1)
        assert not given[~of_second].any()
        return of_second.mean(), given[of_second].mean()

    assert drawn(1.0) == (pytest.approx(0.75, abs=0.06), 1.0)
    assert drawn(0.5) == (pytest.approx(0.75, abs=0.06), pytest.approx(0.5, abs=0.12))
    assert drawn(0.0) == (pytest.approx(0.5, abs=0.08), 0.0)


def test_every_ablation_is_a_training_that_fit_knows():
    default = vars(arguments("").parse_args([]))
    for name, changed in ablation.RUNS.items():
        options = arguments("").parse_args([*changed])
        check(options)
        with_settings(LossWeights(), options.loss)
        assert (vars(options) == default) == (name == "everything"), name
    assert len({tuple(changed) for changed in ablation.RUNS.values()}) == len(ablation.RUNS)


def test_ablations_are_run_once_and_measured_together(tmp_path, monkeypatch, capsys):
    ran = []

    def run(command, check):
        ran.append(arguments("").parse_args(command[command.index("training.fit") + 1 :]))
        return subprocess.CompletedProcess(command, 3 if ran[-1].seed == 1 else 0)

    monkeypatch.setattr(subprocess, "run", run)

    def main(*names):
        monkeypatch.setattr("sys.argv", ["ablation", "--out", str(tmp_path), "--steps", "7", *names])
        return ablation.main()

    names = ("noise, no mixing", "no map")
    (tmp_path / "no_map.onnx").touch()
    assert main(*names) == 0
    (only,) = ran
    assert only.without == ["mixing"] and only.rendered_share == 0.0 and only.steps == 7
    words = shlex.split(capsys.readouterr().out.splitlines()[-1])
    rows = [parse_also(words[i + 1]) for i, word in enumerate(words) if word == "--also"]
    assert [row.name for row in rows] == list(names)
    assert rows[0].model == str(only.out) == str(tmp_path / "noise-no_mixing.safetensors")
    assert main("everything, another seed", "no prior") == 3 and len(ran) == 2  # one that fails is the last
    with pytest.raises(SystemExit) as caught:
        main("no such thing")
    assert caught.value.code == 2
