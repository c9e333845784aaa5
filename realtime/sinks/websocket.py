"""Poses over WebSocket, as JSON or as records of 404 bytes: for engines and pages (docs/game-engines.md).

    python -m realtime.sinks.websocket [--connect tcp://127.0.0.1:5555] [PORT[,key=value…]]

Clients connect to ws://127.0.0.1:8766 for JSON, or with ?format=binary for records.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from typing import Any

from realtime.body.smpl import load_body
from realtime.bus.subscriber import Subscriber
from realtime.child import run, say_serving
from realtime.errors import ConfigError
from realtime.messages import PoseMessage
from realtime.sinks.bones import BoneReader
from realtime.sinks.command import parse_command
from realtime.sinks.options import AXES_KEY, FPS, LEAD, PITCH, ROLL, Option, is_loopback, port, read_options
from realtime.sinks.pace import Pace
from realtime.sinks.records import Record

SHORTEST_TOKEN = 8

FIRST = Option(8766, port, "PORT")
KEYS = {
    "axes": AXES_KEY,
    "fps": FPS,
    "lead": LEAD,
    "host": Option(
        "127.0.0.1", str, "0.0.0.0: listen there, too; another machine's needs a token; default 127.0.0.1"
    ),
    "token": Option("", str, "SECRET: clients must know it (?token=SECRET)"),
    "pitch": PITCH,
    "roll": ROLL,
}


def read_arguments(text: str) -> tuple[int, dict[str, Any]]:
    """Raises ConfigError, also for an open door without a token."""
    listen_port, options = read_options("websocket", text, FIRST, KEYS)
    host, token = options["host"], options["token"]
    if not token and not is_loopback(host):
        raise ConfigError(
            f"websocket: host={host} lets other machines in; give a token too, which they must bring: token=SECRET\n"
            "a good one: python -c 'import secrets; print(secrets.token_urlsafe())'"
        )
    if token and len(token) < SHORTEST_TOKEN:
        raise ConfigError(f"websocket: token=…: too easily guessed; give {SHORTEST_TOKEN} characters or more")
    return listen_port, options


def main(argv: Sequence[str] | None = None) -> int:
    from realtime.sinks.broadcast import Broadcaster  # here: the live program only reads our arguments

    flags = parse_command("websocket", __doc__, FIRST, KEYS, argv)
    listen_port, options = read_arguments(flags.arguments)
    reader = BoneReader(load_body(None), options["pitch"], options["roll"], options["lead"])
    pace = Pace(options["fps"])
    with (
        Broadcaster(options["host"], listen_port, options["token"]) as clients,
        Subscriber(flags.connect, "pose", keys=flags.keys) as subscriber,
    ):
        print(f"websocket: ws://{options['host']}:{clients.port}", file=sys.stderr, flush=True)
        say_serving()
        while (message := subscriber.receive()) is not None:
            assert isinstance(message, PoseMessage)  # no other topic is subscribed to
            pace.take(time.monotonic())
            clients.publish(Record(message, reader.read(message), options["axes"]))
            pace.wait()
    return 0


if __name__ == "__main__":
    sys.exit(run(main))
