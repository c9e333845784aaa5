"""Peers of the bus that misbehave, for bench.bus.

    python -m bench.bus_peers reader|slow|garbage|flood ADDRESS

It begins with the line "on" on its standard input and pauses with "off". `bus_faults` is how bench.bus uses it.
"""

from __future__ import annotations

import contextlib
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import zmq

from realtime.bus.clock_exchange import question

ROOT = Path(__file__).resolve().parent.parent
SLOW_READ_S = 0.5
KILLED_AT_ONCE = 4
BURSTS_PER_S = 50


@dataclass
class Fault:
    """What a peer does: `on` begins it, `off` ends it and puts everything in order for the next time."""

    name: str
    on: Callable[[], None]
    off: Callable[[], None]


class Peer:
    """One of the programs below, as a process."""

    def __init__(self, kind: str, address: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "bench.bus_peers", kind, address],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,  # Ctrl-C in the terminal is for the bench, which ends us
        )

    def say(self, word: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(word + "\n")
        self.process.stdin.flush()

    def stop(self) -> None:
        self.process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        self.process.send_signal(signal.SIGCONT)

    def close(self) -> None:
        self.process.kill()
        self.process.communicate()


@contextlib.contextmanager
def bus_faults(address: str, seconds: float) -> Iterator[list[Fault]]:
    """Subscribers that are stopped, slow, killed; connections that talk garbage; floods. Each lasts up to `seconds`."""
    with contextlib.ExitStack() as stack:
        peers = {kind: Peer(kind, address) for kind in ("reader", "slow", "garbage", "flood")}
        victims: list[Peer] = []

        def more_victims() -> None:
            while victims:
                victims.pop().close()
            victims.extend(Peer("reader", address) for _ in range(KILLED_AT_ONCE))
            for victim in victims:
                victim.say("on")

        def kill_them() -> None:
            for victim in victims:
                victim.process.kill()
                time.sleep(seconds / (KILLED_AT_ONCE + 1))

        for peer in peers.values():
            stack.callback(peer.close)
        stack.callback(lambda: [victim.close() for victim in victims])
        peers["reader"].say("on")
        more_victims()
        stopped = peers["reader"]
        yield [
            Fault("subscriber stopped", stopped.stop, stopped.go_on),
            Fault("subscriber killed, x4", in_background(kill_them), more_victims),
            *(
                Fault(name, lambda peer=peers[kind]: peer.say("on"), lambda peer=peers[kind]: peer.say("off"))  # type: ignore[misc]
                for kind, name in (
                    ("slow", "subscriber slow"),
                    ("garbage", "garbage on the port"),
                    ("flood", "flood of subscriptions"),
                )
            ),
        ]


def in_background(work: Callable[[], object]) -> Callable[[], None]:
    return lambda: threading.Thread(target=work, daemon=True).start()


def main() -> int:
    kind, address = sys.argv[1:]
    begins = threading.Event()

    def follow_orders() -> None:
        for word in sys.stdin:
            (begins.set if word.strip() == "on" else begins.clear)()
        os._exit(0)

    threading.Thread(target=follow_orders, daemon=True).start()
    act = {"reader": _read, "slow": _read_slowly, "garbage": _talk_garbage, "flood": _flood}[kind]
    while True:
        begins.wait()
        act(address, begins)


def _read(address: str, begins: threading.Event, pause_s: float = 0.0) -> None:
    context = zmq.Context()
    sub = context.socket(zmq.SUB)
    sub.subscribe(b"pose ")
    sub.connect(address)
    while begins.is_set():
        if sub.poll(100):
            sub.recv()
            time.sleep(pause_s)
    context.destroy(linger=0)


def _read_slowly(address: str, begins: threading.Event) -> None:
    _read(address, begins, SLOW_READ_S)


def _talk_garbage(address: str, begins: threading.Event) -> None:
    rng = random.Random(1)
    port = int(address.rpartition(":")[2])
    greeting = b"\xff" + bytes(8) + b"\x7f\x03\x01NULL" + bytes(48)
    while begins.is_set():
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1.0) as raw:
            raw.sendall(rng.choice((b"", greeting)) + rng.randbytes(rng.choice((1, 100, 5000))))
        time.sleep(1 / BURSTS_PER_S)


def _flood(address: str, begins: threading.Event) -> None:
    """Subscriptions and questions, a thousand a burst; the stream ends such a connection, and it connects again."""
    context = zmq.Context()
    begun = 0
    while begins.is_set():
        sub = context.socket(zmq.XSUB)
        sub.setsockopt(zmq.LINGER, 0)
        sub.connect(address)
        for number in range(begun, begun + 1000):
            with contextlib.suppress(zmq.Again):
                sub.send(
                    b"\1%030d" % (number * 7919) if number % 2 else question(b"flooding", 1), zmq.NOBLOCK
                )
        begun += 1000
        time.sleep(10 / BURSTS_PER_S)
        sub.close()
    context.destroy(linger=0)


if __name__ == "__main__":
    sys.exit(main())
