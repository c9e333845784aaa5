"""Pose messages of the bus (docs/wire-format.md, schema version 1), as far as an armature needs them."""

from __future__ import annotations

import hashlib
import math
import socket
import time
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from .smallpack import PackError, unpack

TOPIC = b"pose "
SCHEMA_VERSION = 1
STATES = ("tracking", "warming", "held", "lost")
_INT_MAX = 2**63 - 1


class MessageError(ValueError):
    """Bytes that are no pose message; says why, in one line."""


@dataclass(frozen=True)
class Pose:
    """The body in one frame. Camera frame: x right, y down, z forward."""

    seq: int
    frame: int
    t_publish_ns: int
    t_capture_ns: int  # CLOCK_MONOTONIC of the host that `clock` names
    clock: str
    person: int
    state: str
    score: float
    body: str  # id of the body that `betas` are for
    rotations: (
        np.ndarray
    )  # (24, 3) float32 axis-angle; [0] the global orientation, the others against their parents
    betas: np.ndarray  # (10,) float32
    trans: np.ndarray  # (3,) float32 pelvis, metres
    joints: np.ndarray  # (24, 3) float32, relative to the pelvis, metres
    lead: tuple[np.ndarray, np.ndarray] | None = (
        None  # rotations and trans to show, as old as they will be then
    )

    def shown(self) -> tuple[np.ndarray, np.ndarray]:
        """Rotations (24, 3) and trans (3,) to show: led, where the stream leads; to record is what was seen."""
        return (self.rotations, self.trans) if self.lead is None else self.lead


def decode(data: bytes) -> Pose:
    """Raises MessageError for anything but a valid pose message; unknown keys are ignored."""
    if not data.startswith(TOPIC):
        raise MessageError(f"not a pose message: it starts with {data[:12]!r}")
    try:
        fields = unpack(data[len(TOPIC) :])
    except PackError as error:
        raise MessageError(f"not valid msgpack: {error}") from None
    if not isinstance(fields, dict):
        raise MessageError(f"expected a map, found {type(fields).__name__}")
    version = _integer(fields, "v")
    if version > SCHEMA_VERSION:
        raise MessageError(
            f"schema version {version} is newer than this add-on's {SCHEMA_VERSION}: update the add-on"
        )
    if version < 1:
        raise MessageError(f"v: {version} is no schema version")
    theta = _floats(fields, "theta", 85)
    return Pose(
        seq=_integer(fields, "seq"),
        frame=_integer(fields, "frame"),
        t_publish_ns=_integer(fields, "t_publish_ns"),
        t_capture_ns=_integer(fields, "t_capture_ns"),
        clock=_text(fields, "clock"),
        person=_integer(fields, "person"),
        state=_state(fields),
        score=_score(fields),
        body=_text(fields, "body"),
        rotations=theta[3:75].reshape(24, 3),
        betas=theta[75:],
        trans=_floats(fields, "trans", 3),
        joints=_floats(fields, "joints", 72).reshape(24, 3),
        lead=_lead(fields),
    )


def age_ms(pose: Pose) -> float | None:
    """Milliseconds since the picture reached the program; None where it runs on another machine."""
    return (time.monotonic_ns() - pose.t_capture_ns) / 1e6 if _same_clock(pose.clock, clock_id()) else None


@lru_cache(maxsize=1)
def clock_id() -> str:
    """Id of this machine's monotonic clock, made as docs/wire-format.md says."""
    try:
        return hashlib.sha256(Path("/proc/sys/kernel/random/boot_id").read_bytes().strip()).hexdigest()[:16]
    except OSError:
        host = hashlib.sha256(socket.gethostname().encode()).hexdigest()[:16]
        return f"{host}@{round(time.time() - time.monotonic())}"


def _same_clock(one: str, other: str) -> bool:
    if one == other:
        return True
    (host, _, boot), (other_host, _, other_boot) = one.partition("@"), other.partition("@")
    if host != other_host or not (boot.isdecimal() and other_boot.isdecimal()):
        return False
    return abs(int(boot) - int(other_boot)) <= 60  # the wall clock may be corrected while the host is up


def _require(fields: dict, key: str) -> object:
    if key not in fields:
        raise MessageError(f"{key}: missing")
    return fields[key]


def _integer(fields: dict, key: str) -> int:
    value = _require(fields, key)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= _INT_MAX:
        raise MessageError(f"{key}: expected an integer of 63 bits")
    return value


def _text(fields: dict, key: str) -> str:
    value = _require(fields, key)
    if not isinstance(value, str) or len(value) > 256:
        raise MessageError(f"{key}: expected a string of at most 256 characters")
    return value


def _state(fields: dict) -> str:
    state = _text(fields, "state")
    if state not in STATES:
        raise MessageError(f"state: {state[:40]!r} is none of {', '.join(STATES)}")
    return state


def _score(fields: dict) -> float:
    value = _require(fields, "score")
    if (
        isinstance(value, bool)
        or not isinstance(value, (int, float))
        or not (math.isfinite(value) and 0 <= value <= 1)
    ):
        raise MessageError("score: expected a number in 0…1")
    return float(value)


def _lead(fields: dict) -> tuple[np.ndarray, np.ndarray] | None:
    if "lead" not in fields:
        return None
    lead = fields["lead"]
    if not isinstance(lead, dict):
        raise MessageError("lead: expected a map")
    return _floats(lead, "pose", 72).reshape(24, 3), _floats(lead, "trans", 3)


def _floats(fields: dict, key: str, count: int) -> np.ndarray:
    value = _require(fields, key)
    if not isinstance(value, bytes) or len(value) != 4 * count:
        raise MessageError(f"{key}: expected {4 * count} bytes of float32")
    array = np.frombuffer(value, "<f4")
    if not np.isfinite(array).all():
        raise MessageError(f"{key}: holds NaN or infinity")
    return array
