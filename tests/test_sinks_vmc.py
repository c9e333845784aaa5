"""The VMC sink as its users run it: a stream on the bus in, OSC datagrams out."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import numpy as np
import pytest
from avatars import write_avatar
from bone_poses import angles_deg, bone, limbs_of_bones, limbs_of_message, standing
from programs import ROOT, environment
from pythonosc.osc_bundle import OscBundle
from pythonosc.osc_message import OscMessage
from scipy.spatial.transform import Rotation
from sink_programs import publisher_on_any_port, sink_program, streaming

from realtime.body.rotations import axis_angle_to_matrix
from realtime.config import Config
from realtime.coordinates import UNITY
from realtime.humanoid import BONES
from realtime.lead import Led
from realtime.supervisor import Supervisor

HEAD, LEFT_ELBOW = 15, 18  # SMPL's joints


@dataclass
class VmcPose:
    """One frame as a receiver has it when Blend/Apply comes."""

    order: list[str] = field(default_factory=list)  # the addresses
    status: tuple = ()
    time_s: float = -1.0
    root: tuple = ()
    bones: dict[str, tuple[float, ...]] = field(default_factory=dict)

    @property
    def positions(self) -> np.ndarray:
        return np.array([self.bones[name][:3] for name in BONES])

    @property
    def quaternions(self) -> np.ndarray:
        return np.array([self.bones[name][3:] for name in BONES])


def messages_of(datagram: bytes) -> list[OscMessage]:
    return list(OscBundle(datagram)) if datagram.startswith(b"#bundle") else [OscMessage(datagram)]


def frames(receiver: socket.socket) -> Iterator[VmcPose]:
    """Frames as they come; whatever is not as the protocol has it is an error, but for what the way here loses."""
    pose: VmcPose | None = None
    while True:
        for one in messages_of(receiver.recv(2048)):
            if one.address == "/VMC/Ext/OK":
                pose = VmcPose(status=tuple(one.params))
            if pose is None:
                continue  # in the middle of a frame
            pose.order.append(one.address)
            if one.address == "/VMC/Ext/T":
                (pose.time_s,) = one.params
            elif one.address == "/VMC/Ext/Root/Pos":
                name, *pose.root = one.params
                assert name == "root" and len(pose.root) == 7
            elif one.address == "/VMC/Ext/Bone/Pos":
                name, *numbers = one.params
                assert len(numbers) == 7 and name not in pose.bones
                pose.bones[name] = tuple(numbers)
            elif one.address == "/VMC/Ext/Blend/Apply":
                assert set(pose.bones) <= set(BONES) and len(pose.status) == 4
                if len(pose.order) == 4 + len(BONES):  # nothing was lost
                    assert pose.order[:3] == ["/VMC/Ext/OK", "/VMC/Ext/T", "/VMC/Ext/Root/Pos"]
                    yield pose
                pose = None


def until_frame(receiver: socket.socket, tracking: bool, settled_s: float) -> VmcPose:
    """The frame when that has been so for a while."""
    since = None
    for pose in frames(receiver):
        if bool(pose.status[3]) != tracking:
            since = None
        elif since is None:
            since = pose.time_s
        elif pose.time_s - since >= settled_s:
            return pose
    raise AssertionError


@pytest.fixture
def receiver() -> Iterator[socket.socket]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        one.bind(("127.0.0.1", 0))
        one.settimeout(60)
        yield one


def where(receiver: socket.socket) -> str:
    return f"127.0.0.1:{receiver.getsockname()[1]}"


@pytest.mark.parametrize("options", ["", ",bundle=off,fps=20,floor=off,origin=camera"])
def test_what_is_received_is_the_pose_that_was_sent(receiver: socket.socket, options: str):
    message = standing(3)
    with (
        sink_program("vmc", where(receiver) + options) as (publisher, _),
        streaming(publisher, standing(3)),
    ):
        pose = until_frame(receiver, tracking=True, settled_s=1.0)
    assert pose.status == (1, 3, 0, 1) and pose.root == [0, 0, 0, 0, 0, 0, 1]
    found = limbs_of_bones(pose.quaternions, pose.positions, UNITY)
    assert angles_deg(found, limbs_of_message(message)).max() < 0.1
    sent = Rotation.from_matrix(axis_angle_to_matrix(message.pose[LEFT_ELBOW]))
    elbow = Rotation.from_quat(pose.quaternions[bone("LeftLowerArm")])
    assert elbow.magnitude() == pytest.approx(sent.magnitude(), abs=2e-2)  # the rest pose is nearly a T-pose
    for name, joint in (("Spine", 3), ("Head", 15), ("LeftShoulder", 13)):  # uncorrected: the very rotation
        theirs = UNITY.quaternions(axis_angle_to_matrix(message.pose[joint]))
        np.testing.assert_allclose(pose.quaternions[bone(name)], theirs, atol=1e-5)
    if options:
        np.testing.assert_allclose(pose.positions[0], [-0.5, -0.25, -3.0], atol=1e-5)
    else:
        np.testing.assert_allclose(pose.positions[0][[0, 2]], 0, atol=1e-5)
        assert 0.5 < pose.positions[0][1] < 1.2
    assert (np.linalg.norm(pose.positions[1:], axis=1) > 0.02).all()


@pytest.mark.parametrize(
    ("option", "shown"), [("", "lead"), (",lead=on", "lead"), (",lead=off", "seen"), (",lead=20", "half")]
)
def test_the_avatar_shows_the_lead_or_what_was_seen(receiver: socket.socket, option: str, shown: str):
    message = standing(3)
    poses = {share: message.pose.copy() for share in ("seen", "half", "lead")}
    for share, angle in (("seen", 0.0), ("half", 0.4), ("lead", 0.8)):
        poses[share][HEAD] = (0, angle, 0)
    theta = message.theta.copy()
    theta[3:75] = poses["seen"].ravel()
    led = Led(40.0, poses["lead"].ravel(), message.trans, 1.0)
    with (
        sink_program("vmc", where(receiver) + option) as (publisher, _),
        streaming(publisher, replace(message, theta=theta, lead=led)),
    ):
        pose = until_frame(receiver, tracking=True, settled_s=1.0)
    theirs = UNITY.quaternions(axis_angle_to_matrix(poses[shown][HEAD]))
    np.testing.assert_allclose(pose.quaternions[bone("Head")], theirs, atol=1e-5)


def test_when_nobody_is_there_the_avatar_goes_to_rest(receiver: socket.socket):
    """First the stream says so; then, after somebody came back, the stream itself breaks off."""
    with sink_program("vmc", where(receiver)) as (publisher, _):
        with streaming(publisher, standing(3)):
            until_frame(receiver, tracking=True, settled_s=0.5)
        with streaming(publisher, standing(3, state="lost")):
            resting = until_frame(receiver, tracking=False, settled_s=0.1)
        np.testing.assert_array_equal(resting.quaternions, np.tile([0, 0, 0, 1], (22, 1)))
        assert resting.status == (1, 3, 0, 0)
        with streaming(publisher, standing(4, person=2)):
            until_frame(receiver, tracking=True, settled_s=0.5)
        silent = until_frame(receiver, tracking=False, settled_s=0.5)  # and it goes on saying so
        np.testing.assert_array_equal(silent.quaternions, np.tile([0, 0, 0, 1], (22, 1)))


def test_a_frame_is_two_datagrams_and_the_rate_is_limited(receiver: socket.socket):
    with (
        sink_program("vmc", where(receiver) + ",fps=10") as (publisher, _),
        streaming(publisher, standing(3)),
    ):
        until_frame(receiver, tracking=True, settled_s=0.5)
        times = [pose.time_s for pose, _ in zip(frames(receiver), range(12), strict=False)]
        sizes = {len(receiver.recv(2048)) for _ in range(4)}
    assert len(sizes) == 2 and max(sizes) < 1472
    assert (times[-1] - times[0]) / 11 > 0.095


def test_a_receiver_that_is_not_there_and_comes_later(receiver: socket.socket):
    port = receiver.getsockname()[1]
    receiver.close()
    with sink_program("vmc", f"127.0.0.1:{port}") as (publisher, process):
        with streaming(publisher, standing(3)):
            time.sleep(1.0)
            assert process.poll() is None
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as late:
                late.bind(("127.0.0.1", port))
                late.settimeout(60)
                until_frame(late, tracking=True, settled_s=0.5)
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == (1 if sys.platform == "win32" else 0)
        assert process.stderr is not None and process.stderr.read() == ""


def test_a_peer_that_sends_garbage_changes_nothing(receiver: socket.socket):
    with (
        sink_program("vmc", where(receiver)) as (publisher, process),
        streaming(publisher, standing(3)),
    ):
        _, source = receiver.recvfrom(2048)
        for _ in range(2000):
            receiver.sendto(b"\xff" * 1000, source)
        until_frame(receiver, tracking=True, settled_s=1.0)
        assert process.poll() is None


def test_the_bones_of_a_given_avatar(receiver: socket.socket, tmp_path):
    path = write_avatar(tmp_path / "avatar.vrm", "0.x")
    with (
        sink_program("vmc", f"{where(receiver)},vrm={path}") as (publisher, _),
        streaming(publisher, standing(3)),
    ):
        pose = until_frame(receiver, tracking=True, settled_s=0.5)
    np.testing.assert_allclose(pose.positions[bone("LeftLowerArm")], [-0.2, 0, 0], atol=1e-6)


def test_ended_by_the_supervisor_it_says_that_nobody_is_tracked(receiver: socket.socket):
    with publisher_on_any_port() as publisher:
        config = Config(viewer_kind="none", sinks=[f"vmc:{where(receiver)}"])
        with Supervisor(config, publisher.address) as supervisor:
            with streaming(publisher, standing(3)):
                shown = until_frame(receiver, tracking=True, settled_s=0.5)
            assert not supervisor.poll() and supervisor.children == {"vmc": "running"}
        receiver.settimeout(1.0)
        last = shown
        try:
            for pose in frames(receiver):
                last = pose
        except TimeoutError:
            pass
    assert last.status[3] == 0


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ("127.0.0.1:39539,vrm=absent.vrm", "vrm=absent.vrm: cannot be read"),
        ("127.0.0.1:39539,flor=on", "did you mean floor?"),
    ],
)
def test_bad_arguments_end_it_for_good(arguments: str, told: str):
    command = [sys.executable, "-m", "realtime.sinks.vmc", "--connect", "tcp://127.0.0.1:9", arguments]
    done = subprocess.run(command, cwd=ROOT, env=environment(), capture_output=True, text=True, timeout=60)
    assert done.returncode == 2 and told in done.stderr and done.stderr.count("\n") == 1
