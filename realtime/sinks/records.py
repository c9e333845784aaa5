"""One pose as a fixed record of 404 bytes, and as JSON: for engines without ZeroMQ or msgpack.

docs/game-engines.md tells the record byte by byte; tests/golden/record_v1.bin is one. Receivers rely on it: what
changes here changes VERSION.
"""

from __future__ import annotations

import json
import struct
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from realtime.humanoid import BONES
from realtime.messages import PoseMessage
from realtime.sinks.bones import BonePose
from realtime.sinks.options import AXES

MAGIC = b"HMRL"
VERSION = 1
AXES_CODES = {"world": 0, "unity": 1, "unreal": 2, "godot": 3, "blender": 4}
STATE_CODES = {"lost": 0, "warming": 1, "held": 2, "tracking": 3}
_HEAD = struct.Struct("<4sHBBIIQQIf")
FLOATS = 3 + 4 * len(BONES)
RECORD_BYTES = _HEAD.size + 4 * FLOATS
_U32 = 0xFFFF_FFFF
DECIMALS = 6  # of the numbers in JSON: a micrometre, and 1e-4 degrees


@dataclass(frozen=True, eq=False)
class Record:
    """A message's pose in somebody's axes and units; what is never asked for is never made."""

    message: PoseMessage
    pose: BonePose
    axes: str  # one of AXES_CODES

    @cached_property
    def floats(self) -> np.ndarray:
        """(91,) float32: the Hips' position, then 22 quaternions xyzw, w ≥ 0."""
        theirs = AXES[self.axes]
        floats = np.empty(FLOATS, np.float32)
        floats[:3] = theirs.points(self.pose.hips)
        floats[3:] = theirs.quaternions(self.pose.rotations).ravel()
        return floats

    @cached_property
    def binary(self) -> bytes:
        """The 404 bytes."""
        message = self.message
        head = _HEAD.pack(
            MAGIC,
            VERSION,
            AXES_CODES[self.axes],
            STATE_CODES[message.state],
            message.seq & _U32,
            message.frame & _U32,
            message.t_capture_ns,
            message.t_publish_ns,
            message.person & _U32,
            message.score,
        )
        return head + self.floats.astype("<f4").tobytes()

    @cached_property
    def text(self) -> str:
        """The same as JSON."""
        message = self.message
        numbers = np.round(self.floats.astype(np.float64), DECIMALS)
        record = {
            "v": VERSION,
            "axes": self.axes,
            "state": message.state,
            "seq": message.seq,
            "frame": message.frame,
            "t_capture_ns": message.t_capture_ns,
            "t_publish_ns": message.t_publish_ns,
            "person": message.person,
            "score": round(message.score, DECIMALS),
            "hips": numbers[:3].tolist(),
            "bones": dict(zip(BONES, numbers[3:].reshape(-1, 4).tolist(), strict=True)),
        }
        return json.dumps(record, allow_nan=False, separators=(",", ":"))
