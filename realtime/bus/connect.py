"""How programs connect to a bus: address, keys, and how a refusal is noticed."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

import zmq
from zmq.utils.monitor import parse_monitor_message

from realtime.key_files import COMMAND, ENVIRONMENT, ClientKeys, load_client

DEFAULT_ADDRESS = "tcp://127.0.0.1:5555"
RECONNECT_MS = 100  # a publisher that starts later, or again, is found within this


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


def prepare(socket: zmq.Socket, address: str, keys: ClientKeys | None) -> None:
    """What every connection to a bus has in common; before `connect`."""
    socket.setsockopt(zmq.LINGER, 0)
    socket.setsockopt(zmq.RECONNECT_IVL, RECONNECT_MS)
    if "[" in address:
        socket.setsockopt(zmq.IPV6, 1)
    if keys is not None:
        keys.apply(socket)


class Refusal:
    """Watches one socket for a handshake that will never succeed: libzmq gives up such a connection without a word."""

    _EVENTS = zmq.EVENT_HANDSHAKE_FAILED_AUTH | zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL

    def __init__(self, socket: zmq.Socket, address: str, keys: ClientKeys | None) -> None:
        self._address = address
        self._keys = keys
        self._said = ""
        socket.monitor("inproc://refusal", self._EVENTS)
        self.events = socket.context.socket(zmq.PAIR)
        self.events.setsockopt(zmq.RCVHWM, 0)  # a full one would make libzmq's own thread wait
        self.events.connect("inproc://refusal")

    def __str__(self) -> str:
        """What was wrong and what to do; empty while nothing was."""
        while not self._said:
            try:
                event = parse_monitor_message(self.events.recv_multipart(zmq.NOBLOCK))
            except zmq.Again:
                break
            self._said = self._reason(int(event["event"]), int(event["value"]))
        return self._said

    def _reason(self, event: int, value: int) -> str:
        if event == zmq.EVENT_HANDSHAKE_FAILED_AUTH:
            file = self._keys.file if self._keys is not None else "none"
            return (
                f"{self._address}: the stream refuses the key {file};\n"
                f"on its machine, {COMMAND} list shows who may receive, {COMMAND} add NAME makes a new key"
            )
        if value != zmq.PROTOCOL_ERROR_ZMTP_MECHANISM_MISMATCH:
            return ""
        if self._keys is None:
            return (
                f"{self._address}: the stream wants a key: --keys NAME.key;\n"
                f"on its machine, {COMMAND} add NAME makes it"
            )
        return f"{self._address}: the stream takes no keys; connect without {self._keys.file}"
