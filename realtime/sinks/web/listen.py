"""The page's port, taken before anything that loads slowly: one that is in use is told at once."""

from __future__ import annotations

import errno
import socket

from realtime.errors import ConfigError

SEND_BUFFER_BYTES = (
    512 << 10
)  # what waits in the kernel for a page that is slow: some frames, not seconds of them


def listen(host: str, port: int) -> socket.socket:
    """A listening socket; port 0: a free one. Raises ConfigError."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        if hasattr(socket, "SO_EXCLUSIVEADDRUSE"):  # Windows, where SO_REUSEADDR would share the port
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_EXCLUSIVEADDRUSE, 1)
        else:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)  # connections inherit it
        sock.bind((host, port))
        sock.listen(16)
    except (OSError, UnicodeError) as error:
        sock.close()
        if isinstance(error, OSError) and error.errno == errno.EADDRINUSE:
            raise ConfigError(
                f"web: port {port} is in use; choose another, for example --sink web:{port + 1}"
            ) from None
        reason = error.strerror if isinstance(error, OSError) else error
        raise ConfigError(f"web: cannot listen on {host}:{port} ({reason}); try --sink web:8765") from None
    return sock
