"""The Unity component without Unity: compiled against a stub of UnityEngine that has the arithmetic of its transforms,
and driven under mono by records as the stream sends them."""

from __future__ import annotations

import dataclasses
import shutil
import socket
import struct
import subprocess
from pathlib import Path

import numpy as np
import pytest
from client_streams import BONE_JOINTS, FRAMES, free_udp_port, known_pose, record, stream
from programs import ROOT
from scipy.spatial.transform import Rotation

from realtime.coordinates import GODOT, UNITY

pytestmark = [
    pytest.mark.skipif(
        not (shutil.which("mcs") and shutil.which("mono")),
        reason="mcs or mono is not installed (Debian: mono-mcs mono-runtime)",
    ),
    pytest.mark.timeout(500),  # seconds where the machine is free
]
GOLDEN = ROOT / "tests/golden/record_v1.bin"


@pytest.fixture(scope="module")
def check(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The command of the compiled program; a warning of the compiler is an error."""
    program = tmp_path_factory.mktemp("unity") / "check.exe"
    sources = [*sorted((ROOT / "clients/unity").glob("*.cs")), *sorted((ROOT / "tests/clients").glob("*.cs"))]
    command = ["mcs", "-warn:4", "-warnaserror", f"-out:{program}", *map(str, sources)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=250)
    assert done.returncode == 0, done.stdout + done.stderr
    return ["mono", str(program)]


def fields(text: str) -> dict[str, str]:
    return dict(line.split(" ", 1) for line in text.splitlines() if " " in line)


def test_it_reads_the_golden_record(check: list[str]) -> None:
    done = subprocess.run([*check, "decode", str(GOLDEN)], capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stdout
    said, data = fields(done.stdout), GOLDEN.read_bytes()
    state, seq, frame, captured, published, person, score, *floats = struct.unpack("<xxxxxxxBIIQQIf91f", data)
    assert said["state"] == ("Lost", "Warming", "Held", "Tracking")[state]
    assert (int(said["seq"]), int(said["frame"]), int(said["person"])) == (seq, frame, person)
    assert (int(said["tCaptureNs"]), int(said["tPublishNs"])) == (captured, published)
    assert float(said["score"]) == score
    np.testing.assert_array_equal(np.float32(said["hips"].split()), np.float32(floats[:3]))
    np.testing.assert_array_equal(np.float32(said["rotations"].split()), np.float32(floats[3:]))


@pytest.mark.parametrize(
    ("at", "change", "reason"),
    [
        (0, b"X", "not a record of hmmr-live"),
        (4, b"\x02", "another version"),
        (6, b"\x03", "axes=unity"),
        (7, b"\x04", "a state that is unknown"),
        (40, b"\x00\x00\xc0\x7f", "NaN"),
        (52, b"\x00\x00\x00\x40", "no unit quaternions"),
        (404, b"\x00", "404 bytes"),
    ],
)
def test_what_is_no_record_is_refused(
    check: list[str], tmp_path: Path, at: int, change: bytes, reason: str
) -> None:
    data = GOLDEN.read_bytes()
    (tmp_path / "record.bin").write_bytes(data[:at] + change + data[at + len(change) :])
    command = [*check, "decode", str(tmp_path / "record.bin")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=200)
    assert done.returncode == 1 and reason in done.stdout


def test_a_stream_moves_an_avatar(check: list[str]) -> None:
    """An avatar without UpperChest, whose bones have axes of their own and do not stand in T-pose at the start."""
    port, last = free_udp_port(), FRAMES - 1
    process = subprocess.Popen(
        [*check, "receive", str(port), str(last)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "listening\n"
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            sender.connect(("127.0.0.1", port))
            for garbage in (b"", b"HMRL", bytes(404), bytes(2000), record(0, GODOT)):
                sender.send(garbage)
            # A stream that is over, of a person 1 somewhere else: the next one's is another person 1.
            pose = known_pose(FRAMES + 99)
            pose = dataclasses.replace(pose, trans=pose.trans + 1.0)
            sender.send(record(FRAMES + 99, UNITY, pose=pose))
            assert process.stdout.readline() == "shown\n"
            stream(lambda frame: sender.send(record(frame, UNITY)))
        text, _ = process.communicate(timeout=250)
    finally:
        process.kill()
    assert process.returncode == 0, text
    said = fields(text)
    print({key: said[key] for key in ("received", "shown", "elbow", "refused", "collections")})
    assert int(said["received"]) >= 0.99 * FRAMES and int(said["shown"]) > 0
    assert said["refused"].startswith("5 ")
    assert float(said["elbow"]) < 1e-3
    # Where every bone is turned to, in the avatar's own axes: the chain of the person's bones, in Unity's.
    pose = known_pose(last)
    parents = dict(zip(NAMES, PARENTS, strict=True))
    chain: dict[str, Rotation] = {}
    for name, joint in sorted(zip(NAMES, BONE_JOINTS, strict=True), key=lambda pair: pair[1]):
        own = Rotation.from_matrix(UNITY.rotations(pose.rotations[joint]))
        chain[name] = own if parents[name] is None else chain[str(parents[name])] * own
    turned = {line.split()[1]: line.split()[2:] for line in text.splitlines() if line.startswith("bone ")}
    assert set(turned) == set(NAMES) - {"UpperChest"}
    for name, numbers in turned.items():
        off = Rotation.from_quat(np.float64(numbers)) * chain[name].inv()
        assert off.magnitude() < 1e-3, name
    # The person stood still: the hips stay where they were when the game started.
    np.testing.assert_allclose(np.float64(said["at"].split()), (0, 0.9, 0), atol=1e-5)


NAMES = (  # noqa: SIM905
    "Hips LeftUpperLeg RightUpperLeg LeftLowerLeg RightLowerLeg LeftFoot RightFoot Spine Chest UpperChest Neck Head "
    "LeftShoulder RightShoulder LeftUpperArm RightUpperArm LeftLowerArm RightLowerArm LeftHand RightHand LeftToes "
    "RightToes"
).split()
PARENTS = (
    [
        None,
        "Hips",
        "Hips",
        "LeftUpperLeg",
        "RightUpperLeg",
        "LeftLowerLeg",
        "RightLowerLeg",
        "Hips",
        "Spine",
        "Chest",
    ]
    + ["UpperChest", "Neck", "UpperChest", "UpperChest", "LeftShoulder", "RightShoulder", "LeftUpperArm"]
    + ["RightUpperArm", "LeftLowerArm", "RightLowerArm", "LeftFoot", "RightFoot"]
)
