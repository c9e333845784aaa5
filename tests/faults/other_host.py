"""A publisher whose clock is another host's: other_host.py CLOCK SHIFT_NS DRIFT_PPM [ADDRESS [KEYS]]

Prints its address and when its clock was SHIFT_NS ahead of ours, then publishes at 60 Hz, as a live loop does.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

from publish import pose

from realtime import clock
from realtime.bus.publisher import Publisher
from realtime.config import BusConfig

name, shift_ns, drift_ppm = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
address, keys = [*sys.argv[4:], *("tcp://127.0.0.1:0", "")[len(sys.argv) - 4 :]]
ours_ns, started_ns = time.monotonic_ns, time.monotonic_ns()
time.monotonic_ns = lambda: (now := ours_ns()) + shift_ns + round((now - started_ns) * drift_ppm * 1e-6)

with tempfile.TemporaryDirectory() as folder:
    clock._BOOT_ID = Path(folder) / "boot_id"
    clock._BOOT_ID.write_text(name)
    clock.clock_id()

with Publisher(address, BusConfig(keys=keys)) as publisher:
    print(publisher.address, started_ns, flush=True)
    seq = 0
    while True:
        publisher.poll()
        publisher.publish(pose(seq))
        seq += 1
        time.sleep(1 / 60)
