"""A WebSocket client by hand (RFC 6455), which reads when it is told to, and can be rude."""

from __future__ import annotations

import base64
import os
import socket
import struct

TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10


class RawClient:
    def __init__(self, port: int, path: str = "/", headers: str = "", receive_buffer: int = 0) -> None:
        self.socket = socket.socket()
        if receive_buffer:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.settimeout(60)
        self.socket.connect(("127.0.0.1", port))
        key = base64.b64encode(os.urandom(16)).decode()
        self.socket.sendall(
            f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n{headers}\r\n".encode()
        )
        self.answer = b""
        while b"\r\n\r\n" not in self.answer:
            data = self.socket.recv(1)
            if not data:
                break
            self.answer += data
        self.status = int(self.answer.split()[1]) if self.answer else 0

    def frame(self) -> tuple[int, bytes]:
        """The next frame as (kind, content); pings are not answered here."""
        first, second = self._exactly(2)
        length = second & 0x7F
        if length == 126:
            (length,) = struct.unpack(">H", self._exactly(2))
        elif length == 127:
            (length,) = struct.unpack(">Q", self._exactly(8))
        assert first & 0x80 and not second & 0x80  # whole, and not masked
        return first & 0x0F, self._exactly(length)

    def send(self, kind: int, content: bytes) -> None:
        """A masked frame, as clients send them."""
        length = len(content)
        head = struct.pack(">BB", 0x80 | kind, 0x80 | min(length, 126)) + (
            struct.pack(">H", length) if length >= 126 else b""
        )
        self.socket.sendall(head + bytes(4) + content)  # a mask of zeros leaves the content as it is

    def close(self) -> None:
        self.socket.close()

    def __enter__(self) -> RawClient:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _exactly(self, count: int) -> bytes:
        data = b""
        while len(data) < count:
            part = self.socket.recv(count - len(data))
            if not part:
                raise ConnectionError("closed by the server")
            data += part
        return data
