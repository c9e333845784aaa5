"""Leading the pose: how far, how sure, and where not at all."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from realtime import lead as lead_module
from realtime.lead import EASE_S, FALL_S, GAP_S, MAX_TURN, MAX_WAY_M, Leader, pose_at, shipped_head
from realtime.lead_head import AHEAD_MS, INPUTS, JOINTS, KNOTS_MS, Head
from realtime.observation import Estimate

ELBOW = slice(18 * 3, 18 * 3 + 3)
FRAME_NS = 33_000_000
WALK_M = 0.02  # of the whole body, from frame to frame


def bending(state: str = "tracking", person: int = 1, moved_m: float = 0.0) -> Estimate:
    """An elbow that is straight now, at 0.4 rad in 100 ms, at 1.0 rad in 200 ms; all joints are moved_m further on."""
    theta, at_100, at_200 = np.zeros(85, np.float32), np.zeros(72, np.float32), np.zeros(72, np.float32)
    at_100[ELBOW], at_200[ELBOW] = (0, 0.4, 0), (0, 1.0, 0)
    ahead, joints = ((100.0, at_100), (200.0, at_200)), np.zeros((24, 3), np.float32)
    joints[:, 0] = moved_m
    return Estimate(theta, np.zeros(3, np.float32), joints, ahead, state, 1.0, person)  # type: ignore[arg-type]


class Telling(Head):
    """A head that foretells the same whatever it is shown: the elbow turns on, the pelvis goes to the right."""

    def __init__(self, turn_rad: float = 0.3, way_m: float = 0.06) -> None:
        self._said = np.zeros((len(KNOTS_MS), JOINTS + 1, 3), np.float32)
        for k, ms in enumerate(KNOTS_MS):
            self._said[k, 18, 1], self._said[k, JOINTS, 0] = turn_rad * ms / 200.0, way_m * ms / 200.0

    def __call__(self, inputs: np.ndarray) -> np.ndarray:
        assert inputs.shape == (INPUTS, JOINTS + 1, 3)
        return self._said


def led_on(
    leader: Leader, frames: int, lead_ms: float = 100.0, start: int = 0, step_m: float = WALK_M
) -> list:
    return [
        leader.lead((start + i) * FRAME_NS, bending(moved_m=step_m * (start + i)), lead_ms)
        for i in range(frames)
    ]


@pytest.fixture(autouse=True)
def no_shipped_head(monkeypatch):
    monkeypatch.setattr(lead_module, "shipped_head", lambda: None)


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
    leader = Leader(Telling())
    for i in range(20):
        moving = dataclasses.replace(bending(moved_m=WALK_M * i), ahead=())
        led = leader.lead(i * FRAME_NS, moving, 100.0)
        assert led.confidence == 0.0
        np.testing.assert_array_equal(led.pose, moving.theta[3:75])


@pytest.mark.parametrize("head", [None, Telling(0.8, 0.0)])
def test_confidence_grows_while_somebody_is_tracked(head: Head | None) -> None:
    """Without a head f_Δt leads; both foretell 0.4 rad in 100 ms here."""
    all_led = led_on(Leader(head), 20)
    confidences = [led.confidence for led in all_led]
    for led in all_led:
        np.testing.assert_allclose(led.pose[ELBOW], (0, 0.4 * led.confidence, 0), atol=1e-5)
    assert confidences[0] == 0.0 and np.all(np.diff(confidences) >= 0)
    assert np.max(np.diff(confidences)) <= FRAME_NS / 1e9 / EASE_S + 1e-6 and confidences[-1] == 1.0


def test_the_head_is_shown_how_he_moved_and_what_is_foretold() -> None:
    shown = []

    class Noting(Telling):
        def __call__(self, inputs: np.ndarray) -> np.ndarray:
            shown.append(inputs.copy())
            return super().__call__(inputs)

    led_on(Leader(Noting()), 20)
    foretold = pose_at(bending(), AHEAD_MS)[ELBOW]
    assert foretold[1] > 0.5
    np.testing.assert_allclose(shown[-1][-1, 18], np.sin(foretold), atol=1e-5)
    np.testing.assert_allclose(shown[-1][:-1, :JOINTS], 0.0, atol=1e-6)  # until now his pose was the same


def test_pelvis_is_led_too() -> None:
    led = led_on(Leader(Telling(way_m=0.06)), 20)[-1]
    np.testing.assert_allclose(led.trans, (0.03, 0, 0), atol=1e-6)
    assert led.trans.dtype == np.float32 and led.pose.dtype == np.float32


def test_no_lead_is_the_present_pose() -> None:
    for led in led_on(Leader(Telling()), 20, lead_ms=0.0):
        np.testing.assert_array_equal(led.pose, bending().theta[3:75])
        np.testing.assert_array_equal(led.trans, np.zeros(3))


def test_who_is_lost_falls_back_smoothly_and_is_led_no_further() -> None:
    leader = Leader(Telling(0.8))
    last = led_on(leader, 20)[-1]
    angles = [float(last.pose[ELBOW][1])]
    for i in range(6):
        led = leader.lead((20 + i) * FRAME_NS, bending("held"), 100.0)
        angles.append(float(led.pose[ELBOW][1]))
        assert led.confidence == pytest.approx(angles[-1] / 0.4, abs=1e-5)
    falls = -np.diff(angles)
    assert np.all(falls >= -1e-6) and falls.max() <= 0.4 * FRAME_NS / 1e9 / FALL_S + 1e-5
    assert angles[-1] == 0.0 and angles[1] > 0.0
    # Found again, it begins from nothing.
    assert leader.lead(26 * FRAME_NS, bending(moved_m=0.6), 100.0).confidence < FRAME_NS / 1e9 / EASE_S + 1e-6


@pytest.mark.parametrize(
    ("estimate", "since_ns"),
    [
        (bending("lost"), FRAME_NS),
        (bending(person=2), FRAME_NS),
        (bending("held"), round(GAP_S * 2e9)),
        (bending(), round(GAP_S * 2e9)),
        (bending(), -FRAME_NS),
    ],
)
def test_nobody_who_is_lost_or_another_is_led(estimate: Estimate, since_ns: int) -> None:
    leader = Leader(Telling())
    led_on(leader, 20)
    led = leader.lead(19 * FRAME_NS + since_ns, estimate, 100.0)
    assert led.confidence == 0.0
    np.testing.assert_array_equal(led.pose, estimate.theta[3:75])
    np.testing.assert_array_equal(led.trans, estimate.trans)


def test_who_keeps_still_is_not_led() -> None:
    leader = Leader(Telling())
    assert led_on(leader, 20)[-1].confidence == 1.0
    still = led_on(leader, 20, start=20, step_m=0.0)
    assert still[-1].confidence == 0.0
    np.testing.assert_array_equal(still[-1].pose, bending().theta[3:75])


def test_what_is_led_stays_within_what_people_do() -> None:
    led = led_on(Leader(Telling(90.0, 90.0)), 20)[-1]
    assert np.linalg.norm(led.pose[ELBOW]) == pytest.approx(MAX_TURN, abs=1e-4)
    assert np.linalg.norm(led.trans) == pytest.approx(MAX_WAY_M, abs=1e-5)


def test_the_shipped_head_is_whole_and_modest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    shipped_head.cache_clear()
    assert isinstance(shipped_head(), Head)
    # Somebody who stood still until now and of whom nothing else is foretold goes nowhere fast.
    estimate = dataclasses.replace(bending(), ahead=((500.0 / 3.0, np.zeros(72, np.float32)),))
    leader = Leader()
    for i in range(12):
        led = leader.lead(i * FRAME_NS, dataclasses.replace(estimate), 200.0)
    np.testing.assert_array_equal(led.pose, estimate.theta[3:75])


def test_a_head_that_is_none_leaves_the_network_alone(tmp_path, monkeypatch, caplog) -> None:
    monkeypatch.undo()
    (tmp_path / lead_module.HEAD).write_bytes(b"nothing")
    monkeypatch.setattr(lead_module, "ASSETS", tmp_path)
    shipped_head.cache_clear()
    assert shipped_head() is None and "network alone" in caplog.text
    (tmp_path / lead_module.HEAD).unlink()
    shipped_head.cache_clear()
    assert shipped_head() is None
    shipped_head.cache_clear()


@pytest.mark.parametrize("fps", [8, 10, 15, 60])
def test_it_leads_at_every_frame_rate_also_an_uneven_one(fps: int) -> None:
    leader, chance, t_s, confidences = Leader(Telling()), np.random.default_rng(0), 0.0, []
    for _ in range(3 * fps):
        t_s += 1 / fps + chance.uniform(-0.015, 0.015) * (fps <= 15)
        led = leader.lead(round(t_s * 1e9), bending(moved_m=0.6 * t_s), 100.0)
        confidences.append(led.confidence)
    assert min(confidences[fps:]) == pytest.approx(1.0)


def test_a_frame_in_which_he_is_missed_takes_away_a_part_and_no_more() -> None:
    leader = Leader(Telling())
    led_on(leader, 20)
    held = leader.lead(20 * FRAME_NS, bending("held", moved_m=WALK_M * 19), 100.0)
    after = led_on(leader, 10, start=21)
    confidences = [held.confidence, *(led.confidence for led in after)]
    assert 0.5 < confidences[0] < 1.0 and min(confidences) == confidences[0] and confidences[-1] == 1.0


def test_confidence_never_jumps() -> None:
    leader = Leader(Telling())
    moving = [led.confidence for led in led_on(leader, 20)]
    still = [
        leader.lead((20 + i) * FRAME_NS, bending(moved_m=WALK_M * 19), 100.0).confidence for i in range(10)
    ]
    steps = np.abs(np.diff([*moving, *still]))
    assert still[-1] == 0.0 and steps.max() <= FRAME_NS / 1e9 / FALL_S + 1e-6
