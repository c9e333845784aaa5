"""The messages of the bus and the bytes they become, field by field (docs/wire-format.md).

Everything wrong with bytes raises MessageError, and only that. Decoded arrays are read-only float32.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from realtime.lead import Led
from realtime.message_types import IMAGE_ARRAYS, STATUS_GROUPS, ImageMessage, PoseMessage, StatusMessage
from realtime.wire import (
    MAX_STATUS_BYTES,
    SCHEMA_VERSION,
    MessageError,
    array_from_bytes,
    array_to_bytes,
    pack,
    require,
    unpack,
)

__all__ = [
    "ImageMessage",
    "Message",
    "MessageError",
    "PoseMessage",
    "StatusMessage",
    "TOPICS",
    "decode",
    "decode_image",
    "decode_pose",
    "decode_status",
    "encode_image",
    "encode_pose",
    "encode_status",
]

POSE, STATUS, IMAGE = b"pose ", b"status ", b"image "
TOPICS = {"pose": POSE, "status": STATUS, "image": IMAGE}

Message = PoseMessage | StatusMessage | ImageMessage


def encode_pose(message: PoseMessage) -> bytes:
    """b"pose " + msgpack. 1 µs-scale; raises MessageError only for a message larger than the limit."""
    fields: dict[str, Any] = {
        **_frame_stamps(message),
        "person": int(message.person),
        "state": message.state,
        "score": float(message.score),
        "body": message.body,
        "model": message.model,
        "theta": array_to_bytes(message.theta),
        "trans": array_to_bytes(message.trans),
        "joints": array_to_bytes(message.joints),
        "ahead": [{"dt_ms": float(dt_ms), "pose": array_to_bytes(pose)} for dt_ms, pose in message.ahead],
    }
    if message.vertices is not None:
        fields["vertices"] = array_to_bytes(message.vertices)
    if message.lead is not None:
        lead = message.lead
        fields["lead"] = {
            "ms": float(lead.ms),
            "pose": array_to_bytes(lead.pose),
            "trans": array_to_bytes(lead.trans),
            "confidence": float(lead.confidence),
        }
    return pack(POSE, fields)


def decode_pose(data: bytes) -> PoseMessage:
    """Raises MessageError for anything but a valid pose message."""
    fields = unpack(POSE, data)
    ahead = require(fields, "ahead")
    if not isinstance(ahead, list) or not all(isinstance(entry, dict) for entry in ahead):
        raise MessageError("ahead: expected a list of maps")
    return PoseMessage(
        **_plain(fields, "seq", "t_publish_ns", "clock", "frame", "t_capture_ns"),
        **_plain(fields, "person", "state", "score", "body", "model"),
        theta=array_from_bytes("theta", require(fields, "theta"), (85,)),
        trans=array_from_bytes("trans", require(fields, "trans"), (3,)),
        joints=array_from_bytes("joints", require(fields, "joints"), (24, 3)),
        ahead=tuple(
            (require(entry, "dt_ms"), array_from_bytes("ahead.pose", require(entry, "pose"), (72,)))
            for entry in ahead
        ),
        vertices=_optional_array(fields, "vertices", (-1, 3)),
        replay="replay" in fields,
        lead=_lead(fields),
    )


def encode_status(message: StatusMessage) -> bytes:
    """b"status " + msgpack. Raises MessageError above 64 KiB."""
    fields: dict[str, Any] = {
        "v": SCHEMA_VERSION,
        "seq": int(message.seq),
        "t_publish_ns": int(message.t_publish_ns),
        "clock": message.clock,
        "state": message.state,
        **{name: group for name in STATUS_GROUPS if (group := getattr(message, name)) or name != "lead"},
        "notes": message.notes,
    }
    return pack(STATUS, fields, MAX_STATUS_BYTES)


def decode_status(data: bytes) -> StatusMessage:
    """Raises MessageError for anything but a valid status message. A group that is missing is empty."""
    fields = unpack(STATUS, data, MAX_STATUS_BYTES)
    groups = {name: fields[name] for name in (*STATUS_GROUPS, "notes") if name in fields}
    return StatusMessage(**_plain(fields, "seq", "t_publish_ns", "clock", "state"), **groups)


def encode_image(message: ImageMessage) -> bytes:
    """b"image " + msgpack."""
    fields: dict[str, Any] = {
        **_frame_stamps(message),
        "state": message.state,
        "width": int(message.width),
        "height": int(message.height),
        "jpeg": message.jpeg,
    }
    for name in IMAGE_ARRAYS:
        if getattr(message, name) is not None:
            fields[name] = array_to_bytes(getattr(message, name))
    return pack(IMAGE, fields)


def decode_image(data: bytes) -> ImageMessage:
    """Raises MessageError for anything but a valid image message. The JPEG itself is not decoded."""
    fields = unpack(IMAGE, data)
    arrays: dict[str, Any] = {
        name: _optional_array(fields, name, shape) for name, shape in IMAGE_ARRAYS.items()
    }
    return ImageMessage(
        **_plain(fields, "seq", "t_publish_ns", "clock", "frame", "t_capture_ns"),
        **_plain(fields, "state", "width", "height", "jpeg"),
        **arrays,
    )


def decode(data: bytes) -> Message:
    """Any message of ours, by its topic. Raises MessageError for everything else."""
    if data.startswith(POSE):
        return decode_pose(data)
    if data.startswith(STATUS):
        return decode_status(data)
    if data.startswith(IMAGE):
        return decode_image(data)
    raise MessageError(f"unknown topic: the message starts with {data[:12]!r}")


def _frame_stamps(message: PoseMessage | ImageMessage) -> dict[str, Any]:
    return {
        "v": SCHEMA_VERSION,
        "seq": int(message.seq),
        "frame": int(message.frame),
        "t_capture_ns": int(message.t_capture_ns),
        "t_publish_ns": int(message.t_publish_ns),
        "clock": message.clock,
    }


def _plain(fields: dict[str, Any], *keys: str) -> dict[str, Any]:
    return {key: require(fields, key) for key in keys}


def _lead(fields: dict[str, Any]) -> Led | None:
    entry = fields.get("lead")
    if entry is None:
        return None
    if not isinstance(entry, dict):
        raise MessageError(f"lead: expected a map, found {type(entry).__name__}")
    return Led(
        require(entry, "ms"),
        array_from_bytes("lead.pose", require(entry, "pose"), (72,)),
        array_from_bytes("lead.trans", require(entry, "trans"), (3,)),
        require(entry, "confidence"),
    )


def _optional_array(fields: dict[str, Any], key: str, shape: tuple[int, ...]) -> np.ndarray | None:
    return array_from_bytes(key, fields[key], shape) if fields.get(key) is not None else None
