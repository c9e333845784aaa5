"""Batches by number, tiers beside each other, and what validation says of a network that knows the truth."""

import csv
import itertools
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from realtime.body.smpl import load_body
from tests.windows import random_batch, random_rotations, small_network
from training.batch import Batch
from training.budget import Clock
from training.dataset import TrainingData
from training.loading import NumberedBatches, Withheld, load_from
from training.losses import WindowLoss
from training.noise import first_markers
from training.validation import COLUMNS, Validation, measure


class _Noise:
    """A tier of random numbers; its keypoints say where they come from."""

    def __init__(self, generator: np.random.Generator, name: float) -> None:
        self._generator, self._name = generator, name

    def windows(self, count: int) -> Batch:
        draw = self._generator.normal
        return Batch(
            features=draw(0, 1, (count, 4, 20)).astype(np.float32),
            dt_s=np.ones((count, 4), np.float32),
            rotations=draw(0, 1, (count, 4, 24, 3, 3)).astype(np.float32),
            ahead=draw(0, 1, (count, 4, 24, 3, 3)).astype(np.float32),
            dt_ahead_ms=np.ones((count, 4), np.float32),
            betas=draw(0, 1, (count, 10)).astype(np.float32),
            keypoints=np.full((count, 4, 24, 2), self._name, np.float32),
            landmarks=draw(0, 1, (count, 4, 33, 2)).astype(np.float32),
            landmark_weight=np.ones((count, 4, 33), np.float32),
            has_3d=np.ones(count, np.float32),
        )


def _batches(seed: int = 3) -> NumberedBatches:
    generator = np.random.default_rng(99)
    tiers = [(_Noise(generator, 1.0), 0.5), (_Noise(generator, 2.0), 0.25)]
    tiers.append((Withheld(_Noise(generator, 3.0)), 0.25))
    return NumberedBatches(TrainingData(tiers, 8), generator, seed)


@pytest.mark.parametrize("workers", [0, 2])
def test_a_batch_follows_from_its_number_whoever_makes_it(workers):
    expected = [_batches()[index] for index in (5, 6, 7)]
    found = list(itertools.islice(load_from(_batches(), 5, workers), 3))
    for one, other in zip(expected, found, strict=True):
        assert all(torch.equal(one[name], other[name]) for name in one)
    assert not torch.equal(expected[0]["features"], expected[1]["features"])
    assert not torch.equal(expected[0]["features"], _batches(seed=4)[5]["features"])


def test_statistics_are_of_batches_that_are_not_trained_on():
    rows = _batches().statistics(3)
    assert rows.shape == (3 * 8 * 4, 20)
    trained = _batches()[0]["features"].flatten(0, 1)
    assert not (rows[:, None] == trained).all(dim=-1).any()


def test_a_tier_whose_3d_is_withheld_tells_nothing_of_it():
    batch = _batches()[0]
    assert batch["has_3d"].tolist() == [1.0] * 6 + [0.0] * 2
    for name in ("rotations", "ahead", "betas", "keypoints"):
        assert not batch[name][6:].any() and batch[name][:6].any()
    assert batch["landmarks"][6:].all() and batch["features"][6:].all()


@pytest.fixture(scope="module")
def loss():
    return WindowLoss(load_body(None), first_markers())


class _Teller:
    """A network that says the truth now, and of the future what it is told to."""

    def __init__(self, batch):
        self._batch, self.dynamics = batch, self._ahead

    def __call__(self, features):
        theta = torch.zeros(*features.shape[:2], 157)
        return SimpleNamespace(movie_strip=theta, theta6d=theta)

    def decode(self, theta6d):
        betas = self._batch["betas"][:, None].expand(*theta6d.shape[:2], 10)
        return None, self._batch["rotations"], betas

    def _ahead(self, strip, pose, dt_ms):
        return self._batch["ahead"]


def test_the_truth_has_no_error(loss):
    batch = random_batch(loss, windows=4, frames=18)
    batch["dt_s"] = torch.full((4, 18), 1 / 30)
    found = measure(_Teller(batch), loss, batch)
    assert tuple(found) == COLUMNS
    assert all(value < 0.4 for value in found.values())  # mm; distances keep a tenth of a millimetre at zero


def test_holding_the_last_pose_is_as_good_as_itself(loss):
    batch = random_batch(loss, windows=4, frames=18)
    model = _Teller(batch)
    model.dynamics = lambda strip, pose, dt_ms: pose
    assert measure(model, loss, batch)["ahead_to_hold_last"] == 1.0
    wrong = dict(batch) | {"rotations": random_rotations(4, 18)}
    assert measure(model, loss, wrong)["mpjpe_mm"] > 50.0


def test_windows_of_other_rates_have_no_say_in_the_acceleration(loss):
    batch = random_batch(loss, windows=4, frames=18)
    batch["dt_s"] = torch.full((4, 18), 0.1)
    assert np.isnan(measure(_Teller(batch), loss, batch)["acceleration_mm"])


def test_every_validation_adds_a_row(loss, tmp_path):
    validation = Validation.__new__(Validation)  # without takes: its windows are given
    validation._batch, validation._table = random_batch(loss, windows=2, frames=16), tmp_path / "table.csv"
    trainer = SimpleNamespace(
        device=torch.device("cpu"), average=small_network().eval(), loss=loss, step=0, clock=Clock(60.0)
    )
    for trainer.step in (500, 1000):
        assert validation(trainer).startswith(f"step {trainer.step}, 1.0 min: MPJPE")
    with (tmp_path / "table.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["step"] for row in rows] == ["500", "1000"] and set(COLUMNS) < set(rows[0])
