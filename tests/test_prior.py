"""The adversarial prior: who learns from what, and that it tells people from nonsense."""

import torch

from engines.network.rotations import rotation_basis, rotation_vector_to_matrix
from training.prior import OUTPUTS, FactorisedPrior


def _poses(count: int, sd: float) -> torch.Tensor:
    return rotation_vector_to_matrix(sd * torch.randn(count, 24, 3), rotation_basis())


def test_a_score_per_joint_sees_that_joint_alone_and_the_last_one_sees_all():
    torch.manual_seed(0)
    prior, pose = FactorisedPrior(), _poses(1, 0.3)
    bent = pose.clone()
    bent[:, 5] = _poses(1, 1.0)[:, 5]
    before, after = prior(pose)[0], prior(bent)[0]
    assert before.shape == (OUTPUTS,)
    changed = (before != after).nonzero()[:, 0].tolist()
    assert changed == [4, 23]  # joint 5 is the fifth without the root
    turned = pose.clone()
    turned[:, 0] = _poses(1, 1.0)[:, 0]
    assert torch.equal(prior(turned)[0], before)  # which way a person faces says nothing about a pose


def test_the_regressor_pays_and_the_discriminator_learns_each_from_its_own_loss():
    torch.manual_seed(0)
    prior, pose = FactorisedPrior(), _poses(6, 0.3).requires_grad_()
    prior.plausibility_loss(pose).backward()
    assert pose.grad is not None and pose.grad[:, 1:].abs().sum() > 0
    assert all(p.grad is None for p in prior.parameters())
    pose.grad = None
    prior.discriminator_loss(_poses(6, 0.3), pose).backward()
    assert pose.grad is None
    assert all(p.grad is not None for p in prior.parameters())


def test_it_learns_what_people_look_like_and_leads_there():
    torch.manual_seed(0)
    prior = FactorisedPrior(width=64)
    optimiser = torch.optim.Adam(prior.parameters(), lr=1e-3)
    for _ in range(80):
        loss = prior.discriminator_loss(_poses(32, 0.2), _poses(32, 1.2))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    with torch.no_grad():
        assert prior(_poses(64, 0.2))[:, -1].mean() > 0.8
        assert prior(_poses(64, 1.2))[:, -1].mean() < 0.2
    # A regressor that follows it comes from contorted poses to plausible ones.
    vectors = (0.8 * torch.randn(16, 24, 3)).requires_grad_()
    before = vectors[:, 1:].detach().norm(dim=-1).mean()
    step = torch.optim.Adam([vectors], lr=0.05)
    for _ in range(40):
        cost = prior.plausibility_loss(rotation_vector_to_matrix(vectors, rotation_basis()))
        step.zero_grad()
        cost.backward()
        step.step()
    assert vectors[:, 1:].detach().norm(dim=-1).mean() < 0.6 * before
