"""Keeps the start-up chatter of MediaPipe's C++ side off the user's terminal.

It logs through absl and TensorFlow Lite straight to file descriptor 2; no setting lowers their level.
"""

from __future__ import annotations

import os
import re
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager

# "INFO: Created TensorFlow Lite …", "WARNING: All log messages before absl::…", and absl's own lines
# "I0000 00:00:1700000000.000000    1 gl_context.cc:357] …" (levels I and W; errors are passed on).
_CHATTER = re.compile(rb"(INFO: |WARNING: All log messages before absl::|[IW]\d{4} \d\d:\d\d:)")
_one_at_a_time = threading.Lock()  # the descriptor belongs to the whole process


@contextmanager
def native_log_kept_quiet() -> Iterator[None]:
    """Hold back what reaches descriptor 2; at the end pass on every line that is not MediaPipe's chatter."""
    with _one_at_a_time:
        try:
            terminal = os.dup(2)
        except OSError:  # a program without stderr: nothing to keep clean
            terminal = -1
        if terminal < 0:
            yield
            return
        if sys.stderr is not None:
            sys.stderr.flush()
        with tempfile.TemporaryFile() as held:
            try:
                os.dup2(held.fileno(), 2)
                yield
            finally:
                if sys.stderr is not None:
                    sys.stderr.flush()
                os.dup2(terminal, 2)
                os.close(terminal)
                held.seek(0)
                others = b"".join(line for line in held if not _CHATTER.match(line))
                if others:
                    os.write(2, others)
