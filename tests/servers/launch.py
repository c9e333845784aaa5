"""Start a server of this folder as a process of its own, and end it for sure."""

import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
SYSTEM_PYTHON = "/usr/bin/python3"  # Debian's GObject bindings are installed for it alone


class ServerProcess:
    """`with ServerProcess.mjpeg() as server:` … server.url; kill() cuts all connections, start() is back."""

    def __init__(self, python: str, script: str, scheme: str) -> None:
        self._command = [python, str(HERE / script)]
        self._scheme = scheme
        self._process: subprocess.Popen | None = None
        self.port = 0

    @classmethod
    def mjpeg(cls) -> "ServerProcess":
        return cls(sys.executable, "mjpeg_server.py", "http")

    @classmethod
    def rtsp(cls) -> "ServerProcess":
        return cls(SYSTEM_PYTHON, "rtsp_server.py", "rtsp")

    @property
    def url(self) -> str:
        return f"{self._scheme}://127.0.0.1:{self.port}/video"

    def start(self) -> None:
        """Start on the same port as before, if there was one; returns when it listens."""
        self._process = subprocess.Popen(
            [*self._command, str(self.port)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        line = self._process.stdout.readline()
        if not line.startswith("ready"):
            raise RuntimeError(f"{self._command} did not start: {self._process.stderr.read()}")
        self.port = int(line.split()[1])

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.communicate(timeout=10)
            self._process = None

    def __enter__(self) -> "ServerProcess":
        self.start()
        return self

    def __exit__(self, *exc) -> None:
        self.kill()


def rtsp_missing() -> str:
    """Why the RTSP server cannot run here; empty if it can."""
    if shutil.which(SYSTEM_PYTHON) is None:
        return f"no {SYSTEM_PYTHON}"
    check = subprocess.run(
        [SYSTEM_PYTHON, str(HERE / "rtsp_server.py"), "--check"], capture_output=True, text=True, timeout=60
    )
    return check.stderr.strip().splitlines()[-1] if check.returncode else ""
