"""Signals while loading. What a signal does to a stream: tests/test_pipeline.py."""

import signal
import subprocess
import sys

import pytest
from streams import ROOT

from realtime.stop import SIGNALS, StopRequest


@pytest.fixture(autouse=True)
def handlers():
    """After a first signal the system's own handling stays: not in the process of all tests."""
    before = {number: signal.getsignal(number) for number in SIGNALS}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def load_a_package():
    """As numpy and ONNX Runtime do it: an interrupt inside their C code is an ImportError outside."""
    try:
        signal.raise_signal(signal.SIGTERM)
    except KeyboardInterrupt:
        raise ImportError("initialization failed") from None


def test_a_signal_that_comes_out_of_a_package_as_an_error_is_still_a_signal():
    with pytest.raises(KeyboardInterrupt), StopRequest():
        load_a_package()


def test_an_error_after_loading_or_without_a_signal_stays_what_it_is():
    with pytest.raises(ImportError), StopRequest() as stop:
        stop.loading = False
        load_a_package()  # no interrupt any more, only a flag
        assert stop.requested == "SIGTERM"
        raise ImportError("of its own")
    with pytest.raises(ValueError, match="no signal"), StopRequest():
        raise ValueError("no signal")


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
def test_a_signal_during_the_first_imports_ends_without_a_word(tmp_path):
    """A package that is imported early, and turns the interrupt into an error of its own."""
    early = (
        "import os, signal\n"
        "try:\n"
        "    os.kill(os.getpid(), signal.SIGINT)\n"
        "    sum(range(1000))\n"
        "except KeyboardInterrupt:\n"
        '    raise ImportError("initialization failed") from None\n'
    )
    (tmp_path / "msgpack.py").write_text(early)
    program = (
        "import runpy, signal, sys\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"  # a job in the background has it ignored
        f"sys.path[:0] = [{str(tmp_path)!r}, {str(ROOT)!r}]\n"
        "sys.argv = ['run_live.py', '--source', 'demo', '--viewer', 'none']\n"
        "runpy.run_path('run_live.py', run_name='__main__')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
