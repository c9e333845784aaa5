"""Leading the pose: how far, how sure, and where not at all."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from realtime.lead import EASE_S, Leader, pose_at
from realtime.observation import Estimate

ELBOW = slice(18 * 3, 18 * 3 + 3)
FRAME_NS = 33_000_000


def bending(state: str = "tracking", person: int = 1) -> Estimate:
    """An elbow that is straight now, at 0.4 rad in 100 ms, at 1.0 rad in 200 ms."""
    theta, at_100, at_200 = np.zeros(85, np.float32), np.zeros(72, np.float32), np.zeros(72, np.float32)
    at_100[ELBOW], at_200[ELBOW] = (0, 0.4, 0), (0, 1.0, 0)
    ahead = ((100.0, at_100), (200.0, at_200))
    return Estimate(theta, np.zeros(3, np.float32), np.zeros((24, 3), np.float32), ahead, state, 1.0, person)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("ms", "angle"), [(0, 0.0), (50, 0.2), (100, 0.4), (150, 0.7), (200, 1.0), (900, 1.0)]
)
def test_joints_turn_steadily_from_one_foretold_pose_to_the_next(ms: float, angle: float) -> None:
    pose = pose_at(bending(), ms)
    assert pose.shape == (72,) and pose.dtype == np.float32
    np.testing.assert_allclose(pose[ELBOW], (0, angle, 0), atol=1e-6)


def test_without_a_foretold_pose_it_is_the_present_one() -> None:
    estimate = dataclasses.replace(bending(), ahead=())
    np.testing.assert_array_equal(pose_at(estimate, 100), estimate.theta[3:75])


def test_confidence_grows_while_somebody_is_tracked_and_ends_with_him() -> None:
    leader = Leader()
    confidences = []
    for index in range(20):
        led = leader.lead(index * FRAME_NS, bending(), 100.0)
        confidences.append(led.confidence)
        np.testing.assert_allclose(led.pose[ELBOW], (0, 0.4 * led.confidence, 0), atol=1e-6)
    assert confidences[0] == 0.0 and np.all(np.diff(confidences) >= 0)
    assert np.max(np.diff(confidences)) <= FRAME_NS / 1e9 / EASE_S + 1e-6 and confidences[-1] == 1.0
    for state in ("held", "lost", "warming"):
        led = leader.lead(20 * FRAME_NS, bending(state), 100.0)
        assert led.confidence == 0.0
        np.testing.assert_array_equal(led.pose, bending().theta[3:75])


def test_another_person_is_not_led_at_once() -> None:
    leader = Leader()
    for index in range(20):
        leader.lead(index * FRAME_NS, bending(), 100.0)
    assert leader.lead(20 * FRAME_NS, bending(person=2), 100.0).confidence == 0.0
