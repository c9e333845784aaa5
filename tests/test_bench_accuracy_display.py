"""bench.accuracy, display time and smoothing: what is shown late costs what it should; what overshoots is caught."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from accuracy_takes import perfect_track, swinging_truth, turning_take

from bench.accuracy import display, display_report, smoothing
from bench.accuracy.display import CONSTANT, LATENCIES_MS, METHODS, NETWORK, NO_LEAD, ONE_EURO, OURS
from bench.accuracy.live import Track
from bench.accuracy.takes import Truth
from bench.accuracy.targets import HELD_TO_MS, targets
from realtime import lead
from realtime.body.kinematics import forward_kinematics
from realtime.body.rotations import axis_angle_to_matrix, matrix_to_axis_angle
from realtime.observation import Estimate
from training.metrics import POINT_JOINTS, mpjpe_mm

FRAMES = 60
STEPS = {0: 0, 33: 1, 66: 2, 100: 3, 133: 4, 166: 5, 200: 6}


@pytest.fixture(autouse=True)
def no_shipped_head(monkeypatch):
    monkeypatch.setattr(lead, "shipped_head", lambda: None)


def estimates_of(truth: Truth) -> tuple[Estimate, ...]:
    """A stream that says the truth, and foretells it for every frame of the next 200 ms."""
    poses = matrix_to_axis_angle(truth.take.rotations).reshape(-1, 72)
    theta = np.concatenate(
        (np.ones((len(poses), 3)), poses, np.tile(truth.take.betas, (len(poses), 1))), axis=1
    )
    last = len(poses) - 1
    return tuple(
        Estimate(
            theta[t].astype(np.float32),
            truth.take.trans[t],
            truth.joints[t],
            tuple((k * 1000.0 / 30.0, poses[min(t + k, last)]) for k in range(1, 7)),
            "tracking",
            1.0,
            1,
        )
        for t in range(len(poses))
    )


def true_track(truth: Truth) -> Track:
    return replace(perfect_track(truth), estimates=estimates_of(truth))


def test_late_poses_cost_what_moved_meanwhile(monkeypatch):
    monkeypatch.setattr(lead, "STILL_M_S", -2.0)  # everybody counts as moving
    monkeypatch.setattr(lead, "MOVING_M_S", -1.0)
    truth = swinging_truth(FRAMES)
    shown = display.display_errors(truth, true_track(truth), np.ones(FRAMES, bool))
    assert tuple(shown) == LATENCIES_MS
    for latency_ms, k in STEPS.items():
        held = shown[latency_ms][NO_LEAD]
        # The truth's speed is known from the second frame on, and up to the last but one.
        of = np.arange(1, FRAMES - max(k, 1))
        np.testing.assert_allclose(shown[latency_ms]["speed"], truth.speed_m_s[of])
        moved = mpjpe_mm(truth.points[of].astype(float), truth.points[of + k].astype(float))
        np.testing.assert_allclose(held["own"], moved, atol=1e-3)
        np.testing.assert_allclose(held["truth"], moved, atol=1e-3)
        # f_Δt is the truth here, and once somebody has been tracked for a while all of it is dared.
        assert shown[latency_ms][NETWORK]["own"].max() < 0.05
        assert shown[latency_ms][OURS]["own"][12:].max() < 0.05
        assert held["overshoot"].size == 0 or held["overshoot"].max() < 1e-3
    # Everybody shows the present pose where nothing is late, but for the filtered one.
    for method in set(METHODS) - {ONE_EURO}:
        assert shown[0][method]["own"].max() < 0.01


def test_steady_motion_is_led_by_its_velocity():
    """Joints on straight lines: constant velocity is right, to the frame before the first ones."""
    truth = Truth(swinging_truth().body, turning_take(40))
    line = np.arange(40.0)[:, None, None] * np.array([0.01, 0.0, 0.0]) * np.arange(24)[:, None]
    estimates = tuple(
        replace(one, joints=joints.astype(np.float32))
        for one, joints in zip(estimates_of(truth), truth.joints[:1] + line, strict=True)
    )
    track = replace(true_track(truth), estimates=estimates)
    shown = display.display_errors(truth, track, np.ones(40, bool))
    assert shown[166][CONSTANT]["own"].max() < 0.01 < 10.0 < shown[166][NO_LEAD]["own"].min()
    assert shown[166][CONSTANT]["jitter"].max() < 0.01
    assert shown[166][ONE_EURO]["own"][-5:].max() < shown[166][NO_LEAD]["own"].min()


def test_frames_that_are_not_counted_are_not_shown():
    truth, ok = swinging_truth(FRAMES), np.ones(FRAMES, bool)
    ok[30] = False
    shown = display.display_errors(truth, true_track(truth), ok)
    # Frame 30 is neither led from nor shown; from 31 nothing is led, for 30 came before it.
    assert len(shown[100][NO_LEAD]["own"]) == (FRAMES - 1 - 3) - 3
    assert len(shown[0][NO_LEAD]["own"]) == (FRAMES - 2) - 2


def swung(step_m: float) -> np.ndarray:
    """(60, 14, 3): a wrist that goes to and fro along a slanting line, 12 frames each way; the rest stands still."""
    way = np.abs((np.arange(60) + 12) % 24 - 12) * step_m
    points = np.zeros((60, 14, 3))
    points[:, 5] = way[:, None] * np.array([0.6, 0.0, 0.8])
    return points


@pytest.mark.parametrize("k", [1, 3, 6])
def test_overshoot_is_how_far_a_point_goes_on_beyond_its_turn(k):
    points = swung(0.02)
    velocity = np.diff(points, axis=0, prepend=points[:1])
    seen = np.ones(60, bool)

    def late(led):
        out = np.zeros_like(led)
        out[k:] = led[: 60 - k]
        out[:k] = led[0]
        return out

    turns = display._overshoot(points, points, late(points + k * velocity), k, seen)
    # Turns at frames 12, 24, 36 and, where the window still fits in, 48.
    assert len(turns) == 4
    np.testing.assert_allclose(turns, 20.0 * k, atol=1e-6)
    np.testing.assert_allclose(display._overshoot(points, points, late(points), k, seen), 0.0, atol=1e-9)
    seen[24] = False
    assert len(display._overshoot(points, points, late(points), k, seen)) == 3
    # Too small a way is none that anybody sees turn.
    small = swung(0.005)
    assert display._overshoot(small, small, small, k, np.ones(60, bool)).size == 0


def test_only_who_keeps_still_counts_as_still():
    truth = Truth(swinging_truth().body, turning_take(40, deg_per_frame=0.0))
    estimates = tuple(
        replace(one, joints=one.joints + np.float32((-1) ** t * 0.001) * (np.arange(24)[:, None] > 2))
        for t, one in enumerate(estimates_of(truth))
    )
    shown = display.display_errors(truth, replace(true_track(truth), estimates=estimates), np.ones(40, bool))
    still = shown[66][NO_LEAD]["still"]
    moved = np.linalg.norm(np.full(3, 2.0)) * (POINT_JOINTS > 2).mean()
    assert len(still) > 20 and still == pytest.approx(moved, rel=1e-3)
    np.testing.assert_array_equal(shown[66][OURS]["still"], still)  # to the bit: nothing is led
    # Slow for a frame or two, at a turn, is not still: it has to be so until it is shown.
    swings = swinging_truth(FRAMES)
    shown = display.display_errors(swings, true_track(swings), np.ones(FRAMES, bool))
    assert (swings.speed_m_s < display.STILL_M_S).any() and shown[66][OURS]["still"].size == 0


def test_ratios_are_to_no_lead_and_targets_judge_them(capsys):
    truth = swinging_truth(FRAMES)
    shown = display.display_errors(truth, true_track(truth), np.ones(FRAMES, bool))
    section = display.summarise([shown, shown])
    rows = section["100"]["methods"]
    assert section["100"]["frames"] == 2 * len(shown[100]["speed"])
    assert rows[NO_LEAD]["own_ratio"] == 1.0 and rows[NETWORK]["own_ratio"] < 0.01
    assert rows[OURS]["takes_own"] == 1.0 and rows[NO_LEAD]["takes_own"] == 0.0
    assert rows[NO_LEAD]["own_fast"] > rows[NO_LEAD]["own"]
    display_report.print_display(section)
    printed = capsys.readouterr().out
    assert all(method in printed for method in METHODS) and "(1.00)" in printed

    def judged(own, jitter, true, still):
        held = dict.fromkeys(("own", "own_fast", "jitter", "truth", "still"), 10.0)
        ours = {
            "own": own,
            "own_fast": own - 1.0,
            "jitter": jitter,
            "truth_ratio": true,
            "still_ratio": still,
        }
        methods = {NO_LEAD: held, CONSTANT: {"own": 8.5}, OURS: ours}
        found = targets({"display": {str(ms): {"methods": methods} for ms in LATENCIES_MS}})
        return [target.met for target in found]

    assert len(judged(8.0, 12.0, 1.0, 1.0)) == 3 * 4 + 2 and all(judged(8.0, 12.0, 1.0, 1.0))
    assert judged(8.1, 12.0, 1.0, 1.0).count(False) == 2 * 3  # all frames and the fastest third
    assert judged(8.0, 12.1, 1.0, 1.0).count(False) == 3
    assert judged(8.0, 12.0, 1.001, 1.0).count(False) == judged(8.0, 12.0, 1.0, 1.001).count(False) == 1
    assert judged(8.0, 12.0, 1.0, 1.0004).count(False) == 1  # told as 1.000


@pytest.mark.parametrize("at", range(3))
def test_what_was_not_measured_at_one_latency_is_not_met(at):
    ratios = [0.9, 0.8, 0.7]
    ratios[at] = np.nan
    rows = {
        str(ms): {
            "methods": {
                NO_LEAD: dict.fromkeys(("own", "own_fast", "jitter"), 10.0),
                CONSTANT: {"own": 8.5},
                OURS: {"own": 8.0, "own_fast": 7.0, "jitter": 9.0, "truth_ratio": one, "still_ratio": one},
            }
        }
        for ms, one in zip(HELD_TO_MS, ratios, strict=True)
    }
    worst = [target for target in targets({"display": rows}) if "worst" in target.what]
    assert [target.as_row()[-1] for target in worst] == ["not measured"] * 2


def trembling(truth, estimate, rng):
    theta = estimate.theta + rng.normal(0, 0.03, 85).astype(np.float32) * (
        (np.arange(85) > 5) & (np.arange(85) < 75)
    )
    joints, _ = forward_kinematics(truth.body, axis_angle_to_matrix(theta[3:75].reshape(24, 3)), theta[75:])
    return replace(estimate, theta=theta.astype(np.float32), joints=joints - joints[0])


def test_smoothing_trades_jitter_for_lag(capsys):
    truth = swinging_truth(FRAMES)
    ok = np.ones(FRAMES, bool)
    section = smoothing.summarise([smoothing.smoothing_errors(truth, true_track(truth), ok)])
    off, hard, light = section[smoothing.OFF], section["0.5 Hz, beta 0.5"], section["4 Hz, beta 2"]
    assert off["mpjpe"] < 0.01 and off["accel"] < 0.01 and off["lag_ms"] == pytest.approx(0.0, abs=2.0)
    assert hard["lag_ms"] > light["lag_ms"] > off["lag_ms"] + 5.0 and hard["mpjpe"] > light["mpjpe"] > 1.0
    rng = np.random.default_rng(0)
    shaken = tuple(trembling(truth, one, rng) for one in estimates_of(truth))
    section = smoothing.summarise(
        [smoothing.smoothing_errors(truth, replace(true_track(truth), estimates=shaken), ok)]
    )
    off, hard, light = section[smoothing.OFF], section["0.5 Hz, beta 0.5"], section["4 Hz, beta 2"]
    assert hard["jitter"] < light["jitter"] < off["jitter"] and light["accel"] < off["accel"]
    display_report.print_smoothing(section)
    printed = capsys.readouterr().out
    assert all(name in printed for name in section)
