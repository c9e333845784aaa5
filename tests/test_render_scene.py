"""The drawing: everything lands where PinholeCamera.project says, whatever part of the picture is drawn."""

import numpy as np
import pytest

from realtime.body.kinematics import forward_kinematics
from realtime.body.smpl import load_body
from realtime.errors import LoadError
from training.camera import FRONT, PinholeCamera

pytest.importorskip("moderngl", reason="rendering needs moderngl (the extra train)")

from training.render import scene as scene_module
from training.render.figure import assemble
from training.render.renderer import person_box
from training.render.scene import Box, Lights, Scene

CAMERA = PinholeCamera(FRONT, np.zeros(3), 320, 240, 60.0)
CENTRE = np.array([160.0, 120.0])
WHITE = Lights(np.array([[0.0, 0.0, -1.0]]), np.zeros((1, 3)), np.ones(3), np.ones(3), 0.0)
QUAD = np.array([[0, 1, 2], [0, 2, 3]])


@pytest.fixture
def scene():
    scene = Scene()
    scene.light(WHITE)
    yield scene
    scene.close()


def load_quad(scene: Scene) -> None:
    layers = np.full((1, 8, 8, 3), 255, np.uint8)
    scene.load(np.empty((0, 3), np.int32), QUAD, np.zeros((4, 3)), layers)


def draw(scene: Scene, corners: np.ndarray, box: Box) -> np.ndarray:
    """Corners (4, 3) of a quad → its alpha (h, w), 0 … 1."""
    normals = np.tile([[0.0], [0.0], [-1.0]], (1, 4))
    layer = scene.draw(corners.T.astype(np.float32), normals, CAMERA.focal_px, CENTRE, box)
    return layer[:, :, 3] / 255.0


@pytest.mark.parametrize("box", [Box(0, 0, 320, 240), Box(37, 21, 171, 160)])
@pytest.mark.parametrize("low", [0, 10**9], ids=["once", "supersampled"])
def test_a_rectangle_covers_its_projection(scene, box, low, monkeypatch):
    monkeypatch.setattr(scene_module, "_SUPERSAMPLE_BELOW_PX", low)
    load_quad(scene)
    corners = np.array([[-0.31, -0.42, 2.0], [0.13, -0.42, 2.0], [0.13, 0.27, 2.0], [-0.31, 0.27, 2.0]])
    alpha = draw(scene, corners, box)
    (left, top), (right, bottom) = CAMERA.project(corners)[[0, 2]]
    rows, columns = np.nonzero(alpha > 0.5)
    assert columns.min() + box.left == pytest.approx(left, abs=0.6)
    assert columns.max() + 1 + box.left == pytest.approx(right, abs=0.6)
    assert rows.min() + box.top == pytest.approx(top, abs=0.6)
    assert rows.max() + 1 + box.top == pytest.approx(bottom, abs=0.6)
    weight = alpha.sum()
    x = (alpha.sum(axis=0) * (np.arange(box.width) + 0.5 + box.left)).sum() / weight
    y = (alpha.sum(axis=1) * (np.arange(box.height) + 0.5 + box.top)).sum() / weight
    assert (x, y) == pytest.approx(((left + right) / 2, (top + bottom) / 2), abs=0.3)


def test_a_floor_that_runs_under_the_camera_is_cut_at_the_near_plane(scene):
    load_quad(scene)
    floor = np.array([[-9.0, 1.0, -3.0], [9.0, 1.0, -3.0], [9.0, 1.0, 5.0], [-9.0, 1.0, 5.0]])
    alpha = draw(scene, floor, Box(0, 0, 320, 240))
    edge = CAMERA.project(floor[2])[1]
    assert (alpha[int(np.ceil(edge)) + 1 :] == 1.0).all()
    assert (alpha[: int(edge) - 1] == 0.0).all()


def test_nearer_things_hide_farther_ones(scene):
    layers = np.zeros((2, 8, 8, 3), np.uint8)
    layers[0], layers[1] = (255, 0, 0), (0, 0, 255)
    corners = np.array([[-1, -1, 0], [1, -1, 0], [1, 1, 0], [-1, 1, 0]], float)
    near, far = corners + [0, 0, 2.0], corners + [0, 0, 3.0]
    uvl = np.zeros((8, 3))
    for first, faces in ((near, np.concatenate([QUAD, QUAD + 4])), (far, np.concatenate([QUAD + 4, QUAD]))):
        uvl[:, 2] = [0] * 4 + [1] * 4 if first is near else [0] * 4 + [1] * 4
        scene.load(np.empty((0, 3), np.int32), faces, uvl, layers)
        both = np.concatenate([near, far]).T.astype(np.float32)
        layer = scene.draw(
            both, np.tile([[0.0], [0.0], [-1.0]], (1, 8)), CAMERA.focal_px, CENTRE, Box(150, 110, 20, 20)
        )
        assert (layer[5:15, 5:15, :3] == (255, 0, 0)).all()


def bare_person(distance_m: float):
    body = load_body(None)
    figure = assemble(body, np.zeros_like(body.v_template), np.full((3, 1024, 1024, 3), 200, np.uint8), [])
    pose = np.tile(np.eye(3, dtype=np.float32), (24, 1, 1))
    pose[0] = FRONT
    joints, transforms = forward_kinematics(body, pose, np.zeros(10))
    vertices, normals = figure.posed(body, transforms, np.zeros(10, np.float32))
    return (
        figure,
        vertices - joints[0][:, None] + np.array([[0.1], [0.05], [distance_m]], np.float32),
        normals,
    )


def test_a_person_covers_his_projected_vertices_and_little_else(scene):
    figure, vertices, normals = bare_person(2.4)
    scene.load(figure.faces, figure.two_sided, figure.uvl, figure.texture)
    box = person_box(vertices, CAMERA)
    alpha = scene.draw(vertices, normals, CAMERA.focal_px, CENTRE, box)[:, :, 3]
    places = CAMERA.project(vertices.T) - (box.left, box.top)
    rows, columns = places[:, 1].astype(int), places[:, 0].astype(int)
    inside = (places >= 0).all(axis=1) & (columns < box.width) & (rows < box.height)
    # Every vertex is on him or within a pixel of his edge …
    spread = np.pad(alpha, 1)
    spread = np.max(
        [spread[i : i + box.height, j : j + box.width] for i in range(3) for j in range(3)], axis=0
    )
    assert (spread[rows[inside], columns[inside]] > 0).all()
    # … and his outline ends where his vertices do.
    covered_rows, covered_columns = np.nonzero(alpha > 127)
    assert covered_rows.min() == pytest.approx(places[:, 1].min(), abs=0.6)
    assert covered_rows.max() + 1 == pytest.approx(min(places[:, 1].max(), box.height), abs=0.6)
    assert covered_columns.min() == pytest.approx(max(places[:, 0].min(), 0), abs=0.6)


def test_the_outside_of_a_body_is_drawn_not_the_inside(scene):
    """Culled the wrong way round, the belly would lie behind the back."""
    figure, vertices, normals = bare_person(2.4)
    layers = np.zeros((3, 1024, 1024, 3), np.uint8)
    layers[0] = 255  # the front is white, the back black
    scene.load(figure.faces, figure.two_sided, figure.uvl, layers)
    box = person_box(vertices, CAMERA)
    layer = scene.draw(vertices, normals, CAMERA.focal_px, CENTRE, box)
    seen = layer[:, :, 0][layer[:, :, 3] == 255]
    assert (seen > 127).mean() > 0.95


def test_what_part_of_the_picture_is_drawn_changes_nothing(scene, monkeypatch):
    monkeypatch.setattr(scene_module, "_SUPERSAMPLE_BELOW_PX", 10**9)
    figure, vertices, normals = bare_person(2.0)
    scene.load(figure.faces, figure.two_sided, figure.uvl, figure.texture)
    whole = scene.draw(vertices, normals, CAMERA.focal_px, CENTRE, Box(0, 0, 320, 240)).astype(int)
    part = Box(101, 33, 90, 150)
    cut = scene.draw(vertices, normals, CAMERA.focal_px, CENTRE, part).astype(int)
    difference = np.abs(whole[part.slices] - cut)
    assert (difference > 8).mean() < 0.001


def test_scenes_stand_beside_each_other_and_close_twice():
    quad = np.array([[-1, -1, 2], [1, -1, 2], [1, 1, 2], [-1, 1, 2]], float)
    scenes = [Scene(), Scene()]
    for scene in scenes:
        scene.light(WHITE)
        load_quad(scene)
    pictures = [draw(scene, quad, Box(0, 0, 64, 64)) for scene in (*scenes, *scenes)]
    for picture in pictures[1:]:
        np.testing.assert_array_equal(picture, pictures[0])
    scenes[0].close()
    scenes[0].close()
    np.testing.assert_array_equal(draw(scenes[1], quad, Box(0, 0, 64, 64)), pictures[0])
    scenes[1].close()


def test_without_opengl_the_error_names_what_to_install(monkeypatch):
    import moderngl

    def refuse(**_):
        raise Exception("(detect) glcontext: could not load libEGL.so.1")

    monkeypatch.setattr(moderngl, "create_context", refuse)
    with pytest.raises(LoadError, match="OpenGL cannot be started"):
        Scene()
