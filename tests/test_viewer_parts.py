"""The parts of the viewer that need no rendering: camera, grid, shadow, panel."""

import numpy as np
import pytest
from bodies import figure_body
from hypothesis import given, settings
from hypothesis import strategies as st
from viewer_stream import HEIGHT, WIDTH, image_message, pose_message, posed

from realtime.body.skeleton import BLAZEPOSE_NAMES
from realtime.viewer.floor import coarse_mesh, grid_lines, shadow
from realtime.viewer.orbit import FREE_M, OrbitCamera
from realtime.viewer.panel import Numbers, Picture, draw_panel
from realtime.viewer.shading import BACKGROUND, LEFT, RIGHT

NUMBERS = Numbers("tracking", "person 1", "30.0 fps", "tcp://127.0.0.1:5555")
NOBODY = Picture(np.full((HEIGHT, WIDTH, 3), 70, np.uint8), None, None)


def seen_at(camera, point, width=1280, height=640):
    focal_px, extrinsic = camera.view(width, height)
    x, y, z = extrinsic[:3, :3] @ point + extrinsic[:3, 3]
    assert z > 0
    return np.array([width / 2 + focal_px * x / z, height / 2 + focal_px * y / z])


@pytest.mark.parametrize("size", [(1280, 640), (640, 640), (1600, 400)])
@pytest.mark.parametrize("turn", [(0, 0), (200, 60), (-500, 200)])
def test_the_person_stays_in_the_middle_of_the_left_pane(size, turn):
    camera = OrbitCamera()
    camera.follow(0.0, np.array([0.4, 0.0, 3.0]), 0.9)
    camera.drag(*turn)
    np.testing.assert_allclose(seen_at(camera, camera.target, *size), (size[0] / 4, size[1] / 2), atol=0.01)
    _, extrinsic = camera.view(*size)
    np.testing.assert_allclose(extrinsic[:3, :3] @ extrinsic[:3, :3].T, np.eye(3), atol=1e-9)


def test_the_view_is_that_of_the_real_camera_from_a_little_above():
    camera = OrbitCamera()
    camera.follow(0.0, np.array([0.0, 0.0, 3.0]), 0.9)
    middle = seen_at(camera, camera.target)
    assert seen_at(camera, camera.target + (0.3, 0, 0))[0] > middle[0] + 50  # right stays right
    assert seen_at(camera, camera.target + (0, 0.5, 0))[1] > middle[1] + 50  # down stays down
    assert (
        seen_at(camera, camera.target + (0, 0, 0.5))[1] < middle[1]
    )  # what is behind, on the floor, is higher
    camera.drag(90, 0)
    camera.scroll(3)
    camera.reset()
    np.testing.assert_allclose(seen_at(camera, camera.target), middle)


def test_zoom_and_pitch_have_limits():
    camera = OrbitCamera()
    camera.scroll(-1000)
    camera.drag(0, 10_000)
    assert camera.zoom == 4.0 and camera.pitch_deg == 85.0
    camera.scroll(1000)
    camera.drag(0, -10_000)
    assert camera.zoom == 0.4 and camera.pitch_deg == -20.0


def test_the_camera_lets_a_person_move_a_little_and_then_follows():
    camera = OrbitCamera()
    camera.follow(0.0, np.array([0.0, 0.0, 3.0]), 0.9)
    start = camera.target.copy()
    camera.follow(0.1, np.array([0.9 * FREE_M, 0.0, 3.0]), 0.9)
    np.testing.assert_array_equal(camera.target, start)
    for step in range(100):
        camera.follow(0.1 + step / 10, np.array([2.0, 0.0, 5.0]), 0.9)
    np.testing.assert_allclose(camera.target[[0, 2]], (2.0 - FREE_M, 5.0 - FREE_M), atol=0.01)
    camera.forget_person()
    camera.follow(20.0, np.array([-1.0, 0.0, 3.0]), 0.9)
    assert camera.target[0] == -1.0  # the next person is framed at once


def test_grid_and_shadow_lie_on_the_floor():
    points, lines, colours = grid_lines(np.ones(3), BACKGROUND)
    assert (points[:, 1] == 0).all() and lines.max() < len(points)
    far = np.abs(points[lines].mean(axis=1)).max(axis=1) > 7.9
    np.testing.assert_allclose(colours[far], np.tile(BACKGROUND, (far.sum(), 1)), atol=0.1)
    thrown = shadow(np.array([[0.0, 0.9, 3.0], [0.0, -0.9, 3.0]]), 0.9)
    np.testing.assert_allclose(thrown[:, 1], 0.896, atol=1e-9)
    assert np.linalg.norm(thrown[0] - (0, 0.9, 3.0)) < 0.01 < 0.3 < np.linalg.norm(thrown[1] - (0, 0.9, 3.0))


def test_the_coarse_mesh_keeps_the_outline():
    body = figure_body()
    kept, faces = coarse_mesh(body.v_template, body.faces)
    assert len(faces) < 0.8 * len(body.faces) and faces.max() < len(kept)
    for reduce in (np.min, np.max):
        outline, whole = reduce(body.v_template[kept], axis=0), reduce(body.v_template, axis=0)
        np.testing.assert_allclose(outline, whole, atol=0.026)


def test_the_panel_draws_the_skeleton_where_it_was_seen_and_tells_sides_and_visibility():
    message = image_message(pose_message(posed()))
    picture = Picture(NOBODY.image, message.landmarks, message.visibility)
    panel = draw_panel(WIDTH + 32, HEIGHT + 104 + 32, picture, NUMBERS)  # shown pixel by pixel, at (16, 16)
    for index, name in enumerate(BLAZEPOSE_NAMES):
        if name.endswith(("elbow", "knee", "wrist")):
            x, y = np.round(message.landmarks[index]).astype(int) + 16
            colour = LEFT if name.startswith("left") else RIGHT * (0.35 + 0.65 * 0.8)
            np.testing.assert_allclose(panel[y, x], colour * 255, atol=3)
    dim = Picture(NOBODY.image, message.landmarks, np.full(33, 0.1, np.float32))
    faint = draw_panel(WIDTH + 32, HEIGHT + 104 + 32, dim, NUMBERS)
    plain = draw_panel(WIDTH + 32, HEIGHT + 104 + 32, NOBODY, NUMBERS)
    marked = [(drawn != plain).any(axis=2).sum() for drawn in (panel, faint)]
    assert marked[0] > 2 * marked[1] > 100


def test_the_picture_of_a_stream_that_stopped_does_not_look_live():
    message = image_message(pose_message(posed()))
    picture = Picture(NOBODY.image, message.landmarks, message.visibility)
    waiting = Numbers("waiting", "", "", "")
    shown = draw_panel(WIDTH + 32, HEIGHT + 104 + 32, picture, waiting)[16 : 16 + HEIGHT, 16 : 16 + WIDTH]
    assert (shown == 21).all()  # 70, dimmed, and no skeleton
    live = draw_panel(WIDTH + 32, HEIGHT + 104 + 32, picture, NUMBERS)
    assert (live[16 : 16 + HEIGHT, 16 : 16 + WIDTH] == 70).all(axis=2).mean() > 0.9


def test_the_panel_says_the_state_in_its_own_colour():
    panels = {
        state: draw_panel(500, 200, None, Numbers(state, "", "", "")).reshape(-1, 3).astype(int)
        for state in ("tracking", "held", "lost", "waiting")
    }
    brightest = {state: tuple(panel[panel.sum(axis=1).argmax()]) for state, panel in panels.items()}
    assert len(set(brightest.values())) == 4


@given(
    st.tuples(st.integers(1, 700), st.integers(1, 700)),
    st.tuples(st.integers(1, 40), st.integers(1, 40)),
    st.floats(-(2.0**100), 2.0**100, width=32),
    st.text(max_size=20),
)
@settings(max_examples=60, deadline=None)
def test_no_window_size_picture_or_landmark_breaks_the_panel(window, image, coordinate, text):
    landmarks = np.full((33, 2), coordinate, np.float32)
    landmarks[::2] = 3
    picture = Picture(np.zeros((*image, 3), np.uint8), landmarks, np.linspace(0, 1, 33))
    panel = draw_panel(*window, picture, Numbers("lost", text, text, text))
    assert panel.shape == (window[1], window[0], 3) and panel.dtype == np.uint8
