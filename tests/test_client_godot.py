"""The Godot project, in a real Godot 3 without a screen, on a running stream of UDP records."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
from pathlib import Path

import numpy as np
import pytest
from client_streams import FRAMES, body, free_udp_port, known_pose, record, stream
from programs import ROOT, until

from realtime.body.kinematics import forward_kinematics
from realtime.coordinates import GODOT, UNITY
from realtime.viewer import shading

FOUND = shutil.which("godot3-server")
pytestmark = [
    pytest.mark.skipif(FOUND is None, reason="godot3-server is not installed (Debian: godot3-server)"),
    pytest.mark.timeout(500),  # seconds where the machine is free
]


def test_a_stream_moves_the_skeleton(tmp_path: Path) -> None:
    project = shutil.copytree(
        ROOT / "clients/godot", tmp_path / "project"
    )  # Godot writes into a project's folder
    port, result = free_udp_port(), tmp_path / "result.json"
    environment = {**os.environ, "HOME": str(tmp_path), "HMMR_PORT": str(port), "HMMR_FRAMES": str(FRAMES)}
    environment["HMMR_RESULT"] = str(result)
    process = subprocess.Popen(
        [str(FOUND), "--path", str(project), "-s", str(ROOT / "tests/clients/godot_live.gd")],
        env=environment,
        stdout=(tmp_path / "said").open("w"),
        stderr=subprocess.STDOUT,
    )
    said = tmp_path / "said"
    try:
        until(lambda: "listening" in said.read_text() or "SCRIPT ERROR" in said.read_text(), 200)
        assert "listening" in said.read_text(), said.read_text()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            sender.connect(("127.0.0.1", port))
            for garbage in (b"", b"HMRL", bytes(404), record(0, UNITY)):
                sender.send(garbage)
            stream(lambda frame: sender.send(record(frame, GODOT)))
        process.wait(250)
    finally:
        process.kill()
    assert process.returncode == 0, said.read_text()
    assert "SCRIPT ERROR" not in said.read_text(), said.read_text()
    assert "fps  latency" in said.read_text()
    got = json.loads(result.read_text())
    print({key: value for key, value in got.items() if key != "joints"})
    assert got["received"] >= 0.99 * FRAMES and got["visible"]
    assert got["remembered_ms"] <= 1000  # no more than fps is told by, however seldom it is asked for
    assert got["refused"] == 4 and "axes=godot" in got["last_error"]
    assert float(got["elbow_worst_rad"]) < 1e-3
    np.testing.assert_allclose(got["colours"]["left"], shading.LEFT, atol=1e-3)
    np.testing.assert_allclose(got["colours"]["right"], shading.RIGHT, atol=1e-3)
    # Where the limbs are, against our own kinematics: its bones are the free body's to the millimetre. Its feet point
    # straight ahead at rest, as a T-pose wants it (records are turned for that); the body's, a little outward.
    pose = known_pose(int(got["frame"]))
    joints, _ = forward_kinematics(body(), pose.rotations, np.zeros(10, np.float32))
    placed = GODOT.points(joints - joints[0] + pose.trans)
    for bone, joint, off_m in (
        ("Hips", 0, 0.001),
        ("LeftHand", 20, 0.004),
        ("RightHand", 21, 0.004),
        ("Head", 15, 0.004),
        ("LeftFoot", 7, 0.004),
        ("LeftToes", 10, 0.012),
    ):
        np.testing.assert_allclose(
            np.subtract(got["joints"][bone], got["joints"]["Hips"]), placed[joint] - placed[0], atol=off_m
        )
        np.testing.assert_allclose(got["joints"][bone][::2], placed[joint][::2], atol=off_m)
    assert min(got["joints"][f"{side}Toes"][1] for side in ("Left", "Right")) == pytest.approx(0.03, abs=1e-3)
