"""How far the pose is led: the parts it is made of, and how slowly it changes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import realtime.lead_time as lead_time_module
from realtime.camera.latency import CameraLatency
from realtime.config import Config, LeadConfig
from realtime.errors import ConfigError
from realtime.lead_time import DISPLAY_MS, LOOK_S, SLEW, LeadTime, asked_ms
from realtime.summary import Tally

FRAME_NS = 33_000_000
FURTHEST_MS = 166.7


def lead_time(mode: str = "auto", way_ms: float = 20.0, furthest_ms: float = FURTHEST_MS, **settings):
    """With the tally that it reads. The display adds 25 ms."""
    config = Config(lead=LeadConfig(mode, display_ms=25.0), **settings)
    tally = Tally()
    take(tally, way_ms)
    return LeadTime(config, "camera 0", tally, furthest_ms), tally, config


def take(tally: Tally, way_ms: float, frames: int = 20) -> None:
    for _ in range(frames):
        tally.stages["arrival_to_publish"].add(way_ms)


@pytest.mark.parametrize(
    ("text", "ms"), [("auto", None), ("off", 0.0), ("0", 0.0), ("80", 80.0), ("1e2", 100.0)]
)
def test_what_may_be_asked(text: str, ms: float | None) -> None:
    assert asked_ms(text) == ms


@pytest.mark.parametrize("text", ["-5", "nan", "inf", "10000", "foo", "", "on"])
def test_what_may_not(text: str) -> None:
    with pytest.raises(
        ConfigError, match=f"--lead {text}: expected auto, off, or milliseconds from 0 to 1000"
    ):
        asked_ms(text)


def test_it_is_the_camera_and_the_way_and_the_display() -> None:
    one, _, _ = lead_time()
    assert one.next_ms(FRAME_NS, led=False) == pytest.approx(20.0 + 25.0)
    told = one.describe()
    assert (told["mode"], told["camera_ms"], told["camera"]) == ("auto", 0.0, "not measured")
    assert (told["pipeline_ms"], told["display_ms"], told["ms"]) == (20.0, 25.0, 45.0)
    assert "not measured" in one.in_words() and "25 ms" in one.in_words()

    _, tally, config = lead_time()
    config.camera.latency_ms = 60.0
    one = LeadTime(config, "camera 0", tally, FURTHEST_MS)
    assert one.next_ms(FRAME_NS, led=False) == pytest.approx(60.0 + 20.0 + 25.0)
    assert one.describe()["camera"] == "camera.latency_ms"


def test_a_camera_that_was_measured_or_stamps_its_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """The measurement is from light to arrival, and the driver's stamps are a part of that: never both."""
    _, tally, config = lead_time()
    for _ in range(20):
        tally.stages["camera"].add(12.0)
    one = LeadTime(config, "camera 0", tally, FURTHEST_MS)
    assert one.next_ms(FRAME_NS, led=False) == pytest.approx(12.0 + 20.0 + 25.0)
    assert one.describe()["camera"] == "its driver's stamps"
    without = CameraLatency(70.0, 2.0, 640, 480, 30.0, "MJPG", "", "", with_screen=False)
    measured = {"camera 0": without, "camera 1": replace(without, with_screen=True)}
    monkeypatch.setattr(lead_time_module, "stored_latency", measured.get)
    one = LeadTime(config, "camera 0", tally, FURTHEST_MS)
    assert one.next_ms(FRAME_NS, led=False) == pytest.approx(70.0 + 20.0 + 25.0)
    assert one.describe()["camera"] == "python -m calib.latency"
    config.lead.display_ms = None
    for camera, display_ms in (("camera 0", DISPLAY_MS), ("camera 1", 0.0)):  # the screen is counted once
        one = LeadTime(config, camera, tally, FURTHEST_MS)
        assert one.next_ms(FRAME_NS, led=False) == pytest.approx(70.0 + 20.0 + display_ms)


def test_a_measurement_of_another_size_is_said(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    measured = CameraLatency(70.0, 2.0, 640, 480, 30.0, "MJPG", "", "", with_screen=False)
    monkeypatch.setattr(lead_time_module, "stored_latency", {"camera 0": measured}.get)
    _, tally, config = lead_time()
    one = LeadTime(config, "camera 0", tally, FURTHEST_MS)
    for width, height, said in (
        (640, 480, 0),
        (1280, 720, 1),
        (1280, 720, 1),  # once
        (640, 480, 1),
        (1280, 720, 1),
        (1920, 1080, 2),  # connected anew, otherwise
    ):
        one.check_mode(width, height)
        assert caplog.text.count("measured at 640×480") == said
    assert "and it runs at 1280×720: 70 ms may be wrong" in caplog.text
    caplog.clear()
    for other in ("camera 1", "camera 0"):  # not measured; and the user knows better
        LeadTime(config, other, tally, FURTHEST_MS).check_mode(1280, 720)
        config.camera.latency_ms = 60.0
    config.camera.latency_ms, config.lead.mode = None, "80"
    LeadTime(config, "camera 0", tally, FURTHEST_MS).check_mode(1280, 720)
    assert not caplog.text


def test_it_goes_no_further_than_is_foretold() -> None:
    one, _, _ = lead_time(way_ms=220.0)  # a model that looks six frames ahead
    assert one.next_ms(FRAME_NS, led=False) == FURTHEST_MS


def test_while_somebody_is_led_it_changes_by_a_hundredth_of_the_time() -> None:
    one, tally, _ = lead_time()
    assert one.next_ms(0, led=True) == pytest.approx(45.0)
    take(tally, 80.0, frames=400)  # everything has become slow
    stamps = np.arange(1, 1000) * FRAME_NS
    leads = [one.next_ms(int(t_ns), led=True) for t_ns in stamps]
    assert np.diff(leads).max() <= SLEW * FRAME_NS / 1e6 + 1e-9 and np.diff(leads).min() >= 0
    assert leads[-1] == pytest.approx(80.0 + 25.0)
    at_s = stamps[np.searchsorted(leads, 100.0)] / 1e9
    assert at_s == pytest.approx((100 - 45) / 1e3 / SLEW, abs=2 * LOOK_S)


def test_while_nobody_is_led_it_changes_at_once() -> None:
    one, tally, _ = lead_time()
    one.next_ms(0, led=True)
    take(tally, 80.0, frames=400)
    assert one.next_ms(10 * FRAME_NS, led=True) < 50.0  # looked at half a second later
    assert one.next_ms(30 * FRAME_NS, led=False) == pytest.approx(105.0)


def test_one_slow_frame_changes_nothing() -> None:
    one, tally, _ = lead_time()
    take(tally, 500.0, frames=1)
    assert one.next_ms(FRAME_NS, led=False) == pytest.approx(45.0)


def test_time_that_runs_backwards_does_not_stop_it() -> None:
    """A clip in a loop begins anew."""
    one, tally, _ = lead_time()
    one.next_ms(1000 * FRAME_NS, led=True)
    take(tally, 80.0, frames=400)
    before = one.next_ms(0, led=True)
    assert before == pytest.approx(45.0)
    assert one.next_ms(FRAME_NS, led=True) > before


def test_a_number_is_led_by_exactly() -> None:
    one, tally, _ = lead_time("80", every_frame=True)
    take(tally, 500.0, frames=400)
    assert one.next_ms(0, led=True) == one.next_ms(FRAME_NS, led=False) == 80.0
    assert one.describe() == {"mode": "fixed", "ms": 80.0}


@pytest.mark.parametrize(
    ("mode", "furthest_ms", "settings", "why"),
    [
        ("off", FURTHEST_MS, {}, "--lead off"),
        ("0", FURTHEST_MS, {}, "--lead 0"),
        ("auto", FURTHEST_MS, {"every_frame": True}, "--every-frame"),
        ("auto", 0.0, {}, "runtime.ahead_ms"),
    ],
)
def test_where_nothing_is_led(mode: str, furthest_ms: float, settings: dict, why: str) -> None:
    one, _, _ = lead_time(mode, furthest_ms=furthest_ms, **settings)
    assert one.next_ms(0, led=True) is None
    told = one.describe()
    assert told["mode"] == "off" and why in told["why"] and why in one.in_words()


def test_more_than_is_foretold_is_refused() -> None:
    with pytest.raises(ConfigError, match="166.7 ms ahead") as raised:
        lead_time("180")
    assert "--set runtime.ahead_ms=166.7,180" in str(raised.value)


def test_who_is_there_from_the_start_is_led_by_all_of_it_as_soon_as_he_is_tracked() -> None:
    one, tally, _ = lead_time(way_ms=0.0)
    one.next_ms(0, led=False)
    take(tally, 36.0, frames=300)
    for index in range(1, 14):  # warming, far less than LOOK_S
        told = one.next_ms(index * FRAME_NS, led=False)
    assert told == pytest.approx(36.0 + 25.0)
