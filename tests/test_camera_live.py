"""Webcams and streams that fail in every way OpenCV knows; the devices here are scripted."""

import itertools
import threading
import time
from collections.abc import Callable

import cv2
import numpy as np
import pytest

from realtime.camera import capture as capture_module
from realtime.camera import live, open_feed
from realtime.camera.capture import Capture, open_webcam
from realtime.camera.live import MAX_ABANDONED, LiveFeed
from realtime.config import CameraConfig, Config
from realtime.errors import ConfigError, SourceError

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


@pytest.mark.parametrize("fault", ["fail", "block", "repeat", "blow_up"])
def test_a_lost_camera_is_noticed_and_comes_back(fault) -> None:
    plug = Plug()
    feed = plug.feed()
    feed.start()
    before = [frame for _ in range(5) if (frame := feed.next(5)) is not None]
    status = feed.status()
    assert (status.state, status.width, status.height) == ("live", 64, 48)
    assert (status.nominal_fps, status.message) == (30, "64x48 MJPG at 30 fps")

    plug.present = False
    plug.devices[0].behaviour = getattr(plug.devices[0], fault)
    seen = set()
    wait_for(lambda: seen.add(feed.status().state) or "reconnecting" in seen)
    # a failed read is a lost connection at once
    assert ("stalled" in seen) == (fault not in ("fail", "blow_up"))
    wait_for(lambda: len(plug.attempts_s) >= 3)
    status = feed.status()
    assert status.reconnects == 0 and "reconnecting" in status.message and "\n" not in status.message
    last = feed.next(0)  # what came before the fault may still lie in the slot
    assert feed.next(0.2) is None and not feed.ended

    plug.present = True
    wait_for(state_is(feed, "live"))
    after = [frame for _ in range(5) if (frame := feed.next(5)) is not None]
    assert len(before) == len(after) == 5
    indices = [frame.index for frame in (*before, *([last] if last else []), *after)]
    assert indices == sorted(set(indices))
    assert feed.status().reconnects == 1
    plug.unblock_all()
    feed.close()
    assert feed.ended and feed.status().state == "ended"
    wait_for(lambda: all(device.released.is_set() for device in plug.devices))


def test_pauses_between_attempts_grow_to_the_limit_and_start_short_again(monkeypatch) -> None:
    recovers, asked = LiveFeed._recovers, []

    def note_and_pause(self: LiveFeed, reader: object, pause_s: float) -> bool:
        asked.append(pause_s)
        return recovers(self, reader, pause_s)

    monkeypatch.setattr(LiveFeed, "_recovers", note_and_pause)
    plug = Plug()
    feed = plug.feed()
    feed.start()
    plug.present = False
    plug.devices[0].behaviour = plug.devices[0].fail
    wait_for(lambda: len(plug.attempts_s) >= 6)
    assert asked[:5] == [0.1, 0.2, 0.4, 0.4, 0.4]
    assert np.all(np.diff(plug.attempts_s)[1:5] >= asked[1:5])  # never sooner; later under load
    plug.present = True
    wait_for(state_is(feed, "live"))
    count = len(asked)
    plug.devices[-1].behaviour = plug.devices[-1].fail
    wait_for(lambda: len(asked) > count)
    assert asked[count] == 0.1
    feed.close()


def test_a_camera_that_recovers_in_the_pause_is_not_opened_again() -> None:
    plug = Plug()
    feed = plug.feed(reconnect_first_s=10)
    feed.start()
    plug.devices[0].behaviour = plug.devices[0].repeat
    wait_for(state_is(feed, "stalled"))
    plug.devices[0].behaviour = plug.devices[0].work
    wait_for(state_is(feed, "live"))
    feed.next(0)
    assert feed.next(5) is not None
    assert len(plug.attempts_s) == 1 and feed.status().reconnects == 0
    feed.close()


def test_a_still_picture_is_fine_on_a_network_stream() -> None:
    plug = Plug()
    feed = plug.feed(repeats_when_gone=False)
    feed.start()
    plug.devices[0].behaviour = plug.devices[0].repeat
    time.sleep(0.5)
    assert feed.status().state == "live"
    feed.close()


def test_close_returns_while_read_blocks_for_ever() -> None:
    plug = Plug()
    feed = plug.feed()
    feed.start()
    plug.devices[0].behaviour = plug.devices[0].block
    wait_for(state_is(feed, "stalled", "reconnecting"))
    begin = time.monotonic()
    feed.close()
    assert time.monotonic() - begin < 1.5
    feed.close()  # twice does no harm
    plug.unblock_all()


def test_an_old_connection_that_wakes_up_late_has_no_say() -> None:
    plug = Plug()
    feed = plug.feed()
    feed.start()
    old = plug.devices[0]
    old.behaviour = lambda: (old.unblock.wait(60), picture(255))
    wait_for(lambda: feed.status().reconnects == 1)
    plug.present = False
    plug.devices[1].behaviour = plug.devices[1].block  # so that only the old one could give a picture
    wait_for(state_is(feed, "stalled", "reconnecting"))
    feed.next(0)
    old.unblock.set()
    wait_for(old.released.is_set)
    assert feed.next(0) is None
    plug.unblock_all()
    feed.close()


def test_readers_that_hang_in_the_driver_do_not_pile_up(monkeypatch) -> None:
    monkeypatch.setattr(live, "DIAGNOSIS_S", 0)
    plug = Plug()

    def hanging() -> Device:
        device = Device()
        device.behaviour = device.block if plug.devices else device.work
        return device

    plug.make = hanging
    feed = plug.feed(open_timeout_s=0.3, reconnect_max_s=0.1)
    feed.start()
    plug.devices[0].behaviour = plug.devices[0].block
    wait_for(lambda: len(plug.devices) == MAX_ABANDONED)
    time.sleep(1)
    assert len(plug.devices) == MAX_ABANDONED
    plug.make = lambda: Device(7)
    plug.unblock_all()
    wait_for(state_is(feed, "live"))
    feed.close()


def test_start_gives_up_on_a_device_that_opens_and_then_hangs(monkeypatch) -> None:
    monkeypatch.setattr(live, "DIAGNOSIS_S", 0)
    plug = Plug()
    device = Device()
    device.behaviour = device.block
    plug.make = lambda: device
    feed = plug.feed(open_timeout_s=0.3)
    with pytest.raises(SourceError, match="camera 0 gave no picture within"):
        feed.start()
    device.unblock.set()
    wait_for(device.released.is_set)


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ((True, np.zeros((0, 0, 3), np.uint8)), "0x0"),
        ((True, None), "no pixels"),
        ((True, np.zeros((48, 64), np.uint8)), "64x48 pixels, not a colour picture"),
        ((False, None), "no more pictures"),
    ],
)
def test_start_names_what_is_no_picture(answer, message) -> None:
    plug = Plug()
    device = Device()
    device.behaviour = lambda: answer
    plug.make = lambda: device
    with pytest.raises(SourceError, match=message):
        plug.feed().start()
    wait_for(device.released.is_set)


def test_two_feeds_side_by_side_do_not_touch_each_other() -> None:
    plugs = [Plug(), Plug()]
    feeds = [plug.feed() for plug in plugs]
    for feed in feeds:
        feed.start()
    plugs[0].devices[0].behaviour = plugs[0].devices[0].block
    wait_for(state_is(feeds[0], "stalled", "reconnecting"))
    for _ in range(10):
        assert feeds[1].next(5) is not None
    assert feeds[1].status().state == "live" and feeds[1].status().reconnects == 0
    plugs[0].unblock_all()
    for feed in feeds:
        feed.close()


@pytest.mark.parametrize("source", ["97", "/dev/video97"])
def test_an_absent_camera_is_a_clear_error(source, capfd) -> None:
    with pytest.raises(SourceError) as caught:
        open_feed(Config(source=source)).start()
    message = str(caught.value)
    assert "97" in message and "--source demo" in message and len(message.splitlines()) <= 2
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("source", ["0", "rtsp://127.0.0.1/x"])
def test_every_frame_of_a_live_source_is_refused(source) -> None:
    with pytest.raises(ConfigError, match="--every-frame"):
        open_feed(Config(source=source, every_frame=True))


class Webcam:
    """Stands for cv2.VideoCapture with a camera that knows one mode only: 320x240 YUYV at 15 fps."""

    asked: dict[int, float] = {}

    def __init__(self, device: int, backend: int) -> None:
        self.asked.clear()
        self.values = itertools.count()

    def isOpened(self) -> bool:
        return True

    def set(self, key: int, value: float) -> bool:
        self.asked[key] = value
        return False

    def get(self, key: int) -> float:
        return {
            cv2.CAP_PROP_FRAME_WIDTH: 320,
            cv2.CAP_PROP_FRAME_HEIGHT: 240,
            cv2.CAP_PROP_FPS: 15,
            cv2.CAP_PROP_FOURCC: cv2.VideoWriter.fourcc(*"YUYV"),
        }[key]

    def read(self) -> tuple[bool, np.ndarray]:
        time.sleep(0.01)
        return True, picture(next(self.values))

    def release(self) -> None:
        pass


def test_a_webcam_is_asked_for_our_mode_and_what_it_gives_is_said(monkeypatch) -> None:
    monkeypatch.setattr(capture_module.cv2, "VideoCapture", Webcam)
    config = CameraConfig(width=1280, height=720, fps=60)
    capture = open_webcam(0, config)
    assert Webcam.asked == {
        cv2.CAP_PROP_FOURCC: cv2.VideoWriter.fourcc(*"MJPG"),
        cv2.CAP_PROP_FRAME_WIDTH: 1280,
        cv2.CAP_PROP_FRAME_HEIGHT: 720,
        cv2.CAP_PROP_FPS: 60,
        cv2.CAP_PROP_BUFFERSIZE: 1,
    }
    assert next(iter(Webcam.asked)) == cv2.CAP_PROP_FOURCC  # sizes and rates depend on it
    assert capture.mode == "320x240 YUYV at 15 fps (asked for 1280x720 MJPG at 60 fps)"

    feed = open_feed(Config(source="0", camera=config))
    feed.start()
    assert feed.status().message == capture.mode and feed.status().nominal_fps == 15
    feed.close()
