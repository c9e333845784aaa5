"""A stream with keys: who is known gets everything, who is not gets nothing and is told."""

from __future__ import annotations

import random
import socket
import time
from pathlib import Path

import keyed_bus
import pytest
import zmq
from faults.publish import pose, status
from keyed_bus import refused, settle
from programs import until

from realtime import Subscriber, key_files
from realtime.bus.gate import Gate
from realtime.bus.publisher import Publisher
from realtime.bus.status import StatusSender
from realtime.config import BusConfig
from realtime.errors import ConfigError
from realtime.messages import StatusMessage

folder, publisher = keyed_bus.folder, keyed_bus.publisher  # its fixtures


def test_a_known_key_gets_everything(publisher: Publisher, folder: Path) -> None:
    laptop = key_files.make_client(folder, "laptop")  # while the stream runs
    with (
        Subscriber(publisher.address, ("pose", "status"), every=True, keys=laptop) as one,
        Subscriber(publisher.address, every=True, keys=folder) as two,
    ):
        settle(publisher, 2)
        publisher.publish(status(0))
        for seq in range(50):
            publisher.publish(pose(seq, vertices=6890))
        got = [one.receive(10.0) for _ in range(51)]
        assert sorted(type(m).__name__ for m in got) == ["PoseMessage"] * 50 + ["StatusMessage"]
        assert [m.seq for m in (two.receive(10.0) for _ in range(50)) if m] == list(range(50))
        assert (one.missed, one.bad, two.missed, two.bad) == (0, 0, 0, 0)
    assert publisher.refused == 0


def test_an_unknown_key_gets_nothing(publisher: Publisher, tmp_path: Path) -> None:
    """It knows the stream's public key, as somebody does whose key was taken away."""
    stranger = key_files.make_client(publisher.keys.folder, "stranger")
    kept = tmp_path / "kept.key"
    kept.write_bytes(stranger.read_bytes())
    key_files.remove_client(publisher.keys.folder, "stranger")
    publisher.publish(pose(0))
    with Subscriber(publisher.address, every=True, keys=kept) as subscriber:
        told = refused(publisher, subscriber)
        assert told.startswith(f"{publisher.address}: the stream refuses the key {kept};")
        assert "python -m realtime.keys add NAME" in told and told.count("\n") == 1
        with pytest.raises(ConfigError, match="refuses the key"):
            subscriber.receive(0)
    assert until(lambda: publisher.refused == 1), publisher.refused


def test_no_key_gets_nothing(publisher: Publisher) -> None:
    publisher.publish(pose(0))
    with Subscriber(publisher.address, every=True) as subscriber:
        assert "the stream wants a key: --keys NAME.key" in refused(publisher, subscriber)
    assert until(lambda: publisher.refused >= 1)  # connections, of which it made one or more


def test_another_streams_key_gets_nothing(publisher: Publisher, tmp_path: Path) -> None:
    key_files.make_server(tmp_path / "other")
    other = key_files.make_client(tmp_path / "other", "laptop")
    publisher.publish(pose(0))
    with Subscriber(publisher.address, every=True, keys=other) as subscriber:
        assert f"{other} is the key to another stream" in refused(publisher, subscriber)
        assert publisher.subscribers["pose"] == 0
    assert publisher.refused > 0


@pytest.mark.parametrize("with_keys", [False, True])
def test_a_stream_that_comes_later_is_no_refusal(folder: Path, with_keys: bool) -> None:
    """Something accepts connections and closes them at once, as a tunnel does that leads to nothing yet."""
    with socket.create_server(("127.0.0.1", 0)) as tunnel:
        tunnel.settimeout(0.01)
        address = f"tcp://127.0.0.1:{tunnel.getsockname()[1]}"
        keys = folder if with_keys else None
        with Subscriber(address, keys=keys) as subscriber:
            for _ in range(100):
                try:
                    tunnel.accept()[0].close()
                except TimeoutError:
                    assert subscriber.receive(0) is None
            tunnel.close()
            config = BusConfig(keys=str(folder) if with_keys else "")
            with Publisher(address, config) as publisher:
                assert until(
                    lambda: publisher.poll() or publisher.subscribers["pose"] == 1 or seen(subscriber)
                )
                publisher.publish(pose(0))
                assert subscriber.receive(10.0) is not None


def seen(subscriber: Subscriber) -> bool:
    """False; libzmq subscribes again when its user next reads."""
    return subscriber.receive(0) is not None


def test_a_stream_without_keys_says_so(folder: Path) -> None:
    with (
        Publisher("tcp://127.0.0.1:0", BusConfig()) as plain,
        Subscriber(plain.address, keys=folder) as subscriber,
    ):
        assert plain.keys is None and plain.local_keys is None
        assert "takes no keys; connect without" in refused(plain, subscriber)


def test_a_removed_key_is_refused_at_its_next_connection(
    publisher: Publisher, folder: Path, tmp_path: Path
) -> None:
    laptop = key_files.make_client(folder, "laptop")
    kept = tmp_path / "laptop.key"
    kept.write_bytes(laptop.read_bytes())
    with Subscriber(publisher.address, every=True, keys=kept) as subscriber:
        settle(publisher, 1)
        key_files.remove_client(folder, "laptop")
        publisher.publish(pose(0))
        assert subscriber.receive(10.0) is not None, "a connection that stands is left alone"
    with Subscriber(publisher.address, every=True, keys=kept) as subscriber:
        assert "refuses the key" in refused(publisher, subscriber)
    again = key_files.make_client(folder, "laptop")
    with Subscriber(publisher.address, every=True, keys=again) as subscriber:
        assert until(
            lambda: publisher.poll() or subscriber.receive(0) is not None
        )  # the last one, sent again


def test_without_its_gate_nobody_is_let_in(
    publisher: Publisher, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """libzmq lets everybody in where no ZAP handler answers, unless it is told otherwise."""
    assert publisher._gate is not None
    publisher._gate.close()
    publisher._gate._questions.close()
    key_files.make_server(folder.parent / "other")
    with Subscriber(publisher.address, keys=folder) as subscriber:
        end = time.monotonic() + 0.5
        while time.monotonic() < end:
            publisher.poll()
            publisher.publish(pose(0))
            assert subscriber.receive(0.01) is None
    assert publisher.subscribers["pose"] == 0


def test_garbage_on_the_port(publisher: Publisher, folder: Path) -> None:
    rng = random.Random(3)
    port = int(publisher.address.rpartition(":")[2])
    greeting = b"\xff" + bytes(8) + b"\x7f\x03\x00CURVE" + bytes(47)
    hello = b"\x04\xc8\x05HELLO"
    openings = (b"", b"GET / HTTP/1.1\r\n\r\n", greeting, greeting + hello, greeting[:20], b"\xff" * 64)
    with Subscriber(publisher.address, every=True, keys=folder) as healthy:
        settle(publisher, 1)
        for turn in range(60):
            with socket.create_connection(("127.0.0.1", port), timeout=5) as raw:
                try:
                    raw.sendall(openings[turn % len(openings)] + rng.randbytes(rng.choice((0, 10, 5000))))
                except OSError:
                    continue  # closed on us: fine
            publisher.poll()
        publisher.publish(pose(1))
        message = healthy.receive(10.0)
        assert message is not None and message.seq == 1
        settle(publisher, 1)
        assert until(lambda: publisher.refused > 0)


def test_the_status_says_whether_there_are_keys_and_how_many_were_refused(
    publisher: Publisher, folder: Path
) -> None:
    with Subscriber(publisher.address) as stranger:
        assert "wants a key" in refused(publisher, stranger)
    assert until(lambda: publisher.refused >= 1)
    with Subscriber(publisher.address, "status", keys=folder) as subscriber:
        assert until(lambda: publisher.poll() or publisher.subscribers["status"] == 1)
        assert StatusSender(publisher).offer(0, lambda: {"state": "lost"})
        message = subscriber.receive(10.0)
    assert isinstance(message, StatusMessage) and message.bus == {"keys": True, "refused": publisher.refused}
    with Publisher("tcp://127.0.0.1:0", BusConfig()) as plain:
        assert StatusSender(plain).offer(0, lambda: {"state": "lost"})
        with Subscriber(plain.address, "status") as subscriber:
            assert until(lambda: plain.poll() or subscriber.latest() is not None)
            message = subscriber.latest()
    assert isinstance(message, StatusMessage) and message.bus == {"keys": False, "refused": 0}


def test_the_gate_refuses_what_is_no_curve(folder: Path) -> None:
    """Its answers, as ZAP gives the questions: of another domain, another mechanism, without credentials."""
    context = zmq.Context()
    gate = Gate(context, key_files.load_server(folder))
    bus = context.socket(zmq.XPUB)
    gate.guard(bus)
    known = key_files.load_client(folder)
    key = zmq.utils.z85.decode(known.public)
    asker = context.socket(zmq.REQ)
    asker.connect("inproc://zeromq.zap.01")
    answers = []
    for domain, *rest in (
        (b"hmmr-live", b"CURVE", key), (b"other", b"CURVE", key), (b"hmmr-live", b"NULL"),
        (b"hmmr-live", b"CURVE", bytes(32)), (b"hmmr-live", b"PLAIN", b"user", b"password"),
    ):  # fmt: skip
        asker.send_multipart([b"1.0", b"1", domain, b"127.0.0.1", b"", *rest])
        assert asker.poll(10_000)
        answers.append(asker.recv_multipart())
    gate.close()
    context.destroy(linger=0)
    assert answers[0] == [b"1.0", b"1", b"200", b"OK", b"local", b""]
    assert [one[2:] for one in answers[1:]] == [[b"400", b"unknown key", b"", b""]] * 4
