"""hmmr-live. `from realtime import Subscriber` is all that a receiving program needs, and stays light: zmq,
msgpack, numpy; no network, camera or viewer library is loaded by it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from realtime.bus.subscriber import Subscriber

__all__ = ["Subscriber"]


def __getattr__(name: str) -> Any:
    if name == "Subscriber":
        from realtime.bus.subscriber import Subscriber

        return Subscriber
    raise AttributeError(f"module 'realtime' has no attribute {name!r}")
