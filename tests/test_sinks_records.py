"""The record of 404 bytes and its JSON: other people's receivers rely on them."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import numpy as np
import pytest
from bone_poses import angles_deg, bone, limbs_of_bones, limbs_of_message, shipped_body, standing
from scipy.spatial.transform import Rotation

from realtime.coordinates import UNITY
from realtime.humanoid import BONES
from realtime.messages import PoseMessage
from realtime.sinks.bones import BonePose, BoneReader
from realtime.sinks.options import AXES
from realtime.sinks.records import AXES_CODES, RECORD_BYTES, STATE_CODES, Record

GOLDEN = Path(__file__).parent / "golden" / "record_v1.bin"
READER = BoneReader(shipped_body())


def golden_record() -> Record:
    """Every bone turned another way along the axes, so that all its numbers are exact."""
    message = standing(
        7, frame=9, t_capture_ns=2_000_000_000, t_publish_ns=2**40 + 5, person=3, score=0.75, state="held"
    )
    turns = Rotation.create_group("O").as_matrix().round()[:22]
    return Record(message, BonePose(turns, np.array([0.5, -0.25, -3.0]), 0.0, READER.neutral), "unity")


def test_golden_bytes():
    """A change here is a change of the format, and wants another version."""
    assert golden_record().binary == GOLDEN.read_bytes()


def test_golden_bytes_read_by_hand():
    """As docs/game-engines.md tells a stranger."""
    data = GOLDEN.read_bytes()
    assert len(data) == RECORD_BYTES == 404
    assert data[:8] == b"HMRL" + bytes([1, 0, 1, 2])  # version 1, Unity, held
    assert struct.unpack_from("<IIQQIf", data, 8) == (7, 9, 2_000_000_000, 2**40 + 5, 3, 0.75)
    assert struct.unpack_from("<3f", data, 40) == (-0.5, -0.25, -3.0)
    quaternions = np.frombuffer(data, "<f4", offset=52).reshape(22, 4)
    np.testing.assert_allclose(np.linalg.norm(quaternions, axis=1), 1, atol=1e-6)
    assert (quaternions[:, 3] >= 0).all()
    expected = UNITY.rotations(Rotation.create_group("O").as_matrix()[:22])
    np.testing.assert_allclose(Rotation.from_quat(quaternions).as_matrix(), expected, atol=1e-6)


def test_the_codes_are_as_they_were_given_out():
    assert AXES_CODES == {"world": 0, "unity": 1, "unreal": 2, "godot": 3, "blender": 4}
    assert set(AXES_CODES) == set(AXES)
    assert STATE_CODES == {"lost": 0, "warming": 1, "held": 2, "tracking": 3}


@pytest.mark.parametrize("axes", AXES)
def test_in_everybodys_axes_the_limbs_point_as_they_should(axes: str):
    message = standing(4)
    pose = READER.read(message)
    data = Record(message, pose, axes).binary
    assert data[6] == AXES_CODES[axes]
    hips = np.frombuffer(data, "<f4", 3, 40)
    np.testing.assert_allclose(AXES[axes].points_back(hips.astype(float)), [0.5, -0.25, -3], atol=1e-5)
    quaternions = np.frombuffer(data, "<f4", offset=52).reshape(22, 4)
    found = limbs_of_bones(quaternions, AXES[axes].points(pose.skeleton.offsets), AXES[axes])
    assert angles_deg(found, limbs_of_message(message)).max() < 0.1


def test_json_says_the_same():
    record = golden_record()
    told = json.loads(record.text)
    assert list(told) == (
        [
            "v",
            "axes",
            "state",
            "seq",
            "frame",
            "t_capture_ns",
            "t_publish_ns",
            "person",
            "score",
            "hips",
            "bones",
        ]
    )
    assert (told["v"], told["axes"], told["state"], told["score"]) == (1, "unity", "held", 0.75)
    assert (told["seq"], told["frame"], told["person"]) == (7, 9, 3)
    assert (told["t_capture_ns"], told["t_publish_ns"]) == (2_000_000_000, 2**40 + 5)
    assert told["hips"] == [-0.5, -0.25, -3.0] and list(told["bones"]) == list(BONES)
    numbers = np.array(list(told["bones"].values()))
    np.testing.assert_allclose(
        numbers, np.frombuffer(record.binary, "<f4", offset=52).reshape(22, 4), atol=1e-6
    )


def test_at_rest_no_bone_is_turned():
    """But for the feet, which at rest point a little outward on the body."""
    theta = np.zeros(85, np.float32)
    theta[3] = np.pi  # upright before the camera, facing it
    message = standing(0, theta=theta)
    feet = [bone("LeftFoot"), bone("RightFoot")]
    for axes in AXES:
        quaternions = Record(message, READER.read(message), axes).floats[3:].reshape(22, 4)
        np.testing.assert_allclose(np.delete(quaternions, feet, 0), np.tile([0, 0, 0, 1], (20, 1)), atol=0.01)
        assert np.degrees(Rotation.from_quat(quaternions[feet]).magnitude()).max() < 10


def test_counters_wrap_and_units_do_not_overflow():
    message = standing(0, seq=2**32 + 5, frame=2**40, person=2**33 + 1, trans=np.full(3, 3e38, np.float32))
    data = Record(message, READER.read(message), "unreal").binary
    assert struct.unpack_from("<II", data, 8) == (5, 0) and struct.unpack_from("<I", data, 32) == (1,)
    assert np.isfinite(np.frombuffer(data, "<f4", offset=40)).all()
    assert isinstance(message, PoseMessage)
    json.loads(Record(message, READER.read(message), "unreal").text)
