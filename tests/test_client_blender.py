"""The Blender add-on, packed, installed and driven in a real Blender, on a running stream."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from client_streams import FRAMES, LED_RAD, RATE_HZ, body, bus_pose, known_pose, stream
from programs import ROOT, until

from realtime.body.kinematics import forward_kinematics, skin
from realtime.body.skeleton import JOINT_NAMES
from realtime.bus.publisher import Publisher
from realtime.config import BusConfig
from realtime.coordinates import BLENDER
from realtime.messages import encode_pose

FOUND = shutil.which("blender")
pytestmark = [
    pytest.mark.skipif(FOUND is None, reason="blender is not installed (Debian: blender python3-zmq)"),
    pytest.mark.timeout(500),  # seconds where the machine is free
]


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The add-on as its users get it."""
    path = tmp_path_factory.mktemp("addon") / "hmmr_live.zip"
    subprocess.run([sys.executable, ROOT / "clients/blender/pack.py", path], check=True, capture_output=True)
    return path


def start_blender(script: str, home: Path, *arguments: object) -> subprocess.Popen[str]:
    """A Blender without windows and with settings of its own, that runs tests/clients/SCRIPT."""
    environment = {**os.environ, "HOME": str(home), "BLENDER_USER_SCRIPTS": str(home / "scripts")}
    environment.pop("PYTHONPATH", None)
    command = [FOUND, "-b", "--factory-startup", "-t", "1", "--python-exit-code", "3"]
    command += ["--python", ROOT / "tests/clients" / script, "--", *arguments]
    return subprocess.Popen(
        [str(word) for word in command],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def test_a_stream_moves_the_armature_and_becomes_an_action(packed: Path, tmp_path: Path) -> None:
    one = body()
    betas = np.random.default_rng(0).normal(0, 0.8, 10).astype(np.float32)
    with Publisher("tcp://127.0.0.1:0", BusConfig()) as publisher:

        def joined(connections: int) -> bool:
            publisher.poll()
            return publisher.subscribers["pose"] >= connections

        def send(frame: int) -> None:
            publisher.publish(encode_pose(bus_pose(frame, betas, one=one)))

        result = tmp_path / "result.json"
        process = start_blender("blender_live.py", tmp_path, packed, publisher.address, FRAMES, result)
        try:
            # One pose before it all, which the bus keeps for whoever joins: tells the shape, and is recorded as well.
            publisher.publish(encode_pose(bus_pose(0, betas, "warming", one)))
            if until(lambda: joined(2), 200):  # to show and to record
                stream(lambda i: send(i + 1), idle=publisher.poll)
            said, _ = process.communicate(timeout=250)
        finally:
            process.kill()
        assert process.returncode == 0, said
    got = json.loads(result.read_text())
    print({key: value for key, value in got.items() if "joints" not in key and key != "vertices"})
    assert got["recorded"] == got["keys"] >= 1 + 0.99 * FRAMES
    assert got["shaped"]
    assert got["elbow_worst_rad"] < 1e-3 and got["played_worst_rad"] < 1e-3
    assert (
        got["held_before"] == "CONSTANT" and got["interpolation"] == "LINEAR"
    )  # nobody was seen for a while, then one
    assert got["seconds"] == pytest.approx((FRAMES - 1) / RATE_HZ, abs=0.3)
    # The last pose shown, against our own kinematics and skinning, whole: place, size, direction, every limb.
    lift = np.array([0, 0, got["camera_height"]])
    for which, further_rad in (("played_joints", 0.0), ("joints", LED_RAD)):
        pose = known_pose(got["last_frame"], further_rad)
        joints, transforms = forward_kinematics(one, pose.rotations, betas)
        placed = BLENDER.points(joints - joints[0] + pose.trans) + lift
        np.testing.assert_allclose([got[which][name] for name in JOINT_NAMES], placed, atol=1e-4)
    vertices = skin(one, transforms, betas, pose.rotations) - joints[0] + pose.trans
    np.testing.assert_allclose(got["vertices"], (BLENDER.points(vertices) + lift)[::200], atol=1e-4)
    assert got["lowest"] == pytest.approx(0, abs=0.02)  # the feet were put on the floor


def test_what_goes_wrong_is_said_and_nothing_recorded_is_lost(tmp_path: Path) -> None:
    (tmp_path / "text.npz").write_text("no archive")
    np.savez(tmp_path / "other.npz", v_template=np.zeros((3, 3)))
    (tmp_path / "body.pkl").write_bytes(b"\x80\x02.")
    golden = ROOT / "tests/golden/pose_v1.bin"
    process = start_blender("blender_faults.py", tmp_path, ROOT / "clients/blender", golden, tmp_path)
    try:
        said, _ = process.communicate(timeout=250)
    finally:
        process.kill()
    assert process.returncode == 0, said
