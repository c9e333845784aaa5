"""Every pose as one line of JSON: for shell pipes, notebooks and other languages.

    python -m realtime.sinks.jsonl [--connect tcp://127.0.0.1:5555] [FILE]

Lines are appended to FILE, or go to stdout (no FILE, or "-"). Keys are those of docs/wire-format.md, arrays
are lists rounded to 6 decimals (`joints` 24 × [x, y, z]); vertices are left out. `theta`, `trans` and `joints` are the
pose that was seen, `lead` the one to show. Poses of a recording that is played back have `"replay": true`.
"""

from __future__ import annotations

import argparse
import errno
import io
import json
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from realtime.bus.connect import add_connect_flags
from realtime.bus.subscriber import Subscriber
from realtime.child import run
from realtime.errors import ConfigError, HmmrLiveError
from realtime.messages import Message, PoseMessage

TURN_S = 0.1  # how often to look whether it is over
DRAIN_S = 0.4  # how long, after the end, to take in what was on its way


def pose_line(message: Message) -> bytes:
    """One pose as a line of JSON, newline included."""
    assert isinstance(message, PoseMessage)  # no other topic is subscribed to
    record = {
        "seq": message.seq,
        "frame": message.frame,
        "t_capture_ns": message.t_capture_ns,
        "t_publish_ns": message.t_publish_ns,
        "clock": message.clock,
        "person": message.person,
        "state": message.state,
        "score": round(message.score, 6),
        "body": message.body,
        "model": message.model,
        "theta": _numbers(message.theta),
        "trans": _numbers(message.trans),
        "joints": _numbers(message.joints),
        "ahead": [{"dt_ms": dt_ms, "pose": _numbers(pose)} for dt_ms, pose in message.ahead],
    }
    if message.lead is not None:
        lead = message.lead
        record["lead"] = {
            "ms": round(lead.ms, 3),
            "pose": _numbers(lead.pose),
            "trans": _numbers(lead.trans),
            "confidence": round(lead.confidence, 6),
        }
    if message.replay:
        record["replay"] = True
    return json.dumps(record, allow_nan=False, separators=(",", ":")).encode() + b"\n"


def write_all(out: io.RawIOBase, data: bytes) -> None:
    """Write without a buffer, so that a reader sees each line at once. Raises OSError."""
    while data:
        data = data[out.write(data) or 0 :]


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="jsonl", description="Every pose as one line of JSON.")
    add_connect_flags(parser)
    parser.add_argument("file", nargs="?", default="-", metavar="FILE", help="append to FILE; - is stdout")
    arguments = parser.parse_args(argv)
    subscriber = Subscriber(arguments.connect, "pose", every=True, keys=arguments.keys)
    with subscriber, _open(arguments.file) as out:
        ended = _ended_by_signal()
        try:
            while not ended.is_set():
                if (message := subscriber.receive(TURN_S)) is not None:
                    write_all(out, pose_line(message))
            for message in _on_their_way(subscriber):
                write_all(out, pose_line(message))
        except OSError as error:
            if arguments.file == "-" and error.errno in (errno.EPIPE, errno.EINVAL):  # EINVAL: Windows
                print("jsonl: nobody reads the lines any more; ending", file=sys.stderr)
                return 0
            raise HmmrLiveError(f"jsonl: cannot write {arguments.file} ({error.strerror})") from None
    return 0


def _ended_by_signal() -> threading.Event:
    """Set by Ctrl-C, SIGTERM or the end of the live program. An exception in their place could strike between taking
    a pose and writing it, and lose it."""
    ended = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: ended.set())
    return ended


def _on_their_way(subscriber: Subscriber) -> Iterator[Message]:
    deadline = time.monotonic() + DRAIN_S
    while time.monotonic() < deadline and (message := subscriber.receive(DRAIN_S / 8)) is not None:
        yield message


def _open(name: str) -> io.RawIOBase:
    if name == "-":
        return io.FileIO(os.dup(sys.stdout.fileno()), "w")
    path = Path(name)
    try:
        torn = path.is_file() and path.stat().st_size > 0 and not _ends_a_line(path)
        out = io.FileIO(path, "a")
        if torn:  # the program was killed, or the disk filled up, in the middle of a line
            write_all(out, b"\n")
    except OSError as error:
        raise ConfigError(f"jsonl: cannot write {name} ({error.strerror}); choose another file") from None
    return out


def _ends_a_line(path: Path) -> bool:
    with path.open("rb") as file:
        file.seek(-1, os.SEEK_END)
        return file.read(1) == b"\n"


def _numbers(array: np.ndarray) -> Any:
    return np.round(array.astype(np.float64), 6).tolist()


if __name__ == "__main__":
    sys.exit(run(main))
