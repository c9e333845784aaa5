"""What the tests of the clients send: one known motion, as bus messages and as UDP records, at a steady rate.

The left elbow bends by an angle that the frame's number tells, so that what a client read back can be checked in it.
"""

from __future__ import annotations

import socket
import struct
import time
from collections.abc import Callable

import numpy as np

from realtime.assets import asset
from realtime.body.kinematics import forward_kinematics
from realtime.body.rotations import axis_angle_to_matrix
from realtime.body.smpl import Body, load_body
from realtime.clock import clock_id
from realtime.coordinates import BLENDER, GODOT, UNITY, UNREAL, WORLD, Axes, WorldPose, to_camera
from realtime.lead import Led
from realtime.messages import PoseMessage

RATE_HZ = 60.0
FRAMES = 300
PELVIS_M = (0.2, -0.15, -3.0)  # world: to the right of the camera, a little below it, three metres before it
LED_RAD = 0.3  # by which the elbow is bent further in what is to be shown
YAW = 0.3  # the body turns a little to its left

# SMPL joint of each bone of the record, in its order (docs/game-engines.md), and the parent's place in it.
BONE_JOINTS = (0, 1, 2, 4, 5, 7, 8, 3, 6, 9, 12, 15, 13, 14, 16, 17, 18, 19, 20, 21, 10, 11)
RECORD = struct.Struct("<4sHBBIIQQIf3f88f")
AXES_CODES = {WORLD: 0, UNITY: 1, UNREAL: 2, GODOT: 3, BLENDER: 4}
STATES = ("lost", "warming", "held", "tracking")


def elbow_rad(frame: int) -> float:
    """How far the left elbow is bent in this frame."""
    return 0.2 + 0.018 * (frame % 100)


def known_pose(frame: int, further_rad: float = 0.0) -> WorldPose:
    """Facing the camera, a little to its own left; left arm out, its elbow bent forward, by so much further; right arm
    down; left leg lifted forward."""
    vectors = np.zeros((24, 3))
    vectors[0] = (0, YAW, 0)
    vectors[17] = (0, 0, 1.2)
    vectors[18] = (0, -elbow_rad(frame) - further_rad, 0)
    vectors[1] = (-0.7, 0, 0)
    vectors[4] = (0.5, 0, 0)
    return WorldPose(axis_angle_to_matrix(vectors).astype(np.float64), np.array(PELVIS_M))


def body() -> Body:
    return load_body(asset("body.npz"))


def bus_pose(
    frame: int, betas: np.ndarray | None = None, state: str = "tracking", one: Body | None = None
) -> PoseMessage:
    """`known_pose(frame)` as the stream would tell it of the shipped body."""
    one = one or body()
    betas = np.zeros(10, np.float32) if betas is None else betas
    pose, trans = to_camera(known_pose(frame))
    joints, _ = forward_kinematics(one, axis_angle_to_matrix(pose.reshape(24, 3)), betas)
    now = time.monotonic_ns()
    return PoseMessage(
        seq=frame,
        t_publish_ns=now,
        clock=clock_id(),
        frame=frame,
        t_capture_ns=now,
        person=1,
        state=state,  # type: ignore[arg-type]
        score=1.0,
        body=one.id,
        model="test",
        theta=np.concatenate([[0.9, 0, 0], pose, betas]).astype(np.float32),
        trans=trans,
        joints=joints - joints[0],
        lead=Led(40.0, to_camera(known_pose(frame, LED_RAD))[0], trans, 1.0) if state == "tracking" else None,
    )


def record(
    frame: int, axes: Axes, state: str = "tracking", pose: WorldPose | None = None, person: int = 1
) -> bytes:
    """`known_pose(frame)`, or `pose`, as the UDP record, version 1."""
    pose = pose or known_pose(frame)
    quaternions = axes.quaternions(pose.rotations)[list(BONE_JOINTS)]
    now = time.monotonic_ns()
    code = AXES_CODES[axes]
    stamps = (b"HMRL", 1, code, STATES.index(state), frame, frame, now, now, person, 1.0)
    return RECORD.pack(*stamps, *axes.points(pose.trans), *quaternions.ravel())


def stream(
    send: Callable[[int], None], frames: int = FRAMES, idle: Callable[[], object] = lambda: None
) -> None:
    """Call send(0), send(1), … at RATE_HZ, and `idle` between them."""
    started = time.monotonic()
    for frame in range(frames):
        while (wait_s := started + frame / RATE_HZ - time.monotonic()) > 0:
            idle()
            time.sleep(min(wait_s, 0.004))
        send(frame)


def free_udp_port() -> int:
    """Of this machine; nothing listens there."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
