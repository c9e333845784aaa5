"""A stream on another host: how old its poses are, and how sure that is."""

from __future__ import annotations

import math
import time
from pathlib import Path

import pytest
import zmq
from faults.publish import pose, status
from programs import line, program, until
from slow_relay import slow_relay

from realtime import Subscriber, key_files
from realtime.bus.clock_exchange import question
from realtime.bus.publisher import MAX_QUESTIONS, Publisher
from realtime.clock import clock_id
from realtime.config import BusConfig
from realtime.messages import PoseMessage

S = 1_000_000_000


def follow(
    subscriber: Subscriber,
    started_ns: int,
    shift_ns: int,
    drift_ppm: float,
    seconds: float,
    below_ms: float = math.inf,
) -> list[float]:
    """Compare every pose's age with the truth for `seconds` from the first age on, and on until one is surer than
    below_ms: one exchange must have met nobody on its way, which takes a while on a busy machine. Uncertainties, ms.
    """
    uncertainties: list[float] = []
    give_up_s = end_s = time.monotonic() + 30.0
    while (now_s := time.monotonic()) < give_up_s:
        if now_s >= end_s and min(uncertainties) < below_ms:
            break
        message = subscriber.receive(10.0)
        assert isinstance(message, PoseMessage) and not message.is_local()
        before_ns = time.monotonic_ns()
        age_ms, uncertainty_ms = message.age_ms(), message.age_uncertainty_ms()
        after_ns = time.monotonic_ns()
        if age_ms is None or uncertainty_ms is None:
            continue
        if not uncertainties:
            end_s = time.monotonic() + seconds
        captured_ns = started_ns + round(
            (message.t_capture_ns - shift_ns - started_ns) / (1 + drift_ppm * 1e-6)
        )
        least_ms, most_ms = (before_ns - captured_ns) / 1e6, (after_ns - captured_ns) / 1e6
        assert least_ms - uncertainty_ms - 0.01 <= age_ms <= most_ms + uncertainty_ms + 0.01
        uncertainties.append(uncertainty_ms)
    assert uncertainties, "the other host's clock was never told"
    return uncertainties


@pytest.mark.parametrize("drift_ppm", [0.0, 60.0])
@pytest.mark.parametrize("with_keys", [False, True])
def test_another_hosts_clock(tmp_path: Path, with_keys: bool, drift_ppm: float) -> None:
    keys = tmp_path / "keys"
    key_files.make_server(keys)
    key_files.make_client(keys, "local")
    shift_ns = -time.monotonic_ns() // 2 if drift_ppm else 3 * 10**14
    options = ("tcp://127.0.0.1:0", str(keys)) if with_keys else ()
    with program("other_host.py", "another", str(shift_ns), str(drift_ppm), *options) as host:
        address, started_ns = line(host).split()
        with Subscriber(address, keys=keys if with_keys else None) as subscriber:
            uncertainties = follow(subscriber, int(started_ns), shift_ns, drift_ppm, 2.5, below_ms=8.5)
    assert min(uncertainties) < 8.5, "half a turn of the loop, which is what a single exchange gives"


@pytest.mark.parametrize(("there_s", "back_s"), [(0.04, 0.0), (0.0, 0.04)])
def test_ways_that_are_not_equally_long(there_s: float, back_s: float) -> None:
    """Nobody can see from one end which way is the long one: the uncertainty must hold both."""
    with program("other_host.py", "another", str(7 * S), "0") as host:
        address, started_ns = line(host).split()
        with slow_relay(address, there_s, back_s) as slow, Subscriber(slow) as subscriber:
            uncertainties = follow(subscriber, int(started_ns), 7 * S, 0.0, 2.0, below_ms=40.0)
    assert min(uncertainties) >= 20.0
    assert min(uncertainties) < 40.0


def test_a_stream_that_moves_to_another_host() -> None:
    with Publisher("tcp://127.0.0.1:0", BusConfig()) as probe:
        address = probe.address
    with Subscriber(address) as subscriber:
        for name, shift_ns in (("one", 5 * S), ("two", 50 * S)):
            with program("other_host.py", name, str(shift_ns), "0", address) as host:
                started_ns = int(line(host).split()[1])
                seen = subscriber.latest()
                assert until(lambda: (subscriber.receive(0.1) or seen) is not seen)  # noqa: B023
                assert until(lambda: subscriber.latest().clock != getattr(seen, "clock", ""))  # noqa: B023
                follow(subscriber, started_ns, shift_ns, 0.0, 0.3)


def test_on_this_host_nothing_is_asked() -> None:
    with (
        Publisher("tcp://127.0.0.1:0", BusConfig()) as publisher,
        Subscriber(publisher.address) as subscriber,
    ):
        publisher.publish(pose(0))
        assert until(lambda: publisher.poll() or subscriber.latest() is not None)
        message = subscriber.latest()
        assert message is not None and message.is_local()
        assert message.age_uncertainty_ms() == 0.0 and (message.age_ms() or 0) > 0
        assert (message.publish_age_ms() or 0) > 0
        assert subscriber._remote_clock is None


def test_where_nobody_answers_there_is_no_age() -> None:
    """An older stream; and a recording that is played back, whose stamps are of no clock that answers."""
    foreign = pose(0).replace(clock_id().encode(), b"f" * len(clock_id()))
    context = zmq.Context()
    older = context.socket(zmq.XPUB)
    port = older.bind_to_random_port("tcp://127.0.0.1")
    with Publisher("tcp://127.0.0.1:0", BusConfig()) as replay:
        for address, serve in (
            (f"tcp://127.0.0.1:{port}", lambda: older.send(foreign)),
            (replay.address, lambda: replay.poll() or replay.publish(foreign)),
        ):
            with Subscriber(address) as subscriber:
                end_s = time.monotonic() + 1.0
                while time.monotonic() < end_s:
                    serve()
                    message = subscriber.latest()
                    assert message is None or message.age_ms() is message.age_uncertainty_ms() is None
                    time.sleep(0.01)
                assert subscriber._remote_clock is not None
    context.destroy(linger=0)


def test_a_flood_of_questions_ends_that_connection_only() -> None:
    with Publisher("tcp://127.0.0.1:0", BusConfig()) as publisher, Subscriber(publisher.address) as healthy:
        context = zmq.Context()
        hostile = context.socket(zmq.XSUB)
        hostile.setsockopt(zmq.RECONNECT_IVL, -1)
        hostile.connect(publisher.address)
        hostile.send(b"\1pose ")
        assert until(lambda: publisher.poll() or publisher.subscribers["pose"] == 2)
        for _ in range(10 * MAX_QUESTIONS):
            hostile.send(question(b"abcdefgh", 1))
        assert until(lambda: publisher.poll() or publisher.refused == 1)
        assert until(lambda: publisher.poll() or publisher.subscribers["pose"] == 1)
        context.destroy(linger=0)
        publisher.publish(pose(1))
        message = healthy.receive(10.0)
        assert message is not None and message.seq == 1


def test_what_is_no_question_is_not_answered() -> None:
    with Publisher("tcp://127.0.0.1:0", BusConfig()) as publisher:
        context = zmq.Context()
        asker = context.socket(zmq.XSUB)
        asker.connect(publisher.address)
        asker.send(b"\1")  # everything that is sent
        publisher.publish(status(0))
        assert until(lambda: publisher.poll() or publisher.subscribers["pose"] == 1)
        for data in (
            b"clock ",
            b"clock abcdefgh",
            question(b"abcdefgh", 1) + b"x",
            b"pose " + bytes(17),
            b"x",
        ):
            asker.send(data)
        asker.send(question(b"abcdefgh", 5))
        received: list[bytes] = []

        def answers() -> list[bytes]:
            publisher.poll()
            while asker.poll(0):
                received.append(asker.recv())
            return [data for data in received if not data.startswith(b"status ")]

        assert until(
            lambda: bool(answers())
        )  # the question came last: what was to be answered before it, was
        assert not until(lambda: len(answers()) > 1, 0.1)
        context.destroy(linger=0)
    assert [data[: len(question(b"", 0))] for data in received if not data.startswith(b"status ")] == [
        question(b"abcdefgh", 5)
    ]
