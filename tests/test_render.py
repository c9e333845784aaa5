"""Whole pictures: seeded, right at the picture's edge and before the lens, covered by what stands in front."""

import dataclasses
import gc
import sys
from pathlib import Path

import numpy as np
import pytest

from realtime.body.smpl import load_body
from training.camera import FRONT, PinholeCamera

pytest.importorskip("moderngl", reason="rendering needs moderngl (the extra train)")

from training.render import PersonRenderer
from training.render.degrade import Degradation
from training.render.look import random_look
from training.render.occluders import Occluder
from training.render.scene import Box

CAMERA = PinholeCamera(FRONT, np.zeros(3), 320, 240, 60.0)
BETAS = np.zeros(10, np.float32)
NEAR = np.array([0.0, 0.1, 2.2])


@pytest.fixture(scope="module")
def body():
    return load_body(None)


@pytest.fixture
def renderer(body):
    renderer = PersonRenderer(body)
    yield renderer
    renderer.close()


def standing(lean: float = 0.0) -> np.ndarray:
    pose = np.tile(np.eye(3, dtype=np.float32), (24, 1, 1))
    c, s = np.cos(lean), np.sin(lean)
    pose[0] = FRONT @ np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]], np.float32)
    return pose


def plain_look(body, seed=3):
    """Without shadow and faults of the camera."""
    look = random_look(body, np.random.default_rng(seed), CAMERA.width, CAMERA.height, 0.0)
    return dataclasses.replace(look, shadow=None, degradation=Degradation(np.random.default_rng(0)))


def test_the_same_seed_gives_the_same_film(body):
    films = []
    for _ in range(2):
        renderer = PersonRenderer(body)
        film = []
        for seed in (1, 2, 3):
            renderer.new_look(np.random.default_rng(seed), CAMERA.width, CAMERA.height)
            film += [renderer.render(standing(lean), BETAS, NEAR, CAMERA) for lean in (0.0, 0.1)]
        films.append(film)
        renderer.close()
    for one, other in zip(*films, strict=True):
        assert one.shape == (240, 320, 3) and one.dtype == np.uint8
        np.testing.assert_array_equal(one, other)
    assert np.abs(films[0][0].astype(int) - films[0][2]).mean() > 5  # another seed, another look


def test_a_look_ignores_the_one_before_it(renderer):
    def film(seed: int) -> list[np.ndarray]:
        renderer.new_look(np.random.default_rng(seed), CAMERA.width, CAMERA.height)
        return [renderer.render(standing(lean), BETAS, NEAR, CAMERA) for lean in (0.0, 0.3)]

    first = film(11)
    film(12)
    for one, other in zip(first, film(11), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("place", [(9.0, 0.0, 2.0), (0.0, -9.0, 2.0), (0.0, 0.0, -3.0)])
def test_a_person_outside_the_picture_leaves_the_background(body, renderer, place):
    look = plain_look(body)
    renderer.wear(look)
    picture = renderer.render(standing(), BETAS, np.array(place), CAMERA)
    np.testing.assert_array_equal(picture, look.background)


def test_a_person_cut_by_the_border_is_the_same_person_cut(body, renderer):
    look = plain_look(body)
    wide = dataclasses.replace(
        CAMERA, width=640, fov_deg=float(2 * np.degrees(np.arctan(320 / CAMERA.focal_px)))
    )
    grey = dataclasses.replace(look, background=np.full((240, 640, 3), 128, np.uint8))
    renderer.wear(grey)
    at = np.array([-0.9, 0.1, 2.2])
    whole = renderer.render(standing(), BETAS, at, wide)[:, 160:480]
    renderer.wear(dataclasses.replace(look, background=np.full((240, 320, 3), 128, np.uint8)))
    cut = renderer.render(standing(), BETAS, at, CAMERA)
    assert (cut != 128).any(axis=2)[:, :20].any()  # he does stand at the border
    assert (np.abs(whole.astype(int) - cut) > 40).mean() < 0.005  # edges are smoothed in two ways


def test_a_person_right_before_and_around_the_camera(body, renderer):
    look = plain_look(body)
    renderer.wear(look)
    close = renderer.render(standing(), BETAS, np.array([0.0, 0.5, 0.45]), CAMERA)
    changed = (close != look.background).any(axis=2)
    assert changed[-60:, 100:220].all()  # chest and belly fill the middle below
    assert not changed[:10].all()


def test_an_arm_that_reaches_past_the_camera(body, renderer):
    look = plain_look(body)
    renderer.wear(look)
    pose = standing()
    sideways = np.array([[0, 0, -1], [0, 1, 0], [1, 0, 0]], np.float32)
    pose[0] = FRONT @ sideways  # the T-pose's arms along the view
    picture = renderer.render(pose, BETAS, np.array([0.0, 0.55, 0.7]), CAMERA)
    changed = (picture != look.background).any(axis=2)
    assert changed[-40:, 150:170].all()  # it leaves by the lower border, ever larger, until the near plane
    assert not changed[:60, :40].any()


def test_an_occluder_covers_the_person(body, renderer):
    look = plain_look(body)
    board = Occluder(
        np.full((80, 60, 3), (10, 200, 30), np.uint8),
        np.full((80, 60), 255, np.uint8),
        np.array([140.0, 90.0]),
        np.zeros(2),
    )
    look.occluders = [board]
    renderer.wear(look)
    picture = renderer.render(standing(), BETAS, NEAR, CAMERA)
    assert (picture[Box(140, 90, 60, 80).slices] == (10, 200, 30)).all()
    look.occluders = []
    bare = renderer.render(standing(), BETAS, NEAR, CAMERA)
    assert (bare[Box(140, 90, 60, 80).slices] != (10, 200, 30)).any()


def test_an_occluder_moves_on_and_out(body):
    picture = np.zeros((40, 40, 3), np.uint8)
    thing = Occluder(
        np.full((10, 10, 3), 9, np.uint8),
        np.full((10, 10), 255, np.uint8),
        np.array([-4.0, 35.0]),
        np.array([8.0, 0.0]),
    )
    for left in (-4, 4, 12):
        picture[:] = 0
        thing.cover(picture)
        columns = np.nonzero(picture[..., 0].any(axis=0))[0]
        assert (columns.min(), columns.max()) == (max(left, 0), left + 9)
    thing.place_px = np.array([100.0, 100.0])
    picture[:] = 0
    thing.cover(picture)
    assert not picture.any()


def test_motion_blur_is_about_the_moment_and_starts_anew_with_a_look(body, renderer):
    look = plain_look(body)
    renderer.wear(look)
    sharp = [renderer.render(standing(), BETAS, NEAR + (x, 0, 0), CAMERA) for x in (0.0, 0.1)]
    renderer.wear(dataclasses.replace(look, shutter=0.7))
    blurred = [renderer.render(standing(), BETAS, NEAR + (x, 0, 0), CAMERA) for x in (0.0, 0.1)]
    np.testing.assert_array_equal(blurred[0], sharp[0])
    assert np.abs(blurred[1].astype(int) - sharp[1]).max() > 30
    means = []
    for picture in (sharp[1], blurred[1]):
        weight = np.abs(picture.astype(int) - look.background).sum(axis=(0, 2)).astype(float)
        means.append((weight * np.arange(CAMERA.width)).sum() / weight.sum())
    assert means[1] == pytest.approx(means[0], abs=1.0)


def test_the_wrong_size_of_picture_is_refused(body, renderer):
    with pytest.raises(RuntimeError, match="new_look"):
        renderer.render(standing(), BETAS, NEAR, CAMERA)
    renderer.wear(plain_look(body))
    with pytest.raises(ValueError, match="320×240"):
        renderer.render(standing(), BETAS, NEAR, dataclasses.replace(CAMERA, width=640))


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="counts open files by /proc")
def test_renderers_that_come_and_go_leave_nothing_open(body):
    def come_and_go() -> int:
        renderer = PersonRenderer(body)
        renderer.close()
        renderer.close()
        gc.collect()
        return len(list(Path("/proc/self/fd").iterdir()))

    come_and_go()
    assert [come_and_go() for _ in range(4)] == [come_and_go()] * 4
