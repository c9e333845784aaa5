"""Cameras, paces, and what is kept of a rendered take."""

from dataclasses import replace

import numpy as np
import pytest

from realtime.body.smpl import load_body
from realtime.features import APPEARANCE, APPEARANCE_DIM, HAS_APPEARANCE, UP
from tests.motions import observed_take, swinging_clip
from training.augment import MotionBank
from training.motion import FPS
from training.noise import first_markers
from training.observe import (
    LOOKS,
    MAP_SHAPE,
    Observed,
    appearance_path,
    load_takes,
    map_path,
    save_take,
    shares,
)
from training.pace import STRIDES, frame_times
from training.staging import MOST_OF_DISTANCE, draw_varied_take, random_setting, stage
from training.take_tier import TakeTier


@pytest.fixture(scope="module")
def bank():
    return MotionBank([swinging_clip(seed=seed) for seed in range(3)])


@pytest.fixture(scope="module")
def body():
    return load_body(None)


def _seen(frames: int) -> Observed:
    rng = np.random.default_rng(0)
    looks = len(LOOKS)
    return Observed(
        rng.uniform(100, 300, (frames, looks, 33, 2)).astype(np.float32),
        rng.normal(0, 0.3, (frames, looks, 33, 3)).astype(np.float32),
        rng.uniform(0.6, 1, (frames, looks, 33)).astype(np.float32),
        np.arange(frames) != 5,
        rng.normal(size=(frames, 2, *MAP_SHAPE)).astype(np.float16),
    )


def test_chances_are_chances():
    assert sum(chance for _, chance in STRIDES) == pytest.approx(1.0)


def test_nobody_stands_behind_or_in_the_camera(bank):
    for seed in range(60):
        take = draw_varied_take(bank, 40, np.random.default_rng(seed))
        assert take.trans[:, 2].min() > (1.0 - MOST_OF_DISTANCE) * 0.45 - 1e-6
        assert np.all(np.diff(take.t_s) > 0) and take.t_s[0] == 0
        R = take.rotations
        assert np.abs(R @ np.swapaxes(R, -1, -2) - np.eye(3)).max() < 1e-3


def test_a_close_person_faces_the_camera_with_the_chest_in_the_picture():
    for seed in range(40):
        setting = random_setting(np.random.default_rng(seed), p_close=1.0)
        chest = setting.centre + setting.camera.R @ np.array([0.0, 0.4, 0.0])
        x, y = setting.camera.project(chest)
        assert 0 < x < setting.camera.width and 0 < y < setting.camera.height


def test_times_add_up_to_what_every_frame_says_it_took():
    times, dt_s = frame_times(400, 2.0, np.random.default_rng(3))
    assert np.allclose(np.diff(times) / FPS, dt_s[1:])
    assert dt_s[0] == 1.0 / FPS and np.median(dt_s) == pytest.approx(2.0 / FPS, rel=0.05)


def test_a_take_comes_back_as_it_was_kept(tmp_path, body):
    take = stage(swinging_clip(), 0, 20, np.random.default_rng(0))
    seen = _seen(20)
    save_take(tmp_path, 7, take, seen)
    (back,) = load_takes(tmp_path, body)
    assert not back.detected.any()  # what was "seen" is noise, far from the person
    assert back.path == tmp_path / "take_00007.npz" and back.clip == take.clip
    assert np.array_equal(back.landmarks_px, seen.landmarks_px) and np.array_equal(back.world, seen.world)
    assert np.array_equal(np.load(map_path(back.path)), seen.maps)
    assert np.allclose(back.joints[:, 0], take.trans, atol=1e-5)
    assert np.allclose(back.rotations, take.rotations, atol=1e-3)


def test_windows_carry_appearance_where_it_was_worked_out_and_up_where_it_is_known(tmp_path, body):
    perfect = observed_take(body)
    take = stage(swinging_clip(), 0, 90, np.random.default_rng(0))  # the same
    seen = replace(_seen(90), landmarks_px=perfect.landmarks_px)
    save_take(tmp_path, 0, take, seen)
    z = np.full((90, 2, APPEARANCE_DIM), 0.25, np.float16)
    z[:, 1] = -0.5
    z[~seen.detected] = np.nan
    (loaded,) = load_takes(tmp_path, body)
    np.save(appearance_path(loaded.path), z)
    tier = TakeTier([loaded], first_markers(), 12, np.random.default_rng(2))
    features = tier.windows(40).features
    given = features[..., HAS_APPEARANCE] > 0
    assert 0.4 < given.mean() < 0.95
    assert set(np.unique(features[given][:, APPEARANCE])) == {
        0.25,
        -0.5,
    }  # of the plain look, of the mirrored
    assert not features[~given][:, APPEARANCE].any()
    length = np.linalg.norm(features[..., UP], axis=-1)
    assert np.all((length < 1e-6) | (np.abs(length - 1) < 1e-5)) and 0.2 < (length > 0.5).mean() < 0.8


def test_what_was_seen_perfectly_lies_on_the_truth_in_the_mirror_too(body):
    tier = TakeTier([observed_take(body)], first_markers(), 8, np.random.default_rng(0))
    batch = tier.windows(200)
    image = batch.features[..., :66].reshape(200, 8, 33, 2)
    seen = batch.features[..., 165:198] > 0
    apart = np.linalg.norm(image - batch.landmarks, axis=-1)[seen]
    assert apart.max() < 1e-4


def test_takes_that_the_perception_gets_wrong_count_less(tmp_path, body):
    perfect = observed_take(body)
    take = stage(swinging_clip(), 0, 90, np.random.default_rng(0))  # the same
    rng = np.random.default_rng(1)
    for index, noise_m in enumerate((0.0, 0.25)):
        world = perfect.world + rng.normal(0.0, noise_m, perfect.world.shape).astype(np.float32)
        save_take(tmp_path, index, take, replace(_seen(90), landmarks_px=perfect.landmarks_px, world=world))
    easy, hard = load_takes(tmp_path, body)
    assert easy.weight == 1.0 and 0.02 < hard.weight < 0.5
    assert shares([easy, hard]) == pytest.approx(
        [1.0 / (1.0 + hard.weight), hard.weight / (1.0 + hard.weight)]
    )
