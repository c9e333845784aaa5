"""Datagrams to one receiver, who may be there or not: sending never waits and never fails."""

from __future__ import annotations

import socket
import sys
from collections.abc import Sequence

from realtime.errors import ConfigError


class DatagramSender:
    """Sends to (host, port) over UDP. Raises ConfigError for a host that is not known.

    The socket is not connected, so that "nobody listens there" (ICMP) does not come back as an error. What the system
    refuses otherwise (no network, no buffer) is counted in `refused`, and said once until it works again.
    """

    def __init__(self, sink: str, address: tuple[str, int]) -> None:
        host, port = address
        try:
            family, kind, protocol, _, target = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)[0]
        except (OSError, UnicodeError) as error:
            raise ConfigError(
                f"{sink}: {host}: not known ({error}); give an address like 192.168.1.20:{port}"
            ) from None
        self._sink, self._target, self._where = sink, target, f"{host}:{port}"
        self._socket = socket.socket(family, kind, protocol)
        self._socket.setblocking(False)
        self.sent = self.refused = 0
        self._complained = False

    def send(self, datagrams: Sequence[bytes | memoryview]) -> None:
        try:
            for datagram in datagrams:
                self._socket.sendto(datagram, self._target)
        except (ConnectionError, BlockingIOError):  # nobody listens (Windows says so); or the system is busy
            self.refused += 1
        except OSError as error:
            self.refused += 1
            if not self._complained:
                self._complained = True
                print(
                    f"{self._sink}: cannot send to {self._where} ({error.strerror}); trying on",
                    file=sys.stderr,
                )
        else:
            self.sent += 1
            self._complained = False

    def close(self) -> None:
        self._socket.close()

    def __enter__(self) -> DatagramSender:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
