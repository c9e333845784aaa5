"""Who is connected to the publisher, and what each connection subscribes to.

libzmq reports subscriptions one by one, and the end of a connection only as the end of its prefixes; counting
those up and down goes wrong for good after one client that subscribes twice. So each connection is kept with
its own set, by the file descriptor that libzmq names (ZMQ_SRCFD; a test tells should it ever stop), and
counts only while that descriptor still is the same TCP connection.
"""

from __future__ import annotations

import socket
from dataclasses import dataclass, field
from typing import Any

from realtime.messages import TOPICS

_Ends = tuple[Any, Any]  # local and remote socket address


@dataclass
class _Connection:
    ends: _Ends  # a descriptor alone may be used again, by another connection or by another file
    prefixes: set[bytes] = field(default_factory=set)
    questions: int = 0  # since the connections were last looked through

    def hears(self, topic: str) -> bool:
        return any(TOPICS[topic].startswith(prefix) for prefix in self.prefixes)


class Connections:
    def __init__(self) -> None:
        self._by_descriptor: dict[int, _Connection] = {}
        self._found: dict[int, _Connection | None] = {}  # in this turn

    def begin_turn(self) -> None:
        """Within a turn a connection is looked up once: in a flood of messages that is most of what each one costs."""
        self._found.clear()

    def subscribe(self, descriptor: int, prefix: bytes) -> int:
        """Note a subscription; returns how many this connection has now, 0 when it is gone already."""
        connection = self._find(descriptor)
        if connection is None:
            return 0
        connection.prefixes.add(prefix)
        return len(connection.prefixes)

    def ask(self, descriptor: int) -> int:
        """Note a message sent up to us; returns how many came of late from this connection."""
        connection = self._find(descriptor)
        if connection is None:
            return 0
        connection.questions += 1
        return connection.questions

    def unsubscribe(self, descriptor: int, prefix: bytes) -> None:
        if descriptor in self._by_descriptor:
            self._by_descriptor[descriptor].prefixes.discard(prefix)

    def forget_closed(self) -> None:
        """Drop every connection that is no more."""
        for descriptor, connection in list(self._by_descriptor.items()):
            connection.questions = 0
            if not connection.prefixes or _ends(descriptor) != connection.ends:
                del self._by_descriptor[descriptor]

    def end(self, descriptor: int) -> None:
        """Shut one connection down, as if its client had gone; libzmq then frees what it held for it."""
        connection = self._by_descriptor.pop(descriptor, None)
        self._found[descriptor] = None  # what else waits of it means nothing any more
        if connection is None or _ends(descriptor) != connection.ends:
            return
        borrowed = socket.socket(fileno=descriptor)
        try:
            borrowed.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass  # it went by itself in this moment
        finally:
            borrowed.detach()  # the descriptor belongs to libzmq

    def _find(self, descriptor: int) -> _Connection | None:
        if descriptor in self._found:
            return self._found[descriptor]
        ends = _ends(descriptor)
        connection = self._by_descriptor.get(descriptor)
        if ends is None:
            connection = None
        elif connection is None or connection.ends != ends:
            connection = self._by_descriptor[descriptor] = _Connection(ends)
        self._found[descriptor] = connection
        return connection

    def count(self, topic: str) -> int:
        return sum(connection.hears(topic) for connection in self._by_descriptor.values())


def _ends(descriptor: int) -> _Ends | None:
    """Both addresses of the TCP connection behind a descriptor; None where there is none any more."""
    try:
        borrowed = socket.socket(fileno=descriptor)
    except OSError:
        return None
    try:
        return borrowed.getsockname(), borrowed.getpeername()
    except OSError:
        return None
    finally:
        borrowed.detach()
