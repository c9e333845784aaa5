"""Live SMPL from a webcam, a file or a stream: python run_live.py --help."""

import contextlib
import os
import signal
import sys

if __name__ == "__main__":
    # Ctrl-C in the first moment, while packages are still imported: nothing is open yet, and as an exception it would
    # come out of one's C code as an ImportError. realtime/stop.py takes over.
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, lambda *_: os._exit(0))
    code = 0
    with contextlib.suppress(KeyboardInterrupt):
        try:
            from realtime.cli import main
        except ModuleNotFoundError as error:
            print(
                f"run_live: the package {error.name} is not installed for {sys.executable}\n"
                "`make demo` sets up .venv; after that: .venv/bin/python run_live.py",
                file=sys.stderr,
            )
            sys.exit(4)  # as of every part that cannot be loaded
        code = main()
    # All is closed and on the disk by now. Taking torch and MediaPipe apart would last another second for nothing.
    for out in filter(None, (sys.stdout, sys.stderr)):  # None: closed, or a program without a terminal
        with contextlib.suppress(OSError):  # nobody reads: `run_live.py | head`
            out.flush()
    os._exit(code)
