import time
from collections import deque

import numpy as np
import pytest
from people import IMAGE_SIZE, clip_with_person, perception_of, pictures, standing

from realtime.camera import CameraStatus, open_feed
from realtime.config import Config, PerceptionConfig
from realtime.observation import Crop, Frame
from realtime.perception import PERCEPTIONS
from realtime.perception.tracking import Tracker
from realtime.view import View, only_inside


class ListFeed:
    """Gives the frames it was made of."""

    name = "list"

    def __init__(self, images, fps=30.0, name="list"):
        self.name = name
        times = [10**12 + round(i * 1e9 / fps) for i in range(len(images))]
        self.frames = deque(
            Frame(image, i, t, t, name) for i, (image, t) in enumerate(zip(images, times, strict=True))
        )
        self.closed = False

    @property
    def ended(self):
        return not self.frames

    def start(self):
        pass

    def next(self, timeout_s):
        return self.frames.popleft() if self.frames else None

    def status(self):
        return CameraStatus(self.name, "live", *IMAGE_SIZE, 30.0, 30.0, 0, 0, 0, None, "")

    def dropped(self):
        return []

    def close(self):
        self.closed = True


class Script:
    """Perception that finds what it is told to, and remembers what it was shown."""

    name = "script"

    def __init__(self, detections):
        self.detections = deque(detections)
        self.shown = []
        self.resets = []
        self.closed = False

    def process(self, image, t_ns):
        self.shown.append(image)
        return self.detections.popleft()

    def reset(self):
        self.resets.append(len(self.shown))

    def close(self):
        self.closed = True

    def describe(self):
        return {"name": self.name}


def scripted(detections, value=200):
    images = [np.full((*IMAGE_SIZE[::-1], 3), value, np.uint8) for _ in detections]
    script = Script(detections)
    return View(ListFeed(images), script, Tracker(PerceptionConfig())), script, images


def states(view):
    seen = []
    while (pair := view.next(0.0)) is not None:
        seen.append((pair[1].state, pair[1].person))
    return seen


def test_after_somebody_else_it_looks_only_where_the_person_was():
    person, other = standing(x=150.0, px_per_m=100.0), standing(x=560.0, px_per_m=100.0)
    view, script, images = scripted([person, person, other, None, person, person])
    assert states(view) == [
        ("lost", 0),
        ("tracking", 1),
        ("held", 1),
        ("held", 1),
        ("tracking", 1),
        ("tracking", 1),
    ]
    assert script.resets == [3]
    whole = [0, 1, 2, 5]
    assert all(script.shown[i] is images[i] for i in whole)
    for i in (3, 4):
        assert script.shown[i].shape == images[i].shape
        assert (script.shown[i][130:330, 150] == 200).all()
        assert (script.shown[i][:, 450:] == 0).all()
    assert all((image == 200).all() for image in images)  # the frame itself goes on to the viewer


def test_no_frame_no_observation():
    view, script, _ = scripted([])
    assert view.next(0.0) is None
    assert script.shown == []


def test_stamps_and_close():
    view, script, _ = scripted([standing()])
    before = time.monotonic_ns()
    frame, observation = view.next(0.0)
    assert before <= view.perception_start_ns <= view.perception_end_ns <= time.monotonic_ns()
    assert (frame.index, observation.image_size) == (0, IMAGE_SIZE)
    view.close()
    assert view.feed.closed
    assert script.closed


@pytest.mark.parametrize("square", [Crop(50, 40, 20), Crop(0, 0, 20), Crop(50, 40, 1e9), Crop(-500, 40, 20)])
def test_only_inside(square):
    image = np.arange(80 * 100 * 3, dtype=np.uint32).astype(np.uint8).reshape(80, 100, 3) | 1
    masked = only_inside(image, square)
    rows, columns = np.mgrid[:80, :100] + 0.5
    inside = (abs(columns - square.cx) < square.side / 2) & (abs(rows - square.cy) < square.side / 2)
    np.testing.assert_array_equal(masked[inside], image[inside])
    assert not masked[~inside].any()


KINDS = pytest.mark.parametrize("kind", sorted(PERCEPTIONS))


def real_view(kind, images, fps=30.0, name="list"):
    return View(ListFeed(images, fps, name), perception_of(kind), Tracker(PerceptionConfig()))


@KINDS
def test_two_views_side_by_side(kind):
    """Interleaved, each view gives what it gives alone."""

    def follow(view, length):
        for _ in range(length):
            frame, observation = view.next(0.0)
            yield frame.camera, observation

    def facts(observation):
        found = observation.detection
        return (
            observation.state,
            observation.person,
            observation.crop,
            None if found is None else found.world.tolist(),
        )

    images = pictures(6)
    mirrored = [np.ascontiguousarray(image[:, ::-1]) for image in images]
    alone = [
        [(camera, facts(seen)) for camera, seen in follow(real_view(kind, shown, name=name), 6)]
        for shown, name in ((images, "left"), (mirrored, "right"))
    ]
    pairs = zip(
        follow(real_view(kind, images, name="left"), 6),
        follow(real_view(kind, mirrored, name="right"), 6),
        strict=True,
    )
    together = [[(camera, facts(seen)) for camera, seen in pair] for pair in pairs]
    assert [list(column) for column in zip(*together, strict=True)] == alone
    assert alone[0][-1][1] != alone[1][-1][1]


@KINDS
def test_a_person_who_leaves_is_not_replaced_by_his_neighbour(kind):
    """Two people side by side; the one who is followed vanishes."""
    height, width = pictures(1)[0].shape[:2]
    keep = min(
        width, int(0.6 * height)
    )  # a column with the person in it, or he is too small on the wide canvas
    left = (width - keep) // 2
    images = [image[::2, left : left + keep : 2] for image in pictures(8)]
    height, width = images[0].shape[:2]
    people = [np.zeros((height, 4 * width, 3), np.uint8) for _ in range(40)]
    for i, canvas in enumerate(people):
        shown = images[min(i, 7)]
        if i < 10:
            canvas[:, :width] = shown
        if i >= 4:
            canvas[:, 3 * width :] = shown
    view = real_view(kind, people)
    seen = states(view)
    assert seen[1:10] == [("tracking", 1)] * 9
    assert set(seen[10:24]) == {("held", 1)}
    assert seen[-1] == ("tracking", 2)
    assert seen.index(("tracking", 2)) >= 24  # half a second after


@KINDS
def test_a_whole_clip_through_a_real_feed(kind):
    config = Config()
    config.source, config.every_frame = str(clip_with_person()), True
    feed = open_feed(config)
    feed.start()
    view = View(feed, perception_of(kind), Tracker(config.perception))
    try:
        seen = [view.next(5.0)[1].state for _ in range(15)]
    finally:
        view.close()
    assert seen == ["lost"] + ["tracking"] * 14
