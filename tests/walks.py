"""Motion over a floor that is known: a person who walks or jumps, as a camera that is put up somehow sees it."""

from __future__ import annotations

import numpy as np

from realtime.body.kinematics import forward_kinematics, skin
from realtime.body.rotations import axis_angle_to_matrix
from realtime.body.skeleton import JOINT_NAMES
from realtime.body.smpl import Body
from realtime.coordinates import WorldPose, to_camera, world_of_camera
from realtime.record_file import ROW, STATES, Rows

FPS = 30
FLOOR_M = -1.1  # below the camera
G = 9.81


def walk(seconds: float) -> tuple[np.ndarray, np.ndarray]:
    """(T, 24, 3, 3) rotations of somebody who walks toward the camera, and (T, 2) x and z of the pelvis."""
    t = np.arange(round(seconds * FPS)) / FPS
    angles = np.zeros((len(t), 24, 3))
    for side, phase in (("left", 0.0), ("right", np.pi)):
        swing = np.sin(2 * np.pi * 0.9 * t + phase)
        angles[:, JOINT_NAMES.index(f"{side}_hip"), 0] = -0.15 - 0.4 * swing
        angles[:, JOINT_NAMES.index(f"{side}_knee"), 0] = 0.35 + 0.3 * np.cos(2 * np.pi * 0.9 * t + phase)
        angles[:, JOINT_NAMES.index(f"{side}_ankle"), 0] = -0.1 + 0.2 * swing
    return axis_angle_to_matrix(angles), np.stack((0.1 * np.sin(t), -4.5 + 0.6 * t), axis=1)


def jumps(seconds: float, flight_s: float) -> tuple[np.ndarray, np.ndarray]:
    """(T, 24, 3, 3) of somebody who stands, and (T,) how high he is: one jump every two seconds."""
    t = np.arange(round(seconds * FPS)) / FPS
    since = np.mod(t, 2.0) - 1.0
    height = np.where((since > 0) & (since < flight_s), 0.5 * G * since * (flight_s - since), 0.0)
    return np.tile(np.eye(3, dtype=np.float32), (len(t), 24, 1, 1)), height


def lowest_of(body: Body, rotations: np.ndarray) -> np.ndarray:
    """(T,) y of the lowest of all vertices, the pelvis at 0."""
    lowest = []
    for frame in rotations:
        joints, transforms = forward_kinematics(body, frame, np.zeros(10, np.float32))
        lowest.append((skin(body, transforms, np.zeros(10), frame) - joints[0])[:, 1].min())
    return np.array(lowest)


def seen(
    body: Body,
    rotations: np.ndarray,
    places: np.ndarray,
    height: np.ndarray | float = 0.0,
    pitch_deg: float = 0.0,
) -> Rows:
    """As rows: his lowest vertex is `height` (T,) over FLOOR_M; the camera looks down by pitch_deg, and says nothing of
    it. places: (T, 2) x and z."""
    pelvis = np.insert(places, 1, FLOOR_M + height - lowest_of(body, rotations), axis=1)
    rows = np.zeros(len(rotations), ROW)
    pose, rows["trans"] = to_camera(
        WorldPose(rotations.astype(np.float64), pelvis), world_of_camera(pitch_deg)
    )
    rows["theta"][:, 3:75] = pose
    joints, _ = forward_kinematics(body, axis_angle_to_matrix(pose.reshape(-1, 24, 3)), np.zeros(10))
    rows["joints"] = joints - joints[:, :1]
    rows["frame_index"] = np.arange(len(rows))
    rows["t_capture_ns"] = 1_000_000_000 + np.round(np.arange(len(rows)) * 1e9 / FPS).astype(np.int64)
    rows["score"], rows["person"], rows["state"] = 0.9, 1, STATES.index("tracking")
    constants = {"body": body.id, "model": "test", "source": "test"}
    return Rows({"nominal_fps": FPS, "pelvis_rest_m": body.J_template[0], "constants": constants}, rows, 0)
