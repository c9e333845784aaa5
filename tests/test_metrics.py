"""Metrics in closed form."""

import numpy as np
import pytest

from realtime.body.rotations import axis_angle_to_matrix
from training.metrics import (
    LIMB_LANDMARKS,
    LIMB_PAIRS,
    POINT_JOINTS,
    POINTS,
    acceleration_error_mm,
    displacement_error_mm,
    flips,
    knee_flexion_deg,
    lag_match,
    lag_ms,
    lag_of,
    mean_rotation,
    mpjpe_mm,
    mpvpe_mm,
    mrsv,
    mrvpv_m,
    pa_mpjpe_mm,
    pck,
    points_of_landmarks,
    procrustes,
    rotation_error_deg,
    to_hmmr_crop,
)


@pytest.fixture
def joints():
    return np.random.default_rng(0).normal(0, 0.4, (20, 12, 3))


def test_a_shift_costs_nothing_and_one_joint_its_share(joints):
    assert mpjpe_mm(joints + [0.3, -1.0, 2.0], joints) == pytest.approx(np.zeros(20), abs=1e-9)
    moved = joints.copy()
    moved[:, 0, 1] += 0.12  # not a hip: 120 mm over 12 joints
    assert mpjpe_mm(moved, joints) == pytest.approx(np.full(20, 10.0))


def test_similarity_costs_nothing_after_procrustes_a_mirror_does(joints):
    R = axis_angle_to_matrix(np.array([0.4, -1.0, 2.0])).astype(float)
    moved = 1.7 * joints @ R.T + [1.0, 2.0, 3.0]
    assert pa_mpjpe_mm(moved, joints) == pytest.approx(np.zeros(20), abs=1e-4)
    assert np.allclose(procrustes(moved, joints), joints, atol=1e-6)
    assert pa_mpjpe_mm(joints * [-1, 1, 1], joints).min() > 50.0


def test_acceleration_of_a_parabola():
    true = np.zeros((10, 12, 3))
    predicted = true.copy()
    predicted[:, 0, 0] = 0.5 * 0.012 * np.arange(10) ** 2  # 12 mm/frame² in one of 12 joints
    assert acceleration_error_mm(predicted, true) == pytest.approx(np.ones(8))
    assert acceleration_error_mm(true + np.arange(10)[:, None, None], true) == pytest.approx(np.zeros(8))


def test_knee_flexion_does_not_count_twist():
    rotations = np.tile(np.eye(3), (3, 24, 1, 1))
    rotations[1, 4] = axis_angle_to_matrix(np.array([0.5, 0, 0]))
    rotations[2, 4] = axis_angle_to_matrix(np.array([0, 0.5, 0]))
    assert knee_flexion_deg(rotations)[:, 0] == pytest.approx([0.0, np.degrees(0.5), 0.0], abs=1e-3)


def _walk(frames, fps, late_ms=0.0):
    """(T, 12, 3) smooth motion of 0.4 to 1.6 Hz with fixed hips, seen `late_ms` late."""
    rng = np.random.default_rng(3)
    t = (np.arange(frames) / fps - late_ms / 1000.0)[:, None, None]
    joints = rng.normal(0, 0.4, (1, 12, 3))
    for hertz in (0.4, 0.9, 1.6):
        size, phase = rng.uniform(0, 0.1, (12, 3)), rng.uniform(0, 2 * np.pi, (12, 3))
        size[6:8] = 0.0
        joints = joints + size * np.sin(2 * np.pi * hertz * t + phase)
    return joints


def _person(frames=40):
    """(T, 12, 3) a person 0.36 m wide who turns a full circle with one arm ahead; y down, metres."""
    side = np.array([0.18, -0.18] * 6)
    height = np.repeat([-0.5, -0.2, 0.0, 0.0, 0.45, 0.9], 2)
    depth = np.array([0, 0, 0.05, 0.1, 0.3, 0.0, 0, 0, 0.1, 0, 0.05, -0.1])
    angle = np.linspace(0, 2 * np.pi, frames)[:, None]
    x, z = side * np.cos(angle) + depth * np.sin(angle), depth * np.cos(angle) - side * np.sin(angle)
    return np.stack((x, np.broadcast_to(height, x.shape), z), axis=-1)


def test_acceleration_error_is_hmmrs(joints):
    """Per frame², over joints, without alignment and without the frame rate."""
    predicted = joints + np.random.default_rng(1).normal(0, 0.02, joints.shape)
    by_hand = [
        np.mean(
            [
                np.linalg.norm(
                    (predicted[t - 1, j] - 2 * predicted[t, j] + predicted[t + 1, j])
                    - (joints[t - 1, j] - 2 * joints[t, j] + joints[t + 1, j])
                )
                for j in range(12)
            ]
        )
        for t in range(1, 19)
    ]
    assert acceleration_error_mm(predicted, joints, hips=None) == pytest.approx(1000 * np.array(by_hand))
    # The person as a whole shakes: HMMR's own reading counts that, the one about the hips does not.
    shaken = joints + 0.01 * (-1.0) ** np.arange(20)[:, None, None] * [1, 0, 0]
    assert acceleration_error_mm(shaken, joints, hips=None) == pytest.approx(np.full(18, 40.0))
    assert acceleration_error_mm(shaken, joints) == pytest.approx(np.zeros(18), abs=1e-9)


def test_displacement_forgives_the_pose_and_charges_the_change(joints):
    now, change = joints[:10], np.zeros((10, 12, 3))
    change[:, 0, 2] = 0.12  # 120 mm in one of 12 joints
    assert displacement_error_mm(now, now, now + change, now) == pytest.approx(np.full(10, 10.0))  # hold-last
    wrong = now + np.random.default_rng(2).normal(0, 0.1, (1, 12, 3))
    assert displacement_error_mm(wrong + change, wrong, now + change, now) == pytest.approx(
        np.zeros(10), abs=1e-9
    )
    assert displacement_error_mm(wrong - change, wrong, now + change, now) == pytest.approx(np.full(10, 20.0))


def test_pck_is_hmmrs():
    rng = np.random.default_rng(0)
    true = rng.uniform(20, 200, (5, 14, 2))
    assert pck(true / 3.0 + [50, -7], true) == pytest.approx(np.ones(5))  # the camera costs nothing
    # Two keypoints on one spot that move apart leave mean and scale alone: each is off by just that.
    cross = np.array([[-50, 0], [50, 0], [0, -50], [0, 50]] * 2, float)[None]
    for off, share in ((11.19, 1.0), (11.21, 0.75)):
        moved = cross.copy()
        moved[0, 0, 1], moved[0, 4, 1] = off, -off
        assert pck(cross / 2.0, moved + 9.0)[0] == share
    # Where x wants scale 2 and y scale 1, HMMR takes 1.5 whatever their spreads: x is off by half of itself.
    stretched = cross * [2.0, 1.0]
    assert pck(cross, stretched, threshold_px=25.01)[0] == 1.0
    assert pck(cross, stretched, threshold_px=24.99)[0] == 0.0
    uneven = cross * [10.0, 1.0]  # least squares would take nearly 2, and x would be hit
    assert pck(uneven, uneven * [2.0, 1.0], threshold_px=250.1)[0] == 1.0
    assert pck(uneven, uneven * [2.0, 1.0], threshold_px=24.99)[0] == 0.0


def test_pck_counts_what_is_visible():
    true = np.random.default_rng(0).uniform(20, 200, (2, 14, 2))
    predicted, visible = true.copy(), np.ones((2, 14), bool)
    predicted[:, :3] = [np.nan, 1e5]
    visible[:, :3] = False
    visible[1, :9] = False  # five left
    assert pck(predicted, true, visible) == pytest.approx([1.0, np.nan], nan_ok=True)
    visible[1, 8] = True  # six
    assert pck(predicted, true, visible) == pytest.approx([1.0, 1.0])


def test_vertices_and_their_change():
    vertices = np.random.default_rng(0).normal(0, 0.5, (4, 100, 3))
    assert mpvpe_mm(vertices + [0.003, 0.0, 0.004], vertices) == pytest.approx(np.full(4, 5.0))
    drift = vertices[:1] + np.arange(4)[:, None, None] * np.array([0.003, 0.0, -0.004])
    assert mrvpv_m(drift, 1) == pytest.approx(np.full(3, 100 * 0.007))
    assert mrvpv_m(drift, 2) == pytest.approx(np.full(3, 10 * 0.005))
    betas = np.array([[0.0] * 10, [3.0, -4.0] + [0.0] * 8, [3.0, -4.0] + [0.0] * 8])
    assert mrsv(betas, 1) == pytest.approx([7.0, 0.0])
    assert mrsv(betas, 2) == pytest.approx([5.0, 0.0])


@pytest.mark.parametrize("velocities", [False, True])
@pytest.mark.parametrize("fps", [15.0, 30.0, 60.0])
@pytest.mark.parametrize("late_ms", [0.0, 33.3, 47.0, 110.0, -21.0, -100.0])
def test_lag_of_a_known_shift(late_ms, fps, velocities):
    frames = int(4 * fps)
    lag = lag_ms(_walk(frames, fps, late_ms), _walk(frames, fps), fps, velocities=velocities)
    assert lag == pytest.approx(late_ms, abs=0.02 * 1000.0 / fps)  # a fiftieth of a frame


def test_lag_ignores_offset_damping_and_frames_not_counted():
    true, late = _walk(120, 30.0), _walk(120, 30.0, 47.0)
    assert lag_ms(0.6 * late + 0.3 * np.eye(12, 3), true, 30.0) == pytest.approx(47.0, abs=0.7)
    lost = late.copy()
    lost[20::7] = 0.0
    counted = np.any(lost != 0.0, axis=(1, 2))
    for velocities in (False, True):
        lag = lag_ms(lost, true, 30.0, counted=counted, velocities=velocities)
        assert lag == pytest.approx(47.0, abs=0.7)


def test_clips_are_pooled_by_how_much_they_move():
    true = _walk(120, 30.0)
    match = lag_match(_walk(120, 30.0, 47.0), true, 30.0)
    assert match.shape == (13, 3)
    assert lag_of(match + match, 30.0) == lag_of(match, 30.0) == lag_ms(_walk(120, 30.0, 47.0), true, 30.0)
    still = lag_match(0.01 * _walk(120, 30.0, 130.0), 0.01 * true, 30.0)
    assert lag_of(match + still, 30.0) == pytest.approx(47.0, abs=1.0)
    both = lag_of(match + lag_match(_walk(120, 30.0, -47.0), true, 30.0), 30.0)
    assert both == pytest.approx(0.0, abs=5.0)
    assert not lag_match(true[:15], true[:15], 30.0).any()  # too short to say anything, and adds nothing


@pytest.mark.filterwarnings("error")
def test_lag_is_unknown_rather_than_wrong():
    true = _walk(120, 30.0)
    assert np.isnan(lag_ms(_walk(120, 30.0, 300.0), true, 30.0))  # out of range
    for still in (np.repeat(true[:1], 120, axis=0), np.zeros_like(true)):
        assert np.isnan(lag_ms(still, true, 30.0)) and np.isnan(lag_ms(true, still, 30.0))
    assert np.isnan(lag_ms(true[:21], true[:21], 30.0))  # nine frames between both ends' six
    assert np.isfinite(lag_ms(true[:22], true[:22], 30.0))  # ten
    for slope in np.random.default_rng(0).normal(0, 0.01, (20, 12, 3)):
        slope[6:8] = 0.0  # the hips stay
        line = np.arange(120)[:, None, None] * slope
        assert np.isnan(lag_ms(line, line, 30.0))  # on straight lines every shift matches


def test_planted_flips_are_found_and_nothing_else():
    true = _person()
    noise = np.random.default_rng(0).normal(0, [0.04, 0.04, 0.08], true.shape)
    planted = np.zeros(40, bool)
    planted[[3, 4, 17, 30, 39]] = True
    predicted = true.copy()
    predicted[planted] = true[planted][:, LIMB_PAIRS[:, ::-1].ravel()]
    assert np.array_equal(LIMB_PAIRS.ravel(), np.arange(12))  # left, right, left, right …
    assert np.array_equal(flips(predicted + noise + [0.5, 0.0, 3.0], true), planted)
    assert flips(predicted, true).mean() == 5 / 40
    assert not flips(true + 3 * noise, true).any()


def test_a_flip_needs_the_margin():
    true = _person(1)
    true[..., 2] = 0.0
    apart_mm = 360.0
    for share in (0.55, 0.60):  # moved this far toward the other side: gain is (2 share − 1) · 360 mm
        predicted = true * [1 - 2 * share, 1, 1]
        assert flips(predicted, true)[0] == ((2 * share - 1) * apart_mm > 50.0)
    # A flat pose, exchanged: Procrustes turns it around and sees nothing.
    exchanged = true * [-1, 1, 1]
    assert flips(exchanged, true)[0]
    assert pa_mpjpe_mm(exchanged, true) == pytest.approx([0.0], abs=1e-6)


def test_legs_alone_are_exchanged():
    true = _person(5)
    predicted = true.copy()
    legs = LIMB_PAIRS[4:]
    predicted[:, legs.ravel()] = true[:, legs[:, ::-1].ravel()]
    assert flips(predicted, true, pairs=legs).all()
    assert not flips(predicted, true, pairs=LIMB_PAIRS[:3]).any()


def test_rotation_error_is_the_angle_between():
    rng = np.random.default_rng(0)
    axis = rng.normal(size=(6, 24, 3))
    axis /= np.linalg.norm(axis, axis=-1, keepdims=True)
    degrees = np.array([0.0, 0.01, 12.0, 90.0, 179.0, 180.0])[:, None]
    turn = axis_angle_to_matrix(axis * np.radians(degrees)[..., None]).astype(float)
    true = axis_angle_to_matrix(rng.normal(size=(6, 24, 3))).astype(float)
    for error in (rotation_error_deg(true @ turn, true), rotation_error_deg(turn @ true, true)):
        assert error.shape == (6, 24)
        assert error == pytest.approx(np.broadcast_to(degrees, (6, 24)), abs=2e-4)


def test_points_are_hmmrs_fourteen():
    from realtime.body.skeleton import BLAZEPOSE_NAMES, JOINT_NAMES

    assert [JOINT_NAMES[joint] for joint in POINT_JOINTS] == list(POINTS) and len(POINTS) == 14
    world = np.random.default_rng(0).normal(size=(2, 5, 33, 3))
    points = points_of_landmarks(world)
    assert np.array_equal(points[..., :12, :], world[..., LIMB_LANDMARKS, :])
    middle = {
        name: sum(world[..., BLAZEPOSE_NAMES.index(f"{side}_{name}"), :] for side in ("left", "right")) / 2
        for name in ("shoulder", "ear")
    }
    assert points[..., 13, :] == pytest.approx(middle["ear"])
    assert points[..., 12, :] == pytest.approx((middle["shoulder"] + middle["ear"]) / 2)


def test_the_crop_is_hmmrs():
    true = np.array([[[100.0, 50.0], [400.0, 450.0], [9999.0, 0.0]]])  # a box of 300 x 400, diagonal 500
    visible = np.array([[True, True, False]])
    cropped = to_hmmr_crop(true, true, visible)
    assert cropped[0, :2] == pytest.approx(np.array([[112 - 45, 112 - 60], [112 + 45, 112 + 60]]))
    moved = to_hmmr_crop(true + [10.0, 0.0], true, visible) - cropped
    assert moved[0] == pytest.approx(np.broadcast_to([3.0, 0.0], (3, 2)))
    assert np.isnan(to_hmmr_crop(true, true, np.zeros((1, 3), bool))).all()
    assert np.isnan(to_hmmr_crop(true, true, np.array([[True, False, False]]))).all()


def test_mean_rotation_lies_in_the_middle():
    axis = np.array([0.3, -0.5, 0.8]) / np.linalg.norm([0.3, -0.5, 0.8])
    both = axis_angle_to_matrix(np.radians([[10.0], [70.0]]) * axis).astype(float)
    middle = axis_angle_to_matrix(np.radians(40.0) * axis).astype(float)
    assert mean_rotation(both) == pytest.approx(middle, abs=1e-6)
    heavy = mean_rotation(np.stack([both, both], axis=1), np.array([1.0, 0.0]))
    assert heavy == pytest.approx(np.stack([both[0], both[0]]), abs=1e-6)
    half_turns = axis_angle_to_matrix(np.radians([[0, 0, 170.0], [0, 0, -170.0]])).astype(float)
    assert np.linalg.det(mean_rotation(half_turns)) == pytest.approx(1.0)
    assert rotation_error_deg(mean_rotation(half_turns), half_turns) == pytest.approx([10.0, 10.0], abs=1e-3)
