"""Live stamps to a steady rate, camera to world."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation, Slerp
from takes import FRAME_NS, take

from realtime.body.smpl import load_body
from realtime.coordinates import R_WORLD_CAM, to_world, world_of_camera
from realtime.files import steady as module
from realtime.files.rows_file import write_file
from realtime.files.steady import LEAST_FPS, slerp, steady
from realtime.record_file import STATES, RecordError, Rows

BODY = load_body(None)


def with_rows(recording, rows):
    return Rows(recording.header, rows, 0)


def test_steady_capture_stays_as_it_is():
    recording = take(40)
    motion = steady(recording, BODY, on_floor=False)
    pose = to_world(recording.rows["theta"], recording.rows["trans"])
    assert motion.fps == 30 and len(motion.pelvis) == 40
    np.testing.assert_allclose(motion.rotations(), pose.rotations, atol=1e-6)
    np.testing.assert_allclose(motion.pelvis, pose.trans, atol=1e-6)
    np.testing.assert_allclose(motion.betas, recording.rows["theta"][0, 75:], atol=1e-6)
    there = (recording.rows["joints"] + recording.rows["trans"][:, None]) @ R_WORLD_CAM.T
    np.testing.assert_allclose(motion.joints(BODY), there, atol=1e-5)


def test_between_two_rows_it_is_on_the_way_that_scipy_takes():
    recording = take(60, jitter_ns=9_000_000)
    motion = steady(recording, BODY, on_floor=False)
    t_s = (recording.rows["t_capture_ns"] - recording.rows["t_capture_ns"][0]) / 1e9
    instants_s = np.arange(len(motion.pelvis)) / motion.fps
    assert instants_s[-1] <= t_s[-1] < instants_s[-1] + 1.0 / motion.fps
    pose = to_world(recording.rows["theta"], recording.rows["trans"])
    for joint in range(24):
        expected = Slerp(t_s, Rotation.from_matrix(pose.rotations[:, joint]))(instants_s).as_matrix()
        np.testing.assert_allclose(motion.rotations()[:, joint], expected, atol=1e-6)
    expected = np.stack([np.interp(instants_s, t_s, pose.trans[:, axis]) for axis in range(3)], axis=1)
    np.testing.assert_allclose(motion.pelvis, expected, atol=1e-6)


def test_slerp_takes_the_shorter_way_and_knows_no_distance():
    a = np.array([[0.0, 0, 0, 1], [0, 0, 0, 1]])
    b = np.array([[0.0, 0, -np.sin(0.4), -np.cos(0.4)], [0, 0, 0, 1]])
    half = slerp(a, b, np.array([[0.5], [0.5]]))
    np.testing.assert_allclose(half, [[0, 0, np.sin(0.2), np.cos(0.2)], [0, 0, 0, 1]], atol=1e-12)


RATES = [(FRAME_NS, 30), (16_666_667, 60), (33_366_700, 30), (66_666_667, LEAST_FPS)]


@pytest.mark.parametrize(("step_ns", "fps"), RATES)
def test_the_rate_is_whole_and_never_below_what_the_add_on_takes(step_ns, fps):
    recording = take(31)
    recording.rows["t_capture_ns"] = np.arange(31) * step_ns
    motion = steady(recording, BODY)
    assert motion.fps == fps
    assert (len(motion.pelvis) - 1) / fps == pytest.approx(30 * step_ns / 1e9, abs=1.0 / fps)


def test_nobody_before_and_after_is_left_out_and_a_gap_is_held():
    recording = take(40)
    rows = recording.rows
    rows["state"][[0, 1, 2, 38, 39]] = STATES.index("lost")
    rows["t_capture_ns"][20:] += 2_000_000_000  # nothing came for two seconds
    motion = steady(recording, BODY, on_floor=False)
    pose = to_world(rows["theta"], rows["trans"])
    assert len(motion.pelvis) == 35 + 60
    np.testing.assert_allclose(motion.pelvis[0], pose.trans[3], atol=1e-6)
    np.testing.assert_allclose(motion.pelvis[16 : 16 + 60], np.tile(pose.trans[19], (60, 1)), atol=1e-6)
    np.testing.assert_allclose(motion.pelvis[16 + 61], pose.trans[20], atol=1e-4)


def test_stamps_that_stand_still_or_go_back_are_left_out():
    recording = take(20)
    recording.rows["t_capture_ns"][[5, 11]] = recording.rows["t_capture_ns"][[4, 3]]
    assert len(steady(recording, BODY).pelvis) == 20


def test_the_shape_is_of_who_was_tracked_longest():
    recording = take(30)
    rows = recording.rows
    rows["person"][:12], rows["theta"][:12, 75] = 1, -1.0
    rows["person"][12:], rows["theta"][12:, 75] = 2, 2.0
    rows["state"][25:], rows["theta"][25:, 75] = STATES.index("held"), 9.0
    assert steady(recording, BODY).betas[0] == 2.0


def test_the_origin_is_on_the_floor_and_a_camera_that_looks_down_is_turned_back():
    recording = take(30)
    recording.rows["theta"][:, 3:75] = 0
    recording.rows["theta"][:, 3] = np.pi  # stands upright, level camera
    recording.rows["trans"][:, 1] = 0.1
    level = steady(recording, BODY)
    lowest = BODY.shaped(level.betas)[:, 1].min() - BODY.rest_joints(level.betas)[0, 1]
    np.testing.assert_allclose(level.pelvis[:, 1] + lowest, 0.0, atol=0.005)
    np.testing.assert_array_equal(level.pelvis[0, [0, 2]], 0)
    recording.header["constants"]["camera_pitch_deg"] = "20"
    turned = steady(recording, BODY, on_floor=False)
    R = world_of_camera(20, 0)
    np.testing.assert_allclose(turned.pelvis, recording.rows["trans"] @ R.T, atol=1e-6)
    np.testing.assert_allclose(turned.rotations()[:, 0], np.tile(R @ R_WORLD_CAM.T, (30, 1, 1)), atol=1e-6)


def test_what_holds_no_motion_is_refused():
    recording = take(5)
    with pytest.raises(RecordError, match="nobody was seen"):
        steady(with_rows(recording, recording.rows[:0]), BODY)
    recording.rows["state"] = STATES.index("lost")
    with pytest.raises(RecordError, match="nobody was seen"):
        steady(recording, BODY)
    recording = take(5)
    recording.rows["t_capture_ns"][4] = 2**62
    with pytest.raises(RecordError, match="hours"):
        steady(recording, BODY)
    recording = take(5)
    recording.header["constants"]["camera_pitch_deg"] = "steep"
    with pytest.raises(RecordError, match="steep"):
        steady(recording, BODY)


def test_one_frame_is_a_motion():
    motion = steady(take(1), BODY)
    assert motion.fps == 30 and motion.pelvis.shape == (1, 3)


@pytest.mark.parametrize("kind", [".amass.npz", ".bvh", ".glb"])
def test_files_made_part_by_part_are_those_made_at_once(tmp_path, monkeypatch, kind):
    """And no more of it than a part is ever worked out at a time: an hour fits into memory."""
    recording, asked = take(100, jitter_ns=9_000_000), []
    recording.rows["t_capture_ns"][60:] += 1_500_000_000  # with a gap

    def spy(theta, *rest):
        asked.append(len(theta))
        return to_world(theta, *rest)

    monkeypatch.setattr(module, "to_world", spy)
    whole = write_file(recording, tmp_path / f"whole{kind}", BODY)
    assert max(asked) == 100
    asked.clear()
    monkeypatch.setattr(module, "PART", 7)
    parts = write_file(recording, tmp_path / f"parts{kind}", BODY)
    assert 0 < max(asked) <= 7 + 2
    if kind == ".amass.npz":  # whose archive holds the time of its making
        with np.load(whole) as one, np.load(parts) as other:
            assert one.files == other.files
            for key in one.files:
                np.testing.assert_array_equal(one[key], other[key])
    else:
        assert parts.read_bytes() == whole.read_bytes()
