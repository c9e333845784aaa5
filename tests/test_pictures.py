"""The picture topic: small, rare, and never the end of the stream."""

import dataclasses
import time

import cv2
import numpy as np
import pytest

from realtime.config import BusConfig
from realtime.messages import decode_image
from realtime.observation import Crop, Detection, Frame, Observation
from realtime.pictures import DIMMED, PictureSender, dim_background


class Wall:
    """A bus that keeps what is published."""

    def __init__(self, wanted=True):
        self.wanted = wanted
        self.messages = []

    def wants(self, topic):
        return self.wanted and topic == "image"

    def publish(self, data):
        self.messages.append(decode_image(data))


def frame(width=640, height=480, index=0):
    now_ns = time.monotonic_ns()
    return Frame(np.full((height, width, 3), 128, np.uint8), index, now_ns, now_ns, "c")


def seen(pixels=(320.0, 240.0)):
    landmarks = np.tile(np.array(pixels, np.float32), (33, 1))
    detection = Detection(landmarks, np.zeros((33, 3), np.float32), np.full(33, 0.5, np.float32))
    return Observation(detection, Crop(320.0, 240.0, 200.0), "tracking", 0.9, 1, (640, 480))


NOBODY = Observation(None, None, "lost", 0.0, 0, (640, 480))


def test_everything_in_it_is_made_small_together():
    wall = Wall()
    assert PictureSender(wall, BusConfig(image_width=320)).offer(frame(), seen((100.0, 60.0)), "tracking")
    (message,) = wall.messages
    assert (message.width, message.height, message.state) == (320, 240, "tracking")
    assert message.landmarks[0] == pytest.approx((50.0, 30.0))
    assert message.crop == pytest.approx((160.0, 120.0, 100.0))
    assert message.visibility[0] == pytest.approx(0.5)


def test_a_small_picture_is_not_made_larger_and_nobody_is_nobody():
    wall = Wall()
    PictureSender(wall, BusConfig()).offer(frame(100, 60), NOBODY, "lost")
    (message,) = wall.messages
    assert (message.width, message.height) == (100, 60)
    assert message.landmarks is message.crop is message.visibility is None


def test_half_of_thirty_frames_are_sent_at_fifteen_per_second(monkeypatch):
    wall = Wall()
    sender = PictureSender(wall, BusConfig(image_fps=15.0))
    rng = np.random.default_rng(0)
    for i in range(300):
        now_ns = round((i + rng.uniform(0, 0.3)) * 1e9 / 30) + 10**9  # frames never come exactly on time
        monkeypatch.setattr(time, "monotonic_ns", lambda now_ns=now_ns: now_ns)
        sender.offer(frame(64, 48, i), NOBODY, "lost")
    assert 145 <= len(wall.messages) <= 155
    assert set(np.diff([message.frame for message in wall.messages])) <= {2, 3}


def test_nothing_is_encoded_for_nobody():
    assert not PictureSender(Wall(wanted=False), BusConfig()).offer(frame(), seen(), "tracking")


def test_what_cannot_be_sent_is_counted_and_the_next_one_is_sent():
    wall = Wall()
    sender = PictureSender(wall, BusConfig(image_fps=1000.0))
    assert not sender.offer(frame(), seen((np.nan, 0.0)), "tracking")
    assert not sender.offer(frame(0, 0), NOBODY, "lost")
    assert sender.invalid == 1
    time.sleep(0.005)
    assert sender.offer(frame(), seen(), "tracking")


@pytest.mark.parametrize("shape", [(48, 64, 3), (48, 64)])
def test_what_is_not_the_person_is_dimmed(shape):
    picture = np.full(shape, 200, np.uint8)
    mask = np.zeros((96, 128), np.float32)  # of the picture before it was made small
    mask[:, 64:] = 1.0
    dimmed = dim_background(picture, mask)
    assert (dimmed.shape, dimmed.dtype) == (shape, np.uint8)
    assert (picture == 200).all()
    assert (np.abs(dimmed[:, :31].astype(float) - 200 * DIMMED) <= 1).all()
    assert (np.abs(dimmed[:, 33:].astype(float) - 200) <= 1).all()


def test_the_picture_is_dimmed_where_perception_gave_a_mask():
    brightness = []
    for mask in (None, np.zeros((480, 640), np.float32)):
        wall, one = Wall(), seen()
        found = dataclasses.replace(one.detection, mask=mask)
        assert PictureSender(wall, BusConfig()).offer(
            frame(), dataclasses.replace(one, detection=found), "tracking"
        )
        image = cv2.imdecode(np.frombuffer(wall.messages[0].jpeg, np.uint8), cv2.IMREAD_COLOR)
        brightness.append(image.mean())
    assert brightness == [pytest.approx(128, abs=2), pytest.approx(128 * DIMMED, abs=2)]
