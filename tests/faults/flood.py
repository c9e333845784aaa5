"""A client that subscribes 200,000 times and then stays: flood.py ADDRESS"""

from __future__ import annotations

import sys
import time

import zmq

sub = zmq.Context().socket(zmq.SUB)
sub.setsockopt(zmq.SNDHWM, 0)
sub.connect(sys.argv[1])
for number in range(200_000):
    sub.subscribe(b"%030d" % (number * 7919))
print("done", flush=True)
while True:
    sub.subscribe(b"again")  # takes part in reconnecting
    time.sleep(0.05)
