"""Poses as records of 404 bytes, one per UDP datagram: for engines without ZeroMQ (docs/game-engines.md).

python -m realtime.sinks.udp [--connect tcp://127.0.0.1:5555] [HOST:PORT[,key=value…]]
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from typing import Any

from realtime.body.smpl import load_body
from realtime.bus.subscriber import Subscriber
from realtime.child import run
from realtime.messages import PoseMessage
from realtime.sinks.bones import BoneReader
from realtime.sinks.command import parse_command
from realtime.sinks.datagrams import DatagramSender
from realtime.sinks.options import AXES_KEY, FPS, LEAD, PITCH, ROLL, Option, host_and_port, read_options
from realtime.sinks.pace import Pace
from realtime.sinks.records import Record

FIRST = Option(("127.0.0.1", 5577), host_and_port, "HOST:PORT")
KEYS = {"axes": AXES_KEY, "fps": FPS, "lead": LEAD, "pitch": PITCH, "roll": ROLL}


def read_arguments(text: str) -> tuple[tuple[str, int], dict[str, Any]]:
    """Raises ConfigError."""
    return read_options("udp", text, FIRST, KEYS)


def main(argv: Sequence[str] | None = None) -> int:
    flags = parse_command("udp", __doc__, FIRST, KEYS, argv)
    target, options = read_arguments(flags.arguments)
    reader = BoneReader(load_body(None), options["pitch"], options["roll"], options["lead"])
    pace = Pace(options["fps"])
    with (
        DatagramSender("udp", target) as sender,
        Subscriber(flags.connect, "pose", keys=flags.keys) as subscriber,
    ):
        while (message := subscriber.receive()) is not None:
            assert isinstance(message, PoseMessage)  # no other topic is subscribed to
            pace.take(time.monotonic())
            sender.send([Record(message, reader.read(message), options["axes"]).binary])
            pace.wait()
    return 0


if __name__ == "__main__":
    sys.exit(run(main))
