"""Clients that die, freeze, flood, talk garbage: the publisher goes on, counts right, stays small."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import socket
import sys
import time
from collections.abc import Iterator

import psutil
import pytest
import zmq
from faults.publish import pose
from programs import line, program, until

from realtime import Subscriber
from realtime.bus.publisher import Publisher
from realtime.config import BusConfig
from realtime.messages import PoseMessage

posix = pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")


@pytest.fixture
def publisher() -> Iterator[Publisher]:
    with Publisher("tcp://127.0.0.1:0", BusConfig()) as one:
        yield one


def counts(publisher: Publisher, pose: int, seconds: float = 10.0) -> bool:
    def counted() -> bool:
        publisher.poll()
        return publisher.subscribers["pose"] == pose

    return until(counted, seconds)


def still_serves(publisher: Publisher, subscriber: Subscriber, seq: int) -> bool:
    publisher.publish(pose(seq))
    message = subscriber.receive(5.0)
    return message is not None and message.seq == seq


def test_a_killed_subscriber_is_not_counted(publisher: Publisher) -> None:
    with Subscriber(publisher.address, every=True) as healthy:
        with program("subscribe.py", publisher.address) as victim:
            line(victim)
            assert counts(publisher, pose=2)
            victim.kill()
            assert counts(publisher, pose=1)
        assert still_serves(publisher, healthy, 1)


@posix
def test_what_waits_for_a_frozen_subscriber_is_bounded() -> None:
    """166 MB for one that is stopped, and no heartbeat to end its connection."""
    with Publisher("tcp://127.0.0.1:0", BusConfig()) as publisher, contextlib.ExitStack() as stack:
        victim = stack.enter_context(program("subscribe_bare.py", publisher.address))
        line(victim)
        assert counts(publisher, pose=1)
        data = pose(0, vertices=6890)
        os.kill(victim.pid, signal.SIGSTOP)
        before = psutil.Process().memory_info().rss
        for _ in range(2000):
            publisher.publish(data[:-8] + os.urandom(8))
        grown = psutil.Process().memory_info().rss - before
        os.kill(victim.pid, signal.SIGCONT)
    assert grown < 60e6, f"{grown / 1e6:.0f} MB"


@posix
def test_a_frozen_subscriber_costs_neither_time_nor_memory() -> None:
    """SIGSTOP while 83 kB messages go out at 100 Hz: 8 MB a second that nobody takes."""
    arguments = ("--wait-for", "2", "--messages", "500", "--rate", "100", "--vertices", "6890")
    with (
        program("publish.py", *arguments) as stream,
        program("subscribe.py", address := line(stream)) as victim,
    ):
        line(victim)
        with Subscriber(address, every=True) as healthy:
            seqs: list[int] = []
            while len(seqs) < 150:
                assert (message := healthy.receive(20.0)) is not None, (
                    f"nothing came after {seqs[-1:]}: {line(stream)}"
                )
                seqs.append(message.seq)
            # By now it has sent a heartbeat, and with it promised the next ones.
            before = psutil.Process(stream.pid).memory_info().rss
            os.kill(victim.pid, signal.SIGSTOP)
            seqs += [
                message.seq for message in iter(lambda: healthy.receive(1.0), None) if message is not None
            ]
            grown = psutil.Process(stream.pid).memory_info().rss - before
            summary = json.loads(line(stream))
        os.kill(victim.pid, signal.SIGCONT)
    assert seqs == list(range(summary["published"])), "the healthy subscriber lost some"
    assert summary["pose"] == 1, "the frozen one is still counted"
    assert summary["p99_ms"] < 50, summary
    assert grown < 16e6, f"{grown / 1e6:.0f} MB"


def test_a_flood_of_subscriptions_is_refused() -> None:
    """200,000 subscriptions of one client grew an unprotected publisher by 230 MB."""
    with (
        program("publish.py", "--wait-for", "1", "--seconds", "3") as stream,
        contextlib.ExitStack() as stack,
    ):
        healthy = stack.enter_context(Subscriber(line(stream), every=True))
        assert healthy.receive(10.0) is not None
        before = psutil.Process(stream.pid).memory_info().rss
        assert line(stack.enter_context(program("flood.py", healthy.address))) == "done"
        seqs = [message.seq for message in iter(lambda: healthy.receive(1.0), None) if message]
        grown = psutil.Process(stream.pid).memory_info().rss - before
        summary = json.loads(line(stream))
    assert summary["refused"] >= 1
    assert seqs == list(range(1, summary["published"])), "the healthy subscriber lost some"
    assert grown < 16e6, f"{grown / 1e6:.0f} MB"


def test_floods_that_end_at_once(publisher: Publisher) -> None:
    """Each leaves more behind than fits, for a publisher that looks now and then; a heartbeat due meanwhile would make
    libzmq abort.
    """
    with Subscriber(publisher.address, every=True) as healthy:
        assert counts(publisher, pose=1)
        for turn in range(30):
            context = zmq.Context()
            flood = context.socket(zmq.XSUB)
            flood.setsockopt(zmq.SNDHWM, 0)
            flood.connect(publisher.address)
            for number in range(1000):
                flood.send(b"\1%d-%d" % (turn, number))
            for _ in range(10):
                time.sleep(0.01)
                publisher.poll()
            context.destroy(linger=0)
        assert still_serves(publisher, healthy, 1)
        assert counts(publisher, pose=1)
        assert publisher.refused > 0


def test_raw_bytes_on_the_port(publisher: Publisher) -> None:
    rng = random.Random(2)
    host, port = "127.0.0.1", int(publisher.address.rpartition(":")[2])
    greeting = b"\xff" + bytes(8) + b"\x7f\x03\x01NULL" + bytes(48)
    openings = (b"", b"GET / HTTP/1.1\r\n\r\n", greeting, greeting[:20], b"\x01\x00", b"\xff" * 64)
    with Subscriber(publisher.address, every=True) as healthy:
        assert counts(publisher, pose=1)
        for turn in range(60):
            with socket.create_connection((host, port), timeout=5) as raw:
                try:
                    raw.sendall(openings[turn % len(openings)] + rng.randbytes(rng.choice((0, 10, 5000))))
                except OSError:
                    continue  # closed on us: fine
            publisher.poll()
        assert still_serves(publisher, healthy, 1)
        assert counts(publisher, pose=1)


def test_an_oversized_subscription_ends_that_connection_only(publisher: Publisher) -> None:
    context = zmq.Context()
    hostile = context.socket(zmq.SUB)
    hostile.setsockopt(zmq.RECONNECT_IVL, -1)
    hostile.connect(publisher.address)
    hostile.subscribe(b"pose ")
    assert counts(publisher, pose=1)
    hostile.subscribe(b"x" * 100_000)
    assert counts(publisher, pose=0)
    context.destroy(linger=0)
    with Subscriber(publisher.address) as healthy:
        assert counts(publisher, pose=1)
        assert still_serves(publisher, healthy, 1)


def test_hundreds_of_reconnects(publisher: Publisher) -> None:
    descriptors = psutil.Process().num_fds if sys.platform != "win32" else psutil.Process().num_handles
    assert counts(publisher, pose=0)
    before = descriptors()
    context = zmq.Context()
    for _ in range(300):
        sub = context.socket(zmq.SUB)
        sub.setsockopt(zmq.LINGER, 0)
        sub.subscribe(b"pose ")
        sub.connect(publisher.address)
        publisher.poll()
        sub.close()
    context.destroy(linger=0)
    assert counts(publisher, pose=0)
    assert until(lambda: publisher.poll() or descriptors() <= before + 5), descriptors()
    with Subscriber(publisher.address) as healthy:
        assert counts(publisher, pose=1)
        assert still_serves(publisher, healthy, 1)


def test_resends_are_bounded(publisher: Publisher) -> None:
    """Many joiners at once do not multiply what everybody else receives."""
    publisher.publish(pose(0))
    context = zmq.Context()
    witness = context.socket(zmq.SUB)
    witness.subscribe(b"pose ")
    witness.connect(publisher.address)
    assert counts(publisher, pose=1)
    started = time.monotonic()
    joiners = [context.socket(zmq.SUB) for _ in range(60)]
    for number, joiner in enumerate(joiners):
        joiner.subscribe(b"pose ")
        joiner.connect(publisher.address)
        while publisher.subscribers["pose"] < number + 2 and time.monotonic() < started + 20:
            publisher.poll()
    assert publisher.subscribers["pose"] == 61
    took_s = time.monotonic() - started
    copies = 0
    while witness.poll(200):
        witness.recv()
        copies += 1
    context.destroy(linger=0)
    assert copies <= 3 + took_s / 0.02


def test_bad_messages_are_counted_and_dropped() -> None:
    """A publisher that is not ours: garbage, multipart, another schema, then one good message."""
    context = zmq.Context()
    other = context.socket(zmq.XPUB)
    port = other.bind_to_random_port("tcp://127.0.0.1")
    with Subscriber(f"tcp://127.0.0.1:{port}", every=True) as subscriber:
        assert other.poll(5000)
        other.recv()
        other.send(b"pose \xc1")
        other.send_multipart([b"pose ", pose(0)])
        other.send(pose(0).replace(b"\xa1v\x01", b"\xa1v\x02"))
        other.send(pose(3))
        message = subscriber.receive(5.0)
        assert isinstance(message, PoseMessage) and message.seq == 3
        assert (subscriber.bad, subscriber.received) == (3, 1)
        assert "update hmmr-live" in subscriber.last_error
    context.destroy(linger=0)
