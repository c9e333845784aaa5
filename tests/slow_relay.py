"""A TCP relay that is slow, and not equally slow both ways."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from queue import SimpleQueue


@contextlib.contextmanager
def slow_relay(address: str, there_s: float, back_s: float) -> Iterator[str]:
    """An address whose connections go on to `address`, each byte late by `there_s`; what comes back by `back_s`."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=_accept, args=(server, address, there_s, back_s), daemon=True).start()
        yield f"tcp://127.0.0.1:{server.getsockname()[1]}"


def _accept(server: socket.socket, address: str, there_s: float, back_s: float) -> None:
    port = int(address.rpartition(":")[2])
    with contextlib.suppress(OSError):  # the server was closed
        while True:
            near = server.accept()[0]
            far = socket.create_connection(("127.0.0.1", port))
            for end in (near, far):
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            _relay(near, far, there_s)
            _relay(far, near, back_s)


def _relay(source: socket.socket, target: socket.socket, late_s: float) -> None:
    waiting: SimpleQueue[tuple[float, bytes]] = SimpleQueue()

    def take_in() -> None:
        data = b"x"
        while data:
            try:
                data = source.recv(65536)
            except OSError:
                data = b""
            waiting.put((time.monotonic() + late_s, data))

    def give_out() -> None:
        with contextlib.suppress(OSError):
            while True:
                due_s, data = waiting.get()
                time.sleep(max(0.0, due_s - time.monotonic()))
                if not data:
                    target.shutdown(socket.SHUT_WR)
                    return
                target.sendall(data)

    for work in (take_in, give_out):
        threading.Thread(target=work, daemon=True).start()
