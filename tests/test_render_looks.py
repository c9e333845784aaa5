"""What looks are made of: faults of the camera, shadows, clothes, backgrounds."""

import numpy as np
import pytest

from realtime.body.smpl import load_body
from training.camera import FRONT, PinholeCamera
from training.render.attachments import brim, long_hair, skirt, solid
from training.render.background import random_background
from training.render.clothes import dress
from training.render.degrade import Degradation, noise_bank, random_degradation, tone_curve
from training.render.shadow import Shadow


@pytest.fixture(scope="module")
def body():
    return load_body(None)


def picture() -> np.ndarray:
    rng = np.random.default_rng(0)
    return np.kron(rng.integers(0, 256, (12, 16, 3)), np.ones((8, 8, 1))).astype(np.uint8)


FAULTS = {
    "blur": {"blur_px": 1.5},
    "shrink": {"shrink": 0.5},
    "curve": {"curve": tone_curve(np.random.default_rng(1), True)},
    "noise": {"noise": noise_bank(np.random.default_rng(1), 128, 96, 6.0)},
    "noise first": {"noise": noise_bank(np.random.default_rng(1), 128, 96, 6.0), "noise_first": True},
    "jpeg": {"jpeg_quality": 20},
}


@pytest.mark.parametrize("fault", FAULTS)
def test_each_fault_changes_the_picture_and_not_its_kind(fault):
    clean = picture()
    camera = Degradation(np.random.default_rng(2), **FAULTS[fault])
    seen = camera.apply(clean)
    assert seen.shape == clean.shape and seen.dtype == np.uint8
    assert np.abs(seen.astype(int) - clean).mean() > 1.0
    np.testing.assert_array_equal(clean, picture())  # it is not written into


def test_without_faults_the_picture_stays():
    np.testing.assert_array_equal(Degradation(np.random.default_rng(0)).apply(picture()), picture())


def test_noise_differs_from_frame_to_frame():
    camera = Degradation(np.random.default_rng(2), **FAULTS["noise"])
    grey = np.full((96, 128, 3), 128, np.uint8)
    assert (camera.apply(grey) != camera.apply(grey)).mean() > 0.5


@pytest.mark.parametrize("grain", [0.0, 2.0, 5.0])
def test_grain_is_the_peak_of_the_noise_and_the_only_fault(grain):
    camera = random_degradation(np.random.default_rng(3), 128, 96, grain)
    assert camera.curve is None and camera.shrink == 1.0 and camera.jpeg_quality == 0
    grey = np.full((96, 128, 3), 128, np.uint8)
    assert np.abs(camera.apply(grey).astype(int) - 128).max() == grain


def test_random_cameras_have_all_faults_sometimes():
    rng = np.random.default_rng(4)
    cameras = [random_degradation(rng, 64, 48) for _ in range(200)]
    assert 0.45 < np.mean([camera.jpeg_quality > 0 for camera in cameras]) < 0.75
    assert 0.1 < np.mean([camera.shrink < 1 for camera in cameras]) < 0.3
    assert 0.1 < np.mean([camera.blur_px > 0.7 for camera in cameras]) < 0.3


def test_a_shadow_lies_on_the_floor_away_from_the_light():
    camera = PinholeCamera(FRONT, np.zeros(3), 320, 240, 60.0)
    column = np.array([[0.0, y, 3.0] for y in np.linspace(-0.8, 0.8, 2000)]).T.astype(np.float32)
    toward = np.array([-0.6, -0.8, 0.0])  # a lamp on the left: the shadow falls to the right
    grey = np.full((240, 320, 3), 200, np.uint8)
    Shadow(toward, 0.5, 5.0).cast(grey, column, camera)
    rows, columns = np.nonzero(grey[..., 0] < (200 + grey.min()) / 2)
    foot = camera.project(np.array([0.0, 0.8, 3.0]))
    tip = camera.project(np.array([1.6 * 0.75, 0.8, 3.0]))
    assert rows.mean() == pytest.approx(foot[1], abs=4)
    assert columns.min() == pytest.approx(foot[0], abs=12)
    assert columns.max() == pytest.approx(tip[0], abs=12)
    assert grey.min() >= 99  # it takes half of the light at most


def test_a_shadow_of_somebody_elsewhere_changes_nothing():
    camera = PinholeCamera(FRONT, np.zeros(3), 320, 240, 60.0)
    grey = np.full((240, 320, 3), 200, np.uint8)
    for place in ((20.0, 0.0, 3.0), (0.0, 0.0, -3.0)):
        points = np.random.default_rng(0).normal(0, 0.3, (3, 600)) + np.array(place)[:, None]
        Shadow(np.array([0.0, -1.0, 0.0]), 0.5, 5.0).cast(grey, points.astype(np.float32), camera)
    assert (grey == 200).all()


def test_clothes_stand_off_the_skin_by_centimetres(body):
    offsets = []
    for seed in range(6):
        figure, _ = dress(body, np.random.default_rng(seed))
        own = figure.template[: len(body.v_template)] - body.v_template
        offsets.append(np.linalg.norm(own, axis=1))
        assert figure.uvl[:, :2].min() >= 0.0 and figure.uvl[:, :2].max() <= 1.0
        np.testing.assert_allclose(figure.weights.sum(axis=0), 1.0, atol=1e-4)
    offsets = np.array(offsets)
    assert offsets.max() < 0.15
    assert (offsets.max(axis=1) > 0.01).any()
    face = (body.v_template[:, 1] > 0.62) & (body.v_template[:, 1] < 0.70) & (body.v_template[:, 2] > 0.12)
    assert np.median(offsets[:, face]) < 1e-6


@pytest.mark.parametrize(
    "make",
    [
        lambda body: skirt(body, 0.05, -0.5, 0.2, 0.02),
        lambda body: long_hair(body, 0.3, 0.02, 1.6),
        lambda body: brim(body, 0.73, 0.07, False),
        lambda body: solid(body, "left_hand", np.zeros(3), np.full(3, 0.05), 0.5, np.eye(3)),
    ],
    ids=["skirt", "hair", "brim", "solid"],
)
def test_attachments_are_meshes_that_move_with_the_body(body, make):
    item = make(body)
    count = len(item.vertices)
    assert np.isfinite(item.vertices).all()
    assert item.faces.min() >= 0 and item.faces.max() < count
    np.testing.assert_allclose(item.weights.sum(axis=1), 1.0, atol=1e-9)
    assert item.uv.shape == (count, 2) and item.nearest.max() < len(body.v_template)


def test_a_skirt_is_wider_than_the_legs_in_it(body):
    item = skirt(body, 0.05, -0.5, 0.2, 0.02)
    rest = body.v_template
    for y in (0.0, -0.2, -0.4):
        legs = rest[(np.abs(rest[:, 1] - y) < 0.02) & (np.abs(rest[:, 0]) < 0.3)]
        cloth = item.vertices[np.abs(item.vertices[:, 1] - y) < 0.025]
        for axis in (0, 2):
            assert np.abs(cloth[:, axis]).max() > np.abs(legs[:, axis]).max()


def test_backgrounds_fill_pictures_of_any_shape():
    for seed in range(30):
        rng = np.random.default_rng(seed)
        width, height = ((64, 48), (48, 64), (96, 54))[seed % 3]
        found = random_background(rng, width, height, np.array([40.0, 90.0, 160.0]))
        assert found.shape == (height, width, 3) and found.dtype == np.uint8
