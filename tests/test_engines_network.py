"""The network: stepping equals the clip pass, what a frame sees, the blend, the dynamics head at rest."""

import pytest
import torch

from engines.network.config import NetworkConfig
from engines.network.model import HMMRLive
from engines.network.rotations import (
    matrix_to_rotation6d,
    rotation6d_to_matrix,
    rotation_basis,
    rotation_vector_to_matrix,
)
from engines.network.temporal import CausalTemporalEncoder, FrameNorm

FEATURES = 40
FIELD = 13


def network(seed: int = 0, **sizes) -> HMMRLive:
    """Full size unless told otherwise; every layer matters (a fresh block would be the identity)."""
    torch.manual_seed(seed)
    config = NetworkConfig(feature_dim=FEATURES, feature_version=1, model_id="random", **sizes)
    model = HMMRLive(config).eval().requires_grad_(False)
    for parameter in model.parameters():
        if parameter.dim() > 1:
            torch.nn.init.normal_(parameter, std=0.8 * parameter.shape[1] ** -0.5)
        else:
            parameter.add_(0.1 * torch.randn_like(parameter))
    model.embed.mean.normal_()
    model.embed.std.uniform_(0.5, 2.0)
    return model


@pytest.fixture(autouse=True)
def seeded():
    torch.set_num_threads(1)  # two threads beside other work spin against each other
    torch.manual_seed(7)


@pytest.fixture(scope="module")
def model() -> HMMRLive:
    return network()


@pytest.fixture(scope="module")
def encoder(model) -> CausalTemporalEncoder:
    return model.encoder


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


def test_a_delay_says_which_frame_is_told_of_and_changes_no_number(model):
    """What it looks ahead, it was trained to; the answer for frame t of a clip stands at t + delay."""
    late = HMMRLive(NetworkConfig(feature_dim=FEATURES, feature_version=1, model_id="late", delay=6)).eval()
    late.load_state_dict(model.state_dict())
    assert (late.delay, late.encoder.delay, model.delay) == (6, 6, 0)
    features = torch.randn(1, 20, FEATURES)
    assert torch.equal(late(features).theta6d, model(features).theta6d)


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


def some_pose(*shape: int) -> torch.Tensor:
    return rotation6d_to_matrix(torch.randn(*shape, 24, 6))


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


def test_rotation_vectors_become_rotations():
    vectors = torch.randn(100, 3, dtype=torch.float64) * torch.logspace(-7, 0.5, 100)[:, None]
    basis = rotation_basis().double()
    expected = torch.linalg.matrix_exp((vectors @ basis[:3]).unflatten(-1, (3, 3)))
    assert (rotation_vector_to_matrix(vectors, basis) - expected).abs().max() < 1e-9
    x, y = torch.randn(2, 3, dtype=torch.float64)
    assert torch.allclose((x @ basis[:3]).view(3, 3) @ y, torch.linalg.cross(x, y))


def test_rotation_vector_has_a_gradient_at_zero():
    vector = torch.zeros(2, 3, requires_grad=True)
    rotation_vector_to_matrix(vector, rotation_basis())[..., 2, 1].sum().backward()
    assert torch.allclose(vector.grad, torch.tensor([1.0, 0, 0]).expand(2, 3))


def test_six_numbers_and_back():
    matrix = some_pose(4)
    six = matrix_to_rotation6d(matrix)
    assert torch.equal(six[..., :3], matrix[..., :, 0])
    assert (rotation6d_to_matrix(six) - matrix).abs().max() < 1e-6
    assert torch.isfinite(rotation6d_to_matrix(torch.zeros(6))).all()


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


@pytest.mark.parametrize("dropout", [0.0, 0.3])
def test_dropout_acts_in_training_only(dropout):
    model = network(width=32, head_width=16, groups=4, dropout=dropout)
    strip, pose, dt_ms = torch.randn(4, 32), some_pose(4), torch.full((4,), 90.0)
    for head in (lambda: model.f3d(strip), lambda: model.dynamics(strip, pose, dt_ms)):
        model.eval()
        assert torch.equal(head(), head())
        model.train()
        assert torch.equal(head(), head()) == (dropout == 0)


@pytest.mark.parametrize(
    "change",
    [
        {"width": 300},
        {"groups": 64},
        {"width": 0},
        {"blocks": 65},
        {"head_width": 10**9},
        {"feature_dim": 2.0},
        {"horizon_ms": 0},
        {"horizon_ms": float("nan")},
        {"dropout": 1.0},
        {"delay": -1},
        {"delay": 13},
        {"delay": 6.0},
        {"delay": True},
        {"model_id": ""},
        {"feature_version": None},
    ],
)
def test_impossible_sizes_are_refused_by_name(change):
    with pytest.raises(ValueError, match=next(iter(change))):
        NetworkConfig(**{"feature_dim": 8, "feature_version": 1, "model_id": "m", **change})


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
