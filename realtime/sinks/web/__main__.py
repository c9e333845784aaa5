"""The stream in a browser: body on its floor, skeleton, camera picture, numbers, graphs, and controls.

    python -m realtime.sinks.web [--connect tcp://127.0.0.1:5555] [8765[,key=value…]]

keys: port (0: a free one), host (127.0.0.1; any other only with a token), token, record (the folder for recordings,
by default the current one), body (FILE, where run_live.py has --body), fps (at most; 60).
"""

from __future__ import annotations

import argparse
import contextlib
import math
import os
import secrets
import signal
import socket
import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from realtime.bus.subscriber import DEFAULT_ADDRESS
from realtime.child import run
from realtime.errors import ConfigError, install_command
from realtime.sinks.arguments import parse_arguments, port_number
from realtime.sinks.web.guard import MIN_TOKEN, Guard, is_own

if TYPE_CHECKING:
    from realtime.sinks.web.watch import Watch

PORT = 8765


@dataclass(frozen=True)
class Options:
    port: int = PORT
    host: str = "127.0.0.1"
    token: str = ""
    record: Path = Path()
    body: str = ""
    fps: float = 60.0


def parse(text: str) -> Options:
    """What stands after `--sink web:`. Raises ConfigError."""
    known: dict[str, Callable[[str], Any]] = {
        "port": port_number,
        "host": _host,
        "token": _token,
        "record": _folder,
        "body": str,
        "fps": _fps,
    }
    options = Options(**parse_arguments(text, known, "web"))
    if not is_own(options.host) and not options.token:
        raise ConfigError(
            f"--sink web:{text}: whoever reaches {options.host} would see the camera's picture; give a token too, "
            f"for example token={secrets.token_urlsafe(9)}"
        )
    return options


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="web", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--connect", default=DEFAULT_ADDRESS, metavar="ADDRESS")
    parser.add_argument("arguments", nargs="?", default="", metavar="PORT[,key=value…]")
    flags = parser.parse_args(argv)
    options = parse(flags.arguments)
    if hasattr(os, "nice"):
        os.nice(5)  # where there are few cores, the pose comes before its picture
    # viser greets on stdout, which may be another sink's.
    with Path(os.devnull).open("w") as nowhere, contextlib.redirect_stdout(nowhere):
        watch = _open(options, flags.connect)
        # Ctrl-C, SIGTERM and the end of the live program. An exception in their place could strike while a recording
        # is being made whole, and the supervisor asks twice.
        ended = threading.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: ended.set())
        try:
            while not ended.is_set():
                watch.turn()
        finally:
            watch.close()
    return 0


def _open(options: Options, address: str) -> Watch:
    # Here and not above: --help and a mistyped key do not wait for viser.
    try:
        from realtime.sinks.web.server import GuardedServer, listen
        from realtime.sinks.web.watch import Watch
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in ("viser", "websockets"):
            raise
        raise ConfigError(
            f"web: the package {error.name} is not installed for {sys.executable}\n"
            f"install it: {install_command('web')}"
        ) from None
    from realtime.body.smpl import load_body

    body = load_body(options.body)
    sock = listen(options.host, options.port)
    port = int(sock.getsockname()[1])
    server = GuardedServer(sock, Guard(options.token, port), "hmmr-live")
    query = f"?token={options.token}" if options.token else ""
    print(f"web: open http://{_reached_as(options.host)}:{port}/{query}", file=sys.stderr, flush=True)
    return Watch(server, body, address, options.record.resolve(), 1.0 / options.fps)


def _reached_as(host: str) -> str:
    """What others call a host that we listen on: of "every interface", the one that leads out. Sends nothing."""
    if host not in ("0.0.0.0", "::"):
        return f"[{host}]" if ":" in host else host
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # RFC 5737: nobody's
            return str(probe.getsockname()[0])
        except OSError:
            return socket.gethostname()


def _host(text: str) -> str:
    if not text or not all(letter.isalnum() or letter in ".-:" for letter in text):
        raise ValueError("expected an address or a name of this machine, for example 0.0.0.0")
    return text


def _token(text: str) -> str:
    if len(text) < MIN_TOKEN or not all(
        letter.isascii() and (letter.isalnum() or letter in "-_.~") for letter in text
    ):
        raise ValueError(
            f"expected at least {MIN_TOKEN} letters, digits, - or _, for example {secrets.token_urlsafe(9)}"
        )
    return text


def _folder(text: str) -> Path:
    if not Path(text).is_dir():
        raise ValueError("no such folder; make it first")
    return Path(text)


def _fps(text: str) -> float:
    value = float(text)
    if not (math.isfinite(value) and 1 <= value <= 240):
        raise ValueError("expected 1 to 240")
    return value


if __name__ == "__main__":
    sys.exit(run(main))
