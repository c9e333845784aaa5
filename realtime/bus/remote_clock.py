"""The clock of a stream on another host, asked for in a thread of its own while a Subscriber listens to it.

    ┌ receiver ┐  22 bytes up the connection   ┌ stream ┐
    │   XSUB   │ ────────────────────────────► │  XPUB  │   reads it in its next turn, answers at once
    │          │ ◄──────────────────────────── │        │   with its time
    └──────────┘  topic "clock " + who asked   └────────┘

The same port, the same keys: whoever can receive poses can ask.
"""

from __future__ import annotations

import os
import random
import threading
import time
from collections import deque

import zmq

from realtime.bus.clock_exchange import ID_BYTES, PREFIX, Exchanges, Offset, question, read_answer
from realtime.bus.connect import prepare
from realtime.clock import same_clock
from realtime.key_files import ClientKeys

# Pauses between questions are random, so that some reach the stream just when it looks.
FIRST_QUESTIONS = 24
FIRST_PAUSE_S = 0.03
PAUSE_S = 0.1
TURN_MS = 50  # how long `close` may wait for the thread
OUTSTANDING = 64  # questions whose answers are believed; older ones say nothing any more
MAX_ANSWER_BYTES = 256


class RemoteClock:
    """Asks the stream at `address` for its time until it is closed. Nobody answers: `offset` stays None."""

    def __init__(self, address: str, keys: ClientKeys | None) -> None:
        self._address = address
        self._keys = keys
        self._lock = threading.Lock()
        self._exchanges = Exchanges()
        self._clock = ""  # which clock `_exchanges` are about
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="remote-clock", daemon=True)
        self._thread.start()

    def offset(self, clock: str) -> Offset | None:
        """How stamps of `clock` become local ones, as of now; None while that is not known."""
        with self._lock:
            if not same_clock(clock, self._clock):
                return None
            return self._exchanges.offset(time.monotonic_ns())

    def close(self) -> None:
        """May be called twice."""
        self._closing.set()
        self._thread.join()

    def _run(self) -> None:
        context = zmq.Context()
        socket = context.socket(zmq.XSUB)
        try:
            self._ask(socket)
        finally:
            context.destroy(linger=0)

    def _ask(self, socket: zmq.Socket) -> None:
        asker = os.urandom(ID_BYTES)
        prepare(socket, self._address, self._keys)
        socket.setsockopt(zmq.MAXMSGSIZE, MAX_ANSWER_BYTES)
        socket.connect(self._address)
        socket.send(b"\1" + PREFIX + asker)  # an XSUB's way to subscribe
        asked: deque[int] = deque(maxlen=OUTSTANDING)
        number, due_s = 0, 0.0
        while not self._closing.is_set():
            now_s = time.monotonic()
            if now_s >= due_s:
                number += 1
                due_s = now_s + random.uniform(0.5, 1.5) * (
                    FIRST_PAUSE_S if number < FIRST_QUESTIONS else PAUSE_S
                )
                asked.append(time.monotonic_ns())
                socket.send(question(asker, asked[-1]), zmq.NOBLOCK)
            if socket.poll(min(TURN_MS, max(1, int(1000 * (due_s - now_s))))):
                self._take(socket.recv(), asker, asked)

    def _take(self, data: bytes, asker: bytes, asked: deque[int]) -> None:
        t_answered_ns = time.monotonic_ns()
        parts = read_answer(data, asker)
        if parts is None or parts[0] not in asked:
            return
        t_asked_ns, t_taken_ns, clock = parts
        asked.remove(t_asked_ns)
        with self._lock:
            if clock != self._clock:  # the stream went to another host, or that host was started anew
                self._clock, self._exchanges = clock, Exchanges()
            self._exchanges.add(t_asked_ns, t_taken_ns, t_answered_ns)
