"""The live loop with scripted stages, then with the real ones."""

import json
import threading
import time
from dataclasses import replace

import cv2
import numpy as np
import pytest
from streams import ScriptedFeed, ScriptedPerception, free_address, scripted_config, write_clip, write_model

import realtime.pipeline as pipeline
from realtime import Subscriber
from realtime.camera.drops import REASONS
from realtime.config import Config
from realtime.estimator import Estimator
from realtime.lead_time import LeadTime


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return write_model(tmp_path_factory.mktemp("model") / "random.onnx")


@pytest.fixture
def address():
    return free_address()


@pytest.fixture
def scripted(monkeypatch, model, address):
    """prepare(count, then_silent, **config) with a scripted feed and perception, without a viewer."""

    def prepare(count, then_silent=False, **settings):
        feed = ScriptedFeed(count, then_silent)
        return scripted_config(monkeypatch, feed, model, bus_address=address, **settings), feed

    return prepare


class Listener(threading.Thread):
    """Takes in everything on `topics` until `enough` says so."""

    def __init__(self, address, topics, enough=lambda messages: False, timeout_s=20.0):
        super().__init__(daemon=True)
        self.messages = []
        self.enough = enough
        self.until = time.monotonic() + timeout_s
        self.done = threading.Event()
        self.subscriber = Subscriber(address, topics, every=True)
        self.start()

    def run(self):
        while time.monotonic() < self.until and not self.done.is_set():
            message = self.subscriber.receive(0.1)
            if message is not None:
                self.messages.append(message)
                if self.enough(self.messages):
                    break
        self.subscriber.close()
        self.done.set()

    def end(self):
        self.done.set()
        self.join(5)
        return self.messages


def test_every_frame_becomes_a_message_a_row_and_a_number(scripted, tmp_path, capsys):
    record, out = tmp_path / "a.npz", tmp_path / "s.json"
    config, feed = scripted(40, record=[str(record)], summary=str(out))
    summary = pipeline.run(config)
    assert feed.closed
    data = np.load(record)
    assert list(data["frame_index"]) == list(range(40))
    assert str(data["perception"]) == "scripted"
    told = json.loads(out.read_text())
    assert told["frames"] == {
        "captured": 40,
        "processed": 40,
        "published": 40,
        "dropped": 0,
        "drop_reasons": {**dict.fromkeys(REASONS, 0), "invalid": 0},
    }
    assert told["ended_by"] == "end of the source"
    assert sum(told["states"].values()) == 40
    assert told["states"]["tracking"] == int((data["state"] == 3).sum()) > 20
    for stage in ("perception", "estimate", "publish", "features_to_sent", "capture_to_publish"):
        assert told["latency_ms"][stage]["count"] == 40
        assert 0 <= told["latency_ms"][stage]["p50"] <= told["latency_ms"][stage]["max"]
    assert (told["model"], told["engine"]["engine"]) == ("random", "onnxruntime")
    assert told["bus"]["published"]["pose"] == 40
    assert told["versions"]["numpy"] == np.__version__
    assert told["recordings"] == [{"path": str(record), "frames": 40, "error": None}]
    assert summary.frames["published"] == 40
    printed = capsys.readouterr()
    assert printed.err == ""
    assert f"recorded 40 frames: {record}" in printed.out
    assert "sees    scripted\n" in printed.out
    assert f"written: {out}\n" in printed.out


@pytest.mark.parametrize("expected", [60.0, None])
def test_the_perception_is_told_how_fast_the_source_is(scripted, monkeypatch, capsys, expected):
    class Choosing(ScriptedPerception):
        def describe(self):
            return {"name": "choosing", "mirror": "off", "chosen": "no time for two"}

    config, feed = scripted(3)
    feed.expected_fps, asked = expected, []
    monkeypatch.setattr(pipeline, "make_perception", lambda config, fps: asked.append(fps) or Choosing())
    pipeline.run(config)
    assert asked == [expected]
    assert "sees    choosing, mirror=off; no time for two\n" in capsys.readouterr().out


def test_every_picture_s_size_is_held_against_the_measured_one(scripted, monkeypatch):
    sizes = []
    monkeypatch.setattr(LeadTime, "check_mode", lambda self, width, height: sizes.append((width, height)))
    config, feed = scripted(4)
    next_frame = feed.next

    def growing(timeout_s):
        frame = next_frame(timeout_s)
        return frame and replace(frame, image=np.zeros((120, 160 + frame.index, 3), np.uint8))

    monkeypatch.setattr(feed, "next", growing)
    pipeline.run(config)
    assert sizes == [(160 + k, 120) for k in range(4)]


def test_frames_and_duration_end_a_run(scripted):
    config, feed = scripted(100, frames=7)
    summary = pipeline.run(config)
    assert (summary.ended_by, summary.frames["processed"], feed.given) == ("--frames", 7, 7)
    config, _ = scripted(5, then_silent=True, duration=0.3)
    summary = pipeline.run(config)
    assert summary.ended_by == "--duration"
    assert 0.3 <= summary.duration_s < 5


def test_a_silent_camera_does_not_silence_the_status(scripted, address):
    """The last frame stays what it was, and the status goes on telling that nothing comes."""
    config, _ = scripted(20, then_silent=True, duration=2.6)
    listener = Listener(address, ("pose", "status"))
    pipeline.run(config)
    messages = listener.end()
    status = [message for message in messages if hasattr(message, "rates")]
    assert [one.camera["state"] for one in status][-1] == "stalled"
    assert sum(one.camera["state"] == "stalled" for one in status) >= 2  # at 1 Hz
    assert {message.frame for message in messages if hasattr(message, "theta")} <= set(range(20))
    assert status[-1].rates.keys() >= {"published_fps", "camera_fps"}
    assert status[-1].drops.keys() >= {"replaced_by_newer", "invalid"}
    assert status[-1].versions["hmmr-live"]


def test_pictures_are_made_only_for_who_wants_them(scripted, address):
    config, _ = scripted(10, then_silent=True, duration=0.5)
    assert pipeline.run(config).bus["published"]["image"] == 0

    listener = Listener(address, "image", enough=lambda messages: len(messages) >= 3)
    config, feed = scripted(0, then_silent=True, duration=20.0)
    config.bus.image_width = 80

    def slowly():
        while not listener.done.wait(0.03):
            feed.left += 1
        config.duration = 0.01  # that was all

    threading.Thread(target=slowly, daemon=True).start()
    pipeline.run(config)
    image = listener.end()[-1]
    assert (image.width, image.height) == (80, 60)
    assert cv2.imdecode(np.frombuffer(image.jpeg, np.uint8), cv2.IMREAD_COLOR).shape == (60, 80, 3)
    assert image.landmarks.shape == (33, 2)
    centre = ScriptedPerception().pixels.mean(axis=0) / 2  # half the size, half the pixels
    assert image.landmarks.mean(axis=0) == pytest.approx(centre, abs=1.0)
    assert image.crop[:2] == pytest.approx(centre, abs=6.0)


def test_numbers_that_may_not_go_out_are_dropped_and_counted(scripted, monkeypatch, capsys):
    update = Estimator.update
    calls = []

    def sometimes_bad(self, t_ns, observation):
        calls.append(t_ns)
        estimate = update(self, t_ns, observation)
        return replace(estimate, score=float("nan")) if len(calls) % 10 == 0 else estimate

    monkeypatch.setattr(Estimator, "update", sometimes_bad)
    config, _ = scripted(30)
    summary = pipeline.run(config)
    assert summary.frames["published"] == 27
    assert (summary.frames["dropped"], summary.frames["drop_reasons"]["invalid"]) == (3, 3)
    assert len(capsys.readouterr().err.splitlines()) == 1  # told once, then counted


def test_a_bug_in_the_loop_still_completes_the_recording(scripted, monkeypatch, tmp_path):
    update = Estimator.update

    def breaks(self, t_ns, observation):
        if len(self._ring) == 9:
            raise RuntimeError("a bug")
        return update(self, t_ns, observation)

    monkeypatch.setattr(Estimator, "update", breaks)
    config, feed = scripted(30, record=[str(tmp_path / "a.npz")])
    with pytest.raises(RuntimeError, match="a bug"):
        pipeline.run(config)
    assert len(np.load(tmp_path / "a.npz")["theta"]) >= 9
    assert feed.closed


def test_a_full_disk_is_told_and_the_stream_goes_on(scripted, monkeypatch, tmp_path, capsys):
    def full(file, data):
        raise OSError(28, "No space left on device")

    config, _ = scripted(300, record=[str(tmp_path / "a.npz")])
    import realtime.record

    opened = realtime.record.Recorder.__init__

    def open_then_fill(self, *arguments):
        opened(self, *arguments)
        monkeypatch.setattr(realtime.record, "write_all", full)

    monkeypatch.setattr(realtime.record.Recorder, "__init__", open_then_fill)
    summary = pipeline.run(config)
    assert summary.frames["published"] == 300
    assert "No space left" in summary.recordings[0]["error"]
    told = capsys.readouterr().err
    assert told.count("recording stopped") == 1


# From here on with the real stages.


def real(clip, model, address, **settings):
    return Config(source=str(clip), model=str(model), viewer_kind="none", bus_address=address, **settings)


def test_who_subscribes_later_is_not_waited_for(model, address, tmp_path, monkeypatch):
    """The web sink joins when a window is opened; the frames of a file go out at once."""
    monkeypatch.setattr(pipeline, "SINKS_JOIN_S", 60.0)
    clip = write_clip(tmp_path / "bar.avi", 3)
    summary = pipeline.run(real(clip, model, address, every_frame=True, sinks=["web:0"]))
    assert summary.frames["published"] == 3 and summary.duration_s < 30


def test_a_clip_in_full_twice_gives_the_same_numbers(model, address, tmp_path):
    clip = write_clip(tmp_path / "bar.avi", 12)
    for name in ("one", "two"):
        record = [str(tmp_path / f"{name}.npz")]
        summary = pipeline.run(real(clip, model, address, every_frame=True, record=record))
        assert (summary.frames["captured"], summary.frames["published"]) == (12, 12)
    one, two = (np.load(tmp_path / f"{name}.npz") for name in ("one", "two"))
    assert np.array_equal(one["theta"], two["theta"])
    assert np.array_equal(np.diff(one["t_capture_ns"]), np.diff(two["t_capture_ns"]))
    assert not one["tracked"].any()  # a bar is nobody


def test_a_file_plays_at_its_own_rate_and_nothing_published_is_missed(model, address, tmp_path):
    listener = Listener(address, "pose")
    pipeline.run(real(write_clip(tmp_path / "bar.avi", 60), model, address))
    messages = listener.end()
    seqs = [message.seq for message in messages]
    assert seqs == list(range(seqs[0], seqs[0] + len(seqs)))
    spent_s = (messages[-1].t_capture_ns - messages[0].t_capture_ns) / 1e9
    assert spent_s == pytest.approx((messages[-1].frame - messages[0].frame) / 30.0, abs=0.25)
    assert all(message.t_publish_ns >= message.t_capture_ns for message in messages)
