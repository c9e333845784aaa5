"""A parent of one child: parent.py PROGRAM FILE says how it is, and sleeps."""

import signal
import sys
import time
from pathlib import Path

from realtime.config import Config
from realtime.supervisor import Supervisor

# What runs the tests may itself run in the background of a shell, where SIGINT is ignored; children inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)
supervisor = Supervisor(Config(viewer_kind="none"))
supervisor.add(
    "child", [sys.executable, str(Path(__file__).parent / sys.argv[1]), sys.argv[2]], restarts=False
)
with supervisor:
    while not Path(sys.argv[2]).exists():
        time.sleep(0.01)
    try:
        print(supervisor.children["child"], flush=True)
        time.sleep(60)
    except KeyboardInterrupt:
        time.sleep(0.5)  # in which the child would end, had it heard the Ctrl-C
        supervisor.poll()
        print(supervisor.children["child"], flush=True)
