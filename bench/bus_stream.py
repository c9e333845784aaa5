"""The sending process of bench.bus: the same poses at the same rate over three lanes, in turns.

    plain   our Publisher               curve   our Publisher with keys
    bare    a zmq.PUB socket that sends as many bytes, and does nothing else

    python -m bench.bus_stream --rate 60 --subscribers 4 --keys FOLDER

Says the lanes' addresses, sends once everybody has joined, and when its standard input closes says what each turn took.
"""

from __future__ import annotations

import argparse
import json
import struct
import sys
import threading
import time
from typing import Any, Protocol

import numpy as np
import zmq

from realtime.bus.publisher import Publisher
from realtime.clock import clock_id
from realtime.config import BusConfig
from realtime.messages import PoseMessage, encode_pose

ANY = "tcp://127.0.0.1:0"
BARE_STAMP = struct.Struct("<5sQQ")  # topic, seq, when
JOIN_S = 180.0  # python starts slowly where everything is busy


class Lane(Protocol):
    address: str

    def turn(self, seq: int) -> None:
        """What the live loop does for the bus once per frame."""

    def everybody_joined(self, count: int) -> bool: ...

    def close(self) -> None: ...


class OurLane:
    def __init__(self, keys: str = "") -> None:
        self._publisher = Publisher(ANY, BusConfig(keys=keys))
        self.address = self._publisher.address

    def turn(self, seq: int) -> None:
        self._publisher.poll()
        self._publisher.publish(pose(seq))

    def everybody_joined(self, count: int) -> bool:
        self._publisher.poll()
        return self._publisher.subscribers["pose"] >= count

    def close(self) -> None:
        self._publisher.close()


class BareLane:
    def __init__(self) -> None:
        self._context = zmq.Context()
        self._socket = self._context.socket(
            zmq.XPUB
        )  # a PUB whose joiners can be counted, until all are there
        self._socket.setsockopt(zmq.XPUB_VERBOSE, 1)
        self._socket.bind("tcp://127.0.0.1:*")
        self.address = self._socket.getsockopt_string(zmq.LAST_ENDPOINT).rstrip("\0")
        self._padding = bytes(len(pose(0)) - BARE_STAMP.size)
        self._joined = 0

    def turn(self, seq: int) -> None:
        self._socket.send(BARE_STAMP.pack(b"pose ", seq, time.monotonic_ns()) + self._padding, zmq.NOBLOCK)

    def everybody_joined(self, count: int) -> bool:
        while self._socket.poll(0):
            self._socket.recv()
            self._joined += 1
        return self._joined >= count

    def close(self) -> None:
        self._context.destroy(linger=0)


def pose(seq: int) -> bytes:
    now_ns = time.monotonic_ns()
    return encode_pose(
        PoseMessage(
            seq=seq,
            t_publish_ns=now_ns,
            clock=clock_id(),
            frame=seq,
            t_capture_ns=now_ns,
            person=1,
            state="tracking",
            score=1.0,
            body="bench",
            model="bench",
            theta=np.full(85, 0.1, np.float32),
            trans=np.zeros(3, np.float32),
            joints=np.zeros((24, 3), np.float32),
            ahead=((166.7, np.zeros(72, np.float32)),),
        )
    )


def stream(lanes: list[Lane], rate: float, ended: threading.Event) -> dict[str, Any]:
    """Turns of all lanes, evenly spread over the period. {"at_ns", "wall_us", "cpu_us"}: lists, one per lane; "late":
    turns that began more than a period late, after which the rhythm starts anew.
    """
    seqs = [0] * len(lanes)
    at_ns, wall_us, cpu_us = ([[] for _ in lanes] for _ in range(3))  # type: ignore[var-annotated]
    step_s, late, slot = 1.0 / (rate * len(lanes)), 0, 0
    due_s = time.monotonic()
    while not ended.is_set():
        now_s = time.monotonic()
        if now_s < due_s:
            time.sleep(due_s - now_s)
        elif now_s > due_s + 1.0 / rate:
            late, due_s = late + 1, now_s
        index = slot % len(lanes)
        began_ns, began_cpu_ns = time.monotonic_ns(), time.thread_time_ns()
        lanes[index].turn(seqs[index])
        wall_us[index].append((time.monotonic_ns() - began_ns) / 1e3)
        cpu_us[index].append((time.thread_time_ns() - began_cpu_ns) / 1e3)
        at_ns[index].append(began_ns)
        seqs[index] += 1
        slot, due_s = slot + 1, due_s + step_s
    return {"at_ns": at_ns, "wall_us": wall_us, "cpu_us": cpu_us, "late": late}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.bus_stream", description=__doc__)
    parser.add_argument("--rate", type=float, required=True)
    parser.add_argument("--subscribers", type=int, required=True)
    parser.add_argument("--keys", required=True)
    options = parser.parse_args()
    lanes = {"plain": OurLane(), "curve": OurLane(options.keys), "bare": BareLane()}
    print(json.dumps({name: lane.address for name, lane in lanes.items()}), flush=True)
    give_up_s = time.monotonic() + JOIN_S
    while not all(lane.everybody_joined(options.subscribers) for lane in lanes.values()):
        if time.monotonic() > give_up_s:
            print("bench.bus_stream: not everybody joined", file=sys.stderr)
            return 1
        time.sleep(0.01)
    ended = threading.Event()
    threading.Thread(target=lambda: (sys.stdin.read(), ended.set()), daemon=True).start()
    print("streaming", flush=True)
    result = stream(list(lanes.values()), options.rate, ended)
    for lane in lanes.values():
        lane.close()
    print(json.dumps({**result, "lanes": list(lanes)}), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
