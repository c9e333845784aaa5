"""The torch engine: live it gives what the clip pass gives; bad arguments are answered in one line."""

import numpy as np
import pytest
import torch

import engines
from engines.checkpoint import load_checkpoint, save
from engines.config import NetworkConfig
from engines.model import HMMRLive
from engines.torch_engine import TorchEngine
from realtime.assets import ASSETS
from realtime.errors import LoadError
from realtime.features import FEATURE_DIM, FEATURE_VERSION
from realtime.ring import Ring

FEATURES = 20
CPU = torch.device("cpu")


def network(feature_dim: int = FEATURES, feature_version: int = 1) -> HMMRLive:
    torch.manual_seed(0)
    sizes = {"feature_dim": feature_dim, "width": 64, "head_width": 48, "groups": 8}
    model = HMMRLive(NetworkConfig(**sizes, feature_version=feature_version, model_id="random"))
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() > 1:
                torch.nn.init.normal_(parameter, std=0.8 * parameter.shape[1] ** -0.5)
        # Poses near the rest pose, as a trained network gives them: two nearly parallel columns of a wholly
        # random 6-D rotation would magnify rounding.
        model.f3d.out.weight *= 0.2
    return model.eval()


@pytest.fixture
def engine() -> TorchEngine:
    return TorchEngine(network(), device=CPU)


def frames(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(count, FEATURES)).astype(np.float32)


def assert_same(first, second, tolerance=1e-5):
    for name in ("camera", "pose_matrix", "betas", "ahead", "movie_strip"):
        assert np.abs(getattr(first, name) - getattr(second, name)).max(initial=0) < tolerance, name


def test_engine_gives_what_the_clip_pass_gives(engine):
    features, model = frames(40), network()
    with torch.no_grad():
        clip = model(torch.from_numpy(features)[None])
        camera, pose_matrix, betas = model.decode(clip.theta6d[0])
        dt_ms = torch.tensor([50.0, 120.0])
        ahead = model.dynamics(clip.movie_strip[0, :, None], pose_matrix[:, None], dt_ms)
    for t, feature in enumerate(features):
        output = engine.step(feature, (50.0, 120.0))
        for name, expected in (
            ("camera", camera),
            ("pose_matrix", pose_matrix),
            ("betas", betas),
            ("ahead", ahead),
            ("movie_strip", clip.movie_strip[0]),
        ):
            array = getattr(output, name)
            assert array.dtype == np.float32
            assert array.shape == expected[t].shape
            assert np.abs(array - expected[t].numpy()).max() < 1e-5, (name, t)


def test_outputs_stay_as_they_were_after_later_steps(engine):
    features = frames(5)
    first = engine.step(features[0], (40.0,))
    kept = {name: getattr(first, name).copy() for name in ("camera", "pose_matrix", "ahead", "movie_strip")}
    for feature in features[1:]:
        engine.step(feature, (40.0,))
    for name, array in kept.items():
        assert np.array_equal(getattr(first, name), array)


def test_reset_forgets(engine):
    features = frames(30)
    fresh = [engine.step(feature) for feature in features[20:]]
    engine.reset()
    for feature in features[:20]:
        engine.step(feature)
    assert np.abs(engine.step(features[20]).movie_strip - fresh[0].movie_strip).max() > 1e-3
    engine.reset()
    for feature, expected in zip(features[20:], fresh, strict=True):
        assert_same(engine.step(feature), expected)


@pytest.mark.parametrize("seen", [0, 1, 5, 12, 13, 14, 40])
def test_rebuilding_from_the_ring_equals_having_stepped(engine, seen):
    features = frames(seen + 20, seed=seen)
    ring = Ring(engine.receptive_field, FEATURES)
    for t, feature in enumerate(features[:seen]):
        ring.push(t + 1, feature)
        engine.step(feature)
    rebuilt = TorchEngine(network(), device=CPU)
    rebuilt.step(frames(1, seed=99)[0])  # something to forget
    rebuilt.rebuild(ring.window())
    for feature in features[seen:]:
        assert_same(rebuilt.step(feature, (66.0,)), engine.step(feature, (66.0,)))


@pytest.mark.skipif(not (ASSETS / "model.safetensors").is_file(), reason="assets/ holds no weights yet")
def test_the_shipped_weights_step_as_they_run_on_clips():
    """Features around the training mean, slowly moving as a person's do."""
    engine = engines.load("default")
    model, _ = load_checkpoint(ASSETS / "model.safetensors")
    noise = torch.randn(60, FEATURE_DIM, generator=torch.Generator().manual_seed(0)).cumsum(0) / 10
    features = model.embed.mean + model.embed.std * noise
    with torch.no_grad():
        clip = model(features[None])
        _, pose_matrix, _ = model.decode(clip.theta6d[0])
    for t, feature in enumerate(features.numpy()):
        output = engine.step(feature)
        assert np.abs(output.movie_strip - clip.movie_strip[0, t].numpy()).max() < 1e-5, t
        assert np.abs(output.pose_matrix - pose_matrix[t].numpy()).max() < 1e-5, t


def test_no_horizons_and_zero_horizon(engine):
    feature = frames(1)[0]
    assert engine.step(feature).ahead.shape == (0, 24, 3, 3)
    engine.reset()
    output = engine.step(feature, [0.0])
    assert np.array_equal(output.ahead[0], output.pose_matrix)


def test_bad_input_raises_and_leaves_the_stream_as_it_was(engine):
    features = frames(20)
    reference = TorchEngine(network(), device=CPU)
    for feature in features[:15]:
        engine.step(feature)
        reference.step(feature)
    poisoned = features[15].copy()
    poisoned[3] = np.nan
    for bad, dt_ms in (
        (features[15][:-1], ()),
        (features[:2], ()),
        (poisoned, ()),
        (features[15], (200.1,)),
        (features[15], (0.0, float("nan"))),
    ):
        with pytest.raises(ValueError, match="this model|not finite"):
            engine.step(bad, dt_ms)
    with pytest.raises(ValueError, match="this model takes"):
        engine.rebuild(features[:3, :-1])
    for feature in features[15:]:
        assert_same(engine.step(feature), reference.step(feature))


def test_describe_says_what_runs(engine):
    description = engine.describe()
    assert description["engine"] == "torch"
    assert description["device"] == "cpu"
    assert description["model"] == "random"
    assert description["threads"] == torch.get_num_threads() == 1
    assert description["receptive_field"] == 13


def test_load_by_path(tmp_path):
    path = tmp_path / "own.safetensors"
    model = network(FEATURE_DIM, FEATURE_VERSION)
    save(model, path, {})
    for name in ("auto", "torch"):
        engine = engines.load(str(path), name)
        assert (engine.name, engine.model_id, engine.feature_dim) == ("torch", "random", FEATURE_DIM)
    feature = np.linspace(-1, 1, FEATURE_DIM, dtype=np.float32)
    with torch.no_grad():
        expected = model(torch.from_numpy(feature)[None, None]).movie_strip[0, 0].numpy()
    assert np.abs(engine.step(feature).movie_strip - expected).max() < 1e-5


@pytest.mark.parametrize(
    ("model", "options", "says"),
    [
        ("default", {"engine": "tensorrt"}, "--engine torch"),
        ("default", {"engine": "onnxruntime"}, "--engine torch"),
        ("default", {"engine": "abacus"}, "auto, torch"),
        ("default", {"precision": "int8"}, "runtime.precision=fp32"),
        ("default", {"threads": 0}, "runtime.threads=1"),
        ("defualt", {}, "use default or"),
        ("absent.safetensors", {}, "no such file"),
    ],
)
def test_load_errors_name_the_input_and_the_next_step(model, options, says):
    with pytest.raises(LoadError) as caught:
        engines.load(model, **options)
    message = str(caught.value)
    assert says in message
    assert "\n" not in message
    assert str(next(iter(options.values()), model)) in message


def test_weights_for_other_features_are_refused(tmp_path):
    path = tmp_path / "old.safetensors"
    save(network(FEATURE_DIM, FEATURE_VERSION + 1), path, {})
    with pytest.raises(LoadError, match="features version"):
        engines.load(str(path))


@pytest.mark.parametrize("horizons", [(), (50.0,), (-200.0, 66.0, 166.0)])
def test_any_number_of_horizons_at_any_time_leaves_the_stream_alone(engine, horizons):
    """The traced step is made for a number of horizons; another number must not disturb the state."""
    features = frames(20)
    plain = TorchEngine(network(), device=CPU)
    for t, feature in enumerate(features):
        asked = horizons if t == 15 else (100.0,)
        output, expected = engine.step(feature, asked), plain.step(feature, (100.0,))
        assert np.abs(output.pose_matrix - expected.pose_matrix).max() < 1e-6
        assert output.ahead.shape == (len(asked), 24, 3, 3)
