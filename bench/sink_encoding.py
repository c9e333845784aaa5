"""What one pose costs a sink for game engines, from the message to the bytes that are sent.

    python -m bench.sink_encoding [--rounds 3000] [--json out.json]

Each line is timed by itself, on poses that differ, in turns with the others. python-osc makes the same VMC frame from
scratch, for comparison.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from bench.interleave import in_turns_us
from bench.table import print_table
from realtime.body.smpl import load_body
from realtime.humanoid import BONES
from realtime.messages import PoseMessage
from realtime.sinks.bones import BoneReader
from realtime.sinks.osc import VmcFrame
from realtime.sinks.records import Record
from realtime.sinks.stage import Stage

POSES = 64
FPS = 30.0
TARGET_US = 60.0  # of encoding a VMC frame


def messages(body: str) -> list[PoseMessage]:
    """Somebody who moves all joints, three metres away."""
    rng = np.random.default_rng(0)
    made = []
    for seq in range(POSES):
        theta = rng.normal(0, 0.4, 85).astype(np.float32)
        theta[3:6] += (np.pi, 0, 0)
        theta[75:] = 0.5
        made.append(
            PoseMessage(
                seq=seq,
                t_publish_ns=seq,
                clock="bench",
                frame=seq,
                t_capture_ns=seq,
                person=1,
                state="tracking",
                score=1.0,
                body=body,
                model="bench",
                theta=theta,
                trans=np.array([0.1, 0.2, 3.0], np.float32),
                joints=rng.normal(0, 0.5, (24, 3)).astype(np.float32),
            )
        )
    return made


def steps() -> dict[str, Callable[[int], object]]:
    """What is timed: called with a counter."""
    body = load_body(None)
    made = messages(body.id)
    reader = BoneReader(body)
    poses = [reader.read(message) for message in made]
    stage = Stage(reader.neutral)
    frames = []
    for turn, (message, pose) in enumerate(zip(made, poses, strict=True)):
        stage.see(turn / FPS, message, pose)
        frames.append(stage.frame(turn / FPS))
    two, single = VmcFrame(), VmcFrame(bundle=False)

    def show(turn: int) -> None:
        now_s = (POSES + turn) / FPS
        stage.see(now_s, made[turn % POSES], poses[turn % POSES])
        stage.frame(now_s)

    def vmc(turn: int, template: VmcFrame) -> None:
        frame = frames[turn % POSES]
        template.fill(turn / FPS, True, frame.positions, frame.quaternions, frame.root)

    def record(turn: int) -> Record:
        return Record(made[turn % POSES], poses[turn % POSES], "unity")

    timed: dict[str, Callable[[int], object]] = {
        "message to bones": lambda turn: reader.read(made[turn % POSES]),
        "bones to avatar, on its floor": show,
        "VMC frame, two bundles": lambda turn: vmc(turn, two),
        "VMC frame, single messages": lambda turn: vmc(turn, single),
        "bones to record": lambda turn: record(turn).binary,
        "bones to JSON": lambda turn: record(turn).text,
    }
    try:
        from pythonosc.osc_bundle_builder import IMMEDIATELY, OscBundleBuilder
        from pythonosc.osc_message_builder import OscMessageBuilder
    except ImportError:
        return timed

    def python_osc(turn: int) -> None:
        frame = frames[turn % POSES]
        bundle = OscBundleBuilder(IMMEDIATELY)
        for name, position, quaternion in zip(BONES, frame.positions, frame.quaternions, strict=True):
            message = OscMessageBuilder("/VMC/Ext/Bone/Pos")
            message.add_arg(name)
            for value in (*position.tolist(), *quaternion.tolist()):
                message.add_arg(value)
            bundle.add_content(message.build())
        bundle.build()

    return {**timed, "the same bones by python-osc": python_osc}


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m bench.sink_encoding", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("--rounds", type=int, default=3000)
    parser.add_argument("--json", type=Path, metavar="FILE")
    options = parser.parse_args(argv)
    results = in_turns_us(steps(), options.rounds)
    rows = [
        (
            name,
            *(f"{result[key]:.1f}" for key in ("min", "p50", "p99")),
            f"<= {TARGET_US:g}" if name.startswith("VMC") else "",
        )
        for name, result in results.items()
    ]
    print_table(("microseconds per pose", "least", "p50", "p99", "target"), rows)
    if options.json:
        options.json.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
