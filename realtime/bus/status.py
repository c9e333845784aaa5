"""When a status message is due: once a second, and soon after something changed."""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable
from typing import Any

from realtime.bus.publisher import Publisher
from realtime.clock import clock_id
from realtime.messages import StatusMessage, encode_status

INTERVAL_S = 1.0
CHANGE_INTERVAL_S = 0.05  # what changes all the time is said no more often than this


class StatusSender:
    """`offer` is called each turn of the live loop, and builds and publishes a status message only when one
    is due.
    """

    def __init__(self, publisher: Publisher) -> None:
        self._publisher = publisher
        self._seq = 0
        self._sent_at = float("-inf")
        self._sent_key: Hashable = None

    def offer(self, key: Hashable, build: Callable[[], dict[str, Any]]) -> bool:
        """`key` holds what should be told on change (state, camera, children, …); `build` gives the fields of
        StatusMessage from `state` on. True when a message was sent. Raises MessageError if it is not a valid
        one.
        """
        key = (key, tuple(self._publisher.subscribers.values()))
        since_s = time.monotonic() - self._sent_at
        if since_s < (CHANGE_INTERVAL_S if key != self._sent_key else INTERVAL_S):
            return False
        fields = {"subscribers": self._publisher.subscribers, **build()}
        message = StatusMessage(seq=self._seq, t_publish_ns=time.monotonic_ns(), clock=clock_id(), **fields)
        self._publisher.publish(encode_status(message))
        self._seq += 1
        self._sent_at = time.monotonic()
        self._sent_key = key
        return True
