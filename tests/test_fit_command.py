"""python -m training.fit as a whole, on a few takes and a few steps: files that the live path can load."""

import shutil
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from engines import load
from engines.export import weights_sha256
from engines.graph_file import graph_info
from engines.network.appearance import AppearanceEncoder, load_appearance
from engines.network.checkpoint import load_checkpoint
from engines.onnxruntime_runner import read_metadata
from realtime.assets import ASSETS
from realtime.body.kinematics import forward_kinematics
from realtime.body.smpl import load_body
from realtime.errors import ConfigError, LoadError
from realtime.features import FEATURE_DIM, FEATURE_VERSION, HAS_APPEARANCE
from tests import windows  # noqa: F401  (torch on one thread)
from training.appearance_features import MADE_BY, describe_takes, encoder_of
from training.appearance_features import main as describe
from training.camera import project
from training.fit import MODEL_ID, fit, prepare_data
from training.fit_options import arguments
from training.motion import load_clips
from training.noise import first_markers
from training.observe import LOOKS, Observed, appearance_path, load_takes, save_take, take_path
from training.staging import stage

TAKES = 6


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """A motion file, and takes that were seen perfectly."""
    folder = tmp_path_factory.mktemp("data")
    rng = np.random.default_rng(0)
    swing = np.sin(np.arange(240) / 12.0)[:, None, None] * rng.normal(0, 0.3, (1, 24, 3))
    np.savez(
        folder / "motion.npz",
        pose_aa=swing.astype(np.float32),
        trans=np.zeros((240, 3), np.float32),
        starts=np.array([0, 120, 240]),
        names=np.array(["01_01", "02_01"]),
        labels=np.array(["swing", "swing"]),
        source=np.array(["amc", "amc"]),
        split=np.array(["train", "train"]),
        fast_frames=np.array([0, 0]),
    )
    body, markers = load_body(None), first_markers()
    clips = load_clips(folder / "motion.npz", "train")
    for index in range(TAKES):
        take = stage(clips[index % 2], 0, 90, np.random.default_rng(index))
        joints, transforms = forward_kinematics(body, take.rotations, take.betas)
        shift = take.trans - joints[:, 0]
        transforms[..., :3, 3] += shift[:, None]
        placed = markers.place(joints + shift[:, None], transforms)
        size = np.array([[take.camera.width, take.camera.height]], float).repeat(90, axis=0)
        every = (90, len(LOOKS), 33)
        pixels = project(placed, size, np.full(90, take.camera.fov_deg))
        world = placed - placed.mean(axis=1, keepdims=True)
        seen = Observed(
            np.broadcast_to(pixels[:, None], (*every, 2)).astype(np.float32),
            np.broadcast_to(world[:, None], (*every, 3)).astype(np.float32),
            np.full(every, 0.95, np.float32),
            np.ones(90, bool),
            np.zeros((90, 2, 144, 8, 8), np.float16),
        )
        save_take(folder, index, take, seen)
    return folder


def _options(data, tmp_path, *more):
    return arguments("").parse_args(
        [
            *("--motion", str(data / "motion.npz"), "--observed", str(data), "--takes", str(TAKES)),
            *("--steps", "2", "--batch", "4", "--frames", "16", "--head-width", "32", "--workers", "0"),
            *("--validation-takes", "1", "--validate-every", "1", "--flat-share", "0.25"),
            *("--work", str(tmp_path / "work"), "--out", str(tmp_path / "model.safetensors"), *more),
        ]
    )


def told(folder):
    """By the graph that was made of the weights."""
    return graph_info(folder / "model.onnx", read_metadata(folder / "model.onnx"))


def test_a_few_steps_give_weights_a_graph_and_a_table(data, tmp_path, capsys):
    fit(_options(data, tmp_path))
    model, provenance = load_checkpoint(tmp_path / "model.safetensors", FEATURE_VERSION, FEATURE_DIM)
    assert model.config.model_id == MODEL_ID and model.config.delay == 0
    assert (
        model.config.appearance == told(tmp_path).appearance == ""
    )  # beside no take lie appearance features
    assert provenance["steps"] == "2" and provenance["rendered_takes"] == str(TAKES - 1)
    assert (tmp_path / "model.onnx").stat().st_size > 100_000
    rows = (tmp_path / "work" / "validation.csv").read_text().splitlines()
    assert [row.split(",")[0] for row in rows] == ["step", "1", "2"]
    # The same command again has nothing left to train; with other losses it is another training.
    fit(_options(data, tmp_path))
    assert "going on from step 2" in capsys.readouterr().out
    with pytest.raises(LoadError, match="other options"):
        fit(_options(data, tmp_path, "--loss", "dynamics=0"))


def test_look_ahead_starts_from_given_weights(data, tmp_path):
    start = ASSETS / "model.safetensors"
    fit(_options(data, tmp_path, "--init", str(start), "--delay", "6"))
    before, _ = load_checkpoint(start)
    after, provenance = load_checkpoint(tmp_path / "model.safetensors")
    assert before.config.delay == 0 and after.config.delay == told(tmp_path).delay == 6
    assert provenance["steps"] == "2"
    engine = load(str(tmp_path / "model.onnx"), "onnxruntime")
    assert engine.delay == 6 and engine.model_id == MODEL_ID
    engine.close()
    # The statistics of its features are kept, not measured anew (they are vectors: not rounded to fp16).
    assert bool((after.embed.mean == before.embed.mean).all())


def test_the_weights_tell_whose_appearance_features_they_learned(data, tmp_path, capsys):
    takes = tmp_path / "takes"
    shutil.copytree(data, takes)
    torch.manual_seed(0)
    encoder = AppearanceEncoder().half().float().eval()
    described = [SimpleNamespace(path=take_path(takes, k), detected=np.ones(90, bool)) for k in (1, 3)]
    describe_takes(encoder, described)
    observed = ("--observed", str(takes))
    fit(_options(data, tmp_path, *observed))
    expected = weights_sha256(encoder)
    model, _ = load_checkpoint(tmp_path / "model.safetensors")
    assert model.config.appearance == told(tmp_path).appearance == expected
    # They are not forgotten where training goes on without, and replaced where it goes on with others.
    start = tmp_path / "start.safetensors"
    (tmp_path / "model.safetensors").rename(start)
    again = ("--init", str(start), "--delay", "2", "--work")
    fit(_options(data, tmp_path, *again, str(tmp_path / "without")))
    assert (told(tmp_path).appearance, told(tmp_path).delay) == (expected, 2)
    describe_takes(AppearanceEncoder().eval(), described)
    capsys.readouterr()
    fit(_options(data, tmp_path, *observed, *again, str(tmp_path / "other")))
    assert told(tmp_path).appearance == encoder_of(described) != expected
    assert f"of appearance encoder {expected[:16]}; now" in capsys.readouterr().out
    (takes / MADE_BY).unlink()
    with pytest.raises(LoadError, match="which encoder made them"):
        fit(_options(data, tmp_path, *observed))


def test_an_encoder_that_is_there_describes_takes(data, tmp_path, monkeypatch, capsys):
    takes = tmp_path / "takes"
    shutil.copytree(data, takes)
    command = ["appearance_features", "--observed", str(takes)]
    monkeypatch.setattr("sys.argv", command)
    describe()
    shipped, _ = load_appearance(ASSETS / "appearance.safetensors")
    found = load_takes(takes, load_body(None))
    assert encoder_of(found) == weights_sha256(shipped)
    assert all(appearance_path(take.path).exists() for take in found)
    monkeypatch.setattr("sys.argv", [*command, "--encoder", str(tmp_path / "none.safetensors")])
    with pytest.raises(SystemExit) as ended:
        describe()
    assert ended.value.code == 4 and "none.safetensors" in capsys.readouterr().err


def test_a_loss_that_nobody_knows_is_refused_before_anything_is_done(data, tmp_path):
    with pytest.raises(ConfigError, match="dynamics"):
        fit(_options(data, tmp_path, "--loss", "dinamics=0"))
    assert not (tmp_path / "work").exists()


@pytest.mark.parametrize(
    ("more", "learned"),
    [
        ((), True),
        (("--appearance-share", "0"), False),
        (("--rendered-share", "0", "--flat-share", "0"), False),
    ],
)
def test_features_that_nothing_is_drawn_with_are_neither_promised_nor_shown(data, tmp_path, more, learned):
    takes = tmp_path / "takes"
    shutil.copytree(data, takes)
    encoder = AppearanceEncoder().half().float().eval()
    described = [SimpleNamespace(path=take_path(takes, k), detected=np.ones(90, bool)) for k in (3, 4, 5)]
    describe_takes(encoder, described)
    (tmp_path / "work").mkdir()
    prepared = prepare_data(_options(data, tmp_path, "--observed", str(takes), *more), load_body(None))
    assert prepared.appearance == (weights_sha256(encoder) if learned else "")
    assert bool((prepared.validation._batch["features"][..., HAS_APPEARANCE] > 0).any()) == learned
