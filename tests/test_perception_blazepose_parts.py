"""What surrounds BlazePose's networks: the square, its steadying, the detector's anchors, the heatmaps."""

import math

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from realtime.perception.detector import SIZE, anchors, best_points
from realtime.perception.heatmap import refine
from realtime.perception.region import MARGIN, Region, SteadyPoints, region_around, whole

regions = st.builds(
    Region,
    st.floats(-100, 700),
    st.floats(-100, 700),
    st.floats(4, 2000),
    st.floats(-math.pi, math.pi),
)


@given(regions, st.sampled_from([64, 224, 256]))
def test_the_crop_is_the_turned_rectangle_of_opencv(region, size):
    corners = cv2.boxPoints(
        ((region.cx, region.cy), (region.side, region.side), math.degrees(region.turn))
    )  # lower left, upper left, upper right, lower right of the upright one
    ours = region.to_image(np.array([[0, size], [0, 0], [size, 0], [size, size]], np.float32), size)
    np.testing.assert_allclose(ours, corners, atol=1e-3 * region.side)


@pytest.mark.parametrize("turn", [0.0, 0.5, -2.0])
def test_what_the_crop_shows_is_where_to_image_says(turn):
    picture = np.zeros((300, 400, 3), np.uint8)
    cv2.circle(picture, (170, 130), 9, (255, 255, 255), -1, cv2.LINE_AA)
    region = Region(190.0, 140.0, 160.0, turn)
    crop = region.crop(picture, 128).astype(float)[..., 0]
    rows, columns = np.mgrid[:128, :128]
    middle = np.array([[(crop * columns).sum(), (crop * rows).sum()]]) / crop.sum()
    np.testing.assert_allclose(region.to_image(middle, 128), [[170, 130]], atol=0.2)


def test_outside_the_picture_the_edge_goes_on_or_it_is_black():
    picture = np.full((10, 20, 3), 200, np.uint8)
    assert (Region(15.0, 5.0, 40.0).crop(picture, 16) == 200).all()
    square = whole(20, 10).crop(picture, 20, cv2.BORDER_CONSTANT)
    assert not square[:4].any()
    assert (square[6:14, 1:] == 200).all()
    assert not square[16:].any()


@given(st.floats(-3.1, 3.1), st.floats(2, 500))
def test_the_square_stands_on_the_hips_with_the_head_up(turn, radius):
    hips = np.array([100.0, 50.0])
    up = radius * np.array([math.sin(turn), -math.cos(turn)])
    region = region_around(np.stack([hips, hips + up]))
    assert (region.cx, region.cy) == (100.0, 50.0)
    assert region.side == pytest.approx(2 * MARGIN * radius)
    assert math.remainder(region.turn - turn, 2 * math.pi) == pytest.approx(0.0, abs=1e-6)
    head = region.to_image(np.array([[128.0, 128.0 - 128.0 / MARGIN]], np.float32), 256)
    np.testing.assert_allclose(head[0], hips + up, atol=1e-3 * radius)
    standing = np.array([[0.0, -0.5, 0.1]])  # metres, as the network sees him: upright
    np.testing.assert_allclose(region.turn_back(standing)[0], [*(0.5 * up / radius), 0.1], atol=1e-6)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 0.0, 1e9])
def test_no_square_of_points_that_span_none(bad):
    assert region_around(np.array([[0.0, 0.0], [bad, 0.0]])) is None
    assert region_around(np.array([[bad, 0.0], [bad, 0.0]])) is None


def test_one_who_stands_is_still_and_one_who_runs_is_followed():
    rng = np.random.default_rng(0)
    points = np.array([[320.0, 240.0], [320.0, 80.0]])
    for step_px, follows in ((0.0, 0.1), (20.0, 0.7)):  # of the jitter, of the way
        steady, raw, seen = SteadyPoints(), [], []
        for frame in range(90):
            raw.append(points + [step_px * frame, 0.0] + rng.normal(0.0, 1.0, (2, 2)))
            seen.append(steady.filter(raw[-1], frame * 33_333_333))
        np.testing.assert_array_equal(seen[0], raw[0])
        if not step_px:
            assert np.diff(seen, axis=0).std() < follows * np.diff(raw, axis=0).std()
        else:
            assert np.abs(np.subtract(seen, raw)[30:, :, 0]).max() < (1 - follows) / follows * step_px * 1.5
    kept = seen[-1].copy()
    np.testing.assert_array_equal(steady.filter(points, 0), points)  # an old stamp: not filtered, not kept
    assert np.abs(steady.filter(raw[-1], 90 * 33_333_333) - kept).max() < step_px
    steady.reset()
    np.testing.assert_array_equal(steady.filter(points, 0), points)


def test_anchors():
    centres = anchors()
    assert centres.shape == (2254, 2)
    by_layer = np.split(centres, [1568, 1960])
    for layer, stride, copies in zip(by_layer, (8, 16, 32), (2, 2, 6), strict=True):
        cells = (SIZE // stride) ** 2
        assert layer.shape == (cells * copies, 2)
        assert (layer.reshape(cells, copies, 2) == layer[::copies, None]).all()
        np.testing.assert_array_equal(layer[0], stride / 2)
        np.testing.assert_array_equal(layer[copies] - layer[0], [stride, 0])  # row by row
        np.testing.assert_array_equal(layer[-1], SIZE - stride / 2)


def answers(*people):
    """The detector's raw answers for people: (anchor, logit, (x, y, w, h), hips, circle point), pixels."""
    centres = anchors()
    boxes, scores = np.zeros((2254, 12), np.float32), np.full(2254, -10.0, np.float32)
    for anchor, logit, (x, y, w, h), hips, circle in people:
        boxes[anchor] = [x, y, w, h, *hips, *circle, 0, 0, 0, 0]
        boxes[anchor].reshape(6, 2)[[0, 2, 3, 4, 5]] -= centres[anchor]
        scores[anchor] = logit
    return boxes, scores, centres


def test_the_surest_person_and_the_mean_of_what_is_said_of_him():
    left = (500, 2.0, (60, 40, 20, 20), (60, 100), (60, 20))
    again = (1700, 1.0, (62, 41, 20, 20), (64, 104), (56, 20))
    right = (900, 1.5, (160, 40, 20, 20), (160, 100), (160, 20))
    weight = 1 / (1 + np.exp(-np.array([2.0, 1.0])))
    mean = (
        weight[0] * np.array([[60, 100], [60, 20]]) + weight[1] * np.array([[64, 104], [56, 20]])
    ) / weight.sum()
    np.testing.assert_allclose(best_points(*answers(left, again, right)), mean, rtol=1e-5)
    np.testing.assert_allclose(best_points(*answers(left, right)), [[60, 100], [60, 20]], rtol=1e-5)
    surer = (900, 2.5, *right[2:])
    np.testing.assert_allclose(best_points(*answers(left, surer)), [[160, 100], [160, 20]], rtol=1e-5)


def test_nobody_where_the_network_is_not_sure():
    person = (500, -0.01, (60, 40, 20, 20), (60, 100), (60, 20))
    assert best_points(*answers(person)) is None
    assert best_points(*answers((500, 3.0, (60, 40, -2, 20), (60, 100), (60, 20)))) is None
    assert best_points(*answers((500, 3.0, (60, 40, 20, 20), (np.nan, 100), (60, 20)))) is None
    flat = best_points(*answers((500, 1e30, (60, 40, 0, 0), (60, 100), (60, 20))))
    np.testing.assert_allclose(flat, [[60, 100], [60, 20]], rtol=1e-5)


def refined_slowly(landmark, heatmap):
    """MediaPipe's rule, cell by cell."""
    height, width = heatmap.shape
    column, row = int(landmark[0] * width), int(landmark[1] * height)
    if column < 0 or row < 0 or column >= width:
        return landmark
    cells = [
        (r, c, 1 / (1 + math.exp(-heatmap[r, c])))
        for r in range(max(0, row - 4), min(height, row + 5))
        for c in range(max(0, column - 4), min(width, column + 5))
    ]
    if not cells or max(weight for *_, weight in cells) < 0.5:
        return landmark
    total = sum(weight for *_, weight in cells)
    return [sum(w * c for _, c, w in cells) / total / width, sum(w * r for r, _, w in cells) / total / height]


def test_heatmaps_refine_as_mediapipe_does():
    rng = np.random.default_rng(0)
    landmarks = rng.uniform(-0.1, 1.15, (200, 2)).astype(np.float32)
    heatmaps = rng.normal(-3.0, 2.0, (200, 64, 64)).astype(np.float32)
    heatmaps[::4] -= 10.0  # not sure
    heatmaps[0, 0, 0] = 1e30
    slowly = [refined_slowly(*pair) for pair in zip(landmarks.tolist(), heatmaps, strict=True)]
    fast = refine(landmarks, heatmaps)
    np.testing.assert_allclose(fast, slowly, atol=2e-6)
    assert 80 < (fast != landmarks).any(axis=1).sum() < 150
    landmarks[:3] = [[np.nan, 0.5], [np.inf, 0.5], [0.5, -np.inf]]
    np.testing.assert_array_equal(refine(landmarks, heatmaps)[:3], landmarks[:3])
