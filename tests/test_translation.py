"""Weak-perspective camera → metres, and the filter that keeps the pelvis still."""

import numpy as np
import pytest

from realtime.config import TranslationConfig
from realtime.errors import ConfigError
from realtime.features import virtual_camera
from realtime.translation import OneEuro, PelvisFilter, focal_length_px, pelvis_in_ray

FRAME_NS = 33_333_333


def random_joints(flat):
    joints = np.random.default_rng(2).normal(0, 0.4, (24, 3))
    joints[:, 2] *= not flat
    return joints


def test_focal_length():
    assert focal_length_px(640, 90.0) == pytest.approx(320.0)
    assert focal_length_px(640, 60.0) == pytest.approx(320.0 / np.tan(np.pi / 6))


def test_depth_of_a_flat_body_is_two_f_over_s_times_side():
    _, half = virtual_camera(np.array((320.0, 240.0, 300.0)), np.array((640.0, 480.0)), 60.0)
    joints = random_joints(flat=True)
    pelvis = pelvis_in_ray(joints, 0.8 * (joints[:, :2] + (0.1, -0.2)), float(half))
    assert pelvis == pytest.approx([0.1, -0.2, 2 * focal_length_px(640, 60.0) / (0.8 * 300)])


@pytest.mark.parametrize("place", [(0.0, 0.0, 3.0), (0.4, 0.3, 2.5), (-0.2, -0.6, 8.0)])
def test_a_pelvis_is_found_where_it_was_put(place):
    joints, half = random_joints(flat=False), 0.3
    points = joints + place
    assert pelvis_in_ray(joints, points[:, :2] / points[:, 2:] / half, half) == pytest.approx(place)


@pytest.mark.parametrize("scale", [0.0, np.nan])
def test_a_camera_without_scale_gives_no_finite_place(scale):
    joints = random_joints(flat=False)
    assert not np.isfinite(pelvis_in_ray(joints, scale * joints[:, :2], 0.3)).all()


def run(filter_, values, frame_ns=FRAME_NS):
    return np.array([filter_.filter(i * frame_ns, value) for i, value in enumerate(values)])


def test_first_value_passes_and_a_constant_stays():
    values = np.tile([[1.0, -2.0]], (20, 1))
    assert run(OneEuro(0.5, 0.6), values) == pytest.approx(values)


def test_noise_is_quietened_and_motion_is_followed():
    rng = np.random.default_rng(0)
    still = 3.0 + rng.normal(0, 0.03, (300, 1))
    assert run(OneEuro(0.5, 0.6), still)[60:].std() < 0.4 * still.std()
    walk = np.arange(300)[:, None] / 30.0  # 1 m/s
    lag_m = (walk - run(OneEuro(0.5, 0.6), walk))[-1, 0]
    assert 0 < lag_m < 0.2
    assert lag_m < 0.7 * (walk - run(OneEuro(0.5, 0.0), walk))[-1, 0]  # what beta is for


def test_the_response_depends_on_time_and_not_on_the_number_of_frames():
    step = np.ones((31, 1))
    step[0] = 0.0
    slow = run(OneEuro(0.5, 0.0), step)[-1, 0]
    fast = run(OneEuro(0.5, 0.0), np.concatenate((step, np.ones((30, 1)))), FRAME_NS // 2)[-1, 0]
    assert slow == pytest.approx(fast, abs=0.02)


def test_a_stamp_that_is_not_newer_moves_nothing():
    one = OneEuro(0.5, 0.6)
    one.filter(FRAME_NS, np.array([1.0]))
    assert one.filter(FRAME_NS, np.array([9.0])) == pytest.approx([1.0])
    assert one.filter(0, np.array([9.0])) == pytest.approx([1.0])
    assert one.filter(2 * FRAME_NS, np.array([1.0])) == pytest.approx([1.0])


def test_reset_forgets():
    pelvis = PelvisFilter(TranslationConfig())
    pelvis.filter(0, np.array([0.0, 0.0, 3.0]))
    pelvis.reset()
    assert pelvis.filter(1, np.array([1.0, 1.0, 5.0])) == pytest.approx([1.0, 1.0, 5.0])


def test_noise_of_the_distance_does_not_move_the_body_in_the_picture():
    rng = np.random.default_rng(1)
    depth = 3.0 + rng.normal(0, 0.05, 200)
    raw = np.stack((0.5 * depth, -0.2 * depth, depth), axis=1)
    smooth = run(PelvisFilter(TranslationConfig()), raw)
    assert smooth[60:, 2].std() < 0.4 * depth.std()
    assert smooth[:, :2] / smooth[:, 2:] == pytest.approx(np.tile([[0.5, -0.2]], (200, 1)))


@pytest.mark.parametrize("key", ["min_cutoff_hz", "direction_min_cutoff_hz"])
def test_settings_that_would_stop_the_filter_are_refused(key):
    with pytest.raises(ConfigError, match=key):
        PelvisFilter(TranslationConfig(**{key: 0.0}))
    with pytest.raises(ConfigError, match="beta"):
        PelvisFilter(TranslationConfig(beta=-1.0))
