"""The subscriber that nothing disturbs: it says of every pose when it came, and how the stream says it is doing.

    python -m bench.soak.listener ADDRESS

A line of JSON five times a second; it ends when its standard input is closed.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from dataclasses import dataclass
from typing import Any

from bench.soak.process import Process
from realtime import Subscriber
from realtime.messages import PoseMessage, StatusMessage

SAY_S = 0.2
WAIT_S = 0.05


@dataclass(frozen=True, slots=True)
class Arrival:
    """One pose: when it was there, of when its picture is (CLOCK_MONOTONIC ns), its number, the person's state."""

    at_ns: int
    t_capture_ns: int
    seq: int
    state: str

    @property
    def age_ms(self) -> float:
        return (self.at_ns - self.t_capture_ns) / 1e6


class Listener(Process):
    """The program below. `arrivals`: of every pose so far. `status`: the newest. `counts`: missed, bad, restarts."""

    def __init__(self, address: str) -> None:
        self.arrivals: list[Arrival] = []
        self.status: dict[str, Any] = {}
        self.counts = {"missed": 0, "bad": 0, "restarts": 0}
        super().__init__("bench.soak.listener", address)

    def take(self, line: dict[str, Any]) -> None:
        self.arrivals += [Arrival(*pose) for pose in line["poses"]]
        self.status = line["status"] or self.status
        self.counts = line["counts"]


def main() -> int:
    ended = threading.Event()

    def follow_parent() -> None:
        sys.stdin.read()
        ended.set()

    threading.Thread(target=follow_parent, daemon=True).start()
    poses: list[tuple[int, int, int, str]] = []
    status: dict[str, Any] = {}
    seq, said_s = -1, 0.0
    # One socket for both, in the order in which they were sent: so `seq` is the last pose before a status.
    with Subscriber(sys.argv[1], ("pose", "status"), every=True) as subscriber:
        print("{}", flush=True)
        while not ended.is_set():
            message = subscriber.receive(WAIT_S)
            now_ns = time.monotonic_ns()
            if isinstance(message, PoseMessage):
                seq = message.seq
                poses.append((now_ns, message.t_capture_ns, seq, message.state))
            elif isinstance(message, StatusMessage):
                status = {
                    "published": seq + 1,
                    "camera": message.camera["state"],
                    "captured": message.camera["captured"],
                    "reconnects": message.camera["reconnects"],
                    "drops": message.drops,
                    "children": message.children,
                }
            if time.monotonic() - said_s >= SAY_S:
                said_s = time.monotonic()
                counts = {name: getattr(subscriber, name) for name in ("missed", "bad", "restarts")}
                print(json.dumps({"poses": poses, "status": status, "counts": counts}), flush=True)
                poses = []
        counts = {name: getattr(subscriber, name) for name in ("missed", "bad", "restarts")}
        print(json.dumps({"poses": poses, "status": status, "counts": counts}), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
