"""bench.accuracy on real clips: what lies where on the picture, and what shakes."""

import numpy as np
import pytest
from accuracy_takes import BODY, perfect_track, shaken, turning_take
from streams import write_clip

from bench.accuracy import videos
from bench.accuracy.rows import STREAM, Row
from bench.accuracy.takes import Truth
from bench.accuracy.videos import JOINT_KINDS, JOINT_LANDMARKS, JOINTS, KINDS, judge, reprojection_percent
from realtime.body.skeleton import BLAZEPOSE_NAMES, JOINT_NAMES
from realtime.errors import SourceError
from realtime.observation import Crop, Detection, Observation
from training.metrics import LIMB_LANDMARKS, LIMB_PAIRS

FOV_DEG = 60.0


def on_the_joints(truth, shift_px=0.0):
    """Observations whose landmarks lie on the joints, all others on the pelvis; in pixels shifted to the right."""
    take = truth.take
    there = truth.joints + take.trans[:, None]
    pixels = take.camera.project(there)
    for t in range(len(there)):
        landmarks, world = np.tile(pixels[t, 0], (33, 1)), np.zeros((33, 3))
        for joint, rows in zip(JOINTS, JOINT_LANDMARKS, strict=True):
            landmarks[rows], world[rows] = pixels[t, joint], truth.joints[t, joint]
        landmarks[:, 0] += shift_px
        detection = Detection(landmarks.astype(np.float32), world.astype(np.float32), np.ones(33, np.float32))
        yield Observation(detection, Crop(320, 240, 300), "tracking", 0.9, 1, (640, 480))


def test_hands_are_where_the_fingers_begin():
    places = dict(zip(JOINTS, JOINT_LANDMARKS, strict=True))
    left = [BLAZEPOSE_NAMES[row] for row in places[JOINT_NAMES.index("left_hand")]]
    assert left == ["left_index", "left_pinky"]
    assert [BLAZEPOSE_NAMES[row] for row in places[JOINT_NAMES.index("right_knee")]] == ["right_knee"]
    assert len(JOINTS) == 14 and set(JOINT_KINDS) == set(KINDS)


def test_distance_in_percent_of_the_person():
    landmarks = np.tile(np.array([300.0, 200.0]), (2, 33, 1))
    landmarks[:, BLAZEPOSE_NAMES.index("left_ankle")] = [300.0, 600.0]  # 400 px tall
    visibility = np.ones((2, 33))
    visibility[1, BLAZEPOSE_NAMES.index("right_wrist")] = 0.2
    joints = np.tile(np.array([300.0, 200.0]), (2, 24, 1))
    joints[:, JOINT_NAMES.index("left_ankle")] = [306.0, 608.0]  # 10 px off
    joints[:, JOINT_NAMES.index("left_hand")] = [300.0, 220.0]
    percent = reprojection_percent(joints, landmarks, visibility)
    expected = np.zeros((2, 14))
    expected[:, JOINTS.index(JOINT_NAMES.index("left_ankle"))] = 2.5
    expected[:, JOINTS.index(JOINT_NAMES.index("left_hand"))] = 5.0
    expected[1, JOINTS.index(JOINT_NAMES.index("right_wrist"))] = np.nan
    assert percent == pytest.approx(expected, nan_ok=True)


def test_a_body_on_its_landmarks():
    truth = Truth(BODY, turning_take())
    track = perfect_track(truth)
    result = judge(track, list(on_the_joints(truth)), FOV_DEG)
    assert result["frames"] == 40
    assert result["reprojection_p90"] == pytest.approx(0.0, abs=1e-3)
    assert result["stream"] == pytest.approx(result["landmarks"], rel=1e-3)
    moved = judge(track, list(on_the_joints(truth, shift_px=10.0)), FOV_DEG)
    assert moved["reprojection_median"] > 1.0
    for kind in KINDS:
        assert moved["by_limb"][kind]["median"] == pytest.approx(moved["reprojection_median"], rel=0.2)


def test_what_shakes_and_what_flips():
    truth = Truth(BODY, turning_take(deg_per_frame=0.0))
    seen = list(on_the_joints(truth))
    for number in (11, 12, 30):  # three exchanges: there, back, there and back
        world = seen[number].detection.world.copy()
        left, right = LIMB_LANDMARKS[LIMB_PAIRS[:, 0]], LIMB_LANDMARKS[LIMB_PAIRS[:, 1]]
        seen[number].detection.world[left], seen[number].detection.world[right] = world[right], world[left]
    result = judge(shaken(perfect_track(truth), 0.01), seen, FOV_DEG)
    assert result["stream"]["accel_mm"] == pytest.approx(20.0 * 10 / 12, rel=1e-3)
    assert (result["stream"]["flips"], result["landmarks"]["flips"]) == (0, 4)
    track = perfect_track(truth)
    track.usable[5:10] = False
    track.points[10:, 0, 0] += 1.0  # while he was not in view
    gap = judge(track, seen, FOV_DEG)["stream"]
    assert gap["accel_mm"] == pytest.approx(0.0, abs=1e-3) and gap["flips"] == 0
    track = perfect_track(truth)
    track.usable[11:] = False
    assert judge(track, seen, FOV_DEG)["frames"] == 11
    track.usable[2:] = False
    assert judge(track, seen, FOV_DEG) == {"frames": 2}


def test_a_clip_in_which_nobody_is(tmp_path):
    clip = write_clip(tmp_path / "bar.avi", 4, fps=25.0)
    rows = [Row(STREAM, "stream")]
    result = videos.measure(clip, rows, "onnxruntime", BODY, limit=3)
    assert result == {"clip": "bar.avi", "fps": 25.0, "frames": 3, "rows": {STREAM: {"frames": 0}}}
    (tmp_path / "none.avi").write_bytes(b"nothing")
    with pytest.raises(SourceError, match="none.avi: cannot be read"):
        videos.measure(tmp_path / "none.avi", rows, "onnxruntime", BODY, 0)
