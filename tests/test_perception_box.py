import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from people import standing

from realtime.observation import Crop
from realtime.perception.box import CROP_PER_DIAGONAL, keypoint_crop, smooth_crop, visible_landmarks

offsets = st.floats(-2000, 2000)
scales = st.floats(0.05, 20)
crops = st.builds(Crop, offsets, offsets, st.floats(1, 3000))
times = st.floats(0, 3)


def values(crop):
    return np.array([crop.cx, crop.cy, crop.side])


def test_crop_is_hmmrs():
    points = np.array([[10, 20], [40, 60], [30, 30], [20, 50]], np.float32)
    crop = keypoint_crop(points, np.ones(4, np.float32))
    assert crop == Crop(25.0, 40.0, pytest.approx(224 / 150 * 50))
    assert pytest.approx(1.493, abs=1e-3) == CROP_PER_DIAGONAL


@given(offsets, offsets, scales)
def test_crop_moves_and_grows_with_the_person(dx, dy, scale):
    person = standing()
    seen = person.visibility
    here = keypoint_crop(person.landmarks_px, seen)
    there = keypoint_crop(person.landmarks_px.astype(np.float64) * scale + [dx, dy], seen)
    np.testing.assert_allclose(values(there), values(here) * scale + [dx, dy, 0], rtol=1e-5, atol=1e-2)


def test_only_visible_finite_landmarks_count():
    person = standing()
    pixels, visibility = person.landmarks_px.copy(), person.visibility.copy()
    whole = keypoint_crop(pixels, visibility)
    visibility[0], pixels[0] = 0.3, (9999, 9999)  # 0.3 itself is not visible
    pixels[1], pixels[2], visibility[3] = (np.nan, 0), (np.inf, 0), np.nan
    assert not visible_landmarks(pixels, visibility)[:4].any()
    assert visible_landmarks(pixels, visibility)[4:].all()
    assert values(keypoint_crop(pixels, visibility)) == pytest.approx(values(whole))


def test_box_is_not_cut_at_the_picture():
    person = standing(x=-500.0)
    assert keypoint_crop(person.landmarks_px, person.visibility).cx == pytest.approx(-500.0, abs=1)


@pytest.mark.parametrize(("visible", "is_box"), [(0, False), (3, False), (4, True)])
def test_too_few_landmarks_give_no_crop(visible, is_box):
    visibility = np.zeros(33, np.float32)
    visibility[11 : 11 + visible] = 1
    assert (keypoint_crop(standing().landmarks_px, visibility) is not None) == is_box


def test_one_point_gives_no_crop():
    assert keypoint_crop(np.full((33, 2), 7.0, np.float32), np.ones(33, np.float32)) is None


def test_smoothing_is_the_documented_exponential():
    got = smooth_crop(Crop(0, 100, 100), Crop(10, 50, 200), dt_s=0.05, tau_s=0.1)
    alpha = 1 - math.exp(-0.5)
    assert values(got) == pytest.approx(
        [10 * alpha, 100 - 50 * alpha, math.exp(math.log(100) + alpha * math.log(2))]
    )


@given(crops, crops, times, times)
def test_two_short_steps_are_one_long_one(start, target, first_s, second_s):
    """So the result does not depend on the frame rate."""
    once = smooth_crop(start, target, first_s + second_s, 0.1)
    twice = smooth_crop(smooth_crop(start, target, first_s, 0.1), target, second_s, 0.1)
    np.testing.assert_allclose(values(twice), values(once), rtol=1e-6, atol=1e-6)


@given(crops, crops, times, offsets, scales)
def test_smoothing_moves_and_grows_with_the_picture(start, target, dt_s, shift, scale):
    def seen(crop):
        return Crop(crop.cx * scale + shift, crop.cy * scale + shift, crop.side * scale)

    first = smooth_crop(seen(start), seen(target), dt_s, 0.1)
    np.testing.assert_allclose(
        values(first), values(seen(smooth_crop(start, target, dt_s, 0.1))), rtol=1e-6, atol=1e-4
    )


def test_smoothing_starts_stops_and_waits():
    old, new = Crop(0, 0, 100), Crop(50, 60, 300)
    assert smooth_crop(None, new, 0.03, 0.1) == new
    assert smooth_crop(old, new, 0.03, 0.0) == new
    assert smooth_crop(old, new, 0.0, 0.1) == smooth_crop(old, new, -1.0, 0.1) == old
    assert values(smooth_crop(old, new, 100.0, 0.1)) == pytest.approx(values(new))
