"""Axes: against what each engine's documents say, by directions, by handedness, by round trips."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from realtime.coordinates import (
    AMASS,
    BLENDER,
    GODOT,
    R_WORLD_CAM,
    UNITY,
    UNREAL,
    WORLD,
    to_camera,
    to_world,
    world_of_camera,
)

EVERY = (WORLD, UNITY, UNREAL, GODOT, BLENDER, AMASS)
ANGLE = st.floats(-80, 80)


def random_theta(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 0.7, (count, 85)).astype(np.float32)


@pytest.mark.parametrize(
    ("axes", "up", "forward", "left", "handed"),
    [
        (WORLD, (0, 1, 0), (0, 0, 1), (1, 0, 0), 1),
        (UNITY, (0, 1, 0), (0, 0, 1), (-1, 0, 0), -1),
        (UNREAL, (0, 0, 100), (0, 100, 0), (100, 0, 0), -1),
        (GODOT, (0, 1, 0), (0, 0, -1), (-1, 0, 0), 1),
        (BLENDER, (0, 0, 1), (0, -1, 0), (1, 0, 0), 1),
        (AMASS, (0, 0, 1), (0, -1, 0), (1, 0, 0), 1),
    ],
)
def test_who_stands_at_rest_looks_where_it_is_said(axes, up, forward, left, handed):
    for there, here in ((up, (0, 1, 0)), (forward, (0, 0, 1)), (left, (1, 0, 0))):
        np.testing.assert_array_equal(axes.points(np.array(here, float)), there)
    assert np.linalg.det(axes.matrix) == pytest.approx(handed)


def test_quaternions_are_those_that_the_protocols_tell():
    """Written out: world → Unity (x, −y, −z, w); Unity → Unreal (−x, z, y, w); Unity → Godot (−x, −y, z, w)."""
    rotations = Rotation.random(50, random_state=1).as_matrix()
    x, y, z, w = UNITY.quaternions(rotations).T
    own = WORLD.quaternions(rotations).T
    np.testing.assert_allclose([x, y, z, w], [own[0], -own[1], -own[2], own[3]], atol=1e-12)
    np.testing.assert_allclose(UNREAL.quaternions(rotations).T, [-x, z, y, w], atol=1e-12)
    np.testing.assert_allclose(GODOT.quaternions(rotations).T, [-x, -y, z, w], atol=1e-12)


@pytest.mark.parametrize("axes", EVERY, ids=lambda axes: axes.name)
def test_points_turn_alike_there_and_here(axes):
    rotations = Rotation.random(20, random_state=2).as_matrix()
    points = np.random.default_rng(3).normal(0, 1, (20, 3))
    turned = np.einsum("nij,nj->ni", rotations, points)
    there = np.einsum("nij,nj->ni", axes.rotations(rotations), axes.points(points))
    np.testing.assert_allclose(there, axes.points(turned), atol=1e-10)
    np.testing.assert_allclose(axes.points_back(axes.points(points)), points, atol=1e-12)
    np.testing.assert_allclose(axes.rotations_back(axes.rotations(rotations)), rotations, atol=1e-12)
    np.testing.assert_allclose(
        Rotation.from_quat(axes.quaternions(rotations)).as_matrix(), axes.rotations(rotations), atol=1e-9
    )


def test_camera_to_world_and_back():
    theta, trans = random_theta(30), np.random.default_rng(4).normal(0, 2, (30, 3)).astype(np.float32)
    for R in (R_WORLD_CAM, world_of_camera(20, -15)):
        pose, pelvis = to_camera(to_world(theta, trans, R), R)
        same = (
            Rotation.from_rotvec(pose.reshape(-1, 3))
            * Rotation.from_rotvec(theta[:, 3:75].reshape(-1, 3)).inv()
        )
        assert same.magnitude().max() < 1e-5
        np.testing.assert_allclose(pelvis, trans, atol=1e-6)


def test_who_faces_a_level_camera_faces_z():
    theta = np.zeros(85, np.float32)
    theta[3] = np.pi  # upright before the camera, facing it
    pose = to_world(theta, np.array([0.2, 0.3, 3.0]))
    np.testing.assert_allclose(pose.rotations[0], np.eye(3), atol=1e-6)
    np.testing.assert_allclose(pose.trans, [0.2, -0.3, -3.0])


@given(ANGLE, ANGLE)
@settings(max_examples=100, deadline=None)
def test_a_tilted_camera_is_levelled(pitch, roll):
    R = world_of_camera(pitch, roll)
    np.testing.assert_allclose(R @ R.T, np.eye(3), atol=1e-9)
    assert np.linalg.det(R) == pytest.approx(1)
    looks = R @ [
        0.0,
        0.0,
        1.0,
    ]  # its view: down by the pitch, less where it lies on its side; never to a side
    assert looks[0] == pytest.approx(0, abs=1e-9) and looks[2] < 0
    assert looks[1] == pytest.approx(-np.sin(np.radians(pitch)) * np.cos(np.radians(roll)))
    np.testing.assert_allclose(world_of_camera(), R_WORLD_CAM, atol=1e-12)
