"""A subscriber that promises no heartbeats, and reads: subscribe_bare.py ADDRESS"""

from __future__ import annotations

import sys

import zmq

sub = zmq.Context().socket(zmq.SUB)
sub.subscribe(b"pose ")
sub.connect(sys.argv[1])
print("ready", flush=True)
while True:
    sub.recv()
