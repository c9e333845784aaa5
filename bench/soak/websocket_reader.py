"""Reads a websocket sink, so that it has somebody to send to. The sink may come and go.

python -m bench.soak.websocket_reader PORT      says {} when it begins; ends when its standard input is closed
"""

from __future__ import annotations

import os
import sys
import threading
import time

from websockets.exceptions import WebSocketException
from websockets.sync.client import connect

AGAIN_S = 0.5


def main() -> int:
    def follow_parent() -> None:
        sys.stdin.read()
        os._exit(0)

    threading.Thread(target=follow_parent, daemon=True).start()
    print("{}", flush=True)
    while True:
        try:
            with connect(f"ws://127.0.0.1:{sys.argv[1]}") as socket:
                for _ in socket:
                    pass
        except (OSError, WebSocketException):
            pass
        time.sleep(AGAIN_S)


if __name__ == "__main__":
    sys.exit(main())
