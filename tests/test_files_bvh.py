""".bvh read back: by a small reader of our own, and by Blender's importer where there is a Blender."""

import numpy as np
import pytest
from bodies import random_body
from bvh_reader import Bvh
from importers.run import in_blender, needs_blender
from scipy.spatial.transform import Rotation
from takes import take

from realtime.body.skeleton import JOINT_NAMES, PARENTS
from realtime.body.smpl import load_body
from realtime.coordinates import BLENDER
from realtime.files.bvh import euler_zxy, write_bvh
from realtime.files.steady import Steady, steady


def written(path, recording, body):
    motion = steady(recording, body)
    with path.open("wb") as file:
        write_bvh(file, motion, body)
    return motion


@pytest.mark.parametrize("body", [load_body(None), random_body(1)], ids=["shipped", "random"])
def test_its_joints_are_ours(tmp_path, body):
    path = tmp_path / "a.bvh"
    motion = written(path, take(50, body, jitter_ns=5_000_000), body)
    bvh = Bvh(path)
    assert sorted(bvh.names) == sorted(JOINT_NAMES) and bvh.names[0] == "pelvis"
    order = [bvh.names.index(name) for name in JOINT_NAMES]
    for joint, parent in enumerate(PARENTS[1:], start=1):
        assert bvh.names[bvh.parents[order[joint]]] == JOINT_NAMES[parent]
    assert bvh.frame_time == pytest.approx(1 / 30, abs=1e-8)
    assert np.abs(bvh.joints()[:, order] - motion.joints(body)).max() < 1e-4
    assert np.abs(bvh.offsets[0]).max() == 0 and len(bvh.channels[0]) == 6


def test_upright_in_a_y_up_world_on_its_feet(tmp_path):
    body, recording = load_body(None), take(10)
    recording.rows["theta"][:, 3:75] = 0
    recording.rows["theta"][:, 3] = np.pi
    recording.rows["trans"] = (0.4, 0.1, 3.0)
    written(tmp_path / "a.bvh", recording, body)
    bvh = Bvh(tmp_path / "a.bvh")
    at = dict(zip(bvh.names, bvh.joints()[0], strict=True))
    assert at["head"][1] > 1.4 and 0 < at["left_foot"][1] < 0.12
    assert at["left_wrist"][0] > 0.5 and at["right_wrist"][0] < -0.5  # left is +x …
    assert at["left_foot"][2] > at["left_ankle"][2] + 0.05  # … who looks along +z
    assert bvh.ends["head"][1] > 0.08 and bvh.ends["left_foot"][2] > 0.02
    assert bvh.ends["left_hand"][0] > 0.02 > -0.02 > bvh.ends["right_hand"][0]
    assert set(bvh.ends) == {"head", "left_foot", "right_foot", "left_hand", "right_hand"}


def test_angles_are_those_of_scipy_also_where_two_axes_fall_together():
    rotations = Rotation.random(500, random_state=0).as_matrix()
    np.testing.assert_allclose(
        euler_zxy(rotations), Rotation.from_matrix(rotations).as_euler("ZXY"), atol=1e-9
    )
    locked = Rotation.from_euler("ZXY", [[0.3, np.pi / 2, 0.4], [-1.0, -np.pi / 2, 2.0]]).as_matrix()
    again = Rotation.from_euler("ZXY", euler_zxy(locked)).as_matrix()
    np.testing.assert_allclose(again, locked, atol=1e-9)


def test_who_interpolates_the_angles_does_not_spin_a_bone(tmp_path, monkeypatch):
    """A joint that goes on turning, about axes that are hard for Euler angles, is never far from the frame before."""
    monkeypatch.setattr("realtime.files.steady.PART", 9)
    body, count = load_body(None), 200
    rotations = np.tile(np.eye(3), (count, 24, 1, 1))
    turn = np.linspace(0, 4 * np.pi, count)
    tilted = Rotation.from_rotvec((1.0, 0, 0))
    for joint, axis, before in ((0, (0, 1, 0), None), (16, (1, 0, 0), None), (17, (0, 0, 1), tilted)):
        turned = Rotation.from_rotvec(turn[:, None] * np.array(axis))
        rotations[:, joint] = (turned if before is None else before * turned).as_matrix()
    with (tmp_path / "a.bvh").open("wb") as file:
        write_bvh(
            file,
            Steady(30, lambda part: rotations[part], np.zeros((count, 3)), np.zeros(10, np.float32)),
            body,
        )
    assert np.abs(np.diff(Bvh(tmp_path / "a.bvh").frames[:, 3:], axis=0)).max() < 12  # degrees; a step is 3.6


@needs_blender
def test_blender_imports_it_with_the_joints_where_ours_are(tmp_path):
    body, path = load_body(None), tmp_path / "a.bvh"
    motion = written(path, take(40), body)
    told = in_blender(path, 40, tmp_path / "out.json")
    heads = np.array(told["heads"])[:, [told["names"].index(name) for name in JOINT_NAMES]]
    assert np.abs(heads - BLENDER.points(motion.joints(body))).max() < 1e-3
