"""The jsonl sink as its users run it: a process that listens to a real stream."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from faults.publish import pose
from programs import ROOT, environment, until

from realtime.bus.publisher import Publisher
from realtime.config import BusConfig, Config
from realtime.lead import Led
from realtime.messages import decode
from realtime.sinks import SINKS, sink_command
from realtime.sinks.jsonl import pose_line
from realtime.supervisor import Supervisor


@pytest.fixture
def publisher() -> Iterator[Publisher]:
    with Publisher("tcp://127.0.0.1:0", BusConfig()) as one:
        yield one


@contextlib.contextmanager
def sink(publisher: Publisher, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """`python -m realtime.sinks.jsonl` by hand, connected and subscribed."""
    command = [sys.executable, "-m", "realtime.sinks.jsonl", "--connect", publisher.address, *arguments]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment(), cwd=ROOT
    )
    try:
        assert joined(publisher)
        yield process
    finally:
        process.kill()
        process.communicate()


def joined(publisher: Publisher) -> bool:
    return until(lambda: publisher.poll() or publisher.wants("pose"), 60)


def test_a_line_holds_the_pose() -> None:
    message = decode(pose(3))
    record = json.loads(pose_line(message))
    assert record["seq"] == record["frame"] == 3 and record["state"] == "tracking"
    assert record["theta"] == [3.0] * 85
    assert np.array(record["joints"]).shape == (24, 3) and len(record["trans"]) == 3


def test_a_line_holds_the_lead_beside_what_was_seen() -> None:
    message = decode(pose(3))
    assert "lead" not in json.loads(pose_line(message))
    led = Led(41.25, np.full(72, 0.5, np.float32), np.full(3, 2, np.float32), 0.5)
    record = json.loads(pose_line(replace(message, lead=led)))
    assert record["theta"] == [3.0] * 85
    assert record["lead"] == {"ms": 41.25, "pose": [0.5] * 72, "trans": [2.0] * 3, "confidence": 0.5}


def test_every_pose_becomes_a_line_on_stdout(publisher: Publisher) -> None:
    with sink(publisher) as process:
        for seq in range(100):
            publisher.publish(pose(seq))
            time.sleep(0.002)
        assert process.stdout is not None
        seqs = [json.loads(process.stdout.readline())["seq"] for _ in range(100)]
        assert seqs == list(range(100))
        process.terminate()
        assert process.wait(10) == (1 if sys.platform == "win32" else 0)
        assert process.stderr is not None and process.stderr.read() == ""


def test_a_sink_beside_the_stream_gets_everything_until_the_end(publisher: Publisher, tmp_path: Path) -> None:
    """Started by the supervisor, appending to a file that a killed program left in the middle of a line."""
    path = tmp_path / "poses.jsonl"
    path.write_text('{"seq": 5')
    config = Config(viewer_kind="none", sinks=[f"jsonl:{path}"])
    with Supervisor(config, publisher.address) as supervisor:
        assert joined(publisher)
        for seq in range(50):
            publisher.publish(pose(seq))
        assert not supervisor.poll() and supervisor.children == {"jsonl": "running"}
    torn, *lines = path.read_text().splitlines()
    assert torn == '{"seq": 5'
    assert [json.loads(text)["seq"] for text in lines] == list(range(50))


def test_a_reader_that_goes_away(publisher: Publisher) -> None:
    """jsonl | head -1"""
    with sink(publisher) as process:
        publisher.publish(pose(0))
        assert process.stdout is not None and process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        publisher.publish(pose(1))
        time.sleep(0.05)
        publisher.publish(pose(2))
        assert process.wait(10) == 0
        assert process.stderr.read() == "jsonl: nobody reads the lines any more; ending\n"
        process.stdout = None


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full, the device that is always full")
def test_a_full_disk(publisher: Publisher) -> None:
    with sink(publisher, "/dev/full") as process:
        publisher.publish(pose(0))
        assert process.wait(10) == 1  # the supervisor tries again: space may come back
        assert process.stderr is not None
        assert process.stderr.read() == "jsonl: cannot write /dev/full (No space left on device)\n"


def test_a_file_that_cannot_be_written(tmp_path: Path) -> None:
    command = sink_command(f"jsonl:{tmp_path}/absent/poses.jsonl", "tcp://127.0.0.1:9")
    done = subprocess.run(command, cwd=ROOT, env=environment(), capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert done.stderr.startswith("jsonl: cannot write ") and done.stderr.count("\n") == 1
    assert "choose another file" in done.stderr


def test_arguments_reach_the_sink_whole() -> None:
    assert sink_command("jsonl:C:\\a b.jsonl", "tcp://127.0.0.1:1")[-2:] == ["--", "C:\\a b.jsonl"]
    assert sink_command("jsonl", "tcp://127.0.0.1:1")[-2:] == ["--connect", "tcp://127.0.0.1:1"]


@pytest.mark.parametrize("name", SINKS)
def test_every_sink_is_a_program(name: str) -> None:
    command = [*sink_command(name, "tcp://127.0.0.1:9"), "--help"]
    done = subprocess.run(command, cwd=ROOT, env=environment(), capture_output=True, text=True, timeout=60)
    assert done.returncode == 0 and "--connect" in done.stdout
    assert SINKS[name].help.startswith(name)
