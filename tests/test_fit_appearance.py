"""The appearance encoder's training as a whole, on a few takes and steps."""

import json

import numpy as np
import pytest
import torch

from engines.export import weights_sha256
from engines.network.appearance import AppearanceEncoder, load_appearance, save_appearance
from engines.network.config import NetworkConfig
from engines.network.model import HMMRLive
from engines.onnxruntime_runner import read_metadata
from realtime.body.smpl import load_body
from realtime.features import FEATURE_DIM, FEATURE_VERSION
from tests.motions import observed_take, swinging_clip
from training import fit_appearance
from training.observe import MAP_SHAPE, Observed, appearance_path, map_path, save_take, take_path
from training.staging import stage


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Six takes, seen perfectly; their maps are noise. In the last, a stranger's, nobody was found now and then."""
    folder = tmp_path_factory.mktemp("observed")
    body = load_body(None)
    for seed in range(6):
        rng = np.random.default_rng(seed)
        seen = observed_take(body, seed)
        maps = rng.normal(1.0, 2.0, (90, 2, *MAP_SHAPE)).astype(np.float16)
        detected = np.arange(90) % 7 != 3 if seed == 5 else np.ones(90, bool)
        take = stage(swinging_clip(seed=seed), 0, 90, np.random.default_rng(seed))
        save_take(
            folder, seed, take, Observed(seen.landmarks_px, seen.world, seen.visibility, detected, maps)
        )
    return folder


def test_it_learns_from_two_takes_in_three_and_describes_the_strangers(folder, tmp_path, monkeypatch):
    out = tmp_path / "appearance.safetensors"
    monkeypatch.setattr(fit_appearance, "BATCH", 8)
    monkeypatch.setattr(fit_appearance, "WATCHED_FRAMES", 8)
    arguments = ["fit_appearance", "--observed", str(folder), "--steps", "3", "--out", str(out)]
    monkeypatch.setattr("sys.argv", arguments)
    fit_appearance.main()
    assert out.with_suffix(".onnx").is_file()
    assert [appearance_path(take_path(folder, k)).exists() for k in range(6)] == [False, False, True] * 2
    encoder, provenance = load_appearance(out)
    assert provenance["rendered_takes"] == "4"
    z = np.load(appearance_path(take_path(folder, 5)))
    maps = torch.from_numpy(np.load(map_path(take_path(folder, 5)))).float()
    with torch.no_grad():
        expected = encoder(maps[11]).numpy()  # what the shipped, rounded encoder makes of it
    assert np.allclose(z[11], expected, atol=2e-3 * np.abs(expected).max())
    assert np.isnan(z[3]).all() and np.isfinite(z[4]).all()
    told = json.loads((folder / "appearance.json").read_text())["weights_sha256"]
    assert told == read_metadata(out.with_suffix(".onnx"))["weights_sha256"]


def test_it_goes_on_from_a_given_encoder(folder, tmp_path, monkeypatch):
    """Three warm-up steps hardly move it; a new one begins elsewhere."""
    given = AppearanceEncoder()
    given.mean.fill_(1.0)
    start = tmp_path / "start.safetensors"
    save_appearance(given, start, {"rendered_takes": "2"})
    monkeypatch.setattr(fit_appearance, "BATCH", 8)
    monkeypatch.setattr(fit_appearance, "WATCHED_FRAMES", 8)
    apart = {}
    for name, more in (("on", ["--init", str(start)]), ("new", [])):
        out = tmp_path / f"{name}.safetensors"
        monkeypatch.setattr(
            "sys.argv",
            [
                "fit_appearance",
                "--observed",
                str(folder),
                "--steps",
                "3",
                "--seed",
                "1",
                "--out",
                str(out),
                *more,
            ],
        )
        fit_appearance.main()
        encoder, _ = load_appearance(out)
        apart[name] = max(
            float((a - b).abs().max())
            for (key, a), b in zip(given.state_dict().items(), encoder.state_dict().values(), strict=True)
            if not key.startswith("out.")  # brought to another size at the end
        )
    assert apart["on"] < 0.02 < apart["new"]
    told = load_appearance(tmp_path / "on.safetensors")[1]
    assert told["init"] == weights_sha256(load_appearance(start)[0])


def untrained():
    torch.manual_seed(0)
    encoder = AppearanceEncoder().eval()
    config = NetworkConfig(
        feature_dim=FEATURE_DIM, feature_version=FEATURE_VERSION, model_id="t", dropout=0.0
    )
    return encoder, HMMRLive(config).eval()


def test_bringing_z_to_deviation_1_changes_nothing_that_is_read_from_it():
    encoder, model = untrained()
    batch = {"features": torch.randn(5, 1, FEATURE_DIM), "maps": torch.randn(5, *MAP_SHAPE)}
    seeing = torch.zeros(5, dtype=torch.bool)
    with torch.no_grad():
        before = fit_appearance.read(model, encoder, batch, seeing)
        fit_appearance.normalise_(encoder, model, batch["maps"])
        z = encoder(batch["maps"])
        after = fit_appearance.read(model, encoder, batch, seeing)
    assert torch.allclose(z.mean(dim=0), torch.zeros(128), atol=1e-4)
    assert torch.allclose(z.std(dim=0), torch.ones(128), atol=1e-3)
    assert torch.allclose(before, after, atol=1e-4)


def test_the_blind_are_told_no_landmark():
    encoder, model = untrained()
    maps = torch.randn(2, *MAP_SHAPE)
    one, other = ({"features": torch.randn(2, 1, FEATURE_DIM), "maps": maps} for _ in range(2))
    # What is not a landmark is the same: pace, up.
    other["features"][..., 198:] = one["features"][..., 198:]
    blind = torch.ones(2, dtype=torch.bool)
    with torch.no_grad():
        seen = [fit_appearance.read(model, encoder, batch, blind) for batch in (one, other)]
        apart = [fit_appearance.read(model, encoder, batch, ~blind) for batch in (one, other)]
    assert torch.equal(*seen)
    assert not torch.equal(*apart)
