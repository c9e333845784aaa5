"""Rotations: against scipy, round trips, and the places where formulas break (0, π, tiny angles)."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from realtime.body import rotations as r

NUMBER = st.floats(-4, 4, allow_nan=False, width=32)


def test_equal_to_scipy_on_random_rotations():
    vectors = np.random.default_rng(0).normal(0, 1.2, (500, 3)).astype(np.float32)
    matrices = r.axis_angle_to_matrix(vectors)
    assert matrices.dtype == np.float32
    np.testing.assert_allclose(matrices, Rotation.from_rotvec(vectors).as_matrix(), atol=1e-6)
    back = r.matrix_to_axis_angle(matrices)
    assert back.dtype == np.float32
    np.testing.assert_allclose(back, Rotation.from_matrix(matrices).as_rotvec(), atol=2e-5)


@given(st.tuples(NUMBER, NUMBER, NUMBER))
@settings(max_examples=150, deadline=None)
def test_axis_angle_and_back_is_the_same_rotation(vector):
    matrix = r.axis_angle_to_matrix(np.array(vector))
    again = r.matrix_to_axis_angle(matrix)
    assert np.linalg.norm(again) <= np.pi + 1e-5
    np.testing.assert_allclose(r.axis_angle_to_matrix(again), matrix, atol=1e-6)


@pytest.mark.parametrize("angle", [0.0, 1e-9, 1e-6, 1e-4, 1e-3, np.pi - 1e-3, np.pi - 1e-6, np.pi])
@pytest.mark.parametrize("axis", [(1, 0, 0), (0, -1, 0), (0, 0, 1), (0.6, 0, -0.8), (-0.48, 0.6, 0.64)])
def test_near_zero_and_near_pi(axis, angle):
    vector = np.array(axis) * angle
    again = r.matrix_to_axis_angle(r.axis_angle_to_matrix(vector))
    assert np.isfinite(again).all()
    if angle > np.pi - 1e-5:  # both axes name the same rotation there
        again = again * np.sign(again @ vector)
    np.testing.assert_allclose(again, vector, atol=2e-6)


@given(st.tuples(NUMBER, NUMBER, NUMBER, NUMBER, NUMBER, NUMBER))
@settings(max_examples=150, deadline=None)
def test_six_numbers_give_a_rotation_unless_degenerate(numbers):
    d = np.array(numbers)
    matrix = r.rotation_6d_to_matrix(d)
    assert matrix.dtype == np.float32 and np.isfinite(matrix).all()
    if np.linalg.norm(np.cross(d[:3], d[3:])) > 1e-3 and np.linalg.norm(d[:3]) > 1e-3:
        np.testing.assert_allclose(matrix.T @ matrix, np.eye(3), atol=1e-5)
        assert np.linalg.det(matrix) > 0
        # The first column keeps its direction.
        np.testing.assert_allclose(np.cross(matrix[:, 0], d[:3]), 0, atol=1e-5)


def test_six_d_round_trip_and_leading_dimensions():
    vectors = np.random.default_rng(1).normal(0, 1, (4, 5, 3))
    matrices = r.axis_angle_to_matrix(vectors)
    assert matrices.shape == (4, 5, 3, 3)
    six = r.matrix_to_rotation_6d(matrices)
    assert six.shape == (4, 5, 6)
    np.testing.assert_array_equal(six[2, 3], np.concatenate((matrices[2, 3, :, 0], matrices[2, 3, :, 1])))
    np.testing.assert_allclose(r.rotation_6d_to_matrix(six), matrices, atol=1e-6)
    one = r.matrix_to_axis_angle(matrices[1, 2])
    np.testing.assert_array_equal(r.matrix_to_axis_angle(matrices)[1, 2], one)


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0, 1.5])
@pytest.mark.parametrize("angle", [0.0, 1e-30, 1e-6, 1.2, 5.0])
def test_between_axis_angles_is_between(angle, share):
    rng = np.random.default_rng(0)
    start, end = rng.normal(0, 1.2, (2, 50, 3)).astype(np.float32)
    end = np.where(rng.random((50, 1)) < 0.5, start + angle * end / 2, end).astype(np.float32)
    expected = r.between(*map(r.axis_angle_to_matrix, (start, end)), share)
    found = r.between_axis_angles(start, end, share)
    assert found.dtype == np.float32 and (np.linalg.norm(found, axis=1) <= np.pi + 1e-5).all()
    np.testing.assert_allclose(r.axis_angle_to_matrix(found), expected, atol=1e-5)
    np.testing.assert_allclose(r.between_axis_angles(start[7], end[7], share), found[7], atol=1e-6)


def test_turned_axis_angles_are_turned():
    start, turns = np.random.default_rng(0).normal(0, 1.2, (2, 50, 3)).astype(np.float32)
    turns[:3] = 0.0
    found = r.turned_axis_angles(start, turns)
    assert found.dtype == np.float32 and (np.linalg.norm(found, axis=1) <= np.pi + 1e-5).all()
    expected = r.axis_angle_to_matrix(start) @ r.axis_angle_to_matrix(turns)
    np.testing.assert_allclose(r.axis_angle_to_matrix(found), expected, atol=1e-5)


def test_absurd_numbers_give_finite_rotations():
    for number in (3e38, -3e38, 1e20):
        vectors = np.full((2, 3), number, np.float32)
        assert np.isfinite(r.axis_angle_to_matrix(vectors)).all()
        assert np.isfinite(r.between_axis_angles(vectors, -vectors, 0.5)).all()


def test_between():
    rng = np.random.default_rng(0)
    start, end = (r.axis_angle_to_matrix(rng.normal(0, 1, (50, 3))) for _ in range(2))
    np.testing.assert_allclose(r.between(start, end, 0.0), start, atol=1e-6)
    np.testing.assert_allclose(r.between(start, end, 1.0), end, atol=1e-5)
    half = r.between(start, end, 0.5)
    step = np.swapaxes(start, 1, 2) @ half
    np.testing.assert_allclose(step, np.swapaxes(half, 1, 2) @ end, atol=1e-5)
