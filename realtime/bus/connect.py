"""How programs connect to a bus: address, keys, and how a refusal is noticed."""

from __future__ import annotations

import argparse
import os
import socket
import threading
from pathlib import Path

import zmq
from zmq.utils.monitor import parse_monitor_message

from realtime.key_files import COMMAND, ENVIRONMENT, ClientKeys, load_client

DEFAULT_ADDRESS = "tcp://127.0.0.1:5555"
RECONNECT_MS = 100  # a publisher that starts later, or again, is found within this
HEARTBEAT_MS = 500
HEARTBEAT_TTL_MS = 1000  # the publisher, which gets our heartbeats, gives us up after as long without any
HEARTBEAT_TIMEOUT_MS = 5000  # and we the publisher, whose host may be gone, after as long without an answer


def add_connect_flags(parser: argparse.ArgumentParser) -> None:
    """--connect and --keys, alike in every program that receives: `Subscriber(flags.connect, …, keys=flags.keys)`."""
    parser.add_argument(
        "--connect",
        default=DEFAULT_ADDRESS,
        metavar="ADDRESS",
        help="the stream; default %(default)s",
    )
    parser.add_argument(
        "--keys",
        metavar="FILE",
        help=f"key file, where the stream wants one ({COMMAND} makes them); default: the variable {ENVIRONMENT}",
    )


def client_keys(keys: str | Path | None) -> ClientKeys | None:
    """Of a key file, by default the one that the environment names (the live program does, for its viewer and sinks);
    None where there is none. Raises ConfigError.
    """
    chosen = keys or os.environ.get(ENVIRONMENT)
    return load_client(chosen) if chosen else None


def prepare(sub: zmq.Socket, address: str, keys: ClientKeys | None) -> None:
    """What every connection to a bus has in common; before `connect`."""
    sub.setsockopt(zmq.LINGER, 0)
    sub.setsockopt(zmq.RECONNECT_IVL, RECONNECT_MS)
    sub.setsockopt(zmq.HEARTBEAT_IVL, HEARTBEAT_MS)
    sub.setsockopt(zmq.HEARTBEAT_TTL, HEARTBEAT_TTL_MS)
    sub.setsockopt(zmq.HEARTBEAT_TIMEOUT, HEARTBEAT_TIMEOUT_MS)
    if "[" in address:
        sub.setsockopt(zmq.IPV6, 1)
    if keys is not None:
        keys.apply(sub)


class Refusal:
    """Watches one socket for handshakes that fail. libzmq says nothing, and gives up or tries for ever."""

    _EVENTS = (
        zmq.EVENT_HANDSHAKE_FAILED_AUTH
        | zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL
        | zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL
        | zmq.EVENT_HANDSHAKE_SUCCEEDED
    )
    _ENOUGH = 3  # a stream that ends, or begins, just then may fail one

    def __init__(self, sub: zmq.Socket, address: str, keys: ClientKeys | None) -> None:
        self._address = address
        self._keys = keys
        self._reason = ""
        self._failures = 0  # that a stream with keys was found to be the cause of
        self._looking: threading.Thread | None = None
        sub.monitor("inproc://refusal", self._EVENTS)
        self.events = sub.context.socket(zmq.PAIR)
        self.events.setsockopt(zmq.RCVHWM, 0)  # a full one would make libzmq's own thread wait
        self.events.connect("inproc://refusal")

    def __str__(self) -> str:
        """What was wrong and what to do; empty while nothing was.

        Failures may have waited here for long, behind a forwarder whose stream was down, say: only what came after the
        last success counts, and of all that waited it is asked once why.
        """
        failed = None
        while not self._reason:
            try:
                event = int(parse_monitor_message(self.events.recv_multipart(zmq.NOBLOCK))["event"])
            except zmq.Again:
                break
            failed = event
            if event == zmq.EVENT_HANDSHAKE_SUCCEEDED:
                failed, self._failures = None, 0
        if failed == zmq.EVENT_HANDSHAKE_FAILED_AUTH and self._keys is not None:
            self._reason = (
                f"{self._address}: the stream refuses the key {self._keys.file};\n"
                f"on its machine, {COMMAND} list shows who may receive, {COMMAND} add NAME makes a new key"
            )
        elif failed is not None and (self._looking is None or not self._looking.is_alive()):
            # Who closes first is chance, and only one of the two ends learns why: so look what the other one says.
            self._looking = threading.Thread(target=self._look, daemon=True)
            self._looking.start()
        return self._reason

    def _look(self) -> None:
        theirs = mechanism(self._address)
        if theirs == b"CURVE" and self._keys is None:
            self._reason = (
                f"{self._address}: the stream wants a key: --keys NAME.key;\n"
                f"on its machine, {COMMAND} add NAME makes it"
            )
        elif theirs == b"NULL" and self._keys is not None:
            self._reason = f"{self._address}: the stream takes no keys; connect without {self._keys.file}"
        elif theirs == b"CURVE" and self._keys is not None:
            self._failures += 1
            if self._failures >= self._ENOUGH:
                self._reason = (
                    f"{self._address}: {self._keys.file} is the key to another stream, or this one has new keys;\n"
                    f"on its machine, {COMMAND} add NAME makes a key for this one"
                )


def mechanism(address: str, timeout_s: float = 2.0) -> bytes | None:
    """What the ZeroMQ socket there asks of who connects: b"NULL", b"CURVE"; None where none answers.

    The beginning of a greeting of ZMTP 3 (rfc.zeromq.org/spec/23), up to the version: told our mechanism, a socket that
    wants another one closes before it has named it.
    """
    host, _, port = address.removeprefix("tcp://").rpartition(":")
    greeting = b"\xff" + bytes(8) + b"\x7f\x03"
    try:
        with socket.create_connection((host.strip("[]"), int(port)), timeout_s) as raw:
            raw.sendall(greeting)
            theirs = b""
            while len(theirs) < 32 and (data := raw.recv(64)):
                theirs += data
    except (OSError, ValueError):
        return None
    return theirs[12:32].rstrip(b"\0") if len(theirs) >= 32 and theirs.startswith(b"\xff") else None
