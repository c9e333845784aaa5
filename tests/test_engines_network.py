"""The network whole: stepping equals the clip pass, the blend, what decoding gives, that everything learns."""

import pytest
import torch
from networks import FEATURES, FIELD, network

from engines.network.config import NetworkConfig
from engines.network.model import HMMRLive


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(7)


@pytest.fixture(scope="module")
def model() -> HMMRLive:
    return network()


def stepped(model, features, starts):
    """Step a batch frame by frame; a row that starts anew at a frame gets a fresh state before it."""
    batch, length = features.shape[:2]
    state, strips, thetas = model.initial_state(batch), [], []
    for t in range(length):
        for row in torch.nonzero(starts[:, t]).flatten().tolist():
            fresh = model.initial_state(1)
            for tensor, empty in zip(state, fresh, strict=True):
                tensor[row] = empty[0]
        movie_strip, theta6d, state = model.step(features[:, t], state)
        strips.append(movie_strip)
        thetas.append(theta6d)
    return torch.stack(strips, 1), torch.stack(thetas, 1)


@pytest.mark.parametrize("seed", range(4))
def test_stepping_equals_the_clip_pass_with_resets(model, seed):
    generator = torch.Generator().manual_seed(seed)
    features = torch.randn(3, 60, FEATURES, generator=generator)
    starts = torch.rand(3, 60, generator=generator) < (0.0, 0.03, 0.1, 0.5)[seed]
    clip = model(features, starts)
    strips, thetas = stepped(model, features, starts)
    assert clip.movie_strip.std() > 0.3  # the equality is about something
    assert (strips - clip.movie_strip).abs().max() < 1e-5
    assert (thetas - clip.theta6d).abs().max() < 1e-5


def test_a_clip_with_resets_equals_its_segments_run_apart(model):
    features = torch.randn(1, 40, FEATURES, generator=torch.Generator().manual_seed(1))
    starts = torch.zeros(1, 40, dtype=torch.bool)
    starts[0, [7, 8, 30]] = True
    whole = model(features, starts)
    bounds = [0, 7, 8, 30, 40]
    for first, last in zip(bounds, bounds[1:], strict=False):
        segment = model(features[:, first:last])
        for name in ("movie_strip", "encoded", "theta6d"):
            difference = getattr(whole, name)[:, first:last] - getattr(segment, name)
            assert difference.abs().max() < 1e-5, (name, first)


def test_no_starts_is_a_start_at_the_first_frame(model):
    features = torch.randn(2, 20, FEATURES)
    plain, marked = model(features), model(features, torch.zeros(2, 20, dtype=torch.bool))
    assert (plain.theta6d - marked.theta6d).abs().max() < 1e-5


def test_a_delay_says_which_frame_is_told_of_and_changes_no_number(model):
    """What it looks ahead, it was trained to; the answer for frame t of a clip stands at t + delay."""
    late = HMMRLive(NetworkConfig(feature_dim=FEATURES, feature_version=1, model_id="late", delay=6)).eval()
    late.load_state_dict(model.state_dict())
    assert (late.delay, late.encoder.delay, model.delay) == (6, 6, 0)
    features = torch.randn(1, 20, FEATURES)
    assert torch.equal(late(features).theta6d, model(features).theta6d)


def test_step_leaves_the_given_state_as_it_was(model):
    _, _, state = model.step(torch.randn(1, FEATURES), model.initial_state(1))
    kept = [tensor.clone() for tensor in state]
    model.step(torch.randn(1, FEATURES), state)
    assert all(torch.equal(a, b) for a, b in zip(state, kept, strict=True))
    assert state.encoder.shape == (1, 6, 2, model.config.width)


def test_movie_strip_goes_from_hallucinated_to_encoded_in_thirteen_frames(model):
    clip = model(torch.randn(1, 20, FEATURES))
    assert torch.equal(clip.movie_strip[:, 0], clip.hallucinated[:, 0])
    for n in range(1, 21):
        share = min((n - 1) / 12, 1.0)
        expected = share * clip.encoded[:, n - 1] + (1 - share) * clip.hallucinated[:, n - 1]
        assert (clip.movie_strip[:, n - 1] - expected).abs().max() < 1e-6, n
    assert torch.equal(clip.movie_strip[:, 12:], clip.encoded[:, 12:])


def test_step_without_hallucinator_is_the_same_once_the_ring_is_full(model):
    state = model.initial_state(1)
    for n in range(1, 17):
        features = torch.randn(1, FEATURES)
        shortened, _, _ = model.step(features, state, full=True)
        movie_strip, _, state = model.step(features, state)
        assert torch.equal(shortened, movie_strip) == (n >= FIELD)


def test_wild_features_stay_bounded(model):
    features = torch.randn(1, 5, FEATURES)
    features[0, 2, 7] = 1e6
    tamer = features.clone()
    tamer[0, 2, 7] = 1e4
    assert torch.equal(model(features).theta6d, model(tamer).theta6d)


def test_decode_gives_rotations_and_the_rest_pose_is_upright(model):
    camera, pose_matrix, betas = model.decode(model(torch.randn(2, 9, FEATURES)).theta6d)
    assert camera.shape == (2, 9, 3)
    assert pose_matrix.shape == (2, 9, 24, 3, 3)
    assert betas.shape == (2, 9, 10)
    assert (pose_matrix @ pose_matrix.mT - torch.eye(3)).abs().max() < 1e-5
    assert (torch.linalg.det(pose_matrix) - 1).abs().max() < 1e-5

    fresh = HMMRLive(model.config)
    camera, pose_matrix, betas = fresh.decode(fresh.f3d.mean_theta.detach())
    assert torch.equal(pose_matrix[0], torch.diag(torch.tensor([1.0, -1, -1])))
    assert torch.equal(pose_matrix[1:], torch.eye(3).expand(23, 3, 3))
    assert camera.tolist() == pytest.approx([0.9, 0, 0])
    assert not betas.any()


def test_every_parameter_learns():
    model = network(width=32, head_width=16, groups=4).train().requires_grad_(True)
    clip = model(torch.randn(2, 15, FEATURES), torch.rand(2, 15) < 0.1)
    _, pose, _ = model.decode(clip.theta6d)
    ahead = model.dynamics(clip.movie_strip, pose, torch.full((2, 15), 60.0))
    (clip.theta6d.square().sum() + ahead.square()[..., 0].sum()).backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert torch.isfinite(parameter.grad).all(), name
        assert parameter.grad.any(), name
