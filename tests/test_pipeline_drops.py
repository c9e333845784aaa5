"""captured = published + every reason that a frame was not: each counted where it happens."""

import time
from dataclasses import replace

import pytest
from scripted_cameras import Device, Plug
from streams import ScriptedPerception, scripted_config, write_clip, write_model

from realtime import pipeline
from realtime.camera import open_feed
from realtime.config import Config
from realtime.estimator import Estimator
from realtime.trace import read_csv


class Scripted(Device):
    """Works `good` times, does `then`, each once, and goes on working for ever."""

    def __init__(self, first, good, then):
        super().__init__(first)
        self.left = [self.work] * good + then
        self.behaviour = lambda: (self.left.pop(0) if self.left else self.work)()


class Slow(ScriptedPerception):
    def process(self, image, t_ns):
        time.sleep(0.025)
        return super().process(image, t_ns)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return write_model(tmp_path_factory.mktemp("model") / "random.onnx")


@pytest.fixture
def each_tenth_is_invalid(monkeypatch):
    update, calls = Estimator.update, []

    def sometimes_bad(self, t_ns, observation):
        calls.append(t_ns)
        estimate = update(self, t_ns, observation)
        return replace(estimate, score=float("nan")) if len(calls) % 10 == 0 else estimate

    monkeypatch.setattr(Estimator, "update", sometimes_bad)


def test_a_camera_that_does_it_all(monkeypatch, model, tmp_path, each_tenth_is_invalid):
    plug = Plug()
    scripts = [(40, "repeat repeat repeat work fail"), (20, "work blow_up"), (5, "fail"), (10**6, "")]

    def make():
        good, then = scripts[len(plug.devices)]
        device = Scripted(50 * len(plug.devices), good, [])
        device.left += [getattr(device, name) for name in then.split()]
        return device

    plug.make = make
    feed = plug.feed(stale_ms=20_000.0)
    path = tmp_path / "t.csv"
    config = scripted_config(monkeypatch, feed, model, Slow(), frames=100, trace=str(path))
    frames = pipeline.run(config).frames
    reasons = frames["drop_reasons"]
    assert len(plug.devices) == 4
    assert frames["captured"] == frames["published"] + sum(reasons.values())
    assert frames["dropped"] == sum(reasons.values())
    assert (reasons["repeated"], reasons["camera_gone"], reasons["unreadable"]) == (3, 2, 1)
    assert (frames["processed"], frames["published"], reasons["invalid"]) == (100, 90, 10)
    assert reasons["replaced_by_newer"] > 20
    assert reasons["unread_at_the_end"] in (0, 1)
    # and one by one: each frame of the source is either published or dropped, once
    rows, drops = read_csv(path)
    assert [row.frame for row in rows] == sorted({row.frame for row in rows})
    seen = sorted([*(row.frame for row in rows), *(drop.frame for drop in drops)])
    assert seen == list(range(frames["captured"]))
    for reason, count in reasons.items():
        assert sum(drop.reason == reason for drop in drops) == count, reason


def test_a_frame_that_nobody_read_at_the_end_is_counted(monkeypatch, model):
    """It lies in the slot when the last frame that was asked for has been processed."""
    plug = Plug()
    feed = plug.feed(stale_ms=20_000.0)
    publish = pipeline.Stream._publish

    def slowly(self, frame, estimate):
        good = publish(self, frame, estimate)
        captured = feed.status().captured
        until = time.monotonic() + 20
        while feed.status().captured < captured + 2 and time.monotonic() < until:
            time.sleep(0.005)
        return good

    monkeypatch.setattr(pipeline.Stream, "_publish", slowly)
    frames = pipeline.run(scripted_config(monkeypatch, feed, model, frames=3)).frames
    assert frames["drop_reasons"]["unread_at_the_end"] == 1
    assert frames["captured"] == 3 + sum(frames["drop_reasons"].values())


@pytest.mark.parametrize("every_frame", [True, False])
def test_a_clip(monkeypatch, model, tmp_path, every_frame):
    clip = write_clip(tmp_path / "bar.avi", 60)
    feed = open_feed(Config(source=str(clip), every_frame=every_frame))
    config = scripted_config(monkeypatch, feed, model, Slow(), every_frame=every_frame)
    frames = pipeline.run(config).frames
    assert frames["captured"] == 60 == frames["published"] + sum(frames["drop_reasons"].values())
