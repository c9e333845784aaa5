"""Feet stand on the ground of .amass.npz, .bvh and .glb: for motion over a floor that is known."""

from __future__ import annotations

import numpy as np
import pytest
from bodies import figure_body
from glb_reader import Glb
from takes import take
from walks import FPS, jumps, lowest_of, seen, walk

from realtime.body.smpl import load_body
from realtime.files.ground import lowest_points, opened
from realtime.files.rows_file import write_file
from realtime.files.steady import Steady, steady

BODY = load_body(None)


def over_the_ground(recording) -> np.ndarray:
    """(T,) metres of the lowest of all vertices, in the world of the files."""
    motion = steady(recording, BODY)
    return motion.pelvis[:, 1] + lowest_of(BODY, motion.rotations())


def longest_s(under: np.ndarray) -> float:
    """Of runs of True in (T,)."""
    edges = np.flatnonzero(np.diff(np.concatenate(([0], under.astype(int), [0]))))
    return float(np.max(np.diff(edges)[::2], initial=0)) / FPS


@pytest.mark.parametrize("body", [BODY, figure_body()], ids=["shipped", "figure"])
def test_a_few_vertices_tell_the_lowest_of_all(body) -> None:
    motion = steady(take(60, body, betas=False), body, on_floor=False)
    expected = lowest_of(body, motion.rotations()) + motion.pelvis[:, 1]
    found = lowest_points(motion, body)
    assert (found >= expected - 1e-5).all() and (found - expected).max() < 0.005


def test_who_walks_stands_on_the_ground() -> None:
    rotations, places = walk(5.0)
    motion = steady(seen(BODY, rotations, places), BODY)
    above = motion.pelvis[:, 1] + lowest_of(BODY, motion.rotations())
    assert np.abs(above).max() < 0.005
    np.testing.assert_allclose(
        motion.pelvis[:, [0, 2]], places - places[0], atol=1e-4
    )  # as seen, from the origin


@pytest.mark.parametrize("pitch_deg", [-10.0, 15.0])
def test_a_camera_that_is_tilted_and_does_not_say_so(pitch_deg: float) -> None:
    """Its ground rises or falls by half a metre under who comes nearer: files of one height would let him sink in."""
    rotations, places = walk(5.0)
    recording = seen(BODY, rotations, places, pitch_deg=pitch_deg)
    plain = steady(recording, BODY, on_floor=False)
    assert np.ptp(plain.pelvis[:, 1] + lowest_of(BODY, plain.rotations())) > 0.4
    above = over_the_ground(recording)
    # Of either foot: they stand a step apart, one on higher ground than the other.
    assert np.abs(above).max() < 0.06 and abs(np.median(above)) < 0.01
    assert longest_s(above < -0.03) <= 0.3


@pytest.mark.parametrize("flight_s", [0.3, 0.7])
def test_who_jumps_leaves_the_ground_as_far_as_he_jumped(flight_s: float) -> None:
    rotations, height = jumps(8.0, flight_s)
    above = over_the_ground(seen(BODY, rotations, np.tile((0.0, -3.0), (len(height), 1)), height))
    np.testing.assert_allclose(above, height, atol=0.005)
    assert height.max() > 0.1


def test_heights_that_tremble_and_drift_and_wrong_frames() -> None:
    """A walk as the live model sees it: centimetres up and down within seconds, millimetres from frame to frame."""
    rng = np.random.default_rng(0)
    rotations, places = walk(20.0)
    recording = seen(BODY, rotations, places * 0.1 + (0.0, -3.0))
    drift = np.convolve(rng.normal(0, 1, len(places) + 44), np.hanning(45), mode="valid")
    error = 0.05 * drift / drift.std() + rng.normal(0, 0.004, len(places))
    error[[100, 300, 301]] += 0.3  # downward: the camera's y
    recording.rows["trans"][:, 1] += error
    above = over_the_ground(recording)
    standing = above[np.abs(above) < 0.05]
    assert abs(np.median(standing)) < 0.02 and len(standing) > 0.9 * len(above)
    assert longest_s(above < -0.03) <= 0.1


def test_the_skin_of_the_glb_stands_on_it(tmp_path) -> None:
    rotations, places = walk(2.0)
    write_file(seen(BODY, rotations, places, pitch_deg=10.0), tmp_path / "a.glb", BODY)
    glb = Glb(tmp_path / "a.glb")
    lows = [glb.vertices(t_s)[:, 1].min() for t_s in np.arange(0.1, 1.9, 0.2)]
    assert np.abs(lows).max() < 0.04 and abs(np.median(lows)) < 0.02


def test_a_step_up_is_followed_and_a_hill_of_a_second_is_not() -> None:
    heights = np.zeros(300)
    heights[200:] = 0.3
    heights[60:85] += 0.2
    ground = opened(heights, FPS)
    assert np.abs(ground[:180]).max() < 1e-6 and np.abs(ground[215:] - 0.3).max() < 0.01
    assert opened(np.array([0.4]), FPS) == pytest.approx([0.4])


def test_what_is_asked_for_at_the_camera_stays_as_seen() -> None:
    rotations, places = walk(1.0)
    motion = steady(seen(BODY, rotations, places), BODY, on_floor=False)
    assert isinstance(motion, Steady)
    np.testing.assert_allclose(motion.pelvis[:, [0, 2]], places, atol=1e-5)
    np.testing.assert_allclose(motion.pelvis[:, 1] + lowest_of(BODY, motion.rotations()), -1.1, atol=1e-4)
