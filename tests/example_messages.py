"""One message of each kind, whole; changed or damaged where a test asks for it."""

from __future__ import annotations

import msgpack
import numpy as np

from realtime.messages import (
    ImageMessage,
    PoseMessage,
    StatusMessage,
    encode_image,
    encode_pose,
    encode_status,
)


def pose_message(**changes: object) -> PoseMessage:
    fields: dict = {
        "seq": 7,
        "t_publish_ns": 2_000_000_005,
        "clock": "00112233445566ff",
        "frame": 9,
        "t_capture_ns": 2_000_000_000,
        "person": 1,
        "state": "tracking",
        "score": 0.75,
        "body": "anny-24",
        "model": "default",
        "theta": np.arange(85, dtype=np.float32) / 4,
        "trans": np.array([0.5, -0.25, 3.0], np.float32),
        "joints": np.arange(72, dtype=np.float32).reshape(24, 3) / 8,
        "ahead": ((333.0, np.full(72, -1.5, np.float32)),),
        "vertices": np.array([[0, 1, 2], [3, 4, 5]], np.float32),
    }
    return PoseMessage(**{**fields, **changes})


def status_message(**changes: object) -> StatusMessage:
    fields: dict = {
        "seq": 3,
        "t_publish_ns": 5,
        "clock": "00112233445566ff",
        "state": "lost",
        "camera": {"name": "0", "alive": True, "fps": 29.5, "size": [640, 480], "error": None},
        "drops": {"late": 4},
        "latency": {"capture_to_publish_ms": {"p50": 21.0, "p95": 25.0, "p99": 30.5}},
        "bus": {"keys": True, "refused": 2},
        "notes": ["viewer closed; the stream goes on"],
    }
    return StatusMessage(**{**fields, **changes})


def image_message(**changes: object) -> ImageMessage:
    fields: dict = {
        "seq": 1,
        "t_publish_ns": 6,
        "clock": "00112233445566ff",
        "frame": 2,
        "t_capture_ns": 4,
        "jpeg": b"\xff\xd8\xff\xd9",
        "width": 480,
        "height": 270,
        "state": "tracking",
        "landmarks": np.arange(66, dtype=np.float32).reshape(33, 2),
        "visibility": np.linspace(0, 1, 33, dtype=np.float32),
        "crop": np.array([240, 135, 200], np.float32),
    }
    return ImageMessage(**{**fields, **changes})


EXAMPLES = {
    "pose_v1.bin": (pose_message, encode_pose),
    "status_v1.bin": (status_message, encode_status),
    "image_v1.bin": (image_message, encode_image),
}


def examples() -> list[bytes]:
    return [encode(make()) for make, encode in EXAMPLES.values()]  # type: ignore[operator]


def damaged(**changes: object) -> bytes:
    """A pose with these values in its map; None removes the key."""
    fields = msgpack.unpackb(encode_pose(pose_message())[5:])
    fields.update(changes)
    return b"pose " + msgpack.packb({k: v for k, v in fields.items() if v is not None})
