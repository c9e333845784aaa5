"""After two seconds in which nothing goes on, the next pose is of a picture that was taken just now.

The cameras here take a picture every 200 ms whatever happens, and remember when each was taken: the truth, which
neither the feed nor its stamps can know.
"""

import threading
import time

import numpy as np
import pytest
from scripted_cameras import picture
from streams import ScriptedPerception, scripted_config, write_model

from realtime import pipeline
from realtime.camera import exposure
from realtime.camera.capture import Capture
from realtime.camera.live import LiveFeed
from realtime.config import CameraConfig

FPS = 5.0
PERIOD_NS = round(1e9 / FPS)
STALL_S = 2.0
BEFORE = 12  # pictures until the stall


class Camera:
    """Stands for cv2.VideoCapture. Picture n is taken at start + n / FPS. When BEFORE of them are read it stands still;
    of those that are taken meanwhile the first `queue` are held back, the others lost."""

    def __init__(self, queue: int, fetching_s: float = 0.0, stalls: bool = True) -> None:
        self.queue = queue
        self.fetching_s = fetching_s  # what it takes to fetch one that was held back
        self.stalls = stalls
        self.start_ns = time.monotonic_ns()
        self.held: list[int] = []
        self.last = -1  # read
        self.stall_over_ns = 0

    def taken_ns(self, number: int) -> int:
        return self.start_ns + number * PERIOD_NS

    def read(self) -> tuple[bool, np.ndarray]:
        if self.stalls and self.last == BEFORE - 1 and not self.stall_over_ns:
            time.sleep(STALL_S)
            self.stall_over_ns = time.monotonic_ns()
            self.held = list(range(BEFORE, self._newest() + 1))[: self.queue]
        if self.held:
            time.sleep(self.fetching_s)
            self.last = self.held.pop(0)
        else:
            self.last = max(self._newest() + 1, self.last + 1)
            time.sleep(max(0.0, (self.taken_ns(self.last) - time.monotonic_ns()) / 1e9))
        return True, picture(self.last)

    def _newest(self) -> int:
        return (time.monotonic_ns() - self.start_ns) // PERIOD_NS

    def get(self, key: int) -> float:
        return self.taken_ns(self.last) / 1e6

    def release(self) -> None:
        pass


class Seeing(ScriptedPerception):
    """Notes which picture it sees; may stand still itself, once."""

    def __init__(self, stall_at: int = -1) -> None:
        super().__init__()
        self.stall_at = stall_at
        self.stall_over_ns = 0

    def process(self, image, t_ns):
        if image[0, 0, 0] == self.stall_at:
            time.sleep(STALL_S)
            self.stall_over_ns = time.monotonic_ns()
        return super().process(image, t_ns)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return write_model(tmp_path_factory.mktemp("model") / "random.onnx")


@pytest.fixture
def stream(monkeypatch, model):
    """run(camera, perception, stamped) → ([(number of the picture, when its pose was sent)], summary)."""

    def run(camera, perception, stamped=False):
        sent, publish = [], pipeline.Stream._publish

        def noting(self, frame, estimate):
            good = publish(self, frame, estimate)
            sent.append((int(frame.image[0, 0, 0]), time.monotonic_ns()))
            return good

        monkeypatch.setattr(pipeline.Stream, "_publish", noting)
        config = CameraConfig(stale_ms=30_000.0)
        feed = LiveFeed(
            "camera 0", lambda: Capture(camera, "camera 0", "", FPS, stamped), config, repeats_when_gone=True
        )
        ended = threading.Timer(BEFORE / FPS + STALL_S + 2.5, feed.close)
        ended.start()
        summary = pipeline.run(scripted_config(monkeypatch, feed, model, perception))
        ended.join()
        return sent, summary

    return run


def first_after(sent, when_ns):
    return next((number, sent_ns) for number, sent_ns in sent if sent_ns > when_ns)


@pytest.mark.parametrize(
    ("queue", "fetching_s", "stamped"),
    [(1000, 0.0, False), (2, 0.0, False), (4, 0.15, True), (0, 0.0, False)],
    ids=["network holds all back", "driver holds two back", "only their stamps tell", "nothing held back"],
)
def test_when_the_source_stood_still(stream, monkeypatch, queue, fetching_s, stamped) -> None:
    monkeypatch.setattr(exposure, "TRUSTED_AFTER", 5)
    camera = Camera(queue, fetching_s)
    sent, summary = stream(camera, Seeing(), stamped)
    assert sent[0][0] < BEFORE
    number, sent_ns = first_after(sent, camera.stall_over_ns)
    assert number >= BEFORE
    assert sent_ns - camera.taken_ns(number) < PERIOD_NS
    frames = summary.frames
    assert frames["captured"] == frames["published"] + sum(frames["drop_reasons"].values())
    assert frames["drop_reasons"]["old_on_arrival"] >= min(queue, 8)


def test_when_the_loop_stood_still(stream) -> None:
    camera = Camera(0, stalls=False)
    perception = Seeing(stall_at=BEFORE)
    sent, summary = stream(camera, perception)
    late, *after = [one for one in sent if one[1] > perception.stall_over_ns]
    assert late[0] == BEFORE  # the one that was being looked at
    number, sent_ns = after[0]
    # The newest of the moment, and not one of those that came meanwhile; a period old at the most, and as much again
    # for a machine on which the next one was due and the reader had not had its turn.
    assert late[1] - camera.taken_ns(number) < 2 * PERIOD_NS
    assert summary.frames["drop_reasons"]["replaced_by_newer"] >= 8
