"""HMMR's losses on whole batches: nothing at the truth, no gradient from placeholders, frames where they belong."""

import numpy as np
import pytest
import torch

from engines.network.model import ClipOutput
from engines.network.rotations import matrix_to_rotation6d
from realtime.body.kinematics import forward_kinematics
from realtime.body.smpl import load_body
from realtime.errors import ConfigError
from tests.windows import random_batch, random_rotations, small_network
from training.loss_weights import LossWeights, with_settings
from training.losses import WindowLoss
from training.noise import first_markers
from training.prior import FactorisedPrior

ONLY_3D = {"rotations", "ahead", "betas", "keypoints"}
# What a trained network would still pay at the truth: β² is no error, and nobody made the strip's size right.
NO_ERRORS = {"shape_prior", "strip_size", "adversarial", "ahead_adversarial", "single_shape_prior"}


@pytest.fixture(scope="module")
def body():
    return load_body(None)


def _loss(body, **options) -> WindowLoss:
    return WindowLoss(body, first_markers(), **options)


class _Oracle:
    """A network that answers with the truth of the frame `delay` before, and foretells the truth as well."""

    def __init__(self, batch: dict, delay: int = 0) -> None:
        self._batch, self._delay = batch, delay
        self.dynamics, self.f3d = self, self._single
        self.horizon_ms, self._calls = 200.0, 0

    def _late(self, values: torch.Tensor) -> torch.Tensor:
        """At step t that of t − delay; the first steps get nonsense."""
        if not self._delay:
            return values
        return torch.cat((torch.full_like(values[:, : self._delay], 9.0), values[:, : -self._delay]), dim=1)

    def __call__(self, features: torch.Tensor) -> ClipOutput:
        batch, frames = features.shape[:2]
        camera = torch.tensor([0.8, 0.0, 0.0]).expand(batch, frames, 3)
        pose6d = matrix_to_rotation6d(self._batch["rotations"]).flatten(-2)
        betas = self._batch["betas"][:, None].expand(-1, frames, -1)
        theta = self._late(torch.cat((camera, pose6d, betas), dim=-1))
        return ClipOutput(theta, theta, theta, theta)  # the strip is the answer itself

    def _single(self, strip: torch.Tensor) -> torch.Tensor:
        return strip

    @staticmethod
    def decode(theta6d):
        return small_network().decode(theta6d)


def test_points_are_joints_and_markers_of_the_body(body):
    loss, markers = _loss(body), first_markers()
    pose, betas = random_rotations(4), torch.randn(4, 10)
    joints, transforms = forward_kinematics(body, pose.numpy(), betas.numpy())
    expected = np.concatenate([joints, markers.place(joints, transforms)], axis=1) - joints[:, :1]
    assert np.abs(loss.points(pose, betas).numpy() - expected).max() < 1e-5


@pytest.mark.parametrize("delay", [0, 3])
def test_the_truth_costs_nothing(body, delay):
    """With a delay the network's answer of step t is the truth of t − delay; what its first steps say is not read."""
    weights = with_settings(LossWeights(), ["dynamics=0", "hallucinated=0"])
    loss = _loss(body, weights=weights, delay=delay)
    batch = random_batch(loss)
    result = loss(_Oracle(batch, delay), batch)
    for name, value in result.parts.items():
        if name not in NO_ERRORS:
            assert float(value) < (0.03 if name in ("velocity", "acceleration", "points") else 1e-4), name
    # And one frame off is no truth.
    wrong = _loss(body, weights=weights, delay=delay + 1)(_Oracle(batch, delay), batch)
    assert float(wrong.parts["points"]) > 1.0 and float(wrong.parts["keypoints"]) > 0.1


def test_in_every_fourth_window_the_stream_ends_and_nothing_else_changes(body):
    fed = []

    class Watched(_Oracle):
        def __call__(self, features):
            fed.append(features)
            return super().__call__(features)

    batch = random_batch(_loss(body), windows=6)
    given = batch["features"].clone()
    weights = with_settings(LossWeights(), ["dynamics=0", "hallucinated=0"])
    for delay in (0, 3):
        result = _loss(body, weights=weights, delay=delay)(Watched(batch, delay), batch)
        assert float(result.parts["points"]) < 0.03  # frames where they belong, whatever comes after them
    assert torch.equal(fed[0], given) and torch.equal(batch["features"], given)
    for row in range(6):
        expected = given[row].clone()
        if row in (0, 4):
            expected[5:] = given[row, 4]  # of 8 frames the last 3 never came
        assert torch.equal(fed[1][row], expected)


def test_a_single_frame_is_read_as_in_a_window(body):
    loss, model = _loss(body), small_network()
    batch = random_batch(loss)
    out = model(batch["features"])
    alone = loss.single(model, out.theta6d.detach(), batch)
    whole = loss(model, batch).parts
    for name in ("points", "keypoints", "landmarks", "rotations", "betas"):
        assert float(alone[name]) == pytest.approx(float(whole[name]), rel=1e-5)


def test_windows_without_3d_give_no_gradient_through_their_placeholders(body):
    loss, prior = _loss(body), FactorisedPrior()
    batch = random_batch(loss)
    batch["has_3d"][1] = 0.0
    poisoned = dict(batch)
    for name in ONLY_3D:
        poisoned[name] = batch[name].clone()
        poisoned[name][1] = float("nan")  # nobody may so much as look
    gradients = []
    for given in (batch, poisoned):
        model = small_network()
        loss(model, given, prior).total.backward()
        gradients.append(torch.cat([p.grad.flatten() for p in model.parameters()]))
    assert torch.isfinite(gradients[1]).all()
    assert torch.equal(gradients[0], gradients[1])


def test_windows_without_3d_learn_from_what_is_seen_of_them(body):
    loss = _loss(body)
    batch = random_batch(loss)
    batch["has_3d"][:] = 0.0
    result = loss(small_network(), batch, FactorisedPrior())
    assert set(result.parts) == {
        "landmarks", "shape_prior", "shape", "ahead_keypoints", "hallucination", "strip_size", "single_landmarks",
        "adversarial", "ahead_adversarial",
    }  # fmt: skip
    assert len(result.real) == 0 and len(result.made_up) > 0
    moved = dict(batch) | {"landmarks": batch["landmarks"] + 0.2}
    for name in ("landmarks", "single_landmarks"):
        assert float(loss(small_network(), moved).parts[name]) != float(result.parts[name])


def test_a_landmark_far_outside_does_not_count(body):
    loss = _loss(body)
    batch = random_batch(loss)
    wild = dict(batch) | {"landmarks": batch["landmarks"].clone()}
    wild["landmarks"][0, 2, 5] = 1e6
    plain, with_wild = (loss(small_network(), b).parts["landmarks"] for b in (batch, wild))
    assert float(with_wild) == pytest.approx(float(plain), rel=0.1)


def test_dynamics_do_not_teach_the_pose_they_start_from(body):
    """fΔt's losses reach the strip and its own head; f3D gets nothing from them."""
    names = ("ahead_points", "ahead_change", "ahead_rotations", "ahead_keypoints")
    off = [
        f"{name}=0"
        for name in vars(LossWeights())
        if name not in names and name not in ("dynamics", "hallucinated", "prior")
    ]
    weights = with_settings(LossWeights(), [*off, "hallucinated=0"])
    loss, model = _loss(body, weights=weights), small_network()
    loss(model, random_batch(loss)).total.backward()
    assert all(p.grad is None or not p.grad.any() for p in model.f3d.parameters())
    assert model.dynamics.out.weight.grad.abs().sum() > 0
    assert model.embed.fc1.weight.grad is not None


def test_bfloat16_products_give_nearly_the_same_loss_and_gradient(body):
    results = []
    for mixed in (False, True):
        loss, model = _loss(body, mixed=mixed), small_network()
        result = loss(model, random_batch(loss, windows=4))
        result.total.backward()
        results.append((float(result.total.detach()), model.embed.fc1.weight.grad.flatten()))
    assert results[1][0] == pytest.approx(results[0][0], rel=0.01)
    assert torch.nn.functional.cosine_similarity(results[0][1], results[1][1], dim=0) > 0.99


def test_each_loss_can_be_switched_off_and_weighed(body):
    batch = random_batch(_loss(body))
    whole = _loss(body)(small_network(), batch).parts
    weights = with_settings(LossWeights(), ["dynamics=0", "acceleration=0", "points=48"])
    changed = _loss(body, weights=weights)(small_network(), batch).parts
    assert "acceleration" in whole and "acceleration" not in changed
    assert not any(name.startswith(("ahead", "single_ahead")) for name in changed)
    assert float(changed["points"]) == pytest.approx(2 * float(whole["points"]), rel=1e-5)
    for wrong, hint in (("dinamics=0", "dynamics"), ("points", "name=weight"), ("points=-1", "0 or more")):
        with pytest.raises(ConfigError, match=hint):
            with_settings(LossWeights(), [wrong])
