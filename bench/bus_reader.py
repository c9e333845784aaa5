"""One receiving process of bench.bus: it listens to every lane, each in a thread.

    python -m bench.bus_reader '{"plain": ADDRESS, "curve": ADDRESS, "bare": ADDRESS}' KEYS

When its standard input closes it says when each message came and how long it was under way.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from typing import Any

import zmq

from bench.bus_stream import BARE_STAMP
from realtime import Subscriber

SLICE_S = 0.2
Arrivals = dict[str, Any]  # "at_ns", "under_way_us": lists; "lost": messages


def read_ours(address: str, keys: str | None, ended: threading.Event) -> Arrivals:
    at_ns, under_way_us = [], []
    with Subscriber(address, every=True, keys=keys) as subscriber:
        while not ended.is_set():
            message = subscriber.receive(SLICE_S)
            now_ns = time.monotonic_ns()
            if message is not None:
                at_ns.append(now_ns)
                under_way_us.append((now_ns - message.t_publish_ns) / 1e3)
        return {"at_ns": at_ns, "under_way_us": under_way_us, "lost": subscriber.missed}


def read_bare(address: str, ended: threading.Event) -> Arrivals:
    at_ns, under_way_us, last, lost = [], [], -1, 0
    context = zmq.Context()
    socket = context.socket(zmq.SUB)
    socket.subscribe(b"pose ")
    socket.connect(address)
    while not ended.is_set():
        if not socket.poll(SLICE_S * 1e3):
            continue
        _, seq, t_publish_ns = BARE_STAMP.unpack_from(socket.recv())
        now_ns = time.monotonic_ns()
        at_ns.append(now_ns)
        under_way_us.append((now_ns - t_publish_ns) / 1e3)
        lost, last = lost + (seq - last - 1 if last >= 0 else 0), seq
    context.destroy(linger=0)
    return {"at_ns": at_ns, "under_way_us": under_way_us, "lost": lost}


def main() -> int:
    addresses: dict[str, str] = json.loads(sys.argv[1])
    ended = threading.Event()
    results: dict[str, Arrivals] = {}

    def read(lane: str, address: str) -> None:
        if lane == "bare":
            results[lane] = read_bare(address, ended)
        else:
            results[lane] = read_ours(address, sys.argv[2] if lane == "curve" else None, ended)

    threads = [threading.Thread(target=read, args=one, daemon=True) for one in addresses.items()]
    for thread in threads:
        thread.start()
    sys.stdin.read()
    ended.set()
    for thread in threads:
        thread.join()
    print(json.dumps(results), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
