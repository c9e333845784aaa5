"""The clock's window as the measuring program has it: started, told what to echo, asked what was drawn when, ended."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import IO, Any

import realtime
from calib.echoes import Echo
from calib.schedule import Drawings
from realtime.errors import LoadError
from realtime.viewer.display import NoDisplayError, check_display

FIRST_DRAWING_S = 20.0  # from the start of the program
END_S = 2.0


class ClockProcess:
    """A window with one clock, or with two: the second shows echoes."""

    def __init__(self, clocks: int) -> None:
        """Opens the window; returns once it has been drawn. Raises NoDisplayError, LoadError where OpenCV has none."""
        check_display()
        self.drawings = Drawings(clocks)
        self._drawn = threading.Event()  # or ended …
        self._any_drawn = False  # … which this tells
        self._said: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - closed in close()
        packages = str(Path(realtime.__file__).resolve().parent.parent)
        paths = [packages, *filter(None, [os.environ.get("PYTHONPATH")])]
        apart: dict[str, Any] = {"start_new_session": True}
        if sys.platform == "win32":
            apart = {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "calib.clock_window", "--clocks", str(clocks)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._said,
            text=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
            **apart,
        )
        self._listener = threading.Thread(target=self._listen, name="clock", daemon=True)
        self._listener.start()
        try:
            self._wait_for_drawing()
        except BaseException:
            self.close()
            raise

    @property
    def closed(self) -> bool:
        """True once the window has been closed, or its program has ended."""
        return self._process.poll() is not None

    def echo(self, echo: Echo) -> None:
        """Let the second clock show this count from `due_ns` on."""
        assert self._process.stdin is not None
        with contextlib.suppress(OSError):  # it has just been closed: `closed` tells
            self._process.stdin.write(f"{echo.count} {echo.due_ns}\n")
            self._process.stdin.flush()

    def close(self) -> None:
        """May be called twice."""
        assert self._process.stdin is not None and self._process.stdout is not None
        with contextlib.suppress(OSError):
            self._process.stdin.close()
        try:
            self._process.wait(END_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._listener.join(END_S)
        self._process.stdout.close()
        self._said.close()

    def __enter__(self) -> ClockProcess:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _wait_for_drawing(self) -> None:
        told = self._drawn.wait(FIRST_DRAWING_S)
        if self._any_drawn:
            return
        if not told:
            raise LoadError(
                f"the clock's window was not drawn within {FIRST_DRAWING_S:g} s; is the display in use?"
            )
        code = self._process.wait(END_S)
        self._said.seek(0)
        said = self._said.read().decode(errors="replace").strip().splitlines()
        if code == LoadError.exit_code and said:
            raise LoadError(
                f"{said[-1]}; the plain opencv-python has windows, opencv-python-headless has none:\n"
                f"{sys.executable} -m pip uninstall opencv-python-headless, then install opencv-python again"
            )
        raise NoDisplayError(
            f"the clock's window cannot be opened on display {os.environ.get('DISPLAY', '')}: it does "
            "not answer, or OpenCV cannot use it;\nrun this in the desktop whose screen the camera sees"
        )

    def _listen(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            t_ns, *counts = line.split()
            self.drawings.add(int(t_ns), tuple(None if count == "-" else int(count) for count in counts))
            self._any_drawn = True
            self._drawn.set()
        self._drawn.set()
