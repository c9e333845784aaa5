"""Why a source does not open. OpenCV only says that it did not; people need the reason and the next step."""

from __future__ import annotations

import os
import re
import socket
import sys
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from realtime.errors import SourceError

PROBE_TIMEOUT_S = 1.5
LONGEST_NAME = 256
# Cameras take the password in the query, too: ?user=admin&pwd=…
_SECRET = re.compile(r"([^&;=]*(?:usr|user|pass|pwd|token|secret|key|auth|sig)[^&;=]*)=[^&;]*", re.IGNORECASE)
DEFAULT_PORTS = {"http": 80, "https": 443, "rtsp": 554, "rtsps": 322}


def without_password(url: str) -> str:
    """The URL as it may be shown and published: without user, password and whatever else grants access, and not
    longer than a message's name may be.

    Raises SourceError if it is no URL with a host and a valid port.
    """
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise SourceError(f"{url}: not a valid URL ({error})") from None
    if not host:
        raise SourceError(
            f"{url}: the URL names no host; expected for example rtsp://192.168.0.20:554/stream"
        )
    netloc = f"[{host}]" if ":" in host else host
    query = _SECRET.sub(r"\1=***", parts.query)
    shown = urlunsplit(parts._replace(netloc=f"{netloc}:{port}" if port else netloc, query=query))
    return shown if len(shown) <= LONGEST_NAME else shown[: LONGEST_NAME - 1] + "…"


def why_url_fails(url: str) -> str:
    """Ask the server ourselves, once, and say what it answered. Takes at most a few seconds."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    port = parts.port or DEFAULT_PORTS[parts.scheme]
    try:
        with socket.create_connection((host, port), timeout=PROBE_TIMEOUT_S) as connection:
            if parts.scheme in ("https", "rtsps"):
                return "the server is there but gives no video over TLS; is the address right?"
            connection.settimeout(PROBE_TIMEOUT_S)
            connection.sendall(_request(parts.scheme, host, port, parts.path or "/", parts.query))
            return _explain(connection.recv(4096).decode("latin-1"))
    except ConnectionRefusedError:
        return f"nothing listens on port {port} of {host}; is the camera's server running?"
    except (socket.gaierror, UnicodeError):
        return f"the host {host} is not known; is the address right?"
    except TimeoutError:
        return "the server does not answer; is the camera on, and this machine in its network?"
    except OSError as error:
        return f"{host} cannot be reached ({error.strerror or error})"


def _request(scheme: str, host: str, port: int, path: str, query: str) -> bytes:
    target = f"{path}?{query}" if query else path
    if scheme == "rtsp":
        return f"DESCRIBE rtsp://{host}:{port}{target} RTSP/1.0\r\nCSeq: 1\r\n\r\n".encode()
    return f"GET {target} HTTP/1.0\r\nHost: {host}:{port}\r\n\r\n".encode()


def _explain(answer: str) -> str:
    status = answer.split("\r\n")[0].strip()
    if " 401" in status or " 403" in status:
        return (
            f"the server refuses access ({status}); give user and password as scheme://USER:PASSWORD@host/…"
        )
    if " 200" in status:
        return f"the server answers ({status}), but not with video that OpenCV can read; is the path right?"
    if status.startswith(("HTTP/", "RTSP/")):
        return f"the server answers {status}; is the path right?"
    return "something listens there that is no camera server; is the port right?"


def why_webcam_fails(device: int | str) -> str:
    """What stands in the way of a webcam, as far as the operating system tells."""
    if sys.platform.startswith("linux"):
        node = Path(device if isinstance(device, str) else f"/dev/video{device}")
        if not node.exists():
            return f"{node} does not exist"
        if not os.access(node, os.R_OK | os.W_OK):
            return f"this user may not read {node} (mostly: sudo usermod -aG video $USER, then log in again)"
        return f"{node} is there, but another program may be using it, or it is no capture device"
    if sys.platform == "darwin":
        return "no such camera, or the terminal may not use it (System Settings, Privacy, Camera)"
    return "no such camera, or another program is using it"
