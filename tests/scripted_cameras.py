"""Cameras that fail in every way OpenCV knows, when a test tells them to."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import numpy as np

from realtime.camera.capture import Capture
from realtime.camera.live import LiveFeed
from realtime.config import CameraConfig
from realtime.errors import SourceError

FAST = {"stale_ms": 200.0, "reconnect_first_s": 0.1, "reconnect_max_s": 0.4, "open_timeout_s": 1.0}


def picture(value: int) -> np.ndarray:
    return np.full((48, 64, 3), value % 256, np.uint8)


class Device:
    """Stands for cv2.VideoCapture: gives a new picture every 10 ms until told to misbehave."""

    def __init__(self, first: int = 0) -> None:
        self.value = first
        self.behaviour: Callable[[], tuple[bool, np.ndarray | None]] = self.work
        self.released = threading.Event()
        self.unblock = threading.Event()

    def read(self) -> tuple[bool, np.ndarray | None]:
        time.sleep(0.01)
        return self.behaviour()

    def work(self) -> tuple[bool, np.ndarray | None]:
        self.value += 1
        return True, picture(self.value)

    def repeat(self) -> tuple[bool, np.ndarray | None]:
        return True, picture(self.value)

    def fail(self) -> tuple[bool, np.ndarray | None]:
        return False, None

    def blow_up(self) -> tuple[bool, np.ndarray | None]:
        raise MemoryError("a driver's own kind of trouble")

    def block(self) -> tuple[bool, np.ndarray | None]:
        self.unblock.wait(60)
        return False, None

    def release(self) -> None:
        self.released.set()


class Plug:
    """Where devices are plugged in: `connect` is what LiveFeed calls."""

    def __init__(self) -> None:
        self.devices: list[Device] = []
        self.attempts_s: list[float] = []
        self.present = True
        self.make: Callable[[], Device] = lambda: Device(100 * len(self.devices))

    def connect(self) -> Capture:
        self.attempts_s.append(time.monotonic())
        if not self.present:
            raise SourceError("camera 0 cannot be opened: it is not there.\nNext line.")
        self.devices.append(self.make())
        return Capture(self.devices[-1], "camera 0", "64x48 MJPG at 30 fps", 30)

    def feed(self, repeats_when_gone: bool = True, **settings: float) -> LiveFeed:
        config = CameraConfig(**{**FAST, **settings})
        return LiveFeed("camera 0", self.connect, config, repeats_when_gone)

    def unblock_all(self) -> None:
        for device in self.devices:
            device.unblock.set()


def wait_for(condition: Callable[[], bool], limit_s: float = 20) -> None:
    until = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < until, "did not happen"
        time.sleep(0.01)


def state_is(feed: LiveFeed, *states: str) -> Callable[[], bool]:
    return lambda: feed.status().state in states
