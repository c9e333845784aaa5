"""The training loop: it goes on as if nothing had happened, ends in time, and says what is wrong."""

import itertools
from pathlib import Path

import pytest
import torch

from engines.network.config import NetworkConfig
from engines.network.model import HMMRLive
from realtime.body.smpl import load_body
from realtime.errors import ConfigError, HmmrLiveError, LoadError
from realtime.features import APPEARANCE, FEATURE_DIM
from tests.windows import random_batch, small_network
from training.budget import Budget
from training.device import choose_device, choose_precision
from training.fit import rescale_strip, tell_encoder
from training.loop import Trainer
from training.loss_weights import LossWeights, with_settings
from training.losses import WindowLoss
from training.noise import first_markers
from training.schedule import WARM_UP_STEPS, learning_rate

RUN = {"seed": 0}


@pytest.fixture(scope="module")
def loss():
    return WindowLoss(load_body(None), first_markers())


@pytest.fixture(scope="module")
def batches(loss):
    kept = [random_batch(loss, windows=2, frames=6, seed=index) for index in range(8)]
    return lambda first: (kept[index % len(kept)] for index in itertools.count(first))


def _trainer(loss, steps=8, run=RUN, **budget):
    torch.manual_seed(1)
    return Trainer(small_network(), loss, Budget(**(budget or {"steps": steps})), run=run)


def test_a_run_that_was_cut_off_ends_with_the_same_bits(loss, batches, tmp_path):
    whole = _trainer(loss)
    expected = whole.run(batches, tmp_path / "whole.pt")

    cut = _trainer(loss)
    for _, batch in zip(range(3), batches(0), strict=False):
        cut.train_step(batch)
    cut.save(tmp_path / "checkpoint.pt")
    again = _trainer(loss)
    assert again.restore(tmp_path / "checkpoint.pt") and again.step == 3
    found = again.run(batches, tmp_path / "checkpoint.pt")
    for name, value in expected.state_dict().items():
        assert torch.equal(found.state_dict()[name], value), name
    for name, value in whole.prior.state_dict().items():
        assert torch.equal(again.prior.state_dict()[name], value), name
    assert again.step == 8 and not again.restore(tmp_path / "none.pt")


def test_a_checkpoint_of_another_run_or_a_damaged_one_is_not_gone_on_with(loss, tmp_path):
    checkpoint = tmp_path / "checkpoint.pt"
    _trainer(loss).save(checkpoint)
    with pytest.raises(LoadError, match="other options.*--work"):
        _trainer(loss, run={"seed": 1}).restore(checkpoint)
    checkpoint.write_bytes(checkpoint.read_bytes()[:1000])
    with pytest.raises(LoadError, match="delete it"):
        _trainer(loss).restore(checkpoint)


def test_it_learns_what_it_is_shown(loss, batches):
    # Poses that jump at random would teach it to stand still.
    still = with_settings(LossWeights(), ["velocity=0", "acceleration=0", "dynamics=0", "hallucinated=0"])
    trainer = _trainer(WindowLoss(load_body(None), first_markers(), still), steps=1000)
    trainer.step = WARM_UP_STEPS
    batch = next(iter(batches(0)))
    points = [float(trainer.train_step(batch).parts["points"]) for _ in range(24)]
    assert points[-1] < 0.7 * points[0]


def test_the_discriminator_learns_only_from_its_own_loss(loss, batches):
    trainer = _trainer(loss)
    before = {name: value.clone() for name, value in trainer.prior.state_dict().items()}
    trainer.train_step(next(iter(batches(0))))  # an even step: its turn
    after_even = {name: value.clone() for name, value in trainer.prior.state_dict().items()}
    assert any(not torch.equal(before[name], after_even[name]) for name in before)
    trainer.train_step(next(iter(batches(1))))  # an odd one: the network paid, the discriminator stays
    assert all(torch.equal(after_even[name], value) for name, value in trainer.prior.state_dict().items())


def test_a_budget_of_minutes_ends_by_the_clock_and_remembers_it(loss, batches, tmp_path):
    trainer = _trainer(loss, minutes=1.0)
    trainer.train_step(next(iter(batches(0))))
    trainer.clock = type(trainer.clock)(45.0)
    assert trainer.share == pytest.approx(0.75, abs=0.05)
    trainer.save(tmp_path / "checkpoint.pt")
    again = _trainer(loss, minutes=1.0)
    again.restore(tmp_path / "checkpoint.pt")
    assert again.share >= 0.75
    again.clock = type(again.clock)(61.0)
    again.run(batches, tmp_path / "checkpoint.pt")
    assert again.step == 1
    with pytest.raises(ValueError, match="either"):
        Budget(steps=3, minutes=2.0)


def test_the_rate_warms_up_and_falls_by_the_share_that_is_used():
    assert learning_rate(0, 0.0, 1.0) == pytest.approx(1.0 / WARM_UP_STEPS)
    rates = [learning_rate(1000, share / 10, 1.0) for share in range(11)]
    assert rates == sorted(rates, reverse=True)
    assert rates[0] == pytest.approx(1.0) and rates[-1] == pytest.approx(0.01)
    assert Budget(steps=10).share(5, 1e9) == 0.5 and Budget(minutes=2.0).share(10**9, 30.0) == 0.25


def test_a_loss_that_is_no_number_ends_the_run(loss, batches, tmp_path):
    trainer = _trainer(loss, steps=20)
    with torch.no_grad():
        trainer.model.embed.fc1.weight.fill_(float("nan"))
    with pytest.raises(HmmrLiveError, match="step 10"):
        trainer.run(batches, tmp_path / "checkpoint.pt")


def test_the_average_follows_the_model(loss, batches):
    trainer = _trainer(loss)
    for _, batch in zip(range(4), batches(0), strict=False):
        trainer.train_step(batch)
    name = "f3d.out.weight"
    start, now = small_network().state_dict()[name], trainer.model.state_dict()[name]
    kept = trainer.average.state_dict()[name]
    assert 0 < (kept - now).norm() < (start - now).norm()


def test_validation_is_called_when_it_is_due(loss, batches, tmp_path):
    calls = []
    _trainer(loss, steps=5).run(
        batches, tmp_path / "c.pt", lambda trainer: calls.append(trainer.step) or "", validate_every=2
    )
    assert calls == [2, 4, 5]


def test_the_trained_strip_keeps_the_network_when_it_is_rescaled(loss, batches):
    model = small_network().eval()
    features = next(iter(batches(0)))["features"]
    before = model(features).theta6d
    model.embed.fc2.weight.data *= 1.0
    rescale_strip(model, features)
    assert torch.allclose(model(features).theta6d, before, atol=1e-5)


def test_device_and_precision_follow_what_is_there():
    device = choose_device("cpu")
    assert device.type == "cpu"
    assert choose_precision("bf16", device) and not choose_precision("fp32", device)
    assert isinstance(choose_precision("auto", device), bool)
    with pytest.raises(ConfigError, match="auto, cpu or cuda"):
        choose_device("tpu")
    if not torch.cuda.is_available():
        assert choose_device("auto").type == "cpu"
        with pytest.raises(ConfigError, match="--device cpu"):
            choose_device("cuda")


def test_what_was_learned_of_another_encoder_is_forgotten(capsys):
    config = NetworkConfig(
        feature_dim=FEATURE_DIM,
        feature_version=1,
        model_id="m",
        width=32,
        groups=4,
        head_width=16,
        appearance="a" * 64,
    )
    features = torch.randn(1, 5, FEATURE_DIM)
    other = features.clone()
    other[..., APPEARANCE] = torch.randn(1, 5, APPEARANCE.stop - APPEARANCE.start)
    for met, same in (("a" * 64, False), ("", False), ("b" * 64, True)):
        torch.manual_seed(3)
        model = HMMRLive(config)
        tell_encoder(model, met, Path("weights.safetensors"))
        assert model.config.appearance == (met or "a" * 64)
        assert torch.equal(model(features).encoded, model(other).encoded) == same
    assert "weights.safetensors: of appearance encoder aaaa" in capsys.readouterr().out
