"""Programs that the live program starts: a signal ends them wherever it meets them."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest
from programs import environment

# What pyzmq's callbacks do: an exception in them cannot be raised, and is told as "ignored".
PROGRAM = """
import ctypes, os, signal, sys, time
from realtime.child import run

def unheard():
    os.kill(os.getpid(), signal.{name})
    time.sleep(0.05)

def main():
    for _ in range({times}):
        ctypes.CFUNCTYPE(None)(unheard)()
    print("goes on", flush=True)
    time.sleep(20)
    return 1

sys.exit(run(main))
"""


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
@pytest.mark.parametrize("times", [1, 3])
def test_a_signal_that_comes_where_nothing_can_be_raised_is_not_lost(
    tmp_path: Path, name: str, times: int
) -> None:
    script = tmp_path / "child.py"
    script.write_text(PROGRAM.format(name=name, times=times))
    done = subprocess.run(
        [sys.executable, str(script)],
        capture_output=True, text=True, timeout=30, env=environment(),
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "KeyboardInterrupt" not in done.stderr


def test_other_exceptions_that_cannot_be_raised_are_told(tmp_path: Path) -> None:
    script = tmp_path / "child.py"
    script.write_text(
        "import ctypes, sys\nfrom realtime.child import run\n"
        "def main():\n    ctypes.CFUNCTYPE(None)(lambda: 1 / 0)()\n    return 3\n"
        "sys.exit(run(main))\n"
    )
    done = subprocess.run(
        [sys.executable, str(script)], capture_output=True, text=True, timeout=50, env=environment()
    )
    assert done.returncode == 3 and "ZeroDivisionError" in done.stderr
