"""The program under test: run_live.py as a user starts it, on the failing camera, with sinks and recordings."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench.live_run import ROOT
from bench.soak.recordings import check_recording

# mirror=off: on two cores, one look at a picture takes half of the processor time of two.
FLAGS = ("--viewer", "none", "--set", "perception.mirror=off")
RECORDINGS = ("soak.mcap", "soak.npz")
END_S = 120.0  # how long it may take to make its recordings whole
LIMIT_S = 600.0  # so long after it should it ends by itself, should nobody be left to end it


class Program:
    """Runs until `end`. flags: of run_live.py, after ours, so that they win; with a --sink among them ours stay away.
    folder: for recordings and summary."""

    def __init__(self, source: str, seconds: float, flags: Sequence[str], folder: Path) -> None:
        self.address = f"tcp://127.0.0.1:{_free_port()}"
        self.websocket_port = 0
        self._folder = folder
        asked = [flags[i + 1] for i, flag in enumerate(flags[:-1]) if flag == "--sink"]
        self.sinks = asked or self._our_sinks()
        ours = [*FLAGS, "--bus", self.address, "--summary", str(folder / "summary.json")]
        ours += ["--duration", f"{seconds + LIMIT_S:g}"]
        for name in RECORDINGS:
            ours += ["--record", str(folder / name)]
        for sink in [] if asked else self.sinks:
            ours += ["--sink", sink]
        self.flags = ["--source", source, *ours, *flags]
        with (folder / "said").open("wb") as said:
            self.process = subprocess.Popen(
                [sys.executable, str(ROOT / "run_live.py"), *self.flags],
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=said,
                start_new_session=True,  # Ctrl-C in the terminal is for the soak, which then ends it
            )

    def _our_sinks(self) -> list[str]:
        """Lines to nowhere, a VMC receiver that is absent, a WebSocket."""
        self.websocket_port = _free_port()
        nowhere = self._folder / "lines.jsonl" if sys.platform == "win32" else Path("/dev/null")
        return [f"jsonl:{nowhere}", f"vmc:127.0.0.1:{_free_port()}", f"websocket:{self.websocket_port}"]

    @property
    def exit_code(self) -> int | None:
        """None while it runs."""
        return self.process.poll()

    def end(self, number: int) -> dict[str, Any]:
        """Ask for its end by this signal, and look at what it left: {"exit_code" (None: it did not end, and was
        killed), "took_s", "said", "summary", "recordings"}."""
        asked_s = time.monotonic()
        if self.process.poll() is None:
            self.process.send_signal(number)
        try:
            exit_code: int | None = self.process.wait(END_S)
        except subprocess.TimeoutExpired:
            exit_code = None
            self.close()
        took_s = time.monotonic() - asked_s
        summary = self._folder / "summary.json"
        return {
            "exit_code": exit_code,
            "took_s": round(took_s, 2),
            "said": self.said(),
            "summary": summary.read_text() if summary.exists() else "",
            "recordings": [check_recording(self._folder / name) for name in RECORDINGS],
        }

    def said(self) -> str:
        """The end of what it wrote to stderr."""
        return (self._folder / "said").read_text(errors="replace").strip()[-4000:]

    def close(self) -> None:
        """May be called twice."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
