"""A subscriber that takes everything: subscribe.py ADDRESS [TOPIC…].

Prints "ready", and at the stream's end the sequence numbers that it got.
"""

from __future__ import annotations

import json
import sys

from realtime import Subscriber

with Subscriber(sys.argv[1], sys.argv[2:] or ("pose",), every=True) as subscriber:
    print("ready", flush=True)
    first = subscriber.receive(20.0)
    seqs = [message.seq for message in [first] if message is not None]
    while (message := subscriber.receive(1.0)) is not None:
        seqs.append(message.seq)
    print(json.dumps({"seqs": seqs, "missed": subscriber.missed, "bad": subscriber.bad}), flush=True)
