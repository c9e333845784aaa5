"""bench.accuracy.ceiling: true markers are met to the millimetre, and yet they leave twists open."""

import numpy as np
import pytest
from accuracy_takes import BODY, turning_take

torch = pytest.importorskip("torch", reason="inverse kinematics runs in torch")

from bench.accuracy import ceiling  # noqa: E402
from realtime.body.rotations import axis_angle_to_matrix  # noqa: E402
from realtime.body.skeleton import JOINT_NAMES  # noqa: E402
from training.body_points import BodyPoints  # noqa: E402
from training.metrics import rotation_error_deg  # noqa: E402
from training.motion import Clip  # noqa: E402
from training.noise import first_markers  # noqa: E402

REST = np.tile(np.eye(3, dtype=np.float32), (24, 1, 1))
ELBOWS = [JOINT_NAMES.index("left_elbow"), JOINT_NAMES.index("right_elbow")]


def twisted(degrees):
    """(n,) → (n, 24, 3, 3): both forearms turned about their own length, arms stretched out sideways."""
    poses = np.tile(REST, (len(degrees), 1, 1, 1))
    poses[:, ELBOWS] = axis_angle_to_matrix(np.radians(np.outer(degrees, [1.0, 0.0, 0.0])))[:, None]
    return poses


def twisting_clip():
    """Who twists nothing but his forearms."""
    return Clip("01_01", "", "amc", twisted(np.linspace(-80.0, 80.0, 300)), np.zeros((300, 3)))


def test_markers_of_a_known_pose_are_met():
    points = BodyPoints(BODY, first_markers())
    true = torch.from_numpy(turning_take(40, deg_per_frame=4.0).rotations[5::8].astype(np.float32))
    betas = torch.zeros(len(true), 10)
    betas[:, 0] = 0.7
    start = torch.from_numpy(np.tile(REST, (len(true), 1, 1, 1)))
    start[:, 0] = true[:, 0]
    markers = points(true, betas)[:, 24:]
    assert (points(start, torch.zeros_like(betas))[:, 24:] - markers).norm(dim=-1).max() > 0.2
    found, shape = ceiling.solve(points, markers, start, ceiling.about_mean(REST), 1e-7, 1e-8)
    assert (points(found, shape)[:, 24:] - markers).norm(dim=-1).max() < 0.001
    assert (found @ found.mT - torch.eye(3)).abs().max() < 1e-4


def test_a_twist_along_a_straight_arm_is_not_in_the_markers_but_in_the_poses():
    points = BodyPoints(BODY, first_markers())
    true = torch.from_numpy(twisted([60.0]))
    markers, start = points(true, torch.zeros(1, 10))[:, 24:], torch.from_numpy(REST[None].copy())
    said = {}
    for name, poses in (
        ("mean", ceiling.about_mean(REST)),
        ("poses", ceiling.gaussian([twisting_clip()])),
    ):
        found, shape = ceiling.solve(points, markers, start, poses, 1e-5)
        assert (points(found, shape)[:, 24:] - markers).norm(dim=-1).max() < 0.001
        error = rotation_error_deg(found.numpy(), true.numpy())[0]
        said[name] = dict(zip(JOINT_NAMES, error, strict=True))
    # Collar, upper arm, forearm and hand lie in a line and take a quarter each, where no more is known.
    assert said["mean"]["left_elbow"] == pytest.approx(45.0, abs=3.0)
    assert said["mean"]["left_wrist"] == pytest.approx(15.0, abs=3.0)
    assert max(said["poses"][joint] for joint in ("left_elbow", "left_wrist", "left_shoulder")) < 5.0


def test_the_poses_of_clips_cost_their_mahalanobis_distance():
    known = ceiling.gaussian([twisting_clip()])
    poses = twisting_clip().rotations[::10, 1:].reshape(-1, 207)
    covariance = np.cov(poses.astype(np.float64), rowvar=False, ddof=0) + 1e-3 * np.eye(207)
    odd = twisted([120.0])[0, 1:].reshape(-1) - poses.mean(axis=0)
    cost = (known.by.numpy() @ (odd.astype(np.float32))) ** 2
    assert cost.sum() == pytest.approx(odd @ np.linalg.solve(covariance, odd), rel=1e-3)


def test_the_columns_of_takes():
    takes = [(twisted([60.0] * 3), np.zeros(10, np.float32)), (twisted([0.0]), np.zeros(10, np.float32))]
    columns = ceiling.measure(BODY, takes, REST, [twisting_clip()])
    exact, noisy, known, _ = (column["groups"] for column in columns.values())
    assert [column["frames"] for column in columns.values()] == [4] * 4
    # Means over takes, not over frames: the second one has nothing to find.
    assert exact["elbows"]["mean_pose_deg"] == pytest.approx(30.0, abs=0.01)
    assert exact["elbows"]["error_deg"] == pytest.approx(45.0 / 2, abs=2.0)
    assert known["elbows"]["error_deg"] < 3.0
    assert exact["knees"]["error_deg"] < 1.0 < 3.0 < noisy["knees"]["error_deg"]
    assert "ratio" not in exact["whole body"]
    other = ceiling.measure(BODY, takes, REST, [twisting_clip()], seed=1)
    for column, is_exact in zip(columns, (True, False, True, False), strict=True):
        one, another = (
            [group["error_deg"] for group in found[column]["groups"].values()] for found in (columns, other)
        )
        assert (one == another) == is_exact, column  # the seed is that of the noise
