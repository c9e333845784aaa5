"""Rendering without a display: the right pixels, at once, in the right colours, not mirrored."""

import numpy as np
import pytest
from viewer_stream import BODY, TRANS_M, posed

from realtime.body.kinematics import forward_kinematics, skin
from realtime.body.rotations import axis_angle_to_matrix
from realtime.translation import focal_length_px
from realtime.viewer.scene import BodyScene
from realtime.viewer.shading import LEFT, RIGHT, SKIN, faded, lit, side_colours

WIDTH, HEIGHT = 480, 360
FOCAL_PX = focal_length_px(WIDTH, 60.0)
KEY = (1.0, 0.0, 1.0)


@pytest.fixture
def scene():
    with BodyScene(WIDTH, HEIGHT, BODY.faces, background=KEY) as scene:
        yield scene


def body_in_camera(pose):
    """Vertices and joints in the camera frame, metres."""
    rotations = axis_angle_to_matrix(pose)
    joints, transforms = forward_kinematics(BODY, rotations, np.zeros(10))
    move = TRANS_M - joints[0]
    return skin(BODY, transforms, np.zeros(10), rotations) + move, joints + move


def project(points):
    return points[:, :2] / points[:, 2:] * FOCAL_PX + (WIDTH / 2 - 0.5, HEIGHT / 2 - 0.5)


def is_body(image):
    return (image != np.array(KEY) * 255).any(axis=2)


def test_the_body_is_where_the_camera_sees_it(scene):
    for pose in (posed(), posed(left_arm_up=True), posed(knees_rad=0.9)):
        vertices, joints = body_in_camera(pose)
        image = scene.render(vertices, np.full_like(vertices, 0.5), FOCAL_PX, np.eye(4))
        assert image.shape == (HEIGHT, WIDTH, 3) and image.dtype == np.uint8
        mask = is_body(image)
        # Straight after the change: a picture that is one pose late would miss the arm.
        columns, rows = np.round(project(joints)).astype(int).T
        assert mask[rows, columns].all()
        outline = project(vertices)
        rows, columns = np.nonzero(mask)
        found = np.array([columns.min(), rows.min(), columns.max(), rows.max()])
        expected = np.concatenate((outline.min(axis=0), outline.max(axis=0)))
        np.testing.assert_allclose(found, expected, atol=1.5)


def test_colours_are_drawn_as_given_and_the_background_can_be_keyed_out(scene):
    vertices, _ = body_in_camera(posed())
    image = scene.render(vertices, np.tile([0.2, 0.6, 0.4], (len(vertices), 1)), FOCAL_PX, np.eye(4))
    colours = np.unique(image.reshape(-1, 3), axis=0)
    assert len(colours) == 2  # the body's and the background's, no light and no mixture
    np.testing.assert_allclose(colours[0], np.array([0.2, 0.6, 0.4]) * 255, atol=1)


def test_extrinsics_and_focal_length_move_the_picture(scene):
    vertices, _ = body_in_camera(posed())
    colours = np.full_like(vertices, 0.5)
    near = is_body(scene.render(vertices, colours, FOCAL_PX, np.eye(4)))
    away = np.eye(4)
    away[:3, 3] = (-0.5, 0, 2.0)
    far = is_body(scene.render(vertices, colours, FOCAL_PX, away))
    assert far.sum() < 0.5 * near.sum()
    assert np.nonzero(far)[1].mean() < np.nonzero(near)[1].mean() - 20
    with pytest.raises(ValueError, match="field of view"):
        scene.look(100.0, np.eye(4))


def test_one_scene_at_a_time(scene):
    """Open3D would mix up two canvases: the second is refused, and one after the other works."""
    with pytest.raises(RuntimeError, match="close it first"):
        BodyScene(200, 200, BODY.faces)
    vertices, _ = body_in_camera(posed())
    first = scene.render(vertices, np.full_like(vertices, 0.5), FOCAL_PX, np.eye(4))
    scene.close()
    with BodyScene(WIDTH, HEIGHT, BODY.faces, background=KEY) as other:
        again = other.render(vertices, np.full_like(vertices, 0.5), FOCAL_PX, np.eye(4))
        np.testing.assert_array_equal(again, first)


def test_light_comes_from_above_and_colours_tell_left_from_right():
    normals = np.array([[0, -1.0, 0], [0, 1.0, 0], [0, 0, -1.0]])
    up, down, front = lit(np.tile(SKIN, (3, 1)), normals)
    assert up.mean() > front.mean() + 0.1 > down.mean() + 0.2
    colours = side_colours(BODY)
    left = colours[BODY.v_template[:, 0] > 0.3].mean(axis=0)
    right = colours[BODY.v_template[:, 0] < -0.3].mean(axis=0)
    assert np.linalg.norm(left - LEFT) < np.linalg.norm(left - RIGHT)
    assert np.linalg.norm(right - RIGHT) < np.linalg.norm(right - LEFT)
    half = faded(colours, 0.5)
    assert np.ptp(half, axis=1).max() < 0.03  # grey: no side left in it
