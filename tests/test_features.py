"""φ is blind to picture size and place, and survives whatever perception hands over."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from realtime.body.rotations import axis_angle_to_matrix
from realtime.features import (
    APPEARANCE,
    FEATURE_DIM,
    HAS_APPEARANCE,
    UP,
    assemble_features,
    landmark_features,
    normalise_landmarks,
    up_in_ray,
    virtual_camera,
)
from training.camera import FRONT

SIZE = np.array([640.0, 480.0])


def _project(points: np.ndarray, size: np.ndarray, fov_deg: float) -> np.ndarray:
    focal = size[0] / (2.0 * np.tan(np.radians(fov_deg) / 2.0))
    return points[..., :2] / points[..., 2:] * focal + size / 2.0


def _observed(seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.uniform(100, 400, (33, 2)), rng.normal(0, 0.4, (33, 3)), rng.uniform(0.2, 1.0, 33)


@given(
    st.floats(-500, 1500),
    st.floats(-500, 1500),
    st.floats(20, 2000),
    st.floats(30, 110),
    st.integers(100, 4000),
    st.integers(100, 4000),
)
@settings(max_examples=100, deadline=None)
def test_virtual_camera_is_a_rotation_onto_the_ray(cx, cy, side, fov_deg, width, height):
    size = np.array([width, height], float)
    R, half = virtual_camera(np.array([cx, cy, side]), size, fov_deg)
    assert np.allclose(R @ R.T, np.eye(3), atol=1e-9)
    assert np.isclose(np.linalg.det(R), 1.0)
    assert np.allclose(_project(R @ [0.0, 0.0, 1.0], size, fov_deg), [cx, cy], atol=1e-6 * max(width, height))
    assert half > 0


def test_twice_the_picture_gives_the_same_features():
    landmarks, world, visibility = _observed()
    crop = np.array([250.0, 250.0, 400.0])
    small = landmark_features(landmarks, world, visibility, crop, SIZE, 60.0)
    large = landmark_features(2 * landmarks, world, visibility, 2 * crop, 2 * SIZE, 60.0)
    assert np.allclose(small, large, atol=1e-5)
    assert small.shape == (FEATURE_DIM,)
    assert small.dtype == np.float32


def test_a_person_at_the_border_looks_like_one_in_the_middle():
    """The same body, turned about the camera: pixels differ by perspective, φ does not."""
    rng = np.random.default_rng(1)
    in_ray_frame = rng.normal(0, 0.4, (33, 3)) + np.array([0.0, 0.0, 3.0])
    centre = np.append(_project(np.array([0.0, 0.0, 3.0]), SIZE, 60.0), 300.0)
    aside = centre + np.array([200.0, -120.0, 0.0])
    for crop in (centre, aside):
        R, half = virtual_camera(crop, SIZE, 60.0)
        image = normalise_landmarks(_project(in_ray_frame @ R.T, SIZE, 60.0), crop, SIZE, 60.0)
        assert np.allclose(image * half, in_ray_frame[:, :2] / in_ray_frame[:, 2:], atol=1e-6)


def test_missing_landmarks_are_zero_and_say_so():
    landmarks, world, visibility = _observed()
    crop = np.array([250.0, 250.0, 400.0])
    landmarks[3] = np.nan
    world[5] = np.inf
    visibility[7] = 0.0
    visibility[9] = np.nan
    features = landmark_features(landmarks, world, visibility, crop, SIZE, 60.0)
    assert np.isfinite(features).all()
    for index in (3, 5, 7, 9):
        assert not features[2 * index : 2 * index + 2].any()
        assert not features[66 + 3 * index : 69 + 3 * index].any()
        assert features[165 + index] == 0
    assert features[:66].any()


def test_a_wild_landmark_is_held():
    landmarks, world, visibility = _observed()
    landmarks[15] = 1e7
    features = landmark_features(landmarks, world, visibility, np.array([250.0, 250.0, 400.0]), SIZE, 60.0)
    assert np.abs(features).max() < 5.0


def test_batches_are_the_single_frames():
    rng = np.random.default_rng(2)
    landmarks, world = rng.uniform(0, 480, (2, 3, 33, 2)), rng.normal(0, 0.4, (2, 3, 33, 3))
    visibility, dt_s = rng.uniform(0, 1, (2, 3, 33)), rng.uniform(0.01, 0.3, (2, 3))
    crops = rng.uniform(100, 400, (2, 3, 3))
    sizes, fovs = np.broadcast_to(SIZE, (2, 3, 2)), np.full((2, 3), 60.0)
    batch = landmark_features(landmarks, world, visibility, crops, sizes, fovs, dt_s)
    for b in range(2):
        for t in range(3):
            one = landmark_features(
                landmarks[b, t], world[b, t], visibility[b, t], crops[b, t], SIZE, 60.0, dt_s[b, t]
            )
            assert np.allclose(batch[b, t], one, atol=1e-6)


def _tilted_camera(pitch_deg: float, roll_deg: float, azimuth_deg: float) -> np.ndarray:
    """World → camera as training.camera.random_rotation builds it."""
    axes = np.radians([[pitch_deg, 0.0, 0.0], [0.0, 0.0, roll_deg], [0.0, azimuth_deg, 0.0]])
    pitch, roll, azimuth = axis_angle_to_matrix(axes)
    return pitch @ roll @ FRONT @ azimuth


@given(st.floats(-90, 90), st.floats(-180, 180), st.floats(-180, 180), st.floats(0, 640), st.floats(0, 480))
@settings(max_examples=50, deadline=None)
def test_up_is_where_the_renderer_has_it(pitch_deg, roll_deg, azimuth_deg, cx, cy):
    R_cam_ray, _ = virtual_camera(np.array([cx, cy, 200.0]), SIZE, 60.0)
    up_in_camera = _tilted_camera(pitch_deg, roll_deg, azimuth_deg) @ [0.0, 1.0, 0.0]
    up = up_in_ray(R_cam_ray, pitch_deg, roll_deg)
    np.testing.assert_allclose(R_cam_ray @ up, up_in_camera, atol=1e-6)


def test_signs_of_pitch_and_roll():
    ahead = np.eye(3)
    np.testing.assert_allclose(up_in_ray(ahead, 0.0, 0.0), [0.0, -1.0, 0.0], atol=1e-12)
    assert up_in_ray(ahead, 10.0, 0.0)[2] < 0  # what stands before a camera that looks down leans towards it
    assert up_in_ray(ahead, 0.0, 10.0)[0] > 0  # to the right
    batch = up_in_ray(np.stack([ahead, ahead]), np.array([0.0, 10.0]), 0.0)
    np.testing.assert_allclose(batch[1], up_in_ray(ahead, 10.0, 0.0))


def test_up_and_appearance_have_their_places_and_zeros_where_not_known():
    landmarks, world, visibility = _observed()
    seen = (landmarks, world, visibility, np.array([250.0, 250.0, 400.0]), SIZE, 60.0)
    up, z = np.array([0.6, -0.8, 0.0]), np.arange(1.0, 129.0)
    bare, full = landmark_features(*seen), landmark_features(*seen, up=up, z=z)
    np.testing.assert_array_equal(bare[:199], full[:199])
    assert not bare[199:].any()
    np.testing.assert_allclose(full[199:202], up)
    assert full[202] == 1.0
    np.testing.assert_array_equal(full[203:], z)
    up[1], z[70] = np.nan, np.inf
    np.testing.assert_array_equal(landmark_features(*seen, up=up, z=z), bare)


def test_rows_of_a_batch_may_lack_appearance():
    rng = np.random.default_rng(3)
    image, world, visibility = rng.normal(size=(4, 33, 2)), rng.normal(size=(4, 33, 3)), np.ones((4, 33))
    up, z = rng.normal(size=(4, 3)), rng.normal(size=(4, 128))
    z[2, 5] = up[1, 0] = np.nan
    features = assemble_features(image, world, visibility, 1 / 30, up, z)
    assert features.shape == (4, FEATURE_DIM) == (4, 331)
    np.testing.assert_array_equal(features[:, HAS_APPEARANCE], [1, 1, 0, 1])
    assert features[:, APPEARANCE].any(1).tolist() == [True, True, False, True]
    assert features[:, UP].any(1).tolist() == [True, False, True, True]
    for row in (0, 3):
        one = assemble_features(image[row], world[row], visibility[row], 1 / 30, up[row], z[row])
        np.testing.assert_array_equal(features[row], one)
