"""A program of the soak that speaks in lines of JSON; it ends when its standard input is closed, so also with us."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from typing import Any

from bench.live_run import ROOT

END_S = 5.0


class Process:
    """`python -m module *arguments`, running. `first` is its first line; the others go to `take`, in a thread.

    It stands in a session of its own: a Ctrl-C in the terminal is for the soak alone. Raises RuntimeError where it ends
    without a line.
    """

    def __init__(self, module: str, *arguments: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", module, *arguments],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            self.close()
            raise RuntimeError(f"{module} {' '.join(arguments)}: ended with {self.process.returncode}")
        self.first: dict[str, Any] = json.loads(line)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def take(self, line: dict[str, Any]) -> None:
        """Of a subclass: what to do with each line but the first."""

    def say(self, word: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(word + "\n")
        self.process.stdin.flush()

    def finish(self) -> None:
        """Let it say its last and end; then everything it said has been taken."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        try:
            self.process.wait(END_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
        self._reader.join(END_S)

    def close(self) -> None:
        """At once. May be called twice, and after `finish`."""
        self.process.kill()
        self.process.wait()
        for stream in (self.process.stdin, self.process.stdout):
            if stream is not None and not stream.closed:
                stream.close()

    def _read(self) -> None:
        assert self.process.stdout is not None
        try:
            for line in self.process.stdout:
                self.take(json.loads(line))
        except ValueError:
            pass  # closed while we read, or killed in the middle of a line
