"""The stream in a browser: body on its floor, skeleton, camera picture, numbers, graphs, and controls.

python -m realtime.sinks.web [--connect tcp://127.0.0.1:5555] [--keys FILE] [8765[,key=value…]]
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from realtime.child import run, say_serving
from realtime.errors import ConfigError, install_command
from realtime.sinks.command import parse_command
from realtime.sinks.web.guard import Guard
from realtime.sinks.web.listen import listen
from realtime.sinks.web.options import FIRST, KEYS, Options, read_arguments

if TYPE_CHECKING:
    from realtime.sinks.web.watch import Watch


def main(argv: Sequence[str] | None = None) -> int:
    flags = parse_command("web", __doc__, FIRST, KEYS, argv)
    options = read_arguments(flags.arguments)
    sock = listen(options.host, options.port)  # before viser, which takes seconds to load
    if hasattr(os, "nice"):
        os.nice(5)  # where there are few cores, the pose comes before its picture
    # viser greets on stdout, which may be another sink's.
    with Path(os.devnull).open("w") as nowhere, contextlib.redirect_stdout(nowhere):
        watch = _open(options, sock, flags.connect, flags.keys)
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


def _open(options: Options, sock: socket.socket, address: str, keys: str | None) -> Watch:
    # Here and not above: --help and a mistyped key do not wait for viser.
    try:
        from realtime.sinks.web.server import GuardedServer
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
    port = int(sock.getsockname()[1])
    server = GuardedServer(sock, Guard(options.token, port), "hmmr-live")
    query = f"?token={options.token}" if options.token else ""
    print(f"web: open http://{_reached_as(options.host)}:{port}/{query}", file=sys.stderr, flush=True)
    say_serving()
    return Watch(server, body, address, options.record.resolve(), 1.0 / options.fps, keys)


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


if __name__ == "__main__":
    sys.exit(run(main))
