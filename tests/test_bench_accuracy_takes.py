"""bench.accuracy: one motion at any rate, and what is true of it."""

from dataclasses import replace

import numpy as np
import pytest
from accuracy_takes import BODY, swinging_truth, turning_take

from bench.accuracy.takes import (
    TICKS_PER_S,
    Truth,
    at_times,
    posed_vertices,
    rate_ticks,
    union_of,
    with_drops,
)
from realtime.body.kinematics import forward_kinematics, skin
from realtime.body.rotations import axis_angle_to_matrix
from realtime.features import up_in_ray
from training.camera import FRONT, PinholeCamera, random_rotation
from training.metrics import POINT_JOINTS, rotation_error_deg


def test_a_take_at_its_own_moments_is_itself():
    take = swinging_truth().take
    again = at_times(take, rate_ticks(take.t_s[-1], 30.0) / TICKS_PER_S)
    for name in ("rotations", "trans", "t_s"):
        assert np.allclose(getattr(again, name), getattr(take, name), atol=1e-12), name
    assert np.array_equal(again.rotations, take.rotations)
    assert again.betas is take.betas and again.camera is take.camera


@pytest.mark.parametrize("fps", [15.0, 24.0, 60.0])
def test_between_frames_joints_turn_on_steadily(fps):
    take = turning_take(frames=31, deg_per_frame=20.0)
    t_s = rate_ticks(1.0, fps) / TICKS_PER_S
    again = at_times(take, t_s)
    assert len(again.trans) == fps + 1 and again.t_s[-1] == pytest.approx(1.0)
    turned = rotation_error_deg(again.rotations, again.rotations[:1])[:, 1:]
    angle = 5.0 * 30.0 * t_s  # 20° / 4 per frame
    assert turned == pytest.approx(np.repeat(angle[:, None], 23, axis=1), abs=1e-3)
    moved = replace(take, trans=take.trans + take.t_s[:, None].astype(np.float32) * [0.0, 0.0, 2.0])
    assert at_times(moved, t_s).trans[:, 2] == pytest.approx(3.0 + 2.0 * t_s, abs=1e-5)


def test_ticks_hold_every_rate():
    ticks = {f"{fps:g}": rate_ticks(2.0, fps) for fps in (15.0, 24.0, 30.0, 60.0)}
    assert {name: len(own) for name, own in ticks.items()} == {"15": 31, "24": 49, "30": 61, "60": 121}
    union, rows = union_of(ticks)
    assert all(np.array_equal(union[rows[name]], own) for name, own in ticks.items())
    assert len(union) == 145  # 60 fps, and the 24 odd ones of 24 fps
    with pytest.raises(ValueError, match="25 fps"):
        rate_ticks(1.0, 25.0)


def test_drops_take_their_share_and_never_the_first():
    ticks = rate_ticks(100.0, 30.0)
    for seed in range(5):
        kept = with_drops(ticks, 0.2, np.random.default_rng(seed))
        assert kept[0] == 0 and set(kept) < set(ticks)
        assert len(kept) / len(ticks) == pytest.approx(0.8, abs=0.03)


def test_tilt_is_counted_as_the_configuration_counts_it():
    rng = np.random.default_rng(0)
    for _ in range(20):
        R = random_rotation(rng, rng.uniform(-3, 3))
        take = replace(turning_take(3), camera=PinholeCamera(R, np.zeros(3), 640, 480, 60.0))
        truth = Truth(BODY, take)
        pitch_deg, roll_deg = truth.tilt_deg
        assert up_in_ray(np.eye(3), pitch_deg, roll_deg) == pytest.approx(R @ [0.0, 1.0, 0.0], abs=1e-6)
    level = Truth(BODY, turning_take(3))
    assert level.tilt_deg == pytest.approx((0.0, 0.0), abs=1e-9)


def test_the_truth_is_the_bodys():
    truth = swinging_truth(20)
    take = truth.take
    joints, transforms = forward_kinematics(BODY, take.rotations, take.betas)
    assert truth.joints == pytest.approx(joints - joints[:, :1], abs=1e-6)
    vertices = skin(BODY, transforms[7], take.betas, take.rotations[7]) - joints[7, 0]
    assert truth.vertices[7] == pytest.approx(vertices, abs=1e-6)
    again = posed_vertices(BODY, take.rotations, np.tile(take.betas, (20, 1)))
    assert np.array_equal(again, truth.vertices)
    part = truth.at(np.array([3, 9]))
    assert np.array_equal(part.points, truth.points[[3, 9]]) and np.array_equal(
        part.take.t_s, take.t_s[[3, 9]]
    )

    there = joints[4, POINT_JOINTS] - joints[4, 0] + take.trans[4]
    assert truth.points_px[4] == pytest.approx(take.camera.project(there))


def test_speed_and_stance():
    take = turning_take(20, deg_per_frame=0.0)
    truth = Truth(BODY, take)
    assert truth.upright.all() and truth.view == "front" and truth.subject == "99"
    assert np.isnan(truth.speed_m_s[[0, -1]]).all() and truth.speed_m_s[1:-1] == pytest.approx(
        np.zeros(18), abs=1e-6
    )
    for lean_deg, upright in ((15.0, True), (25.0, False)):
        lean = axis_angle_to_matrix(np.radians([lean_deg, 0.0, 0.0]))
        leaning = replace(take, rotations=take.rotations.copy())
        leaning.rotations[:, 0] = FRONT @ lean
        assert Truth(BODY, leaning).upright.all() == upright
    turned = replace(take, rotations=take.rotations.copy())
    turned.rotations[:, 0] = FRONT @ axis_angle_to_matrix(np.array([0.0, np.pi, 0.0]))
    assert Truth(BODY, turned).view == "back"
    arm = replace(take, rotations=take.rotations.copy())
    swing = np.zeros((20, 3))
    swing[:, 2] = 0.01 * np.arange(20)  # rad per frame: 0.3 rad/s
    arm.rotations[:, 18] = axis_angle_to_matrix(swing)  # the left elbow moves the left wrist alone
    forearm = np.linalg.norm(truth.joints[0, 20] - truth.joints[0, 18])
    assert Truth(BODY, arm).speed_m_s[1:-1] == pytest.approx(np.full(18, 0.3 * forearm / 14.0), rel=1e-3)
