"""Metrics in closed form."""

import numpy as np
import pytest

from realtime.body.rotations import axis_angle_to_matrix
from training.metrics import acceleration_error_mm, knee_flexion_deg, mpjpe_mm, pa_mpjpe_mm, procrustes


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
