"""The network's output → metres; by way of the estimator in tests/test_estimator.py."""

import numpy as np
import pytest

from realtime.placement import fit_camera, is_finite


def test_fit_camera_is_the_least_squares_solution():
    rng = np.random.default_rng(0)
    joints, keypoints = rng.normal(0, 0.5, (24, 3)), rng.normal(0, 0.4, (24, 2))
    keypoints += 0.9 * joints[:, :2]
    s, tx, ty = fit_camera(joints, keypoints)
    columns = np.zeros((48, 3))  # s·x + s·tx: linear in (s, s·tx, s·ty)
    columns[:, 0] = joints[:, :2].reshape(-1)
    columns[0::2, 1] = columns[1::2, 2] = 1.0
    expected = np.linalg.lstsq(columns, keypoints.reshape(-1), rcond=None)[0]
    assert (s, s * tx, s * ty) == pytest.approx(tuple(expected))


def test_a_sum_tells_whether_all_of_it_is_finite():
    good = np.ones((3, 2), np.float32)
    for bad in (np.nan, np.inf, -np.inf):
        assert not is_finite(good, np.array([0.0, bad]))
    assert is_finite(good, np.zeros(0))
    assert not is_finite(np.full(3, 3e38, np.float32))  # finite each, and none of ours
