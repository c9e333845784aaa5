"""Smoothing after the model: what it steadies, what it leaves alone, and when it begins anew."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from bodies import figure_body

from realtime.body.kinematics import forward_kinematics
from realtime.body.rotations import axis_angle_to_matrix, matrix_to_axis_angle
from realtime.config import Config, SmoothingConfig, apply_setting
from realtime.errors import ConfigError
from realtime.observation import Estimate
from realtime.smoothing import GAP_NS, RotationFilter, Smoother

BODY = figure_body()
FRAME_NS = 33_333_333
ONE_EURO = SmoothingConfig("one-euro", 1.0, 0.2)


def estimate(angle: float, person: int = 1, state: str = "tracking", ahead: float = 0.25) -> Estimate:
    """An elbow bent by so much, and by `ahead` more in 100 ms, of somebody who lies on his side."""
    theta = np.zeros(85, np.float32)
    theta[3:6], theta[3 + 18 * 3], theta[75:] = (0.0, 0.0, 1.5), angle, 0.3
    then = theta[3:75].copy()
    then[18 * 3] += ahead
    joints, _ = forward_kinematics(BODY, axis_angle_to_matrix(theta[3:75].reshape(24, 3)), theta[75:])
    trans = np.array((0.1, 0.2, 3.0), np.float32)
    return Estimate(theta, trans, joints - joints[0], ((100.0, then),), state, 0.9, person)  # type: ignore[arg-type]


def test_off_changes_nothing() -> None:
    said = estimate(0.4)
    assert Config().smoothing.filter == "off"
    assert Smoother(BODY, Config().smoothing).smooth(0, said) is said


def test_trembling_is_less_and_everything_else_stays() -> None:
    smoother = Smoother(BODY, ONE_EURO)
    said = [estimate(0.5 + 0.05 * (-1) ** t) for t in range(60)]
    steady = [smoother.smooth(t * FRAME_NS, one) for t, one in enumerate(said)]
    angles = np.array([one.theta[3 + 18 * 3] for one in steady])
    assert np.ptp(angles[30:]) < 0.3 * 0.1 and angles[30:].mean() == pytest.approx(0.5, abs=0.01)
    for before, after in zip(said, steady, strict=True):
        np.testing.assert_array_equal(after.theta[:3], before.theta[:3])
        np.testing.assert_array_equal(after.theta[75:], before.theta[75:])
        np.testing.assert_array_equal(after.trans, before.trans)
        assert (after.state, after.score, after.person) == (before.state, before.score, before.person)
        assert after.theta.dtype == after.joints.dtype == after.ahead[0][1].dtype == np.float32
        rotations = axis_angle_to_matrix(after.theta[3:75].reshape(24, 3))
        joints, _ = forward_kinematics(BODY, rotations, after.theta[75:])
        np.testing.assert_allclose(after.joints, joints - joints[0], atol=1e-5)


def test_poses_ahead_go_on_from_the_steady_pose() -> None:
    smoother = Smoother(BODY, ONE_EURO)
    smoother.smooth(0, estimate(0.0))
    after = smoother.smooth(FRAME_NS, estimate(0.6))
    (dt_ms, ahead), now = after.ahead[0], after.theta[3:75]
    assert dt_ms == 100.0 and 0.0 < now[18 * 3] < 0.6
    np.testing.assert_allclose(ahead[18 * 3] - now[18 * 3], 0.25, atol=1e-4)


@pytest.mark.parametrize(
    ("next_one", "since_ns"),
    [
        (estimate(1.0, person=2), FRAME_NS),
        (estimate(1.0, state="lost"), FRAME_NS),
        (estimate(1.0), GAP_NS + 1),
        (estimate(1.0), -FRAME_NS),
    ],
)
def test_it_begins_anew(next_one: Estimate, since_ns: int) -> None:
    smoother = Smoother(BODY, ONE_EURO)
    for t in range(10):
        smoother.smooth(t * FRAME_NS, estimate(0.0))
    goes_on = Smoother(BODY, ONE_EURO)
    for t in range(10):
        goes_on.smooth(t * FRAME_NS, estimate(0.0))
    assert goes_on.smooth(10 * FRAME_NS, estimate(1.0)).theta[3 + 18 * 3] < 0.9
    after = smoother.smooth(9 * FRAME_NS + since_ns, next_one)
    np.testing.assert_allclose(after.theta, next_one.theta, atol=1e-5)


def test_rotations_pass_half_a_turn() -> None:
    """Where axis-angle jumps from π to −π."""
    steady = RotationFilter(1.0, 0.0)
    for t in range(40):
        rotations = axis_angle_to_matrix(np.array([[0.0, np.pi - 0.4 + 0.02 * t, 0.0]]))
        out = steady.filter(t * FRAME_NS, rotations)
    behind = np.linalg.norm(matrix_to_axis_angle(np.swapaxes(out, 1, 2) @ rotations))
    assert 0.02 < behind < 0.2


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("smoothing.filter=two-euro", "expected one of off, one-euro"),
        ("smoothing.min_cutoff_hz=0", "expected above 0"),
        ("smoothing.beta=-1", "expected at least 0"),
    ],
)
def test_bad_settings_are_named(setting: str, said: str) -> None:
    config = Config()
    apply_setting(config, setting)
    with pytest.raises(ConfigError, match=f"--set {setting}: {said}"):
        Smoother(BODY, config.smoothing)


def test_frozen_estimates_are_not_written_into() -> None:
    smoother, said = Smoother(BODY, ONE_EURO), estimate(0.3)
    kept = dataclasses.replace(said, theta=said.theta.copy(), joints=said.joints.copy())
    smoother.smooth(0, estimate(0.0))
    smoother.smooth(FRAME_NS, said)
    np.testing.assert_array_equal(said.theta, kept.theta)
    np.testing.assert_array_equal(said.joints, kept.joints)
