"""Live SMPL from a webcam, a file or a stream: python run_live.py --help."""

import contextlib
import os
import sys

if __name__ == "__main__":
    code = 0
    with contextlib.suppress(KeyboardInterrupt):  # Ctrl-C in the first moment, while this is still importing
        from realtime.cli import main

        code = main()
    # All is closed and on the disk by now. Taking torch and MediaPipe apart would last another second for nothing.
    for out in filter(None, (sys.stdout, sys.stderr)):  # None: closed, or a program without a terminal
        with contextlib.suppress(OSError):  # nobody reads: `run_live.py | head`
            out.flush()
    os._exit(code)
