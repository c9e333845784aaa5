"""The pose as a VMC performer sends it: for Unity, Unreal, VTuber programs, Blender (docs/game-engines.md).

    python -m realtime.sinks.vmc [--connect tcp://127.0.0.1:5555] [HOST:PORT[,key=value…]]

VMC is OSC over UDP: 22 bones of Unity's humanoid, by name. Receivers may come and go: nothing waits for them.
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
from realtime.sinks.options import (
    FPS,
    LEAD,
    PITCH,
    ROLL,
    Option,
    host_and_port,
    on_or_off,
    one_of,
    read_options,
)
from realtime.sinks.osc import VmcFrame
from realtime.sinks.pace import Pace
from realtime.sinks.stage import Stage
from realtime.vrm import load_avatar

TURN_S = 1 / 30  # without messages, an avatar that goes to rest is moved this often
IDLE_S = 1.0  # and one that stands still says so this often

FIRST = Option(("127.0.0.1", 39539), host_and_port, "HOST:PORT")
KEYS = {
    "fps": FPS,
    "lead": LEAD,
    "bundle": Option(
        True, on_or_off, "off: one message per datagram, for receivers without OSC bundles; default on"
    ),
    "vrm": Option("", str, "FILE: bone lengths of this .vrm or .glb avatar; default: of the person"),
    "upperchest": Option(True, on_or_off, "off: the avatar has no UpperChest (vrm=FILE knows); default on"),
    "floor": Option(True, on_or_off, "off: height as seen from the camera; default on: feet on the ground"),
    "origin": Option(
        "start",
        one_of("start", "camera"),
        "camera: place as seen from it; default start: where a person began",
    ),
    "move": Option(
        "hips", one_of("hips", "root"), "root: over the ground moves the root; default hips: the Hips"
    ),
    "pitch": PITCH,
    "roll": ROLL,
}


def read_arguments(text: str) -> tuple[tuple[str, int], dict[str, Any]]:
    """Raises ConfigError."""
    return read_options("vmc", text, FIRST, KEYS)


def main(argv: Sequence[str] | None = None) -> int:
    flags = parse_command("vmc", __doc__, FIRST, KEYS, argv)
    target, options = read_arguments(flags.arguments)
    reader = BoneReader(load_body(None), options["pitch"], options["roll"], options["lead"])
    stage = Stage(
        reader.neutral,
        load_avatar(options["vrm"]) if options["vrm"] else None,
        floor=options["floor"],
        start=options["origin"] == "start",
        on_root=options["move"] == "root",
        upper_chest=options["upperchest"],
    )
    with (
        DatagramSender("vmc", target) as sender,
        Subscriber(flags.connect, "pose", keys=flags.keys) as subscriber,
    ):
        _perform(subscriber, reader, stage, sender, VmcFrame(options["bundle"]), Pace(options["fps"]))
    return 0


def _perform(
    subscriber: Subscriber,
    reader: BoneReader,
    stage: Stage,
    sender: DatagramSender,
    datagrams: VmcFrame,
    pace: Pace,
) -> None:
    """Until Ctrl-C: each message as a frame; without messages, what an avatar does then."""
    started_s, sent_s = time.monotonic(), 0.0

    def send(now_s: float, ended: bool = False) -> None:
        frame = stage.frame(now_s)
        tracking = frame.tracking and not ended
        datagrams.fill(now_s - started_s, tracking, frame.positions, frame.quaternions, frame.root)
        sender.send(datagrams.datagrams)

    try:
        while True:
            message = subscriber.receive(IDLE_S if stage.at_rest else TURN_S)
            now_s = time.monotonic()
            if message is not None:
                assert isinstance(message, PoseMessage)  # no other topic is subscribed to
                stage.see(now_s, message, reader.read(message))
            elif not stage.moves(now_s) and now_s - sent_s < IDLE_S:
                continue
            sent_s = now_s
            pace.take(now_s)
            send(now_s)
            pace.wait()
    finally:
        send(time.monotonic(), ended=True)


if __name__ == "__main__":
    sys.exit(run(main))
