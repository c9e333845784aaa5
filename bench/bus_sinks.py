"""A sink that is hindered, and peers of it that misbehave, for bench.bus. Where it listens is looked up."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator

import psutil

from bench.bus_peers import BURSTS_PER_S, ROOT, Fault, in_background
from realtime.key_files import ENVIRONMENT
from realtime.sinks import sink_command

STARTS_S = 3.0
UPGRADE = (
    b"GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


@contextlib.contextmanager
def sink_faults(name: str, address: str) -> Iterator[list[Fault]]:
    """The sink, as the live program starts it, stopped, slow and killed; and its peers: what it listens to gets
    garbage and clients that take nothing, what it writes to stdout is not read. RuntimeError if it does not run.
    """
    sink = Sink(name, address)
    try:
        sink.start()
        yield [
            Fault(f"{name} stopped", sink.stop, sink.go_on),
            Fault(f"{name} slow", sink.crawl, sink.walk),
            Fault(f"{name} killed", in_background(sink.kill), sink.start),
            Fault(f"{name}'s peers", sink.spoil_peers, sink.mend_peers),
        ]
    finally:
        sink.close()


class Sink:
    """A sink with somebody who reads what it writes to stdout."""

    def __init__(self, name: str, address: str) -> None:
        self._command = sink_command(name, address)
        self._process: subprocess.Popen[bytes] | None = None
        self._reads, self._spoils, self._crawls = threading.Event(), threading.Event(), threading.Event()
        self._reads.set()

    def start(self) -> None:
        if self._process is not None and self._process.poll() is None:
            return
        environment = {name: value for name, value in os.environ.items() if name != ENVIRONMENT}
        self._process = subprocess.Popen(
            self._command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, env=environment
        )
        in_background(self._read)()
        time.sleep(STARTS_S)
        if self._process.poll() is not None:
            raise RuntimeError(f"{' '.join(self._command[2:])}: ended with {self._process.returncode}")

    def stop(self) -> None:
        self._signal(signal.SIGSTOP)

    def go_on(self) -> None:
        self._signal(signal.SIGCONT)

    def kill(self) -> None:
        time.sleep(0.5)
        self._signal(signal.SIGKILL)

    def crawl(self) -> None:
        """A tenth of the time is all it gets."""
        self._crawls.set()
        in_background(self._crawl)()

    def walk(self) -> None:
        self._crawls.clear()

    def spoil_peers(self) -> None:
        self._reads.clear()
        self._spoils.set()
        in_background(self._spoil)()

    def mend_peers(self) -> None:
        self._spoils.clear()
        self._reads.set()

    def close(self) -> None:
        for event in (self._crawls, self._spoils):
            event.clear()
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def _signal(self, number: int) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(number)

    def _read(self) -> None:
        process = self._process
        assert process is not None and process.stdout is not None
        while process.poll() is None:
            self._reads.wait()
            if not process.stdout.read1(1 << 16):  # type: ignore[attr-defined]
                return

    def _crawl(self) -> None:
        while self._crawls.is_set():
            self.stop()
            time.sleep(0.18)
            self.go_on()
            time.sleep(0.02)

    def _spoil(self) -> None:
        rng = random.Random(1)
        idle: list[socket.socket] = []
        listening = self._listening()
        while self._spoils.is_set():
            for kind, port in listening:
                with contextlib.suppress(OSError), socket.socket(socket.AF_INET, kind) as raw:
                    raw.settimeout(1.0)
                    raw.connect(("127.0.0.1", port))
                    raw.sendall(rng.randbytes(rng.choice((1, 100, 1400))))
                if kind == socket.SOCK_STREAM and len(idle) < 8:
                    with contextlib.suppress(OSError):
                        idle.append(socket.create_connection(("127.0.0.1", port), timeout=1.0))
                        idle[-1].sendall(UPGRADE)
            time.sleep(1 / BURSTS_PER_S)
        for one in idle:
            one.close()

    def _listening(self) -> list[tuple[int, int]]:
        assert self._process is not None
        process = psutil.Process(self._process.pid)
        connections = getattr(process, "net_connections", None) or process.connections
        found = {
            (one.type, one.laddr.port)
            for one in connections("inet")
            if one.status == psutil.CONN_LISTEN or (one.type == socket.SOCK_DGRAM and one.laddr)
        }
        return sorted(found)
