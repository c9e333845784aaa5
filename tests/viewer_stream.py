"""A stream for the viewer's tests: the figure body and a picture of it, published for real."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import cv2
import numpy as np
from bodies import figure_body

from realtime.body.kinematics import forward_kinematics
from realtime.body.rotations import axis_angle_to_matrix
from realtime.body.skeleton import BLAZEPOSE_NAMES, JOINT_NAMES
from realtime.bus.publisher import Publisher
from realtime.clock import clock_id
from realtime.config import BusConfig
from realtime.messages import ImageMessage, PoseMessage, encode_image, encode_pose
from realtime.translation import focal_length_px

WIDTH, HEIGHT, FOV_DEG = 480, 360, 60.0
TRANS_M = np.array([0.2, 0.15, 3.2], np.float32)


def posed(left_arm_up: bool = False, knees_rad: float = 0.0) -> np.ndarray:
    """(24, 3) axis-angle of someone facing the camera upright: y of the body up is y of the camera down."""
    pose = np.zeros((24, 3), np.float32)
    pose[0] = (np.pi, 0, 0)
    pose[JOINT_NAMES.index("left_shoulder")] = (0, 0, 1.1 if left_arm_up else -1.2)
    pose[JOINT_NAMES.index("right_shoulder")] = (0, 0, 1.2)
    for side in ("left", "right"):
        pose[JOINT_NAMES.index(f"{side}_hip")] = (-knees_rad, 0, 0)
        pose[JOINT_NAMES.index(f"{side}_knee")] = (2 * knees_rad, 0, 0)
        pose[JOINT_NAMES.index(f"{side}_ankle")] = (-knees_rad, 0, 0)
    return pose


def pose_message(pose: np.ndarray, seq: int = 0, state: str = "tracking", **changes) -> PoseMessage:
    joints, _ = forward_kinematics(BODY, axis_angle_to_matrix(pose), np.zeros(10))
    now = time.monotonic_ns()
    fields = {
        "seq": seq,
        "t_publish_ns": now,
        "clock": clock_id(),
        "frame": seq,
        "t_capture_ns": now - 20_000_000,
        "person": 1,
        "state": state,
        "score": 0.93,
        "body": BODY.id,
        "model": "test",
        "theta": np.concatenate(([1, 0, 0], pose.ravel(), np.zeros(10))).astype(np.float32),
        "trans": TRANS_M,
        "joints": joints - joints[0],
    }
    return PoseMessage(**(fields | changes))


def image_message(message: PoseMessage) -> ImageMessage:
    """A grey room with a lit stripe, and the landmarks where a pinhole camera sees the joints."""
    picture = np.full((HEIGHT, WIDTH, 3), 70, np.uint8)
    picture[:, : WIDTH // 8] = (40, 90, 150)
    points = message.joints + message.trans
    pixels = points[:, :2] / points[:, 2:] * focal_length_px(WIDTH, FOV_DEG) + (WIDTH / 2, HEIGHT / 2)
    landmarks = np.zeros((33, 2), np.float32)
    for index, name in enumerate(BLAZEPOSE_NAMES):
        name = name.replace("foot_index", "foot").replace("heel", "ankle").replace("index", "hand")
        landmarks[index] = pixels[JOINT_NAMES.index(name if name in JOINT_NAMES else "head")]
    visibility = np.ones(33, np.float32)
    visibility[[i for i, name in enumerate(BLAZEPOSE_NAMES) if name.startswith("right_")]] = 0.8
    return ImageMessage(
        seq=message.seq,
        t_publish_ns=time.monotonic_ns(),
        clock=clock_id(),
        frame=message.frame,
        t_capture_ns=message.t_capture_ns,
        jpeg=cv2.imencode(".jpg", picture)[1].tobytes(),
        width=WIDTH,
        height=HEIGHT,
        state=message.state,
        landmarks=landmarks,
        visibility=visibility,
    )


class Stage:
    """Publishes `pose` in `state` at 30 Hz from a thread, until closed; both may be changed at any time."""

    def __init__(self, address: str = "tcp://127.0.0.1:0", pose: np.ndarray | None = None) -> None:
        self.pose = posed() if pose is None else pose
        self.state = "tracking"
        self.silent = False
        self.motion: Callable[[int], np.ndarray] | None = None  # seq → pose, in place of `pose`
        self.changes: dict | Callable[[int], dict] = {}  # other fields of the pose messages, or seq → them
        self.raw: list[bytes] = []  # published once, as it is
        self.poses_wanted = 0  # pose subscribers, as of the last turn
        self._publisher = Publisher(address, BusConfig())
        self.address = self._publisher.address
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        seq = 0
        while not self._stop.wait(1 / 30):
            self._publisher.poll()
            self.poses_wanted = self._publisher.subscribers["pose"]
            while self.raw:
                self._publisher.publish(self.raw.pop())
            if not self.silent:
                pose = self.motion(seq) if self.motion else self.pose
                changes = self.changes(seq) if callable(self.changes) else self.changes
                message = pose_message(pose, seq, self.state, **changes)
                self._publisher.publish(encode_pose(message))
                self._publisher.publish(encode_image(image_message(message)))
                seq += 1

    def __enter__(self) -> Stage:
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        self._publisher.close()


BODY = figure_body()
