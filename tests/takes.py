"""Recordings for the tests of files: a body that moves, with the stamps of a camera that is not quite steady."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from realtime.body.kinematics import forward_kinematics
from realtime.body.rotations import axis_angle_to_matrix
from realtime.body.smpl import Body, load_body
from realtime.files.mcap_file import BusWriter
from realtime.lead import Led
from realtime.messages import PoseMessage, StatusMessage, encode_pose, encode_status
from realtime.record_file import ROW, STATES, Rows

FRAME_NS = 33_333_333
START_NS = 5_000_000_000


def take(
    count: int = 40, body: Body | None = None, seed: int = 0, jitter_ns: int = 0, betas: bool = True
) -> Rows:
    """Somebody upright before the camera, 3 m away, who turns and waves with all joints; every row tracked."""
    body = body or load_body(None)
    rng = np.random.default_rng(seed)
    t = np.arange(count)[:, None, None] / 30
    swing = rng.normal(0, 0.5, (1, 24, 3)) * np.sin(
        t * rng.uniform(1, 4, (1, 24, 1)) + rng.uniform(0, 6, (1, 24, 1))
    )
    swing[:, 0] = (np.pi, 0, 0) + 0.1 * swing[:, 0]
    rows = np.zeros(count, ROW)
    rows["frame_index"] = np.arange(count)
    rows["t_capture_ns"] = (
        START_NS + np.arange(count) * FRAME_NS + rng.integers(-jitter_ns, jitter_ns + 1, count)
    )
    rows["theta"][:, 3:75] = swing.reshape(count, 72)
    if betas:
        rows["theta"][:, 75:] = rng.normal(0, 0.7, 10)
    rows["trans"] = (0.2, 0.1, 3.0) + 0.3 * np.sin(t[:, 0] * (1.0, 2.0, 3.0))
    for row in rows:
        joints, _ = forward_kinematics(
            body, axis_angle_to_matrix(row["theta"][3:75].reshape(24, 3)), row["theta"][75:]
        )
        row["joints"] = joints - joints[0]
    rows["score"], rows["person"], rows["state"] = 0.9, 1, STATES.index("tracking")
    constants = {"body": body.id, "model": "test", "source": "test"}
    return Rows({"nominal_fps": 30.0, "pelvis_rest_m": body.J_template[0], "constants": constants}, rows, 0)


def bus_messages(recording: Rows, delay_ns: int = 20_000_000, statuses: bool = True) -> list[bytes]:
    """What went over the bus: a pose per row, led far away from it, published delay_ns and up to 8 ms after it was
    captured; a status after each tenth."""
    messages = []
    for seq, row in enumerate(recording.rows):
        published_ns = int(row["t_capture_ns"]) + delay_ns + seq % 3 * 4_000_000
        stamps = {"seq": seq, "t_publish_ns": published_ns, "clock": "another host"}
        messages.append(
            encode_pose(
                PoseMessage(
                    **stamps,
                    frame=int(row["frame_index"]),
                    t_capture_ns=int(row["t_capture_ns"]),
                    person=int(row["person"]),
                    state=STATES[row["state"]],
                    score=float(row["score"]),
                    body=recording.header["constants"]["body"],
                    model="test",
                    theta=row["theta"],
                    trans=row["trans"],
                    joints=row["joints"],
                    ahead=((166.7, row["theta"][3:75]),),
                    lead=Led(40.0, row["theta"][3:75] + 0.5, row["trans"] + 1, 1.0),
                )
            )
        )
        if statuses and seq % 10 == 9:
            stamps.update(seq=seq // 10, t_publish_ns=stamps["t_publish_ns"] + 1)
            messages.append(
                encode_status(StatusMessage(**stamps, state="tracking", camera={"name": "webcam 0"}))
            )
    return messages


def write_bus(path: Path, messages: list[bytes], time_line: str = "live") -> Path:
    with path.open("wb") as file:
        writer = BusWriter(file, {"source": "test"}, time_line)
        for data in messages:
            writer.add(data)
        writer.finish()
    return path
