"""The UDP sink as its users run it: a stream on the bus in, records out."""

from __future__ import annotations

import signal
import socket
import struct
import sys
import time

import numpy as np
import pytest
from bone_poses import shipped_body, standing
from sink_programs import sink_program, streaming

from realtime.errors import ConfigError
from realtime.lead import Led
from realtime.sinks.bones import BoneReader
from realtime.sinks.datagrams import DatagramSender
from realtime.sinks.records import Record


def bound() -> socket.socket:
    receiver = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    receiver.bind(("127.0.0.1", 0))
    receiver.settimeout(60)
    return receiver


@pytest.mark.parametrize("axes", ["world", "godot"])
def test_each_pose_is_one_record(axes: str):
    message = standing(2)
    expected = Record(message, BoneReader(shipped_body()).read(message), axes).binary
    with bound() as receiver:
        options = f"127.0.0.1:{receiver.getsockname()[1]}" + ("" if axes == "world" else f",axes={axes}")
        with sink_program("udp", options) as (publisher, _), streaming(publisher, message):
            records = [receiver.recv(2048) for _ in range(60)]
    for data in records:
        assert data[:8] == expected[:8] and data[32:] == expected[32:]  # all but the counters and stamps
    seqs = [struct.unpack_from("<I", data, 8)[0] for data in records]
    assert seqs == sorted(set(seqs))
    assert seqs == [struct.unpack_from("<I", data, 12)[0] for data in records]


@pytest.mark.parametrize(("option", "lead_ms"), [("", None), (",lead=off", 0.0), (",lead=20", 20.0)])
def test_records_are_of_the_lead_or_of_what_was_seen(option: str, lead_ms: float | None):
    later = standing(3)
    message = standing(2, lead=Led(40.0, later.pose.ravel(), later.trans + np.float32(1), 1.0))
    expected = Record(message, BoneReader(shipped_body(), lead_ms=lead_ms).read(message), "world").binary
    with bound() as receiver:
        where = f"127.0.0.1:{receiver.getsockname()[1]}{option}"
        with sink_program("udp", where) as (publisher, _), streaming(publisher, message):
            assert receiver.recv(2048)[32:] == expected[32:]


def test_every_state_is_sent_and_the_rate_is_limited():
    with bound() as receiver:
        options = f"127.0.0.1:{receiver.getsockname()[1]},fps=20"
        with sink_program("udp", options) as (publisher, _), streaming(publisher, standing(2, state="lost")):
            assert receiver.recv(2048)[7] == 0
            started_s = time.monotonic()
            for _ in range(20):
                receiver.recv(2048)
            assert time.monotonic() - started_s > 0.9


def test_nobody_receives():
    with bound() as receiver:
        port = receiver.getsockname()[1]
    with sink_program("udp", f"127.0.0.1:{port}") as (publisher, process):
        with streaming(publisher, standing(2)):
            time.sleep(1.0)
            assert process.poll() is None
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == (1 if sys.platform == "win32" else 0)
        assert process.stderr is not None and process.stderr.read() == ""


def test_what_the_system_refuses_is_told_once(capsys: pytest.CaptureFixture[str]):
    with DatagramSender("udp", ("127.0.0.1", 9)) as sender:
        for _ in range(3):
            sender.send([bytes(100_000)])  # no datagram is so long
        assert sender.refused == 3 and sender.sent == 0
        sender.send([b"short"])
        assert sender.sent == 1
        sender.send([bytes(100_000)])
    told = capsys.readouterr().err.splitlines()
    assert len(told) == 2 and told[0].startswith("udp: cannot send to 127.0.0.1:9 (")


def test_a_host_that_is_not_known():
    with pytest.raises(ConfigError, match="udp: no.such.host.invalid: not known"):
        DatagramSender("udp", ("no.such.host.invalid", 9))


def test_ipv6():
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as receiver:
        try:
            receiver.bind(("::1", 0))
        except OSError:
            pytest.skip("no IPv6 on this machine")
        receiver.settimeout(10)
        with DatagramSender("udp", ("::1", receiver.getsockname()[1])) as sender:
            sender.send([np.arange(3, dtype=np.uint8).tobytes()])
        assert receiver.recv(16) == b"\0\1\2"
