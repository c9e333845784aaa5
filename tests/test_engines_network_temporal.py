"""The causal temporal encoder: what a frame sees, statistics of one frame, a fresh one."""

import pytest
import torch
from networks import FIELD, network

from engines.network.config import NetworkConfig
from engines.network.temporal import CausalTemporalEncoder, FrameNorm


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(7)


@pytest.fixture(scope="module")
def encoder() -> CausalTemporalEncoder:
    return network().encoder


def test_the_receptive_field_is_exactly_13_frames(encoder):
    assert (encoder.receptive_field, encoder.delay) == (FIELD, 0)
    features = torch.randn(1, 40, encoder.width)
    before = encoder(features)
    for t in (12, 25, 39):
        for back, seen in ((FIELD, False), (FIELD - 1, True), (0, True)):
            if t - back < 0:
                continue
            changed = features.clone()
            changed[0, t - back] += torch.randn(encoder.width)
            moved = (encoder(changed)[0, t] - before[0, t]).abs().max()
            assert (moved > 1e-4) == seen, (t, back)
            if not seen:
                assert moved == 0


def test_future_frames_change_nothing(encoder):
    features = torch.randn(2, 30, encoder.width)
    before = encoder(features)
    changed = features.clone()
    changed[:, 18:] = 100 * torch.randn(2, 12, encoder.width)
    after = encoder(changed)
    assert torch.equal(after[:, :18], before[:, :18])
    assert not torch.allclose(after[:, 18], before[:, 18])


def test_norm_takes_its_statistics_from_one_frame():
    norm = FrameNorm(4, 32, eps=1e-6)
    frames = torch.randn(2, 5, 32) * torch.arange(1, 6)[None, :, None] + 3
    groups = norm(frames).detach().unflatten(-1, (4, 8))
    assert groups.mean(-1).abs().max() < 1e-5
    assert (groups.var(-1, unbiased=False) - 1).abs().max() < 1e-4


def test_a_fresh_encoder_is_nearly_the_identity():
    torch.manual_seed(0)
    fresh = CausalTemporalEncoder(NetworkConfig(feature_dim=4, feature_version=1, model_id="fresh"))
    features = torch.randn(1, 20, fresh.width)
    change = (fresh(features) - features).detach()
    assert 0 < change.std() < 0.1
