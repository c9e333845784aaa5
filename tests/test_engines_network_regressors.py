"""The heads: the iterative regressor, and fΔt, which turns the pose now into the pose at Δt."""

import pytest
import torch
from networks import network, some_pose

from engines.network.model import HMMRLive
from engines.network.rotations import rotation_basis, rotation_vector_to_matrix


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(7)


@pytest.fixture(scope="module")
def model() -> HMMRLive:
    return network()


def test_regressor_iterates_with_shared_weights(model):
    movie_strip = torch.randn(3, model.config.width)
    iterates = model.f3d.iterates(movie_strip)
    assert len(iterates) == 3
    assert torch.equal(iterates[-1], model.f3d(movie_strip))
    # The same, written as HMMR writes it: one matrix on [Φ; Θ'].
    first = torch.cat((model.f3d.from_strip.weight, model.f3d.from_theta.weight), dim=1)
    theta = model.f3d.mean_theta.expand(3, -1)
    for expected in iterates:
        inner = torch.relu(torch.cat((movie_strip, theta), 1) @ first.T + model.f3d.from_strip.bias)
        theta = theta + model.f3d.out(torch.relu(model.f3d.hidden(inner)))
        assert (theta - expected).abs().max() < 1e-5


def test_dynamics_is_exactly_the_pose_now_at_zero(model):
    pose = some_pose(5)
    assert torch.equal(model.dynamics(torch.randn(5, model.config.width), pose, torch.zeros(5)), pose)


def test_dynamics_moves_with_the_horizon_and_stays_a_rotation(model):
    pose, strip = some_pose(5), torch.randn(5, model.config.width)
    for dt_ms in (-200.0, -1.0, 33.3, 200.0):
        ahead = model.dynamics(strip, pose, torch.full((5,), dt_ms))
        assert (ahead @ ahead.mT - torch.eye(3)).abs().max() < 1e-5
        assert (ahead - pose).abs().max() > 1e-4
    # It turns the joint in its own frame: the change does not depend on where the body faces.
    vectors = model.dynamics.relative(strip, pose, torch.full((5,), 100.0))
    ahead = model.dynamics(strip, pose, torch.full((5,), 100.0))
    expected = rotation_vector_to_matrix(vectors, rotation_basis())
    assert (pose.mT @ ahead - expected).abs().max() < 1e-5


def test_dynamics_broadcasts_over_horizons(model):
    pose, strip, horizons = some_pose(2, 3), torch.randn(2, 3, model.config.width), (-50.0, 0.0, 80.0)
    at_once = model.dynamics(strip.unsqueeze(2), pose.unsqueeze(2), torch.tensor(horizons))
    assert at_once.shape == (2, 3, 3, 24, 3, 3)
    for index, dt_ms in enumerate(horizons):
        alone = model.dynamics(strip, pose, torch.full((2, 3), dt_ms))
        assert (at_once[:, :, index] - alone).abs().max() < 1e-5


@pytest.mark.parametrize("dropout", [0.0, 0.3])
def test_dropout_acts_in_training_only(dropout):
    model = network(width=32, head_width=16, groups=4, dropout=dropout)
    strip, pose, dt_ms = torch.randn(4, 32), some_pose(4), torch.full((4,), 90.0)
    for head in (lambda: model.f3d(strip), lambda: model.dynamics(strip, pose, dt_ms)):
        model.eval()
        assert torch.equal(head(), head())
        model.train()
        assert torch.equal(head(), head()) == (dropout == 0)


def test_a_silenced_dynamics_head_still_hears_the_error():
    """With every hidden unit far below zero, Φ and the head's weights still get their share of the gradient."""
    torch.manual_seed(0)
    model = network().requires_grad_(True)
    model.dynamics.hidden.bias.data.fill_(-50.0)
    strip = torch.randn(3, model.config.width, requires_grad=True)
    pose = torch.eye(3).expand(3, 24, 3, 3)
    vectors = model.dynamics.relative(strip, pose, torch.full((3,), 100.0))
    (vectors - 0.1).square().sum().backward()
    assert model.dynamics.direct.weight.grad.abs().max() > 1e-3
    assert model.dynamics.hidden.weight.grad.abs().max() > 1e-6
    model.dynamics.direct.weight.data.normal_(0.0, 0.1)
    strip.grad = None
    (model.dynamics.relative(strip, pose, torch.full((3,), 100.0)) - 0.1).square().sum().backward()
    assert strip.grad.abs().max() > 1e-3
