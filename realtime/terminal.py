"""What the person at the terminal reads: a few lines at the start, one live line, a few at the end.

Lines of the run go to stdout. The live line and the log go to stderr, the live line only where that is a
terminal.
"""

from __future__ import annotations

import contextlib
import logging
import shutil
import sys

OUR_LOGGERS = ("realtime", "engines", "hmmr")


class Terminal(logging.Handler):
    """Prints; as a logging handler it keeps log lines from running into the live line."""

    def __init__(self, debug: bool = False) -> None:
        """debug: show what our own modules log for information, too."""
        super().__init__()
        for name in OUR_LOGGERS if debug else ():
            logging.getLogger(name).setLevel(logging.INFO)
        self._live = sys.stderr is not None and sys.stderr.isatty()
        self._shown = 0  # characters of the live line now on the screen

    def say(self, text: str) -> None:
        """One line of the run. Where nobody reads any more (`run_live.py | head`), the run goes on all the same."""
        self._wipe()
        with contextlib.suppress(OSError):
            print(text, flush=True)

    def show(self, text: str) -> None:
        """Replace the live line."""
        if not self._live:
            return
        text = text[: shutil.get_terminal_size().columns - 1]
        sys.stderr.write("\r" + text.ljust(self._shown))
        sys.stderr.flush()
        self._shown = len(text)

    def emit(self, record: logging.LogRecord) -> None:
        self._wipe()
        text = record.getMessage()
        print(f"run_live: {text}" if record.levelno >= logging.WARNING else text, file=sys.stderr, flush=True)

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
