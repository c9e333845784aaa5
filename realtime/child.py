"""What every program that the live program starts (viewer, sinks) does alike: end with its parent, end
quietly.

The parent holds the other end of the child's standard input. When that closes, because the parent is stopping
or is gone in whatever way, the child gets the same KeyboardInterrupt as by Ctrl-C, on every platform.
Children stand in a process group of their own, so that a Ctrl-C in the terminal reaches the parent alone.
"""

from __future__ import annotations

import _thread
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import realtime
from realtime.errors import HmmrLiveError
from realtime.key_files import ENVIRONMENT
from realtime.terminal import print_anything

EXIT_FINAL = 2  # bad arguments: starting the program again would not help
EXIT_NO_DISPLAY = 5  # the viewer found no display and has said so
GRACE_S = 1.0  # how long a child may take to end after its parent …
_longer_s = 0.0  # … unless it has said how much longer: take_longer

_MARK = "HMMR_LIVE_CHILD"  # set for children: a program started by hand may well have an empty standard input


def start(command: Sequence[str], keys: Path | None = None) -> subprocess.Popen[bytes]:
    """Start a child that shares stdout and stderr with us, and connects with `keys`. Raises OSError."""
    packages = str(Path(realtime.__file__).resolve().parent.parent)
    paths = [packages, *filter(None, [os.environ.get("PYTHONPATH")])]
    apart: dict[str, Any] = {"start_new_session": True}
    if sys.platform == "win32":
        apart = {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP}
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths), _MARK: "1"}
    environment.pop(ENVIRONMENT, None)  # the user's may be for another stream
    if keys is not None:
        environment[ENVIRONMENT] = str(keys.resolve())
    return subprocess.Popen(
        list(command),
        stdin=subprocess.PIPE,
        env=environment,
        **apart,
    )


def run(main: Callable[[], int]) -> int:
    """Run the body of a child program and return its exit code.

    Ctrl-C, SIGTERM and the end of the parent all raise KeyboardInterrupt in `main` and mean success. An
    HmmrLiveError is printed without a traceback and gives its own exit code.
    """
    print_anything()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    if os.environ.pop(_MARK, None):  # popped: it is not meant for programs started from here
        signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job has it ignored
        threading.Thread(target=_follow_parent, name="follow-parent", daemon=True).start()
    try:
        return main()
    except KeyboardInterrupt:
        return 0
    except HmmrLiveError as error:
        print(error, file=sys.stderr)
        return error.exit_code


def take_longer(seconds: float) -> None:
    """Our end, of which we have been told, takes up to `seconds` more: a file is being made whole."""
    global _longer_s
    _longer_s = seconds


def _follow_parent() -> None:
    while os.read(0, 1024):
        pass
    _thread.interrupt_main()
    time.sleep(GRACE_S)
    time.sleep(_longer_s)
    os._exit(1)  # still here: the main thread hangs in foreign code
