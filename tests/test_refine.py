"""Gauss–Newton on the landmarks: what it must leave alone, what it must mend, and what it must not believe."""

from dataclasses import replace

import numpy as np
import pytest
from bodies import figure_body
from test_estimator import BODY as FIGURE
from test_estimator import FRAME_NS, FixedEngine, project, seen

from engines.runtime import EngineOutput
from realtime.body.kinematics import forward_kinematics
from realtime.body.rotations import axis_angle_to_matrix
from realtime.body.skeleton import BLAZEPOSE_NAMES, JOINT_NAMES, PARENTS
from realtime.config import Config
from realtime.estimator import Estimator
from realtime.features import FEATURE_DIM, IMAGE, VISIBILITY
from realtime.refine import FAR_OFF, MARKERS, Refiner

BODY = figure_body()
HALF = 0.3
PELVIS = np.array((0.02, -0.05, 3.0))
ELBOW, WRIST = JOINT_NAMES.index("left_elbow"), JOINT_NAMES.index("left_wrist")
SHAPE = np.linspace(-0.5, 0.5, 10, dtype=np.float32)


def some_pose(seed=0, spread=0.3):
    rng = np.random.default_rng(seed)
    vectors = rng.normal(0, spread, (24, 3))
    vectors[0] = np.array([np.pi, 0, 0]) + rng.normal(0, 0.1, 3)
    return axis_angle_to_matrix(vectors)


def says(pose):
    """The network's answer with this pose; the poses ahead are the same."""
    joints, _ = forward_kinematics(BODY, pose, SHAPE)
    both = np.stack((joints, joints)) - joints[0]
    return EngineOutput(np.ones(3, np.float32), pose, SHAPE, SHAPE, both, pose[None], np.zeros(4, np.float32))


def markers(pose, pelvis=PELVIS):
    """(33, 2): where the markers of a body would be seen, half crops; by the table, the long way round."""
    joints, transforms = forward_kinematics(BODY, pose, SHAPE)
    seen = np.zeros((33, 2))
    for name, (seat, bone, (x, y, z)) in MARKERS.items():
        for side, sign in (("left", 1.0), ("right", -1.0)):
            at, on = (
                JOINT_NAMES.index(joint if joint in JOINT_NAMES else f"{side}_{joint}")
                for joint in (seat, bone)
            )
            place = joints[at] - joints[0] + transforms[on, :3, :3] @ (sign * x, y, z) + pelvis
            seen[BLAZEPOSE_NAMES.index(f"{side}_{name}")] = place[:2] / place[2] / HALF
    return seen


def phi(landmarks, visibility=1.0):
    features = np.zeros(FEATURE_DIM, np.float32)
    features[IMAGE] = landmarks.reshape(-1)
    features[VISIBILITY] = visibility
    return features


def refine(pose, landmarks, visibility=1.0, steps=1, t_ns=0, refiner=None):
    refiner = refiner or Refiner(BODY, steps)
    return refiner.refine(t_ns, phi(landmarks, visibility), HALF, says(pose), PELVIS)


def raised(pose, joint, radians, axis=(0.0, 0.0, 1.0)):
    """The pose with a limb turned about an axis of the ray frame, at one joint."""
    _, transforms = forward_kinematics(BODY, pose, SHAPE)
    turn = axis_angle_to_matrix(transforms[PARENTS[joint], :3, :3].T @ np.array(axis) * radians)
    turned = pose.copy()
    turned[joint] = turn @ pose[joint]
    return turned


def joints_of(pose):
    joints, _ = forward_kinematics(BODY, pose, SHAPE)
    return joints - joints[0]


def apart(pose, pelvis, landmarks):
    rows = [BLAZEPOSE_NAMES.index(f"{side}_{name}") for name in MARKERS for side in ("left", "right")]
    return np.linalg.norm(markers(pose, pelvis) - landmarks, axis=1)[rows]


@pytest.mark.parametrize("steps", [1, 3])
def test_a_pose_that_fits_is_left_as_it_is(steps):
    pose = some_pose()
    refined = refine(pose, markers(pose), steps=steps)
    assert np.abs(refined.pose - pose).max() < 1e-5
    assert np.abs(refined.pelvis - PELVIS).max() < 1e-6
    assert np.abs(refined.joints - joints_of(pose)).max() < 1e-5


def test_landmarks_that_are_not_seen_change_nothing():
    pose = some_pose()
    refined = refine(pose, markers(some_pose(1)), visibility=0.0)
    assert np.abs(refined.pose - pose).max() < 1e-6 and np.abs(refined.pelvis - PELVIS).max() == 0


def test_the_jacobian_is_the_derivative():
    refiner, pose = Refiner(BODY, 1), some_pose(4, 0.6)
    local, rest = pose.astype(float), BODY.rest_joints(SHAPE).astype(float)
    bones = rest - rest[np.minimum(refiner._parents, 23)]
    into_parent = refiner._globals(local)[refiner._parents[refiner._turned]].transpose(0, 2, 1)

    def projected(correction):
        _, _, turned, joints = refiner._turn(local, into_parent, bones, correction)
        nowhere = np.zeros((len(refiner._seat), 2))
        jacobian, left, _ = refiner._project(
            turned, joints, PELVIS + correction[:3], HALF, nowhere, np.ones(1)
        )
        return jacobian, -left

    size = len(refiner._prior_sd)
    jacobian, here = projected(np.zeros(size))
    assert here.reshape(-1, 2) == pytest.approx(markers(pose)[refiner._landmarks], abs=1e-6)
    h = 1e-3  # turns are rounded to float32
    for unknown in range(size):
        step = np.zeros(size)
        step[unknown] = h
        slope = (projected(step)[1] - projected(-step)[1]) / (2 * h)
        assert slope == pytest.approx(jacobian[:, unknown], abs=2e-3), unknown


@pytest.mark.parametrize("seed", range(3))
def test_limbs_go_where_they_are_seen_and_keep_their_depth(seed):
    pose = some_pose(seed)
    true = raised(raised(pose, ELBOW, 0.3), JOINT_NAMES.index("right_hip"), -0.2)
    landmarks = markers(true)
    before = apart(pose, PELVIS, landmarks)
    refined = refine(pose, landmarks)
    after = apart(refined.pose, refined.pelvis, landmarks)
    assert after.max() < 0.5 * before.max() and np.square(after).sum() < 0.15 * np.square(before).sum()
    far, near = (
        np.linalg.norm(joints - joints_of(true), axis=1) for joints in (joints_of(pose), refined.joints)
    )
    assert near.max() < 0.6 * far.max()
    assert np.abs(refined.joints[:, 2] - joints_of(pose)[:, 2]).max() < 0.05
    assert refined.joints == pytest.approx(joints_of(refined.pose), abs=1e-5)
    more = refine(pose, landmarks, steps=3)
    assert np.square(apart(more.pose, more.pelvis, landmarks)).sum() <= 1.05 * np.square(after).sum()


def test_what_is_far_off_is_not_believed():
    """A wrist at the other wrist's place moves less than one that is a little off."""
    pose = some_pose(5)
    row = BLAZEPOSE_NAMES.index("left_wrist")
    moved = {}
    for off in (0.5 * FAR_OFF, 8 * FAR_OFF):
        landmarks = markers(pose)
        landmarks[row, 0] += off
        moved[off] = np.linalg.norm(refine(pose, landmarks).joints[WRIST] - joints_of(pose)[WRIST])
    assert moved[8 * FAR_OFF] < 0.5 * moved[0.5 * FAR_OFF]


def test_the_correction_is_slow_and_can_be_forgotten():
    """Landmarks that jump to and fro move a stream less than they move frames for themselves."""
    pose, refiner, fresh = some_pose(), Refiner(BODY, 1), Refiner(BODY, 1)
    noise = np.random.default_rng(0).normal(0, 0.02, (33, 2))
    alone, together = [], []
    for number in range(20):
        landmarks = markers(pose) + (noise if number % 2 else -noise)
        together.append(refine(pose, landmarks, t_ns=number * FRAME_NS, refiner=refiner).joints)
        fresh.reset()
        alone.append(refine(pose, landmarks, refiner=fresh).joints)
    shake = [np.abs(np.diff(joints[4:], axis=0)).mean() for joints in (alone, together)]
    assert shake[1] < 0.5 * shake[0]
    refiner.reset()
    assert np.array_equal(refine(pose, landmarks, refiner=refiner).joints, alone[-1])


def test_after_a_while_it_is_as_near_as_at_once():
    pose, refiner = some_pose(), Refiner(BODY, 1)
    refine(pose, markers(pose), refiner=refiner)
    landmarks = markers(raised(pose, ELBOW, 0.3))
    at_once = refine(pose, landmarks)
    for number in range(1, 40):
        slowly = refine(pose, landmarks, t_ns=number * FRAME_NS, refiner=refiner)
    left = [np.square(apart(one.pose, one.pelvis, landmarks)).sum() for one in (at_once, slowly)]
    assert left[1] <= 1.05 * left[0]


def test_poses_ahead_are_turned_as_the_pose_is():
    pose = some_pose()
    refined = refine(pose, markers(raised(pose, ELBOW, 0.3)))
    assert np.abs(refined.ahead[0] - refined.pose).max() < 1e-5
    assert np.abs(refined.ahead[0] - pose).max() > 0.05


@pytest.mark.parametrize("pelvis", [(0.0, 0.0, -1.0), (0.0, 0.0, np.nan), (np.nan, 0.0, 3.0)])
def test_nonsense_gives_nothing_and_is_forgotten(pelvis):
    refiner, pose = Refiner(BODY, 1), some_pose()
    landmarks = markers(raised(pose, ELBOW, 0.3))
    first = refine(pose, landmarks, refiner=refiner)
    assert refiner.refine(FRAME_NS, phi(landmarks), HALF, says(pose), np.array(pelvis)) is None
    assert np.array_equal(refine(pose, landmarks, t_ns=2 * FRAME_NS, refiner=refiner).joints, first.joints)


# Through the estimator.


def estimates(steps, frames, **engine):
    config = Config()
    config.refine.steps = steps
    scripted = FixedEngine()
    vars(scripted).update(engine)
    estimator = Estimator(scripted, FIGURE, config)
    given = [estimator.update(i * FRAME_NS, frame) for i, frame in enumerate(frames)]
    return [one for one in given if one is not None] + estimator.finish()


def test_all_that_is_published_tells_of_the_refined_body():
    plain = estimates(0, [seen()])[0]
    # The person is a little elsewhere than the network says.
    there = project(plain.joints + plain.trans + np.array((0.04, 0.03, 0.0)))
    frame = seen()
    for name, (seat, _, _) in MARKERS.items():
        for side in ("left", "right"):
            joint = JOINT_NAMES.index(f"{side}_{seat}")
            frame.detection.landmarks_px[BLAZEPOSE_NAMES.index(f"{side}_{name}")] = there[joint]
    off, refined = estimates(0, [frame])[0], estimates(1, [frame])[0]
    limbs = [
        JOINT_NAMES.index(f"{s}_{n}")
        for n in ("shoulder", "elbow", "knee", "ankle")
        for s in ("left", "right")
    ]
    far, near = (np.abs(project(one.joints + one.trans) - there)[limbs].mean() for one in (off, refined))
    assert near < 0.4 * far
    pose = axis_angle_to_matrix(refined.theta[3:75].reshape(24, 3))
    joints, _ = forward_kinematics(FIGURE, pose, refined.theta[75:])
    assert refined.joints == pytest.approx(joints - joints[0], abs=1e-5)
    s, tx, ty = refined.theta[:3]
    crop = frame.crop
    shown = s * (refined.joints[:, :2] + (tx, ty)) * crop.side / 2 + (crop.cx, crop.cy)
    assert (
        np.abs(shown - project(refined.joints + refined.trans)).max() < 10.0
    )  # weak against full perspective


@pytest.mark.parametrize("delay", [0, 2])
def test_each_frame_is_held_against_its_own_landmarks(delay, monkeypatch):
    given = []
    monkeypatch.setattr(
        Refiner,
        "refine",
        lambda self, t_ns, features, *_: given.append((t_ns, float(features[VISIBILITY][0]))),
    )
    frames = []
    for number in range(8):
        frame = seen()
        visibility = np.full(33, 0.5 + number / 100, np.float32)
        frames.append(replace(frame, detection=replace(frame.detection, visibility=visibility)))
    assert len(estimates(1, frames, delay=delay, rebuild=lambda features: None)) == 8
    assert given == [(i * FRAME_NS, pytest.approx(0.5 + i / 100)) for i in range(8)]


def test_the_next_person_begins_without_a_correction():
    other = np.random.default_rng(3).uniform(-20.0, 20.0, (33, 2)).astype(np.float32)
    first, second = seen(), seen(person=2)
    first.detection.landmarks_px[:] += other
    joints = [one.joints for one in estimates(1, [first, first, second])]
    assert np.abs(joints[-1] - estimates(1, [second])[0].joints).max() < 1e-6
    assert np.abs(joints[-1] - estimates(1, [first, first, seen()])[-1].joints).max() > 1e-3
