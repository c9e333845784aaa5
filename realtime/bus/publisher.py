"""The publishing end: one XPUB socket on a local address, owned by the live loop's thread.

`publish` never blocks and holds at most SEND_HWM messages per subscriber; one that is stuck loses messages
and, after the heartbeat's timeout, its connection. `poll` takes in who subscribed and who left.

A late joiner gets the last pose and status at once. XPUB cannot send to one subscriber alone, so they are
sent again to everybody: a conflated reader does not notice, and `Subscriber` drops what it has seen already.
"""

from __future__ import annotations

import errno
import logging
import re
import time
from collections.abc import Callable

import zmq

from realtime.bus.connections import Connections
from realtime.config import BusConfig
from realtime.errors import ConfigError
from realtime.messages import TOPICS

log = logging.getLogger(__name__)

SEND_HWM = 256  # messages waiting per subscriber before it loses some: seconds of them
RECEIVE_HWM = 32  # subscriptions waiting per connection; the rest stays in that client's own memory
LINGER_MS = 100  # at the end, for messages that are still on their way to a subscriber
MAX_INCOMING_BYTES = 512  # a subscriber sends only subscriptions and heartbeats
MAX_SUBSCRIPTIONS = 64  # of one connection; a program of ours has at most three
HANDSHAKE_MS = 5000  # a connection that has not said what it is by then is closed
RESEND_INTERVAL_S = 0.02  # coalesces the resends for many joiners at once
CHECK_INTERVAL_S = 1.0  # connections are looked at this often even when nothing was heard of them
RETAINED = ("pose", "status")  # the last of each is kept for late joiners; the next picture comes soon enough

_ADDRESS = re.compile(r"tcp://(?P<host>\[[^]]*\]|[^:/\[\]]+):(?P<port>\d{1,5})")
_LOOPBACK = re.compile(r"127\.\d{1,3}\.\d{1,3}\.\d{1,3}")


class Publisher:
    """Binds `address`, "tcp://127.0.0.1:PORT"; port 0 takes a free one, which `.address` then names.

    Raises ConfigError for an address that is malformed, open to other hosts, or in use.
    """

    def __init__(self, address: str, config: BusConfig) -> None:
        endpoint = _local_endpoint(address)
        self._context = zmq.Context()
        self._socket = self._context.socket(zmq.XPUB)
        for option, value in (
            (zmq.LINGER, LINGER_MS),
            (zmq.SNDHWM, SEND_HWM),
            (zmq.RCVHWM, RECEIVE_HWM),
            (zmq.MAXMSGSIZE, MAX_INCOMING_BYTES),
            (zmq.XPUB_VERBOSER, 1),  # report every subscription and every end of one
            (zmq.HEARTBEAT_IVL, config.heartbeat_ms),
            (zmq.HEARTBEAT_TIMEOUT, config.heartbeat_timeout_ms),
            (zmq.HANDSHAKE_IVL, HANDSHAKE_MS),
        ):
            self._socket.setsockopt(option, value)
        try:
            self._socket.bind(endpoint)
        except zmq.ZMQError as error:
            self.close()
            raise ConfigError(_bind_failure(address, error)) from None
        self.address: str = self._socket.getsockopt_string(zmq.LAST_ENDPOINT).rstrip("\0")
        self._connections = Connections()
        self._last: dict[str, bytes] = {}
        self._to_resend: set[str] = set()
        self._resent_at = 0.0
        self._checked_at = time.monotonic()
        self.published = dict.fromkeys(TOPICS, 0)
        self.listeners: list[Callable[[bytes], None]] = []  # called with every message sent; must not wait
        self.refused = 0  # connections ended for too many subscriptions

    def publish(self, data: bytes) -> None:
        """Send one encoded message to its topic's subscribers. Raises ValueError for bytes of no topic of
        ours.
        """
        topic = next((topic for topic, prefix in TOPICS.items() if data.startswith(prefix)), None)
        if topic is None:
            raise ValueError(f"not a message of this bus: it starts with {data[:12]!r}")
        self._socket.send(data, zmq.NOBLOCK)
        self.published[topic] += 1
        for listener in self.listeners:
            listener(data)
        if topic in RETAINED:
            self._last[topic] = data
            self._to_resend.discard(topic)  # whoever joined before now has got this one

    def poll(self) -> None:
        """Take in subscriptions and departures, and serve late joiners. Microseconds; called each turn of the
        loop.
        """
        somebody_left = False
        for _ in range(8 * RECEIVE_HWM):  # bounds one turn; what is left is for the next
            try:
                frame = self._socket.recv(zmq.NOBLOCK, copy=False)
            except zmq.Again:
                break
            somebody_left |= self._take_in(frame)
        now = time.monotonic()
        if somebody_left or now - self._checked_at >= CHECK_INTERVAL_S:
            self._connections.forget_closed()
            self._checked_at = now
        if self._to_resend and now - self._resent_at >= RESEND_INTERVAL_S:
            for topic in self._to_resend & self._last.keys():
                self._socket.send(self._last[topic], zmq.NOBLOCK)
            self._to_resend.clear()
            self._resent_at = now

    def wants(self, topic: str) -> bool:
        """True while at least one live connection subscribes to "pose", "status" or "image"."""
        return self._connections.count(topic) > 0

    @property
    def subscribers(self) -> dict[str, int]:
        """Live connections per topic, as of the last `poll`."""
        return {topic: self._connections.count(topic) for topic in TOPICS}

    def close(self) -> None:
        """Close within LINGER_MS, which only a stuck subscriber makes us wait. May be called twice."""
        self._context.destroy(linger=LINGER_MS)

    def __enter__(self) -> Publisher:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _take_in(self, frame: zmq.Frame) -> bool:
        """One notification, 0x01 or 0x00 and the prefix. True when it tells that a connection ended."""
        data = frame.bytes
        try:
            descriptor = int(frame.get(zmq.SRCFD))
        except zmq.ZMQError:
            return True  # nobody sent it: libzmq gives back the prefixes of a connection that is gone
        if data[:1] == b"\0":
            self._connections.unsubscribe(descriptor, data[1:])
        elif data[:1] == b"\1":
            if self._connections.subscribe(descriptor, data[1:]) > MAX_SUBSCRIPTIONS:
                self._refuse(descriptor)
            else:
                self._to_resend.update(topic for topic in RETAINED if TOPICS[topic].startswith(data[1:]))
        return False  # anything else is a message sent up to us, which means nothing here

    def _refuse(self, descriptor: int) -> None:
        self._connections.end(descriptor)
        self.refused += 1
        if self.refused == 1:
            log.warning("bus: ended a connection that made more than %d subscriptions", MAX_SUBSCRIPTIONS)


def _local_endpoint(address: str) -> str:
    match = _ADDRESS.fullmatch(address)
    if match is None or int(match["port"]) > 65535:
        raise ConfigError(f"--bus {address}: expected tcp://127.0.0.1:PORT, for example tcp://127.0.0.1:5555")
    if match["host"] != "localhost" and not _LOOPBACK.fullmatch(match["host"]):
        raise ConfigError(
            f"--bus {address}: only addresses of this machine itself, such as tcp://127.0.0.1:{match['port']};\n"
            "other interfaces need keys, which come with a later version (until then: an ssh tunnel)"
        )
    host = "127.0.0.1" if match["host"] == "localhost" else match["host"]
    port = "*" if int(match["port"]) == 0 else match["port"]
    return f"tcp://{host}:{port}"


def _bind_failure(address: str, error: zmq.ZMQError) -> str:
    if error.errno in (zmq.EADDRINUSE, errno.EADDRINUSE):
        return (
            f"--bus {address}: in use by another program, perhaps another hmmr-live;\n"
            "stop that one, or choose another port, for example --bus tcp://127.0.0.1:5556"
        )
    return f"--bus {address}: cannot listen there ({error.strerror}); try --bus tcp://127.0.0.1:5556"
