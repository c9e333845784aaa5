"""Poses over WebSocket: to those who may have them, the newest to each, and no peer hurts the others."""

from __future__ import annotations

import json
import random
import signal
import socket
import struct
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace

import pytest
from bone_poses import shipped_body, standing
from programs import ROOT, environment, until
from raw_websocket import BINARY, CLOSE, PING, PONG, TEXT, RawClient
from sink_programs import sink_program, streaming
from websockets.exceptions import InvalidStatus
from websockets.sync.client import ClientConnection, connect

from realtime.config import Config
from realtime.errors import ConfigError
from realtime.sinks.bones import BoneReader
from realtime.sinks.broadcast import IN_FLIGHT, MAX_CLIENTS, MAX_INCOMING_PER_S, Broadcaster
from realtime.sinks.records import Record
from realtime.sinks.websocket import read_arguments
from realtime.supervisor import Supervisor

TOKEN = "correct-horse"
MESSAGE = standing(2)
POSE = BoneReader(shipped_body()).read(MESSAGE)


def record(seq: int) -> Record:
    return Record(replace(MESSAGE, seq=seq), POSE, "unity")


@pytest.fixture
def server() -> Iterator[Broadcaster]:
    with Broadcaster("127.0.0.1", 0) as one:
        yield one


def client(server: Broadcaster, path: str = "/", **options: object) -> ClientConnection:
    """Of another library's making than ours; proxies of the machine are left out."""
    return connect(f"ws://127.0.0.1:{server.port}{path}", proxy=None, **options)  # type: ignore[arg-type]


def seq_of(data: bytes) -> int:
    return int(struct.unpack_from("<I", data, 8)[0])


def serves(server: Broadcaster, seq: int) -> bool:
    """Whether a newcomer gets what is published now."""
    with client(server, "/?format=binary") as newcomer:
        server.publish(record(seq))
        return until(lambda: seq_of(newcomer.recv(30)) == seq)  # type: ignore[arg-type]


def test_json_and_records(server: Broadcaster):
    with client(server) as json_client, client(server, "/any/path?format=binary") as binary_client:
        server.publish(record(5))
        text, data = json_client.recv(30), binary_client.recv(30)
    assert text == record(5).text and json.loads(text)["seq"] == 5
    assert data == record(5).binary


def test_a_newcomer_gets_the_last_pose_at_once(server: Broadcaster):
    server.publish(record(4))
    server.publish(record(5))
    with client(server) as late:
        assert json.loads(late.recv(30))["seq"] == 5
        with pytest.raises(TimeoutError):
            late.recv(0.3)


def test_who_reads_gets_every_pose(server: Broadcaster):
    with client(server, "/?format=binary") as reader:
        for seq in range(200):
            server.publish(record(seq))
            assert seq_of(reader.recv(30)) == seq  # type: ignore[arg-type]


def test_who_does_not_read_gets_the_newest_then(server: Broadcaster):
    """Of 200 poses that it slept through, a few that were under way, then the last one; others get all meanwhile."""
    with RawClient(server.port, "/?format=binary") as sleeper, client(server, "/?format=binary") as reader:
        assert sleeper.status == 101
        for seq in range(200):
            server.publish(record(seq))
            assert seq_of(reader.recv(30)) == seq  # type: ignore[arg-type]
        got: list[int] = []
        while not got or got[-1] != 199:
            kind, content = sleeper.frame()
            if kind == PING:
                sleeper.send(PONG, content)
            else:
                assert kind == BINARY
                got.append(seq_of(content))
    assert len(got) <= IN_FLIGHT + 1 and got == sorted(set(got))


def test_who_answers_no_ping_is_let_go(server: Broadcaster, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("realtime.sinks.broadcast.KEEPALIVE_S", 0.3)
    with Broadcaster("127.0.0.1", 0) as impatient, RawClient(impatient.port) as dead:
        assert dead.status == 101 and until(lambda: impatient.clients == 1)
        assert until(lambda: impatient.clients == 0, 30)
        assert serves(impatient, 7)


def test_killed_clients_are_forgotten(server: Broadcaster):
    code = (
        "import sys, websockets.sync.client as c\n"
        f"w = c.connect('ws://127.0.0.1:{server.port}', proxy=None)\n"
        "print(w.recv(30)[:7], flush=True)\n"
        "import time; time.sleep(100)\n"
    )
    server.publish(record(0))
    killed = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    try:
        assert killed.stdout is not None and killed.stdout.readline().strip() == '{"v":1,'
        assert server.clients == 1
    finally:
        killed.kill()
        killed.wait()
        killed.stdout.close()
    for seq in range(20):
        server.publish(record(seq))
    assert until(lambda: server.clients == 0, 30)
    assert serves(server, 100)


def test_garbage_at_the_door(server: Broadcaster):
    rng = random.Random(0)
    for data in (
        b"\xff" * 5000,
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\n" + b"a: b\r\n" * 10_000,
        b"GET /" + b"x" * 100_000 + b" HTTP/1.1\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: 1000000000\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",  # TLS
        rng.randbytes(3000),
        b"",
    ):
        with socket.create_connection(("127.0.0.1", server.port), 10) as one:
            try:
                one.sendall(data)
                one.shutdown(socket.SHUT_WR)
                while one.recv(4096):
                    pass
            except ConnectionError:
                pass
    assert serves(server, 1)


def test_garbage_from_a_client(server: Broadcaster):
    rng = random.Random(1)
    for data in (b"\xff\xff\xff\xff", b"\x81\x05hello", rng.randbytes(500), b"\x82\xff" + b"\xff" * 12):
        with RawClient(server.port) as rude, pytest.raises(ConnectionError):
            rude.socket.sendall(data)
            while rude.frame()[0] != CLOSE:
                pass
            rude.frame()
    with RawClient(server.port) as talker, pytest.raises(ConnectionError):
        talker.send(TEXT, b"x" * 2000)  # longer than anybody needs
        while talker.frame()[0] != CLOSE:
            pass
        talker.frame()
    assert until(lambda: server.clients == 0)
    assert serves(server, 1)


def test_who_talks_and_talks_is_shown_out(server: Broadcaster):
    with RawClient(server.port) as talker:
        for _ in range(5):
            talker.send(TEXT, b"hello")
        server.publish(record(3))
        assert talker.frame()[0] == TEXT  # a word or two is no harm
        with pytest.raises(ConnectionError):
            for _ in range(100 * MAX_INCOMING_PER_S):
                talker.send(TEXT, b"hello")
            while True:
                kind, content = talker.frame()
                assert kind == CLOSE and content[:2] == struct.pack(">H", 1008)
    assert serves(server, 4)


def test_so_many_clients_and_no_more(server: Broadcaster):
    clients = [RawClient(server.port) for _ in range(MAX_CLIENTS)]
    try:
        assert until(lambda: server.clients == MAX_CLIENTS)
        with RawClient(server.port) as one_more:
            assert one_more.status == 503
    finally:
        for one in clients:
            one.close()
    assert until(lambda: server.clients == 0, 30)
    assert serves(server, 2)


def test_an_unknown_format_is_told(server: Broadcaster):
    with pytest.raises(InvalidStatus) as refused:
        client(server, "/?format=xml")
    assert refused.value.response.status_code == 400
    assert b"format=json or ?format=binary" in (refused.value.response.body or b"")


def test_pages_of_other_sites_do_not_get_in(server: Broadcaster):
    """A browser lets any page connect to this machine; it says whose page it is."""
    for origin in (
        "https://evil.example",
        "null",
        "http://127.0.0.1.evil.example",
        "http://[",
        "http://10.0.0.1",
    ):
        with RawClient(server.port, headers=f"Origin: {origin}\r\n") as page:
            assert page.status == 403, origin
    for origin in ("http://localhost:3000", "http://127.0.0.1", "http://[::1]:80"):
        with RawClient(server.port, headers=f"Origin: {origin}\r\n") as page:
            assert page.status == 101, origin


def test_only_who_knows_the_token():
    with Broadcaster("127.0.0.1", 0, TOKEN) as server:
        for path, headers in (
            ("/", ""),
            ("/?token=", ""),
            ("/?token=wrong", ""),
            (f"/?token=wrong&token={TOKEN}", ""),
            ("/?token=%ff%fe", ""),
            ("/", "Authorization: Bearer wrong\r\n"),
        ):
            with RawClient(server.port, path, headers) as stranger:
                assert stranger.status == 401, (path, headers)
        for path, headers in (
            (f"/?token={TOKEN}&format=binary", ""),
            ("/", f"Authorization: Bearer {TOKEN}\r\n"),
            (f"/?token={TOKEN}", "Origin: https://studio.example\r\n"),
        ):
            with RawClient(server.port, path, headers) as friend:
                assert friend.status == 101, (path, headers)


def test_an_open_door_needs_a_token():
    for host in ("0.0.0.0", "::", "192.168.1.20", "myhost"):
        with pytest.raises(ConfigError, match="give a token too"):
            read_arguments(f"8766,host={host}")
        assert read_arguments(f"8766,host={host},token={TOKEN}")[1]["host"] == host
    for host in ("127.0.0.1", "::1", "localhost"):
        read_arguments(f"8766,host={host}")
    with pytest.raises(ConfigError, match="too easily guessed") as raised:
        read_arguments("8766,host=0.0.0.0,token=abc")
    assert "abc" not in str(raised.value)


def test_a_port_in_use(server: Broadcaster):
    with pytest.raises(ConfigError, match=f"cannot listen at 127.0.0.1:{server.port} .*choose another port"):
        Broadcaster("127.0.0.1", server.port)


def test_the_program():
    """A stream on the bus in, JSON out; rude peers beside; ended by SIGTERM, clients are told."""
    with sink_program("websocket", "0,axes=godot") as (publisher, process):
        assert process.stderr is not None
        address = process.stderr.readline().split()[-1]
        assert address.startswith("ws://127.0.0.1:")
        with (
            connect(address, proxy=None) as reader,
            RawClient(int(address.rpartition(":")[2])),
            streaming(publisher, MESSAGE),
        ):
            poses = [json.loads(reader.recv(30)) for _ in range(60)]
            seqs = [pose["seq"] for pose in poses]
            assert seqs == sorted(set(seqs))
            expected = json.loads(Record(MESSAGE, POSE, "godot").text)
            for key in ("v", "axes", "state", "person", "score", "hips", "bones"):
                assert poses[-1][key] == expected[key]
            assert poses[-1]["t_capture_ns"] == poses[-1]["t_publish_ns"] > poses[0]["t_publish_ns"]
            process.send_signal(signal.SIGTERM)
            assert process.wait(20) == (1 if sys.platform == "win32" else 0)
        assert process.stderr.read() == ""


def test_the_program_refuses_an_open_door():
    command = [sys.executable, "-m", "realtime.sinks.websocket", "8766,host=0.0.0.0"]
    done = subprocess.run(command, cwd=ROOT, env=environment(), capture_output=True, text=True, timeout=60)
    assert done.returncode == 2 and "give a token too" in done.stderr and done.stderr.count("\n") <= 2


def test_it_runs_when_it_serves(capfd: pytest.CaptureFixture[str]):
    with Supervisor(Config(viewer_kind="none", sinks=["websocket:0"])) as supervisor:
        assert supervisor.children == {"websocket": "starting"}
        assert until(lambda: supervisor.poll() and supervisor.children == {"websocket": "running"}, 60)
        told = capfd.readouterr().err
        assert told.startswith("websocket: ws://127.0.0.1:")
        connect(told.split()[-1], proxy=None).close()
