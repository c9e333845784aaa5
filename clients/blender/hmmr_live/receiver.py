"""The bus, received: the newest pose for showing, every pose for recording."""

from __future__ import annotations

import time
from collections import deque

import numpy as np

from .keys import KeysError, load_keys
from .message import TOPIC, MessageError, Pose, age_ms, decode
from .refusal import Refusal
from .smallpack import MAX_BYTES

try:
    import zmq
except ImportError:  # Blender's own Python comes without it: the panel says how to install it
    zmq = None

EVERY_HWM = 100_000  # how far a recording may fall behind: half an hour of poses
RECONNECT_MS = 100
HEARTBEAT_MS = 500  # these three as docs/wire-format.md wants them of a receiver
HEARTBEAT_TTL_MS = 1000
HEARTBEAT_TIMEOUT_MS = 5000
SILENT_S = 2.0  # a stream that says nothing for so long is told as silent
WINDOW_S = 1.0  # what rate and latency are taken over


class ReceiverError(RuntimeError):
    """No connection can be made; says why and what to do."""


class Receiver:
    """Connected from the start; the stream may come later, end and start again. Use from one thread.

    keys: key file where the stream wants one; "": the one that HMMR_LIVE_KEYS names, or none.

    Raises ReceiverError: pyzmq is missing, the address is malformed, or the key file is none.
    """

    def __init__(self, address: str, keys: str = "") -> None:
        if zmq is None:
            raise ReceiverError(
                "pyzmq is missing in Blender's Python; the panel shows the command that installs it"
            )
        self.address = address
        try:
            self.keys = load_keys(keys)
        except KeysError as error:
            raise ReceiverError(str(error)) from None
        self.received = self.bad = 0
        self.last_error = ""
        self.pose: Pose | None = None  # the newest
        self._arrivals: deque[tuple[float, float | None]] = deque()  # (monotonic seconds, age in ms)
        self._context = zmq.Context()
        self._refusal: Refusal | None = None  # of the newest: what befalls it befalls all
        self._every: zmq.Socket | None = None
        self._every_seen: tuple[int, int] | None = None
        try:
            self._newest = self._open(conflate=True)
        except ReceiverError:
            self.close()
            raise

    def newest(self) -> Pose | None:
        """The newest pose that was not given before, or None; does not wait."""
        self._refusal.look()  # what its monitor tells would pile up where nobody asks `refused`
        pose = self._take(self._newest)
        if pose is None or (self.pose is not None and _key(pose) == _key(self.pose)):
            return None
        self.pose = pose
        self.received += 1
        self._arrivals.append((time.monotonic(), age_ms(pose)))
        self._forget()  # here too: nobody may ever ask for fps or latency_ms
        return pose

    def start_every(self) -> None:
        """From now on `every` gives all poses, on a connection of its own."""
        self._every = self._open(conflate=False)
        self._every_seen = None

    def every(self) -> list[Pose]:
        """All poses that came since the last call, in order; those sent twice, once."""
        poses = []
        while self._every is not None and (pose := self._take(self._every)) is not None:
            if _key(pose) != self._every_seen:
                self._every_seen = _key(pose)
                poses.append(pose)
        return poses

    def stop_every(self) -> None:
        if self._every is not None:
            self._every.close(linger=0)
            self._every = None

    @property
    def refused(self) -> str:
        """Why nothing comes, where the stream refuses us; else empty."""
        return self._refusal.look()

    @property
    def silent(self) -> bool:
        return not self._arrivals or time.monotonic() - self._arrivals[-1][0] > SILENT_S

    @property
    def fps(self) -> float:
        """Poses taken in a second, of late."""
        self._forget()
        return len(self._arrivals) / WINDOW_S

    @property
    def latency_ms(self) -> float | None:
        """From the picture to here, the median of late; None on another machine's clock, or with nothing received."""
        self._forget()
        ages = [age for _, age in self._arrivals if age is not None]
        return float(np.median(ages)) if ages else None

    def close(self) -> None:
        """May be called twice."""
        self._every = None
        self._context.destroy(linger=0)

    def _forget(self) -> None:
        oldest = time.monotonic() - WINDOW_S
        while len(self._arrivals) > 1 and self._arrivals[0][0] < oldest:
            self._arrivals.popleft()

    def _open(self, conflate: bool) -> zmq.Socket:
        socket = self._context.socket(zmq.SUB)
        socket.setsockopt(zmq.LINGER, 0)
        socket.setsockopt(zmq.MAXMSGSIZE, MAX_BYTES)
        socket.setsockopt(zmq.RECONNECT_IVL, RECONNECT_MS)
        socket.setsockopt(zmq.HEARTBEAT_IVL, HEARTBEAT_MS)
        socket.setsockopt(zmq.HEARTBEAT_TTL, HEARTBEAT_TTL_MS)
        socket.setsockopt(zmq.HEARTBEAT_TIMEOUT, HEARTBEAT_TIMEOUT_MS)
        if self.keys is not None:
            if not zmq.has("curve"):
                raise ReceiverError(
                    "this pyzmq was built without CURVE, so it takes no keys; install another one"
                )
            socket.setsockopt(zmq.CURVE_SERVERKEY, self.keys.server)
            socket.setsockopt(zmq.CURVE_PUBLICKEY, self.keys.public)
            socket.setsockopt(zmq.CURVE_SECRETKEY, self.keys.secret)
        if conflate:
            socket.setsockopt(zmq.CONFLATE, 1)
        else:
            socket.setsockopt(zmq.RCVHWM, EVERY_HWM)
        socket.setsockopt(zmq.SUBSCRIBE, TOPIC)
        if self._refusal is None:
            self._refusal = Refusal(self._context, socket, self.keys is not None)
        try:
            socket.connect(self.address)
        except (zmq.ZMQError, ValueError, TypeError) as error:
            raise ReceiverError(
                f"{self.address}: cannot connect ({error}); expected tcp://127.0.0.1:5555"
            ) from None
        return socket

    def _take(self, socket: zmq.Socket) -> Pose | None:
        while True:
            try:
                parts = socket.recv_multipart(zmq.NOBLOCK)
            except zmq.Again:
                return None
            try:
                if len(parts) != 1:
                    raise MessageError(f"{len(parts)} parts in place of one")
                return decode(parts[0])
            except MessageError as error:
                self.bad += 1
                self.last_error = str(error)


def _key(pose: Pose) -> tuple[int, int]:
    return pose.seq, pose.t_publish_ns
