"""When a status message is due: once a second, and soon after something changed."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Hashable
from typing import Any

from realtime.bus.publisher import Publisher
from realtime.clock import clock_id
from realtime.messages import MessageError, StatusMessage, encode_status

log = logging.getLogger(__name__)

INTERVAL_S = 1.0
CHANGE_INTERVAL_S = 0.05  # what changes all the time is said no more often than this


class StatusSender:
    """`offer` is called each turn of the live loop; it builds and publishes a status only when one is due."""

    def __init__(self, publisher: Publisher) -> None:
        self._publisher = publisher
        self.invalid = 0  # status messages that could not be sent
        self._seq = 0
        self._sent_at = float("-inf")
        self._sent_key: Hashable = None

    def offer(self, key: Hashable, build: Callable[[], dict[str, Any]]) -> bool:
        """`key` holds what should be told on change (state, camera, children, …); `build` gives the fields of
        StatusMessage from `state` on. True when a message was sent.

        A status that is no valid message is logged once, and not sent: the stream must not end over it.
        """
        key = (key, tuple(self._publisher.subscribers.values()))
        since_s = time.monotonic() - self._sent_at
        if since_s < (CHANGE_INTERVAL_S if key != self._sent_key else INTERVAL_S):
            return False
        self._sent_at = time.monotonic()
        self._sent_key = key
        publisher = self._publisher
        about = {"keys": publisher.keys is not None, "refused": publisher.refused}
        fields = {"subscribers": publisher.subscribers, "bus": about, **build()}
        try:
            data = encode_status(
                StatusMessage(seq=self._seq, t_publish_ns=time.monotonic_ns(), clock=clock_id(), **fields)
            )
        except MessageError as error:
            if not self.invalid:
                log.error("status not published: %s", error)
            self.invalid += 1
            return False
        self._publisher.publish(data)
        self._seq += 1
        return True
