"""Whose clock a stamp was taken on.

Stamps are CLOCK_MONOTONIC nanoseconds: they can be compared between programs of one host and one boot, and
with nothing else. Each message names its clock; an age is computed where that clock is ours, or its offset from ours
was measured (realtime/bus/remote_clock.py).
"""

from __future__ import annotations

import hashlib
import socket
import time
from functools import lru_cache
from pathlib import Path

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_BOOT_TOLERANCE_S = 60  # the wall clock may be corrected while the host is up


@lru_cache(maxsize=1)
def clock_id() -> str:
    """Id of this host's monotonic clock: the boot id, hashed, on Linux; elsewhere "hash of host name@boot
    time in s".

    Where the monotonic clock stops during sleep (macOS), programs started before and after a sleep get
    different ids.
    """
    try:
        return hashlib.sha256(_BOOT_ID.read_bytes().strip()).hexdigest()[:16]
    except OSError:
        host = hashlib.sha256(socket.gethostname().encode()).hexdigest()[:16]
        return f"{host}@{round(time.time() - time.monotonic())}"


def same_clock(one: str, other: str) -> bool:
    """True where stamps under both ids can be compared."""
    if one == other:
        return True
    (host, _, boot), (other_host, _, other_boot) = one.partition("@"), other.partition("@")
    if host != other_host or not (boot.isdecimal() and other_boot.isdecimal()):
        return False
    return abs(int(boot) - int(other_boot)) <= _BOOT_TOLERANCE_S
