"""A child that takes 2.5 s to make a file whole when it is asked to end: finish.py FILE [longer]

Without "longer" it does not say that it will take longer than others may.
"""

import sys
import time
from pathlib import Path

from realtime import child


def main() -> int:
    log = Path(sys.argv[1])
    if sys.argv[2:]:
        child.take_longer(20.0, log.with_suffix(".npz"))
    try:
        log.write_text("started")
        while True:
            time.sleep(0.05)
    finally:
        time.sleep(2.5)
        log.write_text("whole")


if __name__ == "__main__":
    sys.exit(child.run(main))
