"""The publishing end: one XPUB socket, owned by the live loop's thread. On an address that other hosts reach it takes
only those whose keys it knows (realtime/bus/gate.py).

`publish` never blocks and holds at most SEND_HWM messages per subscriber; one that is stuck loses messages
and, where it has promised heartbeats (ours do) and does not keep to it, its connection. The publisher sends none of its
own: libzmq 4.3.5 aborts the whole program ("Assertion failed: !_io_error") when one is due on a connection that ended
while more waited from it than RECEIVE_HWM, as in a flood of subscriptions. `poll` takes in who subscribed and who left.

A late joiner gets the last pose and status at once. XPUB cannot send to one subscriber alone, so they are
sent again to everybody: a conflated reader does not notice, and `Subscriber` drops what it has seen already.
"""

from __future__ import annotations

import errno
import logging
import re
import time
from collections.abc import Callable
from pathlib import Path

import zmq

from realtime.bus import clock_exchange
from realtime.bus.connections import Connections
from realtime.bus.gate import Gate
from realtime.clock import clock_id
from realtime.config import BusConfig
from realtime.errors import ConfigError
from realtime.key_files import COMMAND, ServerKeys, default_folder, load_server
from realtime.messages import TOPICS

log = logging.getLogger(__name__)

SEND_HWM = 256  # messages waiting per subscriber before it loses some: seconds of them
RECEIVE_HWM = 32  # subscriptions waiting per connection; the rest stays in that client's own memory
LINGER_MS = 100  # at the end, for messages that are still on their way to a subscriber
MAX_INCOMING_BYTES = 512  # a subscriber sends only subscriptions, heartbeats and questions of the time
MAX_SUBSCRIPTIONS = 64  # of one connection; a program of ours has at most three
MAX_QUESTIONS = 200  # of one connection within CHECK_INTERVAL_S; a program of ours asks 34 at the most
HANDSHAKE_MS = 5000  # a connection that has not said what it is by then is closed
RESEND_INTERVAL_S = 0.02  # coalesces the resends for many joiners at once
MOST_OF_A_TURN_S = 0.0002  # what a flood of subscriptions may take of one turn
TAKEN_IN_ALWAYS = 8  # of what waits, however slow the machine is just now
CHECK_INTERVAL_S = 1.0  # connections are looked at this often even when nothing was heard of them
RETAINED = ("pose", "status")  # the last of each is kept for late joiners; the next picture comes soon enough

_ADDRESS = re.compile(r"tcp://(?P<host>\[[^]]*\]|[^:/\[\]]+):(?P<port>\d{1,5})")
_LOOPBACK = re.compile(r"localhost|127\.\d{1,3}\.\d{1,3}\.\d{1,3}|\[::1\]")


class Publisher:
    """Binds `address`, "tcp://127.0.0.1:PORT"; port 0 takes a free one, which `.address` then names.

    With `config.keys`, and on every address that other hosts reach, receivers need keys.

    Raises ConfigError for an address that is malformed or in use, and where keys are needed and there are none.
    """

    def __init__(self, address: str, config: BusConfig) -> None:
        endpoint = _endpoint(address)
        self.keys = keys_for(address, config)
        self._context = zmq.Context()
        self._gate: Gate | None = None
        self._socket = self._context.socket(zmq.XPUB)
        for option, value in (
            (zmq.LINGER, LINGER_MS),
            (zmq.SNDHWM, SEND_HWM),
            (zmq.RCVHWM, RECEIVE_HWM),
            (zmq.MAXMSGSIZE, MAX_INCOMING_BYTES),
            (zmq.XPUB_VERBOSER, 1),  # report every subscription and every end of one
            (zmq.HANDSHAKE_IVL, HANDSHAKE_MS),
        ):
            self._socket.setsockopt(option, value)
        if "[" in endpoint:
            self._socket.setsockopt(zmq.IPV6, 1)
        if self.keys is not None:
            self._gate = Gate(self._context, self.keys)
            self._gate.guard(self._socket)
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
        self._floods = 0  # connections ended for too many subscriptions or questions

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
        self._connections.begin_turn()
        enough_s = time.monotonic() + MOST_OF_A_TURN_S
        for count in range(8 * RECEIVE_HWM):  # bounds one turn; what is left is for the next
            if count >= TAKEN_IN_ALWAYS and time.monotonic() > enough_s:
                break
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

    @property
    def refused(self) -> int:
        """Connections that were ended: for a flood, or for having no key that we know."""
        return self._floods + (self._gate.refused if self._gate is not None else 0)

    @property
    def local_address(self) -> str:
        """Where programs on this machine connect: an address that means all interfaces is none to connect to."""
        return self.address.replace("//0.0.0.0:", "//127.0.0.1:").replace("//[::]:", "//[::1]:")

    @property
    def local_keys(self) -> Path | None:
        """The key file that they need, None where none is needed."""
        return None if self.keys is None else self.keys.local_file

    def close(self) -> None:
        """Close within LINGER_MS, which only a stuck subscriber makes us wait. May be called twice."""
        if self._gate is not None:
            self._gate.close()
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
                self._end(descriptor, f"made more than {MAX_SUBSCRIPTIONS} subscriptions")
            else:
                self._to_resend.update(topic for topic in RETAINED if TOPICS[topic].startswith(data[1:]))
        elif self._connections.ask(descriptor) > MAX_QUESTIONS:
            self._end(descriptor, f"sent more than {MAX_QUESTIONS} messages a second")
        elif clock_exchange.is_question(data):
            self._socket.send(clock_exchange.answer(data, time.monotonic_ns(), clock_id()), zmq.NOBLOCK)
        return False  # anything else that is sent up to us means nothing here

    def _end(self, descriptor: int, why: str) -> None:
        self._connections.end(descriptor)
        self._floods += 1
        if self._floods == 1:
            log.warning("bus: ended a connection that %s", why)


def keys_for(address: str, config: BusConfig) -> ServerKeys | None:
    """The keys that a stream on this address has: those of `config.keys`; none on this machine's own addresses without
    that; on others those of the user's default folder.

    Raises ConfigError where there are none, or the address is malformed.
    """
    match = _parse(address)
    if not config.keys and _LOOPBACK.fullmatch(match["host"]):
        return None
    folder = Path(config.keys).expanduser() if config.keys else default_folder()
    if not config.keys and not folder.is_dir():
        raise ConfigError(
            f"--bus {address}: other machines reach this address, so receivers need keys: {COMMAND} makes them;\n"
            f"this machine alone, without keys: tcp://127.0.0.1:{match['port']}"
        )
    keys = load_server(folder)
    if not keys.local_file.is_file():
        raise ConfigError(
            f"{folder}: no key for programs on this machine; {COMMAND} add local --folder {folder}"
        )
    return keys


def _parse(address: str) -> re.Match[str]:
    match = _ADDRESS.fullmatch(address)
    if match is None or int(match["port"]) > 65535:
        raise ConfigError(f"--bus {address}: expected tcp://127.0.0.1:PORT, for example tcp://127.0.0.1:5555")
    return match


def _endpoint(address: str) -> str:
    match = _parse(address)
    host = {"localhost": "127.0.0.1", "*": "0.0.0.0"}.get(match["host"], match["host"])
    port = "*" if int(match["port"]) == 0 else match["port"]
    return f"tcp://{host}:{port}"


def _bind_failure(address: str, error: zmq.ZMQError) -> str:
    if error.errno in (zmq.EADDRINUSE, errno.EADDRINUSE):
        return (
            f"--bus {address}: in use by another program, perhaps another hmmr-live;\n"
            "stop that one, or choose another port, for example --bus tcp://127.0.0.1:5556"
        )
    return f"--bus {address}: cannot listen there ({error.strerror}); try --bus tcp://127.0.0.1:5556"
