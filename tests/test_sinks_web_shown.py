"""What the page shows of a pose: floor, lead, smoothing, mirror."""

from __future__ import annotations

import numpy as np
import pytest
from viewer_stream import BODY, TRANS_M, pose_message, posed

from realtime.body.rotations import axis_angle_to_matrix
from realtime.body.skeleton import JOINT_NAMES
from realtime.coordinates import R_WORLD_CAM
from realtime.lead import Led
from realtime.messages import PoseMessage
from realtime.sinks.web.shown import Shown, led

UP, DOWN = posed(left_arm_up=True), posed()
LEFT_HAND, HEAD, PELVIS = (JOINT_NAMES.index(name) for name in ("left_hand", "head", "pelvis"))


def at(t_ms: float, pose: np.ndarray = UP, **changes) -> PoseMessage:
    return pose_message(pose, t_capture_ns=round(1e9 + t_ms * 1e6), **changes)


def test_he_stands_on_the_floor_upright_facing_us_near_the_origin() -> None:
    figure = Shown(BODY).figure(at(0))
    assert figure is not None
    assert figure.vertices.shape == BODY.v_template.shape and figure.vertices.dtype == np.float32
    assert figure.vertices[:, 1].min() == pytest.approx(0.0, abs=1e-5)
    np.testing.assert_allclose(figure.joints[PELVIS, [0, 2]], 0.0, atol=1e-6)
    assert figure.joints[HEAD, 1] > figure.joints[PELVIS, 1] + 0.5
    assert figure.joints[LEFT_HAND, 0] > 0.3  # his left is on our right
    nose = BODY.v_template[:, 2].argmax()  # in the rest pose he looks along z
    assert figure.vertices[nose, 2] > figure.joints[PELVIS, 2]
    # What is shown is the message's skeleton, in the world's axes and moved as a whole.
    expected = at(0).joints @ R_WORLD_CAM.T
    np.testing.assert_allclose(figure.joints - figure.joints[0], expected, atol=2e-6)
    assert not figure.mirrored


def test_who_walks_stays_in_view_and_the_floor_passes_under_him() -> None:
    shown = Shown(BODY)
    first = shown.figure(at(0))
    far = TRANS_M + (3.0, 0.0, 1.0)
    for t_ms in range(0, 8000, 100):
        last = shown.figure(at(t_ms, trans=far.astype(np.float32)))
    assert first is not None and last is not None
    assert np.abs(last.joints[PELVIS, [0, 2]]).max() < 0.4
    # In the room, the person has walked by what was walked.
    walked = (last.joints - last.grid)[PELVIS] - (first.joints - first.grid)[PELVIS]
    np.testing.assert_allclose(walked, (3.0, 0.0, -1.0), atol=1e-4)


def test_mirror() -> None:
    shown = Shown(BODY)
    plain = shown.figure(at(0))
    shown.settings.mirror = True
    mirrored = shown.figure(at(33))
    assert plain is not None and mirrored is not None and mirrored.mirrored
    np.testing.assert_allclose(mirrored.vertices, plain.vertices * (-1, 1, 1), atol=1e-6)
    np.testing.assert_allclose(mirrored.joints, plain.joints * (-1, 1, 1), atol=1e-6)
    np.testing.assert_allclose(mirrored.grid, plain.grid * (-1, 1, 1), atol=1e-6)


@pytest.mark.parametrize(
    ("lead_ms", "angle"),
    [(0, -1.2), (50, -0.7), (100, -0.2), (150, 0.3), (200, 0.8), (400, 0.8)],
)
def test_lead_turns_from_one_known_pose_to_the_next(lead_ms: float, angle: float) -> None:
    """The left shoulder turns about one axis: now -1.2, at 100 ms -0.2, at 200 ms 0.8 rad; told in another order."""
    shoulder = JOINT_NAMES.index("left_shoulder")

    def with_arm(radians: float) -> np.ndarray:
        pose = DOWN.copy()
        pose[shoulder] = (0, 0, radians)
        return pose

    ahead = ((200.0, with_arm(0.8).ravel()), (100.0, with_arm(-0.2).ravel()))
    message = at(0, with_arm(-1.2), ahead=ahead)
    rotations, trans = led(message, lead_ms)
    expected = axis_angle_to_matrix(with_arm(angle))
    expected[0] = R_WORLD_CAM @ expected[0]
    np.testing.assert_allclose(rotations, expected, atol=1e-6)
    np.testing.assert_allclose(trans, TRANS_M @ R_WORLD_CAM.T, atol=1e-6)


def test_the_page_shows_the_lead_of_the_stream_or_its_own() -> None:
    message = at(0, DOWN, lead=Led(40.0, UP.ravel(), TRANS_M, 1.0))
    up, down = (Shown(BODY).figure(at(0, pose)) for pose in (UP, DOWN))
    shown = Shown(BODY)
    assert up is not None and down is not None
    for settings, expected in (
        ((False, 0.0), up),
        ((False, 20.0), up),
        ((True, 0.0), down),
        ((True, 40.0), up),
    ):
        shown.settings.own_lead, shown.settings.lead_ms = settings
        figure = shown.figure(message)
        assert figure is not None
        np.testing.assert_allclose(figure.joints, expected.joints, atol=1e-5)
    far = Led(40.0, UP.ravel(), np.array([0, 1e6, 3], np.float32), 1.0)
    shown.settings.own_lead = False
    assert shown.figure(at(33, lead=far)) is None


def test_lead_without_a_pose_ahead_is_the_pose() -> None:
    np.testing.assert_allclose(led(at(0), 100)[0], led(at(0), 0)[0])


def hands(shown: Shown, poses: list[np.ndarray], **changes) -> np.ndarray:
    """(N,) heights of the left hand, 33 ms from one to the next."""
    figures = [shown.figure(at(33 * index, pose, **changes)) for index, pose in enumerate(poses)]
    return np.array([figure.joints[LEFT_HAND, 1] for figure in figures if figure is not None])


def test_smoothing_is_off_and_can_be_put_on() -> None:
    trembling = [UP if index % 2 else DOWN for index in range(90)]
    plain = np.abs(np.diff(hands(Shown(BODY), trembling)))
    assert plain.min() > 0.5
    shown = Shown(BODY)
    shown.settings.smoothing_ms = 300
    smooth = np.abs(np.diff(hands(shown, trembling)[30:]))
    assert smooth.max() < 0.5 * plain.min()
    # Turned off again, nothing is left of it.
    shown.settings.smoothing_ms = 0
    last = shown.figure(at(33 * 90, UP))
    assert last is not None
    up = Shown(BODY).figure(at(0, UP))
    assert up is not None
    np.testing.assert_allclose(last.joints - last.joints[0], up.joints - up.joints[0], atol=1e-6)


@pytest.mark.parametrize("how", ["person", "pause", "restart", "reset"])
def test_smoothing_does_not_reach_over(how: str) -> None:
    """Neither to another person, nor over a pause or a restarted stream, nor past a reset."""
    shown = Shown(BODY)
    shown.settings.smoothing_ms = 500
    for index in range(30):
        shown.figure(at(5000 + 33 * index, DOWN))
    if how == "reset":
        shown.reset()
    t_ms = {"pause": 7000.0, "restart": 10.0}.get(how, 6000.0)
    figure = shown.figure(at(t_ms, UP, person=2 if how == "person" else 1))
    plain = Shown(BODY).figure(at(0, UP))
    assert figure is not None and plain is not None
    np.testing.assert_allclose(figure.joints - figure.joints[0], plain.joints - plain.joints[0], atol=1e-5)


def test_reset_finds_the_floor_anew() -> None:
    """Somebody who sits down, as seen by a floor that thinks him in the air."""
    shown = Shown(BODY)
    for index in range(60):
        shown.figure(at(33 * index))
    lower = (TRANS_M - (0, 0.5, 0)).astype(np.float32)
    lifted = shown.figure(at(2000, trans=lower))
    assert lifted is not None and lifted.vertices[:, 1].min() > 0.3
    shown.reset()
    standing = shown.figure(at(2033, trans=lower))
    assert standing is not None and standing.vertices[:, 1].min() == pytest.approx(0.0, abs=1e-5)


def test_betas_are_the_bodys_own() -> None:
    theta = at(0).theta.copy()
    theta[75:] = 2.0
    own = Shown(BODY).figure(at(0, theta=theta))
    other = Shown(BODY).figure(at(0, theta=theta, body="another"))
    mean = Shown(BODY).figure(at(0))
    assert own is not None and other is not None and mean is not None
    np.testing.assert_array_equal(other.vertices, mean.vertices)
    assert np.ptp(own.vertices[:, 1]) > 1.05 * np.ptp(mean.vertices[:, 1])


@pytest.mark.parametrize("absurd", [1e6, 3e38])
def test_absurd_numbers_are_not_shown_and_change_nothing(absurd: float) -> None:
    shown = Shown(BODY)
    before = shown.figure(at(0))
    assert shown.figure(at(33, trans=np.array([0, absurd, 3], np.float32))) is None
    after = shown.figure(at(66))
    assert before is not None and after is not None
    np.testing.assert_allclose(after.vertices, before.vertices, atol=1e-6)
