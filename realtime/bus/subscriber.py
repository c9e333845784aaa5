"""The receiving end: `for message in Subscriber(): …`, decoded, validated, newest first, never stale."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType

import zmq

from realtime.bus.connect import DEFAULT_ADDRESS, Refusal, client_keys, prepare
from realtime.bus.remote_clock import RemoteClock
from realtime.errors import ConfigError
from realtime.messages import TOPICS, Message, MessageError, decode
from realtime.wire import MAX_MESSAGE_BYTES

EVERY_HWM = 100_000  # how far an `every` subscriber may fall behind: half an hour of poses
_WAIT_SLICE_MS = 200  # Ctrl-C does not interrupt a wait inside libzmq on Windows

_Key = tuple[int, int]


class Subscriber:
    """Messages of `topics` ("pose", "status", "image") from the publisher at `address`.

    By default one conflated socket per topic keeps the newest message only, however slowly they are read.
    With `every=True` nothing is skipped: for recorders, which must keep up on the whole. The publisher may
    start later, end and start again; a reader that sleeps meanwhile joins it when it next reads. Use from
    one thread.

    `keys`: the key file of this receiver, where the stream wants one (`python -m realtime.keys`); by default the
    one that the environment variable HMMR_LIVE_KEYS names. A stream on another host is asked for its time, so that
    `age_ms()` of its messages is told there, too, as well as `age_uncertainty_ms()`; both are None until it is known.

    `timeout_s`: how long to wait for a message by default; None waits for ever. Iteration ends when it has
    passed.

    Counters: `received`; `bad`, messages that were refused (`last_error` says why); `missed`, gaps in the
    stream's sequence numbers (what was skipped, or with `every` what was lost); `restarts` of the publisher.

    Raises ConfigError for a malformed address, an unknown topic or keys that cannot be loaded; while receiving, when
    the stream refuses our key, wants one, or takes none.
    """

    def __init__(
        self,
        address: str = DEFAULT_ADDRESS,
        topics: str | Sequence[str] = ("pose",),
        every: bool = False,
        timeout_s: float | None = None,
        keys: str | Path | None = None,
    ) -> None:
        names = (topics,) if isinstance(topics, str) else tuple(topics)
        unknown = [name for name in names if name not in TOPICS]
        if unknown or not names:
            raise ConfigError(f"topics {', '.join(unknown) or '()'}: choose from {', '.join(TOPICS)}")
        self.address = address
        self.timeout_s = timeout_s
        self.received = self.bad = self.missed = self.restarts = 0
        self.last_error = ""
        self._keys = client_keys(keys)
        self._refusal: Refusal | None = None
        self._remote_clock: RemoteClock | None = None
        self._latest: dict[str, Message] = {}
        self._seen: dict[str, _Key] = {}
        self._context = zmq.Context()
        self._poller = zmq.Poller()
        # Turned after each message, so that a fast topic does not keep a slow one from being read.
        self._sockets: deque[zmq.Socket] = deque()
        self._by_topic: dict[str, zmq.Socket] = {}
        try:
            for group in [names] if every else [(name,) for name in dict.fromkeys(names)]:
                self._open(group, every)
        except (zmq.ZMQError, ValueError) as error:
            self.close()
            raise ConfigError(f"{address}: cannot connect ({error}); expected tcp://HOST:PORT") from None

    def receive(self, timeout_s: float | None = None) -> Message | None:
        """The next message not seen before, waiting up to `timeout_s` (by default the subscriber's); None if
        none came.

        0 does not wait.
        """
        limit_s = self.timeout_s if timeout_s is None else timeout_s
        deadline = None if limit_s is None else time.monotonic() + limit_s
        while True:
            for _ in range(len(self._sockets)):
                message = self._take(self._sockets[0])
                self._sockets.rotate(-1)
                if message is not None:
                    return message
            self._check_refusal()
            wait_ms = _WAIT_SLICE_MS
            if deadline is not None:
                left_ms = (deadline - time.monotonic()) * 1000
                if left_ms <= 0:
                    return None
                wait_ms = min(wait_ms, int(left_ms) + 1)
            self._poller.poll(wait_ms)

    def latest(self, topic: str | None = None) -> Message | None:
        """The newest message of `topic` (by default the first subscribed), without waiting; None before the
        first.

        The same message again while there is no newer one: `seq` and `age_ms()` tell.
        """
        topic = next(iter(self._by_topic)) if topic is None else topic
        if topic not in self._by_topic:
            raise ConfigError(f"{topic}: not subscribed to; this subscriber has {', '.join(self._by_topic)}")
        while self._take(self._by_topic[topic]) is not None:
            pass
        self._check_refusal()
        return self._latest.get(topic)

    def close(self) -> None:
        """May be called twice."""
        if self._remote_clock is not None:
            self._remote_clock.close()
        self._context.destroy(linger=0)

    def __iter__(self) -> Iterator[Message]:
        while (message := self.receive()) is not None:
            yield message

    def __enter__(self) -> Subscriber:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _open(self, topics: Sequence[str], every: bool) -> None:
        sub = self._context.socket(zmq.SUB)
        prepare(sub, self.address, self._keys)
        sub.setsockopt(zmq.MAXMSGSIZE, MAX_MESSAGE_BYTES)
        if every:
            sub.setsockopt(zmq.RCVHWM, EVERY_HWM)
        else:
            sub.setsockopt(zmq.CONFLATE, 1)  # one message over all its topics: hence one socket per topic
        for topic in topics:
            sub.subscribe(TOPICS[topic])
            self._by_topic[topic] = sub
        if self._refusal is None:  # one socket tells what befalls all of them
            self._refusal = Refusal(sub, self.address, self._keys)
            self._poller.register(self._refusal.events, zmq.POLLIN)
        sub.connect(self.address)
        self._sockets.append(sub)
        self._poller.register(sub, zmq.POLLIN)

    def _check_refusal(self) -> None:
        """Raise ConfigError where no message can ever come."""
        if self._refusal is not None and (reason := str(self._refusal)):
            raise ConfigError(reason)

    def _take(self, sub: zmq.Socket) -> Message | None:
        """The next waiting message that is good and new; None when nothing waits."""
        while True:
            try:
                parts = sub.recv_multipart(zmq.NOBLOCK)
            except zmq.Again:
                return None
            try:
                if len(parts) != 1:
                    raise MessageError(f"{len(parts)} parts; a message has one")
                message = decode(parts[0])
            except MessageError as error:
                self.bad += 1
                self.last_error = str(error)
                continue
            if self._is_new(parts[0].partition(b" ")[0].decode(), message):
                self.received += 1
                if not message.is_local():
                    if self._remote_clock is None:
                        self._remote_clock = RemoteClock(self.address, self._keys)
                    message.tell_time_by(self._remote_clock.offset)
                return message

    def _is_new(self, topic: str, message: Message) -> bool:
        """False for what the publisher sent again for somebody else; counts gaps and restarts."""
        key = (message.seq, message.t_publish_ns)
        seen = self._seen.get(topic)
        if key == seen:
            return False
        if seen is not None and message.seq <= seen[0]:
            self.restarts += 1
        elif seen is not None:
            self.missed += message.seq - seen[0] - 1
        self._seen[topic] = key
        self._latest[topic] = message
        return True
