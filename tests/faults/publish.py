"""A publisher at a steady rate: publish.py [--rate 60] [--seconds 3] [--messages N] [--wait-for N] [--vertices V]

Prints its address, publishes once N programs subscribe to poses, then says what it sent and its slowest turn.
"""

from __future__ import annotations

import argparse
import json
import time

import numpy as np

from realtime.bus.publisher import Publisher
from realtime.clock import clock_id
from realtime.config import BusConfig
from realtime.messages import PoseMessage, StatusMessage, encode_pose, encode_status

PATIENCE_S = 8.0  # for the programs that are waited for


def pose(seq: int, vertices: int = 0) -> bytes:
    now = time.monotonic_ns()
    return encode_pose(
        PoseMessage(
            seq=seq,
            t_publish_ns=now,
            clock=clock_id(),
            frame=seq,
            t_capture_ns=now,
            person=1,
            state="tracking",
            score=1.0,
            body="test",
            model="test",
            theta=np.full(85, seq, np.float32),
            trans=np.zeros(3, np.float32),
            joints=np.zeros((24, 3), np.float32),
            vertices=np.zeros((vertices, 3), np.float32) if vertices else None,
        )
    )


def status(seq: int, state: str = "tracking") -> bytes:
    return encode_status(
        StatusMessage(seq=seq, t_publish_ns=time.monotonic_ns(), clock=clock_id(), state=state)
    )


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--address", default="tcp://127.0.0.1:0")
    parser.add_argument("--rate", type=float, default=60.0)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument(
        "--messages", type=int, default=0, help="so many, however long it takes; 0: --seconds long"
    )
    parser.add_argument("--wait-for", type=int, default=0)
    parser.add_argument("--vertices", type=int, default=0)
    arguments = parser.parse_args()
    with Publisher(arguments.address, BusConfig()) as publisher:
        print(publisher.address, flush=True)
        patience_ends = time.monotonic() + PATIENCE_S
        while publisher.subscribers["pose"] < arguments.wait_for:
            if time.monotonic() > patience_ends:
                raise TimeoutError(f"waited {PATIENCE_S} s for {arguments.wait_for}: {publisher.subscribers}")
            publisher.poll()
            time.sleep(0.005)
        seq, turns_ms, started = 0, [], time.monotonic()
        while (now := time.monotonic() - started) < arguments.seconds or seq < arguments.messages:
            begun = time.perf_counter()
            publisher.poll()
            if now * arguments.rate >= seq:
                publisher.publish(pose(seq, arguments.vertices))
                seq += 1
            turns_ms.append((time.perf_counter() - begun) * 1e3)
            time.sleep(0.002)
        worst = {"published": seq, "slowest_ms": max(turns_ms), "p99_ms": float(np.percentile(turns_ms, 99))}
        print(json.dumps({**worst, "refused": publisher.refused, **publisher.subscribers}), flush=True)
        end = time.monotonic() + 1.0  # subscribers take in the rest
        while publisher.subscribers["pose"] and time.monotonic() < end:
            publisher.poll()
            time.sleep(0.005)


if __name__ == "__main__":
    main()
