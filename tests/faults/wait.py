"""A well-behaved child: wait.py FILE writes "started" to FILE, and "ended" when it is asked to end."""

import sys
import time
from pathlib import Path

from realtime import child


def main() -> int:
    log = Path(sys.argv[1])
    try:  # it may be asked to end as soon as the file is there
        log.write_text("started")
        while True:
            time.sleep(0.05)
    finally:
        log.write_text("ended")


if __name__ == "__main__":
    sys.exit(child.run(main))
