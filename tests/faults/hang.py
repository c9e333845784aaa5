"""A child of ours whose main thread swallows every interrupt: hang.py FILE, which it then creates."""

import sys
import time
from pathlib import Path

from realtime import child


def main() -> int:
    Path(sys.argv[1]).touch()
    while True:
        try:
            time.sleep(60)
        except KeyboardInterrupt:
            continue


if __name__ == "__main__":
    sys.exit(child.run(main))
