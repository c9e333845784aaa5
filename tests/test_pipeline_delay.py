"""The live loop with a model that looks ahead: late, honest about it, and not one frame short."""

import json
import time

import numpy as np
import pytest
from streams import ScriptedFeed, ScriptedPerception, free_address, scripted_config, write_model

import realtime.pipeline as pipeline
from realtime import Subscriber

DELAY = 6


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """The same weights without look-ahead and with it."""
    folder = tmp_path_factory.mktemp("model")
    return {delay: write_model(folder / f"{delay}.onnx", delay) for delay in (0, DELAY)}


@pytest.fixture
def address():
    return free_address()


@pytest.fixture
def scripted(monkeypatch, models, address):
    def run(feed, delay=DELAY, perception=None, **settings):
        settings = {"bus_address": address, **settings}
        config = scripted_config(monkeypatch, feed, models[delay], perception, **settings)
        config.refine.steps = 0  # what the network says is what comes out
        return pipeline.run(config)

    return run


class Paced(ScriptedFeed):
    """Frames at a camera's pace; after `silent_after` of them silence until `ends()`, for 20 seconds at the most."""

    def __init__(self, frames, silent_after=-1, ends=None):
        super().__init__(frames)
        self.silent_after, self.ends, self.until = silent_after, ends, 0.0

    def next(self, timeout_s):
        if self.given == self.silent_after:
            self.until = self.until or time.monotonic() + 20.0
            if not self.ends() and time.monotonic() < self.until:
                time.sleep(timeout_s)
                return None
            self.silent_after = -1
        time.sleep(0.01)
        return super().next(timeout_s)


class Blinking(ScriptedPerception):
    """Sees nobody in some frames."""

    def process(self, image, t_ns):
        detection = super().process(image, t_ns)
        return None if self.count in (1, 20, 21, 40, 59) else detection


def test_every_frame_is_recorded_once_in_order_as_that_frame(scripted, tmp_path):
    """Against the model without look-ahead: the same frames with the same stamps, scores and people."""
    recorded = {}
    for delay in (0, DELAY):
        path, feed = tmp_path / f"{delay}.npz", ScriptedFeed(60)
        feed.first_ns = 10**9
        summary = scripted(feed, delay, Blinking(), record=[str(path)])
        frames = summary.frames
        assert (frames["captured"], frames["processed"], frames["published"]) == (60, 60, 60)
        assert frames["dropped"] == 0
        recorded[delay] = np.load(path)
    plain, late = recorded[0], recorded[DELAY]
    assert list(late["frame_index"]) == list(range(60))
    for key in ("t_capture_ns", "score", "person", "tracked"):
        assert np.array_equal(plain[key], late[key]), key
    assert (plain["state"] == 0).sum() == (late["state"] == 0).sum() == 2  # entering
    # The random weights are the same: what frame t was answered with at once, frame t − 6 is answered with now.
    at = slice(22, 33)
    assert np.abs(late["theta"][at, 6:75] - plain["theta"][22 + DELAY : 33 + DELAY, 6:75]).max() < 1e-4


def test_the_wait_is_latency_and_is_told(scripted, tmp_path):
    out = tmp_path / "s.json"
    scripted(Paced(30), summary=str(out))
    told = json.loads(out.read_text())
    stages = told["latency_ms"]
    assert stages["look_ahead"]["count"] == stages["capture_to_publish"]["count"] == 30
    assert stages["look_ahead"]["p50"] >= 6 * 10.0  # the pace of the feed
    for stage in ("wait", "perception", "estimate", "publish"):
        assert stages[stage]["p50"] < stages["look_ahead"]["p50"]
    assert stages["capture_to_publish"]["p50"] >= stages["look_ahead"]["p50"]
    assert told["engine"]["delay"] == DELAY


def test_messages_carry_the_frame_that_they_tell_of(scripted, address):
    with Subscriber(address, ("pose", "image"), every=True, timeout_s=10) as subscriber:
        joined = time.monotonic() + 1.0
        feed = Paced(60, silent_after=0, ends=lambda: time.monotonic() > joined)
        scripted(feed)
        messages = []
        while (message := subscriber.receive(0.2)) is not None:
            messages.append(message)
    poses = [message for message in messages if hasattr(message, "theta")]
    assert [message.frame for message in poses] == list(range(60))
    stamps = [feed.first_ns + round((frame + 1) * 1e9 / 30) for frame in range(60)]
    assert [message.t_capture_ns for message in poses] == stamps
    state_of = {message.frame: message.state for message in poses}
    pictures = [message for message in messages if not hasattr(message, "theta")]
    assert pictures and all(picture.state == state_of[picture.frame] for picture in pictures)


def test_a_silent_camera_keeps_no_frame_back(scripted, tmp_path, monkeypatch):
    """What waits goes out after a while of silence, not when the camera comes back."""
    path, sent, publish = tmp_path / "a.npz", [], pipeline.Stream._publish

    def noting(self, frame, estimate):
        sent.append(frame.index)
        return publish(self, frame, estimate)

    monkeypatch.setattr(pipeline.Stream, "_publish", noting)
    feed = Paced(40, silent_after=20, ends=lambda: len(sent) == 20)
    started = time.monotonic()
    assert scripted(feed, record=[str(path)]).frames["published"] == 40
    assert time.monotonic() < started + 20.0  # or the silence ended because nothing came
    assert sent == list(np.load(path)["frame_index"]) == list(range(40))


def test_a_limit_on_frames_still_answers_all_of_them(scripted, tmp_path):
    path = tmp_path / "a.npz"
    summary = scripted(ScriptedFeed(100), frames=4, record=[str(path)])
    assert (summary.frames["processed"], summary.frames["published"]) == (4, 4)
    assert list(np.load(path)["frame_index"]) == [0, 1, 2, 3]
