"""What the person at the terminal reads: a few lines at the start, one live line, a few at the end.

Lines of the run go to stdout, or to stderr where stdout belongs to a sink's data. The live line and the log go
to stderr, the live line only where that is a terminal.
"""

from __future__ import annotations

import contextlib
import io
import logging
import shutil
import sys

OUR_LOGGERS = ("realtime", "engines")


def print_anything() -> None:
    """Let stdout replace what its encoding lacks, as stderr does by itself: redirected on Windows it has no
    arrows, and on Linux a file's name may be no text at all."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")


class Terminal(logging.Handler):
    """Prints; as a logging handler it keeps log lines from running into the live line."""

    def __init__(self, debug: bool = False, stdout_is_data: bool = False) -> None:
        """debug: show what our own modules log for information, too. stdout_is_data: keep off it."""
        super().__init__()
        self._stdout_is_data = stdout_is_data
        for name in OUR_LOGGERS if debug else ():
            logging.getLogger(name).setLevel(logging.INFO)
        self._live = sys.stderr is not None and sys.stderr.isatty()
        self._shown = 0  # characters of the live line now on the screen

    def say(self, text: str) -> None:
        """One line of the run. Where nobody reads any more (`run_live.py | head`), the run goes on all the same."""
        with contextlib.suppress(OSError):
            self._wipe()
            print(text, file=sys.stderr if self._stdout_is_data else sys.stdout, flush=True)

    def show(self, text: str) -> None:
        """Replace the live line."""
        if not self._live:
            return
        text = text[: shutil.get_terminal_size().columns - 1]
        with contextlib.suppress(OSError):
            sys.stderr.write("\r" + text.ljust(self._shown))
            sys.stderr.flush()
        self._shown = len(text)

    def emit(self, record: logging.LogRecord) -> None:
        text = record.getMessage()
        with contextlib.suppress(OSError):  # as in `say`: a warning nobody reads must not end the stream
            self._wipe()
            print(
                f"run_live: {text}" if record.levelno >= logging.WARNING else text,
                file=sys.stderr,
                flush=True,
            )

    def __enter__(self) -> Terminal:
        logging.getLogger().addHandler(self)
        return self

    def __exit__(self, *_: object) -> None:
        self._wipe()
        logging.getLogger().removeHandler(self)

    def _wipe(self) -> None:
        if self._shown:
            sys.stderr.write("\r" + " " * self._shown + "\r")
            sys.stderr.flush()
            self._shown = 0
