"""Whether a stream has us: libzmq tells nobody but the monitor of a socket that a handshake failed."""

from __future__ import annotations

import struct

try:
    import zmq
except ImportError:
    zmq = None

ENOUGH = 3  # a stream that begins or ends just then may fail one
ENDPOINT = "inproc://handshakes"


class Refusal:
    """Watches a socket, from before it connects."""

    def __init__(self, context: zmq.Context, socket: zmq.Socket, has_keys: bool) -> None:
        self._has_keys = has_keys
        self._unknown = False  # the stream knows its own keys, and not ours
        self._failures = 0  # since the last success
        self._for_good = False  # after an error of the protocol libzmq does not try again
        names = ("SUCCEEDED", "FAILED_AUTH", "FAILED_PROTOCOL", "FAILED_NO_DETAIL")
        self._events = {getattr(zmq, f"EVENT_HANDSHAKE_{name}"): name for name in names}
        socket.monitor(ENDPOINT, sum(self._events))
        self._monitor = context.socket(zmq.PAIR)
        self._monitor.setsockopt(zmq.RCVHWM, 0)  # a full one would make libzmq's own thread wait
        self._monitor.connect(ENDPOINT)

    def look(self) -> str:
        """Takes in what the monitor told, and says what is wrong; empty while nothing is. Does not wait."""
        while True:
            try:
                parts = self._monitor.recv_multipart(zmq.NOBLOCK)
            except zmq.Again:
                break
            name = self._events.get(struct.unpack_from("=H", parts[0])[0])
            self._unknown = name == "FAILED_AUTH"
            self._failures = 0 if name == "SUCCEEDED" else self._failures + 1
            self._for_good |= name == "FAILED_PROTOCOL"
        if self._unknown and self._has_keys:
            return "the stream refuses this key: does it know it (python -m realtime.keys list)?"
        if self._failures < ENOUGH and not self._for_good:
            return ""
        if self._has_keys:
            return "refused: the stream takes no keys, or others than this one"
        return "refused: the stream wants a key, or is none of hmmr-live"
