"""A child that hears neither the end of its standard input nor SIGTERM: stubborn.py FILE, created then."""

import signal
import sys
import time
from pathlib import Path

signal.signal(signal.SIGTERM, signal.SIG_IGN)
Path(sys.argv[1]).touch()
while True:
    time.sleep(60)
