"""The floor of live receivers: it stays under a jump, follows what lasts, and feet stand on it."""

from __future__ import annotations

import numpy as np
import pytest
from walks import FPS, seen, walk

from realtime.body.rotations import quaternion_to_matrix
from realtime.body.smpl import load_body
from realtime.coordinates import UNITY
from realtime.files.rows_file import message_of
from realtime.floor import Floor
from realtime.humanoid import bone_positions
from realtime.sinks.bones import BoneReader
from realtime.sinks.stage import Stage
from realtime.sinks.web.shown import Shown

BODY = load_body(None)


@pytest.mark.parametrize("flight_s", [0.3, 0.7])
def test_the_floor_stays_under_a_jump_and_trembling_feet(flight_s):
    floor = Floor()
    rng = np.random.default_rng(0)
    heights = []
    for step in range(300):
        t = step / 30
        in_air = 5 < t < 5 + flight_s
        jump = 0.5 * 9.81 * (t - 5) * (5 + flight_s - t) if in_air else 0.0
        heights.append(floor.update(t, 0.9 - jump + rng.normal(0, 0.01)))
    assert np.ptp(heights[60:]) < 0.03 and abs(heights[-1] - 0.9) < 0.02


def test_the_floor_is_there_again_soon_after_a_body_was_told_too_low():
    floor = Floor()
    for step in range(210):
        floor.update(step / 30, 1.0 if 60 <= step < 120 else 0.9)
        if step == 119:
            assert floor.y == pytest.approx(1.0, abs=0.005)
        if step >= 120 + 60:
            assert floor.y == pytest.approx(0.9, abs=0.005)


def test_the_floor_goes_along_with_who_walks_before_a_tilted_camera():
    """0.6 m/s before a camera that looks down by 10°: 0.1 m/s; a floor of three seconds was a foot behind."""
    floor = Floor()
    behind = [floor.update(step / 30, 0.9 - 0.1 * step / 30) - (0.9 - 0.1 * step / 30) for step in range(150)]
    assert min(behind) >= 0.0 and max(behind) < 0.12


def test_the_floor_follows_a_lasting_change_and_forgets():
    floor = Floor()
    for step in range(60):
        floor.update(step / 30, 0.9)
    for step in range(60, 360):
        floor.update(step / 30, 1.2)
    assert floor.y == pytest.approx(1.2, abs=0.01)
    floor.reset()
    assert floor.y is None and floor.update(20.0, 0.5) == 0.5


def walked(pitch_deg: float):
    """The messages of eight seconds of a walk before a camera that does not say how it is put up."""
    rotations, places = walk(8.0)
    recording = seen(BODY, rotations, places, pitch_deg=pitch_deg)
    return [message_of(row, seq, recording.header["constants"]) for seq, row in enumerate(recording.rows)]


@pytest.mark.parametrize(("pitch_deg", "within_m"), [(0.0, 0.01), (4.0, 0.06)])
def test_who_walks_stands_on_the_floor_of_the_page(pitch_deg: float, within_m: float):
    """On a floor that falls under him by 4 cm a second he is half a second late."""
    shown = Shown(BODY)
    heights = [shown.figure(message).vertices[:, 1].min() for message in walked(pitch_deg)]
    assert np.abs(heights[FPS:]).max() < within_m and abs(np.median(heights[FPS:])) < within_m / 2


@pytest.mark.parametrize(("pitch_deg", "within_m"), [(0.0, 0.02), (4.0, 0.06)])
def test_an_avatar_that_walks_stands_on_it(pitch_deg: float, within_m: float):
    reader = BoneReader(BODY)
    stage, heights = Stage(reader.neutral), []
    for message in walked(pitch_deg):
        pose, now_s = reader.read(message), message.t_capture_ns / 1e9
        stage.see(now_s, message, pose)
        frame = stage.frame(now_s)
        turns = UNITY.rotations_back(quaternion_to_matrix(frame.quaternions))
        places = bone_positions(turns, UNITY.points_back(frame.positions))
        heights.append(places[:, 1].min() - pose.skeleton.sole_m)
    assert np.abs(heights[FPS:]).max() < within_m and abs(np.median(heights[FPS:])) < within_m / 2
