"""From messages to bones: whose skeleton, what stays finite."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from bodies import random_body
from bone_poses import angles_deg, limbs_of_bones, limbs_of_message, shipped_body, standing
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from realtime.body.kinematics import forward_kinematics
from realtime.body.rotations import axis_angle_to_matrix
from realtime.coordinates import WORLD, world_of_camera
from realtime.lead import Led
from realtime.messages import PoseMessage
from realtime.sinks.bones import BonePose, BoneReader


def reader() -> BoneReader:
    return BoneReader(shipped_body())


def limbs(pose: BonePose) -> np.ndarray:
    return limbs_of_bones(WORLD.quaternions(pose.rotations), pose.skeleton.offsets, WORLD)


@pytest.mark.parametrize("seed", range(10))
def test_limbs_point_as_the_joints_of_the_message_do(seed: int):
    message = standing(seed)
    pose = reader().read(message)
    assert angles_deg(limbs(pose), limbs_of_message(message)).max() < 0.1
    np.testing.assert_allclose(pose.hips, [0.5, -0.25, -3.0])
    assert pose.lowest_m == pytest.approx(-0.25 - message.joints[:, 1].max())


@pytest.mark.parametrize("seed", range(5))
def test_a_body_that_is_not_known_here_is_told_by_the_message(seed: int):
    """A random body's limbs point anywhere at rest; with our own body's rest pose, they would be off by far."""
    message = standing(seed)
    joints, _ = forward_kinematics(random_body(seed), axis_angle_to_matrix(message.pose), message.betas)
    theirs = standing(seed, body="theirs", joints=joints - joints[0])
    assert angles_deg(limbs(reader().read(theirs)), limbs_of_message(theirs)).max() < 0.1


def test_a_reader_shows_the_lead_or_what_was_seen():
    """The floor is found by what was seen, whatever is shown."""
    seen, later = standing(0), standing(1)
    trans = np.array([0.5, 0.0, 3.0], np.float32)
    message = replace(seen, lead=Led(40.0, later.pose.ravel(), trans, 1.0))
    expected = {
        None: (reader().read(replace(later, theta=_with_pose(seen, later))), 0.0),
        0.0: (reader().read(seen), -0.25),
    }
    for lead_ms, (pose, y) in expected.items():
        found = BoneReader(shipped_body(), lead_ms=lead_ms).read(message)
        np.testing.assert_allclose(found.rotations, pose.rotations, atol=1e-6)
        np.testing.assert_allclose(found.hips, [0.5, y, -3.0])
        assert found.lowest_m == pytest.approx(-0.25 - seen.joints[:, 1].max())
    half = BoneReader(shipped_body(), lead_ms=20.0).read(message)
    np.testing.assert_allclose(half.hips, [0.5, -0.125, -3.0])


def _with_pose(one: PoseMessage, other: PoseMessage) -> np.ndarray:
    """Θ of `one` with the pose of `other`."""
    return np.concatenate((one.theta[:3], other.theta[3:75], one.theta[75:]))


def test_joints_that_are_no_body_give_the_neutral_skeleton():
    one = reader()
    pose = one.read(standing(0, body="theirs", joints=np.zeros((24, 3), np.float32)))
    assert pose.skeleton is one.neutral


def test_bones_keep_their_lengths_while_a_person_is_followed():
    def shaped(beta: float, **changes: object):
        message = standing(0)
        theta = message.theta.copy()
        theta[75:] = beta
        return standing(0, theta=theta, **changes)

    one = reader()
    first = one.read(shaped(0.0, state="warming")).skeleton
    assert one.read(shaped(1.0, state="warming")).skeleton is first
    settled = one.read(shaped(1.0)).skeleton
    assert not np.array_equal(settled.offsets, first.offsets)
    for state in ("tracking", "warming", "held", "lost"):
        assert one.read(shaped(-1.0, state=state)).skeleton is settled
    assert one.read(shaped(-1.0, person=2, state="held")).skeleton is settled
    other = one.read(shaped(-1.0, person=2)).skeleton
    assert other is not settled and not np.array_equal(other.offsets, settled.offsets)
    # Started anew, the stream counts its people from 1 again: this is another one.
    late = one.read(shaped(2.0, person=2, seq=900)).skeleton
    assert late is other
    assert one.read(shaped(2.0, person=2, seq=3)).skeleton is not other


def test_a_tilted_camera_is_levelled():
    level, R = standing(3), world_of_camera(20, -10)
    turn = R.T @ np.diag([1.0, -1.0, -1.0])  # what a level camera sees → what the tilted one sees
    theta = level.theta.copy()
    theta[3:6] = (Rotation.from_matrix(turn) * Rotation.from_rotvec(theta[3:6])).as_rotvec()
    tilted = standing(3, theta=theta, joints=level.joints @ turn.T, trans=level.trans @ turn.T)
    straight, levelled = reader().read(level), BoneReader(shipped_body(), 20, -10).read(tilted)
    np.testing.assert_allclose(levelled.rotations, straight.rotations, atol=1e-5)
    np.testing.assert_allclose(levelled.hips, straight.hips, atol=1e-5)
    assert levelled.lowest_m == pytest.approx(straight.lowest_m, abs=1e-5)


finite = st.floats(width=32, allow_nan=False, allow_infinity=False)


@settings(max_examples=150, deadline=None)
@given(number=finite, betas=finite, at=finite, joints=finite, known=st.booleans(), lead_ms=st.none() | finite)
def test_whatever_a_valid_message_says_bones_are_finite(number, betas, at, joints, known, lead_ms):
    theta = np.full(85, number, np.float32)
    theta[75:] = betas
    message = standing(
        0,
        theta=theta,
        trans=np.full(3, at, np.float32),
        joints=np.float32(joints) * np.repeat(np.arange(24, dtype=np.float32) / 24, 3).reshape(24, 3),
        body=shipped_body().id if known else "theirs",
        lead=Led(40.0, np.full(72, joints, np.float32), np.full(3, -at, np.float32), 0.5),
        ahead=((90.0, np.full(72, number, np.float32)),),
    )
    pose = BoneReader(shipped_body(), lead_ms=lead_ms).read(message)
    assert np.isfinite(pose.rotations).all() and np.isfinite(pose.hips).all() and np.isfinite(pose.lowest_m)
    assert np.isfinite(pose.skeleton.offsets).all() and np.isfinite(pose.skeleton.sole_m)
    np.testing.assert_allclose(np.linalg.det(pose.rotations), 1, atol=1e-4)
