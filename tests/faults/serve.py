"""A child that others come to: serve.py FILE says that it serves once FILE is there, and crashes once it is gone."""

import sys
import time
from pathlib import Path

from realtime import child


def main() -> int:
    door = Path(sys.argv[1])
    while not door.exists():
        time.sleep(0.02)
    child.say_serving()
    while door.exists():
        time.sleep(0.02)
    return 3


if __name__ == "__main__":
    sys.exit(child.run(main))
