"""PoseMessage, StatusMessage, ImageMessage: what goes over the bus, as values. `realtime/messages.py` makes
bytes of it.

A message is checked when it is built, whether from bytes or by the live loop: what exists is valid, and
nothing invalid is ever sent. Whatever is wrong raises MessageError, and only that.

Camera frame: x right, y down, z forward, metres. Stamps are CLOCK_MONOTONIC ns of the host named by `clock`.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, get_args

import numpy as np

from realtime.bus.clock_exchange import Offset
from realtime.clock import clock_id, same_clock
from realtime.lead import Led
from realtime.observation import Estimate, State
from realtime.own_lead import led_by
from realtime.wire import (
    MAX_ENTRIES,
    MessageError,
    check_array,
    check_integer,
    check_number,
    check_plain,
    check_text,
)

STATES: tuple[str, ...] = get_args(State)
MAX_AHEAD = 16
MAX_AHEAD_MS = 10_000.0
MAX_VERTICES = 65_536
MAX_JPEG_BYTES = 2 << 20
MAX_IMAGE_SIDE = 16_384
_SAME_CLOCK = Offset(0, 0)


@dataclass(frozen=True, eq=False)
class Stamped:
    """What every message carries."""

    seq: int  # counts the messages of this topic, from 0 at the start of the publisher
    t_publish_ns: int
    clock: str  # id of the clock that the stamps were taken on

    def __post_init__(self) -> None:
        check_integer("seq", self.seq)
        check_integer("t_publish_ns", self.t_publish_ns)
        check_text("clock", self.clock, 64)

    def is_local(self) -> bool:
        """True where the stamps can be compared with this host's time.monotonic_ns()."""
        return same_clock(self.clock, clock_id())

    def tell_time_by(self, offset: Callable[[str], Offset | None]) -> None:
        """`offset` says how stamps of a clock become this host's, None while it does not know; `Subscriber` gives it to
        the messages of a stream on another host.
        """
        _set(self, "_offset_of", offset)

    def age_uncertainty_ms(self) -> float | None:
        """By how much `age_ms()` and `publish_age_ms()` may be wrong, either way: 0 on the stream's own host, None
        where they are None.
        """
        offset = self._offset()
        return None if offset is None else offset.uncertainty_ns / 1e6

    def publish_age_ms(self) -> float | None:
        """Milliseconds since this was sent; None where the clock is another host's and not known."""
        return self._ms_since(self.t_publish_ns)

    def _ms_since(self, stamp_ns: int) -> float | None:
        offset = self._offset()
        return None if offset is None else (time.monotonic_ns() - stamp_ns - offset.ns) / 1e6

    def _offset(self) -> Offset | None:
        if self.is_local():
            return _SAME_CLOCK
        offset_of = getattr(
            self, "_offset_of", None
        )  # set by tell_time_by, on an instance that is else frozen
        return None if offset_of is None else offset_of(self.clock)


@dataclass(frozen=True, eq=False)
class PoseMessage(Stamped):
    """The body in one frame."""

    frame: int  # source frame index
    t_capture_ns: int
    person: int  # counts up with every new person, 0 before the first
    state: State
    score: float  # 0–1
    body: str  # id of the body that `betas` and `vertices` belong to
    model: str
    theta: np.ndarray  # (85,) camera [s, tx, ty], pose (24 axis-angle, global orientation first), betas
    trans: np.ndarray  # (3,) pelvis in the camera frame, metres
    joints: np.ndarray  # (24, 3) SMPL's joints, camera frame, relative to the pelvis, metres
    ahead: tuple[tuple[float, np.ndarray], ...] = ()  # (dt_ms, (72,) pose that long after this frame)
    vertices: np.ndarray | None = None  # (V, 3) camera frame, relative to the pelvis, metres
    replay: bool = False  # played from a recording (realtime/replay.py), which alone sets it
    lead: Led | None = None  # the pose to show, led by as much as it will be old then; None: not led

    def __post_init__(self) -> None:
        super().__post_init__()
        check_integer("frame", self.frame)
        check_integer("t_capture_ns", self.t_capture_ns)
        check_integer("person", self.person)
        _check_state(self.state)
        check_number("score", self.score, 0.0, 1.0)
        check_text("body", self.body)
        check_text("model", self.model)
        _set(self, "theta", check_array("theta", self.theta, (85,)))
        _set(self, "trans", check_array("trans", self.trans, (3,)))
        _set(self, "joints", check_array("joints", self.joints, (24, 3)))
        if len(self.ahead) > MAX_AHEAD:
            raise MessageError(f"ahead: {len(self.ahead)} entries; the limit is {MAX_AHEAD}")
        _set(self, "ahead", tuple(_check_ahead(dt_ms, pose) for dt_ms, pose in self.ahead))
        if self.vertices is not None:
            vertices = check_array("vertices", self.vertices, (-1, 3))
            if len(vertices) > MAX_VERTICES:
                raise MessageError(f"vertices: {len(vertices)} of them; the limit is {MAX_VERTICES}")
            _set(self, "vertices", vertices)
        if self.lead is not None:
            _set(self, "lead", _check_lead(self.lead))

    @classmethod
    def from_estimate(
        cls,
        estimate: Estimate,
        *,
        seq: int,
        frame: int,
        t_capture_ns: int,
        body: str,
        model: str,
        vertices: np.ndarray | None = None,
        lead: Led | None = None,
    ) -> PoseMessage:
        """The live loop's way: stamped now, by this host's clock. Raises MessageError, for NaN say."""
        return cls(
            seq=seq,
            t_publish_ns=time.monotonic_ns(),
            clock=clock_id(),
            frame=frame,
            t_capture_ns=t_capture_ns,
            person=estimate.person,
            state=estimate.state,
            score=estimate.score,
            body=body,
            model=model,
            theta=estimate.theta,
            trans=estimate.trans,
            joints=estimate.joints,
            ahead=estimate.ahead,
            vertices=vertices,
            lead=lead,
        )

    @property
    def camera(self) -> np.ndarray:
        """(3,) weak-perspective camera [s, tx, ty] of the crop."""
        return self.theta[:3]

    @property
    def pose(self) -> np.ndarray:
        """(24, 3) axis-angle, radians; joint 0 is the global orientation, the others are relative to their
        parents.
        """
        return self.theta[3:75].reshape(24, 3)

    @property
    def betas(self) -> np.ndarray:
        """(10,) shape coefficients of `body`."""
        return self.theta[75:]

    def shown(self, lead_ms: float | None = None) -> tuple[np.ndarray, np.ndarray]:
        """What to show: axis-angle (24, 3) and pelvis (3,), as `pose` and `trans` are. None: led as the stream leads;
        a number of ms: as `pose_at`; 0: the present pose.
        """
        if lead_ms is not None:
            return self.pose_at(lead_ms)
        lead = self.lead
        return (self.pose, self.trans) if lead is None else (lead.pose.reshape(24, 3), lead.trans)

    def pose_at(self, ms: float) -> tuple[np.ndarray, np.ndarray]:
        """The same `ms` after the frame, for a receiver that leads by a delay of its own (realtime/own_lead.py)."""
        seen = Estimate(self.theta, self.trans, self.joints, self.ahead, self.state, self.score, self.person)
        pose, trans = led_by(seen, self.lead, ms)
        return pose.reshape(24, 3), trans

    def age_ms(self) -> float | None:
        """Milliseconds since the picture was taken; None where the clock is another host's
        and not known.

        Under --every-frame the stamps follow the clip's own time line, and an age means nothing.
        """
        return self._ms_since(self.t_capture_ns)


@dataclass(frozen=True, eq=False)
class StatusMessage(Stamped):
    """How the stream is doing, at 1 Hz and on change. Groups are plain nested values; docs/wire-format.md
    lists their keys.
    """

    state: str
    camera: dict[str, Any] = field(default_factory=dict)
    rates: dict[str, Any] = field(default_factory=dict)
    drops: dict[str, Any] = field(default_factory=dict)
    latency: dict[str, Any] = field(default_factory=dict)
    subscribers: dict[str, Any] = field(default_factory=dict)
    versions: dict[str, Any] = field(default_factory=dict)
    children: dict[str, Any] = field(default_factory=dict)
    bus: dict[str, Any] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    lead: dict[str, Any] = field(default_factory=dict)  # empty: this stream says nothing of it

    def __post_init__(self) -> None:
        super().__post_init__()
        check_text("state", self.state, 64)
        for name in STATUS_GROUPS:
            group = getattr(self, name)
            if not isinstance(group, dict):
                raise MessageError(f"{name}: expected a map, found {type(group).__name__}")
            check_plain(name, group)
        if not isinstance(self.notes, list) or len(self.notes) > MAX_ENTRIES:
            raise MessageError(f"notes: expected a list of at most {MAX_ENTRIES} strings")
        for note in self.notes:
            check_text("notes", note, 1024)

    def age_ms(self) -> float | None:
        """As `publish_age_ms`: a status tells of the moment in which it was sent."""
        return self.publish_age_ms()


STATUS_GROUPS = ("camera", "rates", "drops", "latency", "subscribers", "versions", "children", "bus", "lead")


@dataclass(frozen=True, eq=False)
class ImageMessage(Stamped):
    """The camera's picture with what was found in it, for looking at; sent only while somebody subscribes."""

    frame: int
    t_capture_ns: int
    jpeg: bytes
    width: int  # pixels of the JPEG, as are the coordinates below
    height: int
    state: State
    landmarks: np.ndarray | None = None  # (33, 2) pixels, BlazePose order; None while nobody is seen
    visibility: np.ndarray | None = None  # (33,) 0–1
    crop: np.ndarray | None = None  # (3,) centre x, centre y, side, pixels

    def __post_init__(self) -> None:
        super().__post_init__()
        check_integer("frame", self.frame)
        check_integer("t_capture_ns", self.t_capture_ns)
        check_integer("width", self.width, 1, MAX_IMAGE_SIDE)
        check_integer("height", self.height, 1, MAX_IMAGE_SIDE)
        _check_state(self.state)
        if not isinstance(self.jpeg, bytes) or not self.jpeg.startswith(b"\xff\xd8"):
            raise MessageError("jpeg: not the bytes of a JPEG")
        if len(self.jpeg) > MAX_JPEG_BYTES:
            raise MessageError(f"jpeg: {len(self.jpeg)} bytes; the limit is {MAX_JPEG_BYTES}")
        for name, shape in IMAGE_ARRAYS.items():
            if getattr(self, name) is not None:
                _set(self, name, check_array(name, getattr(self, name), shape))
        if self.visibility is not None and (self.visibility.min() < 0 or self.visibility.max() > 1):
            raise MessageError("visibility: not in 0…1")
        if self.crop is not None and self.crop[2] <= 0:
            raise MessageError(f"crop: side {self.crop[2]:g} is not positive")

    def age_ms(self) -> float | None:
        """Milliseconds since the picture was taken; None where the clock is another host's and not known."""
        return self._ms_since(self.t_capture_ns)


IMAGE_ARRAYS: dict[str, tuple[int, ...]] = {"landmarks": (33, 2), "visibility": (33,), "crop": (3,)}


def _check_state(state: object) -> None:
    if state not in STATES:  # a list or dict is simply not in it
        raise MessageError(f"state: {str(state)[:40]!r} is none of {', '.join(STATES)}")


def _check_ahead(dt_ms: object, pose: object) -> tuple[float, np.ndarray]:
    return check_number("ahead.dt_ms", dt_ms, 0.0, MAX_AHEAD_MS), check_array("ahead.pose", pose, (72,))


def _check_lead(lead: object) -> Led:
    if not isinstance(lead, Led):
        raise MessageError(f"lead: expected a Led, found {type(lead).__name__}")
    return Led(
        check_number("lead.ms", lead.ms, 0.0, MAX_AHEAD_MS),
        check_array("lead.pose", lead.pose, (72,)),
        check_array("lead.trans", lead.trans, (3,)),
        check_number("lead.confidence", lead.confidence, 0.0, 1.0),
    )


def _set(message: Stamped, name: str, value: object) -> None:
    object.__setattr__(message, name, value)  # the dataclasses are frozen for everyone else
