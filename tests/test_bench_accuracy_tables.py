"""bench.accuracy: what is true costs nothing, and what is wrong costs what it should."""

from dataclasses import replace

import numpy as np
import pytest
from accuracy_takes import BODY, perfect_track, shaken, swinging_truth, turning_take

from bench.accuracy import dynamics, main_table, rates, rotations
from bench.accuracy.dynamics import CONSTANT, HOLD, HORIZONS_MS, METHODS, ORACLE, OURS, STEPS
from bench.accuracy.rows import RAW, SINGLE, STREAM
from bench.accuracy.takes import TICKS_PER_S, Truth, at_times
from realtime.body.rotations import axis_angle_to_matrix
from realtime.body.skeleton import JOINT_NAMES
from training.camera import FRONT
from training.metrics import LIMB_PAIRS, POINT_JOINTS, displacement_error_mm, lag_match, lag_of, mpjpe_mm
from training.motion import Clip


def test_the_truth_itself_has_no_error():
    truth = swinging_truth()
    ok = np.ones(60, bool)
    scores = main_table.score(truth, perfect_track(truth), ok)
    for metric in (*main_table.PAIRED[:6], "flips_percent", "mpvpe_mm", "mrsv"):
        assert scores[metric] == pytest.approx(0.0, abs=1e-2), metric
    assert lag_of(scores["lag_match"], 30.0) == pytest.approx(0.0, abs=2.0)  # the parabola's own error
    assert scores["pck_percent"] == 100.0 and scores["cost_ms"] == 15.0
    assert scores["mrvpv_m"] == pytest.approx(scores["mrvpv_true_m"], rel=1e-4)
    assert main_table.means([{"row": scores}])["row"]["mrvpv_ratio"] == pytest.approx(1.0, rel=1e-4)
    landmarks = main_table.score(truth, perfect_track(truth, body=False), ok)
    assert "mpvpe_mm" not in landmarks and landmarks["mpjpe_14"] < 1e-3 and landmarks["pck_percent"] > 95.0


def test_the_truth_with_left_and_right_exchanged_is_all_flips():
    truth = swinging_truth()
    track = perfect_track(truth)
    other_side = [*LIMB_PAIRS[:, ::-1].ravel(), 12, 13]
    scores = main_table.score(truth, replace(track, points=track.points[:, other_side]), np.ones(60, bool))
    assert scores["flips_percent"] == 100.0 and scores["mpjpe_14"] > 100.0


def test_what_is_not_counted_does_not_count():
    truth, ok = swinging_truth(), np.ones(60, bool)
    track = perfect_track(truth)
    ok[[20, 41]] = False
    track.points[[20, 41]] = 9.0
    assert main_table.score(truth, track, ok)["accel_14"] == pytest.approx(0.0, abs=1e-3)
    tracks = [perfect_track(truth), replace(track, usable=ok)]
    assert np.array_equal(main_table.common_frames(tracks), ok)
    assert main_table.runs_of_three(np.array([1, 1, 1, 0, 1, 1, 1, 1], bool)).tolist() == [1, 0, 0, 0, 1, 1]


def test_shaking_costs_what_it_moves():
    truth = swinging_truth()
    track = shaken(
        perfect_track(truth), 0.012
    )  # every other frame: 24 mm/frame², in 12 of 14 points, 10 of 12 limbs
    scores = main_table.score(truth, track, np.ones(60, bool))
    assert scores["accel_14"] == pytest.approx(24.0 * 12 / 14, rel=1e-3)
    assert scores["accel_12"] == pytest.approx(24.0 * 10 / 12, rel=1e-3)
    assert scores["mpjpe_12"] == pytest.approx(6.0 * 10 / 12, rel=1e-3)
    error = main_table.point_errors_mm(truth, track, np.ones(60, bool))
    assert error[[6, 7]] == pytest.approx([0.0, 0.0], abs=1e-3) and error[13] == pytest.approx(6.0, rel=1e-3)


def planted(seed, takes=7):
    """Scores of three rows: the stream's are the raw one's less 10 ± 2 in PA-MPJPE."""
    rng = np.random.default_rng(seed)
    rows = []
    for _ in range(takes):
        base = {metric: float(rng.uniform(50, 150)) for metric in main_table.PAIRED}
        rest = {"lag_match": np.zeros((13, 3)), "flips_percent": 0.0, "pck_percent": 90.0, "cost_ms": 10.0}
        stream = {metric: value - 10.0 + rng.normal(0, 2.0) for metric, value in base.items()}
        rows.append({RAW: base | rest, SINGLE: base | rest, STREAM: stream | rest})
    return rows


def test_pairs_of_takes_tell_what_means_do_not():
    takes = planted(0, takes=400)
    pair = main_table.paired(takes, STREAM, RAW)["pa_14"]
    assert pair["mean"] == pytest.approx(-10.0, abs=0.4) and pair["standard_error"] == pytest.approx(
        0.1, rel=0.1
    )
    means = main_table.means(takes)
    assert pair["ratio"] == pytest.approx(means[STREAM]["pa_14"] / means[RAW]["pa_14"])
    assert np.isnan(main_table.paired(takes[:1], STREAM, RAW)["pa_14"]["standard_error"])
    summary = main_table.summarise(takes[:6], ["front", "side"] * 3, ["02"] * 5 + ["12"])
    assert {v: g["takes"] for v, g in summary["by_view"].items()} == {"front": 3, "side": 3}
    assert {s: g["takes"] for s, g in summary["by_subject"].items()} == {"02": 5, "12": 1}
    assert summary["by_subject"]["12"]["rows"][STREAM]["pa_14"] == takes[5][STREAM]["pa_14"]
    assert set(summary["against"]["single"]) == {RAW, STREAM}
    assert (
        summary["against"]["stream"][RAW]["pa_14"]["mean"]
        == -summary["against"]["raw"][STREAM]["pa_14"]["mean"]
    )


def test_the_lag_is_that_of_all_takes_together():
    takes = planted(0, takes=6)
    for seed, take in enumerate(takes):
        true = np.random.default_rng(seed).normal(size=(90, 12, 3)).cumsum(axis=0) * (
            0.001 if seed == 5 else 0.1
        )
        true[:, 6:8] = 0.0
        late = np.concatenate((true[:1], true[:-1]))  # a frame late; who hardly moves is five frames late
        take[RAW]["lag_match"] = lag_match(true, true, 30.0)
        take[STREAM]["lag_match"] = lag_match(np.roll(true, 5, axis=0) if seed == 5 else late, true, 30.0)
    means = main_table.means(takes)
    assert means[RAW]["lag_ms"] == pytest.approx(0.0, abs=1.5)
    assert means[STREAM]["lag_ms"] == pytest.approx(33.3, abs=2.0)
    later = main_table.paired(takes, STREAM, RAW)["lag_ms"]
    assert later["mean"] == pytest.approx(means[STREAM]["lag_ms"] - means[RAW]["lag_ms"])
    assert 0.0 < later["standard_error"] < 1.0
    assert np.isnan(main_table.paired(takes[:1], STREAM, RAW)["lag_ms"]["standard_error"])


def test_dynamics_of_what_is_known():
    truth = Truth(BODY, turning_take())
    ok = np.ones(40, bool)
    errors = dynamics.dynamics_errors(truth, perfect_track(truth).body, ok)
    points = truth.points
    for step in STEPS:
        own = errors[step]
        last = 39 - max(step, 1)  # the last frame has no speed
        first = 5 if step < 0 else 1
        rows = np.arange(first, min(last, 38) + 1)
        assert own["speed"].shape == (len(rows),) and own["speed"] == pytest.approx(truth.speed_m_s[rows])
        assert own[OURS] == pytest.approx(np.zeros((2, len(rows))), abs=1e-3)  # told the truth
        assert own[CONSTANT[2]] == pytest.approx(
            np.zeros((2, len(rows))), abs=0.05
        )  # and it turns on steadily
        held = mpjpe_mm(points[rows], points[rows + step])
        assert own[HOLD] == pytest.approx(np.stack((held, held)), abs=1e-3)
        line = points[rows] + step * (points[rows] - points[rows - 1])
        true = points[rows + step]
        assert own[CONSTANT[0]][0] == pytest.approx(mpjpe_mm(line, true), abs=1e-3)
        assert own[CONSTANT[0]][1] == pytest.approx(
            displacement_error_mm(line, points[rows], true, points[rows]), abs=1e-3
        )
        assert (own[CONSTANT[1]][0].mean() > own[CONSTANT[0]][0].mean()) or step < 0  # it lags
    summary = dynamics.summarise([errors, errors])
    assert list(summary) == ["+33", "+67", "+100", "+167", "-167"]
    there = summary["+167"]
    assert there["all"]["frames"] == 2 * len(errors[5]["speed"]) and set(METHODS) < set(there["all"])
    assert there["all"][HOLD]["position_ratio"] == there["all"][HOLD]["displacement_ratio"] == 1.0
    assert there["fastest third"]["frames"] == pytest.approx(there["all"]["frames"] / 3, abs=2)
    assert there["fastest third"][HOLD]["displacement_mm"] > there["all"][HOLD]["displacement_mm"]


@pytest.mark.parametrize("accelerates", [False, True])
def test_the_oracle_misses_what_accelerates_and_nothing_else(accelerates):
    truth = Truth(BODY, turning_take())
    wrong = perfect_track(truth).body  # of another motion than the points below: an oracle does not ask
    rng = np.random.default_rng(3)
    start, way = rng.normal(size=(24, 3)), rng.normal(0.0, 0.01, (24, 3))
    way[:3] = 0.0  # pelvis and hips, which all is seen from, stay
    frames = np.arange(40.0)
    course = 0.5 * frames**2 if accelerates else frames
    truth.__dict__["joints"] = start + course[:, None, None] * way
    errors = dynamics.dynamics_errors(truth, wrong, np.ones(40, bool))
    path_mm = 1000.0 * np.linalg.norm(way[POINT_JOINTS], axis=-1).mean()
    for step in STEPS:
        missed = path_mm * step * (step + 1) / 2 if accelerates else 0.0  # ½(t + s)² − ½t² − s (t − ½)
        assert errors[step][ORACLE] == pytest.approx(np.full_like(errors[step][ORACLE], missed), abs=1e-3)
        if not accelerates:
            assert errors[step][HOLD][1] == pytest.approx(abs(step) * path_mm, rel=1e-4)
    assert ORACLE in METHODS and ORACLE not in CONSTANT


def test_dynamics_count_frames_that_follow_a_counted_one():
    truth = Truth(BODY, turning_take())
    ok = np.ones(40, bool)
    ok[10] = False
    errors = dynamics.dynamics_errors(truth, perfect_track(truth).body, ok)
    assert len(errors[1]["speed"]) == 38 - 2  # neither frame 10 nor 11
    with pytest.raises(ValueError, match="horizons"):
        body = replace(perfect_track(truth).body, horizons_ms=(HORIZONS_MS[0],))
        dynamics.dynamics_errors(truth, body, ok)


def test_rotations_group_by_group():
    truth = Truth(BODY, turning_take(20, deg_per_frame=0.0))
    body, ok = perfect_track(truth).body, np.ones(20, bool)
    knee, wrist = JOINT_NAMES.index("left_knee"), JOINT_NAMES.index("right_wrist")
    said = body.rotations.copy()
    said[:, knee] = said[:, knee] @ axis_angle_to_matrix(np.radians([10.0, 0.0, 0.0]))
    said[:, wrist] = said[:, wrist] @ axis_angle_to_matrix(np.radians([0.0, 0.0, 60.0]))
    mean = np.tile(np.eye(3), (24, 1, 1))
    mean[wrist] = axis_angle_to_matrix(np.radians([0.0, 40.0, 0.0]))
    errors = rotations.rotation_errors(truth, replace(body, rotations=said), ok, mean)
    # The ends have no speed: they do not count as still.
    assert errors.standing == 18 and errors.knee_true == pytest.approx(0.0, abs=0.1)
    assert errors.knee_bias == pytest.approx(5.0, abs=0.01)  # one knee of two
    summary = rotations.summarise([errors, errors])
    groups = summary["groups"]
    assert groups["knees"]["error_deg"] == pytest.approx(5.0, abs=0.01)
    assert groups["wrists"] == pytest.approx(
        {"error_deg": 30.0, "mean_pose_deg": 20.0, "ratio": 1.5}, abs=0.01
    )
    assert groups["hips"]["error_deg"] == pytest.approx(0.0, abs=0.01)
    assert "ratio" not in groups["whole body"]
    assert summary["standing_knees"]["frames"] == 36 and summary["standing_knees"]["takes"] == 2


def test_who_moves_or_crouches_does_not_stand_still():
    take = turning_take(20, deg_per_frame=0.0)
    crouch = replace(take, rotations=take.rotations.copy())
    crouch.rotations[:, 4] = axis_angle_to_matrix(np.radians([50.0, 0.0, 0.0]))
    assert not rotations.standing_still(Truth(BODY, crouch)).any()
    assert not rotations.standing_still(Truth(BODY, turning_take(20, deg_per_frame=8.0))).any()
    assert rotations.standing_still(Truth(BODY, take)).sum() == 18
    lying = replace(take, rotations=take.rotations.copy())
    lying.rotations[:, 0] = FRONT @ axis_angle_to_matrix(np.radians([80.0, 0.0, 0.0]))
    assert not rotations.standing_still(Truth(BODY, lying)).any()
    nobody = rotations.rotation_errors(
        Truth(BODY, crouch),
        perfect_track(Truth(BODY, crouch)).body,
        np.ones(20, bool),
        np.tile(np.eye(3), (24, 1, 1)),
    )
    assert np.isnan(rotations.summarise([nobody])["standing_knees"]["bias_deg"])


def test_the_mean_pose_weighs_clips_as_takes_do():
    def clip(name, degrees, frames):
        turned = np.tile(np.eye(3, dtype=np.float32), (frames, 24, 1, 1))
        turned[:, 18] = axis_angle_to_matrix(np.radians([0.0, 0.0, degrees]))
        return Clip(name, "", "amc", turned, np.zeros((frames, 3)))

    mean = rotations.mean_pose([clip("01_01", 0.0, 100), clip("02_01", 60.0, 100)])
    assert mean[18] == pytest.approx(axis_angle_to_matrix(np.radians([0.0, 0.0, 30.0])), abs=1e-6)
    tilted = rotations.mean_pose(
        [clip("01_01", 0.0, 100), clip("02_01", 60.0, 1600)]
    )  # root of length: 1 to 4
    angle = np.degrees(np.arctan2(4 * np.sin(np.pi / 3), 1 + 4 * np.cos(np.pi / 3)))
    assert tilted[18] == pytest.approx(axis_angle_to_matrix(np.radians([0.0, 0.0, angle])), abs=1e-6)


def test_rates_compare_the_same_time():
    take = swinging_truth(61).take
    ticks = rates.schedules(rates.seconds_of(take.t_s), np.random.default_rng(0))
    assert list(ticks) == ["15 fps", "24 fps", "30 fps", "60 fps", "30 fps, 20 % dropped"]
    truths = {name: Truth(BODY, at_times(take, own / TICKS_PER_S)) for name, own in ticks.items()}
    tracks = {name: perfect_track(truth, body=False) for name, truth in truths.items()}
    late = tracks["60 fps"]
    late.usable[:30] = False  # half a second: what the others say before is not counted
    for name, track in tracks.items():
        track.points[ticks[name] < 60] = 5.0
    track = tracks["15 fps"]
    track.points[:, 0, 0] += 0.14  # 140 mm in one of 14 points
    errors = rates.rate_errors(truths, tracks, ticks)
    assert errors["24 fps"]["mpjpe"] == pytest.approx(0.0, abs=1e-2)
    assert errors["15 fps"]["mpjpe"] == pytest.approx(10.0, rel=1e-3)
    late.usable[:] = False
    assert rates.rate_errors(truths, tracks, ticks) is None
    shown = rates.summarise([{name: {"mpjpe": v, "pa": v} for name, v in zip(ticks, row, strict=True)}
                             for row in ((52.0, 51.0, 50.0, 49.0, 55.0), (74.0, 71.0, 70.0, 69.0, 75.0))])  # fmt: skip
    assert shown["rates"]["15 fps"]["pa_ratio"] == pytest.approx(63.0 / 60.0)
    assert shown["rates"]["15 fps"]["pa_difference_mm"] == pytest.approx(3.0)
    assert shown["rates"]["15 fps"]["pa_standard_error_mm"] == pytest.approx(1.0)
