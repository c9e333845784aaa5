"""When a picture was taken, by the stamp that the camera's driver gave it; and whether that stamp can be believed.

V4L2 stamps a buffer when its first data come in (or the exposure began: V4L2_BUF_FLAG_TSTAMP_SRC_SOE), by
CLOCK_MONOTONIC, the clock of time.monotonic_ns(); OpenCV hands it on as CAP_PROP_POS_MSEC. Some drivers stamp by
another clock, or not at all, and nothing in OpenCV tells. So a stamp counts only while it lies within the second
before the picture's arrival and after the stamp before it. The first that does not ends it for this connection: its
pictures are stamped as they arrive, never now so and now so, or time would seem to jump.
"""

from __future__ import annotations

import logging

log = logging.getLogger(__name__)

OLDEST_NS = 1_000_000_000
TRUSTED_AFTER = 30  # good stamps in a row: one that is too old then is believed, and the picture is old
MOST_OLD_IN_A_ROW = 128  # more than a driver queues (camera.buffers is 100 at the most): the stamps are wrong


class ExposureClock:
    """Judges the stamps of one connection, one call per picture."""

    def __init__(self, where: str) -> None:
        self._where = where
        self._last_ns = 0
        self._good = 0
        self._old_in_a_row = 0
        self.believed = True  # until a stamp says otherwise

    def judge(self, stamp_ns: int, arrival_ns: int) -> tuple[int | None, bool]:
        """(when the picture was taken, or None where its stamp says nothing; whether it is too old to be used).

        stamp_ns: the driver's, 0 or less where it gave none; arrival_ns: time.monotonic_ns() when it reached us.
        """
        if not self.believed:
            return None, False
        age_ns = arrival_ns - stamp_ns
        if stamp_ns > self._last_ns and 0 < age_ns < OLDEST_NS:
            self._last_ns = stamp_ns
            self._good += 1
            self._old_in_a_row = 0
            return stamp_ns, False
        if self._good >= TRUSTED_AFTER and stamp_ns > self._last_ns and age_ns >= OLDEST_NS:
            self._last_ns = stamp_ns
            self._old_in_a_row += 1
            if self._old_in_a_row <= MOST_OLD_IN_A_ROW:
                return stamp_ns, True
        self.believed = False
        log.info(
            "%s: its driver's stamps are no times of this clock: pictures count from arrival", self._where
        )
        return None, False
