"""Signals while loading, and what they do to a stream."""

import json
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from streams import ROOT, free_address, start_run_live, write_clip, write_model

from realtime import Subscriber
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


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return write_model(tmp_path_factory.mktemp("model") / "random.onnx")


def wait_for(process, text):
    """Read stdout until a line holds `text`."""
    lines = []
    for line in process.stdout:
        lines.append(line)
        if text in line:
            return
    raise AssertionError(f"ended without {text!r}: {lines} {process.stderr.read()}")


# A job that a shell starts in the background has SIGINT ignored.
BACKGROUND = ("sh", "-c", 'trap "" INT; exec "$@"', "sh")


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
@pytest.mark.parametrize(
    ("number", "prefix"),
    [(signal.SIGINT, BACKGROUND), (signal.SIGTERM, ())],
    ids=["Ctrl-C, in the background", "SIGTERM"],
)
def test_a_signal_ends_cleanly_within_a_second(number, prefix, model, tmp_path):
    address = free_address()
    clip = write_clip(tmp_path / "long.avi", 900)
    record, out = tmp_path / "a.npz", tmp_path / "s.json"
    process = start_run_live(
        *("--source", clip, "--model", model, "--viewer", "none", "--bus", address),
        *("--record", record, "--summary", out),
        prefix=prefix,
    )
    with Subscriber(address, timeout_s=30) as subscriber:
        for _ in range(3):
            assert subscriber.receive() is not None
    asked = time.monotonic()
    process.send_signal(number)
    _, err = process.communicate(timeout=20)
    took_s = time.monotonic() - asked
    assert (process.returncode, err) == (0, "")
    assert took_s < 3.0  # within one on a machine with nothing else to do
    assert json.loads(out.read_text())["ended_by"] == number.name
    assert len(np.load(record)["theta"]) == json.loads(out.read_text())["frames"]["published"] > 0


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
def test_a_signal_while_loading_ends_without_a_word(model, tmp_path):
    process = start_run_live(
        *("--source", write_clip(tmp_path / "bar.avi", 300), "--model", model, "--viewer", "none")
    )
    time.sleep(1.0)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=20)
    assert (process.returncode, err) == (0, "")


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
def test_a_second_signal_ends_at_once():
    program = """
import time
from realtime.stop import StopRequest
with StopRequest() as stop:
    stop.loading = False
    print("ready", flush=True)
    while not stop.requested:
        time.sleep(0.01)
    print(stop.requested, flush=True)
    time.sleep(60)  # closing hangs
"""
    process = subprocess.Popen([sys.executable, "-c", program], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    wait_for(process, "ready")
    process.send_signal(signal.SIGINT)
    wait_for(process, "SIGINT")
    process.send_signal(signal.SIGINT)
    assert process.wait(5) == -signal.SIGINT
