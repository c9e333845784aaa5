"""Webcams and streams that are lost and come back; the devices here are scripted."""

import time

import numpy as np
import pytest
from scripted_cameras import Device, Plug, picture, state_is, wait_for

from realtime.camera import live
from realtime.camera.live import MAX_ABANDONED, LiveFeed
from realtime.errors import SourceError


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
