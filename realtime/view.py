"""One source with its perception: the unit that can stand twice. Two views share nothing."""

from __future__ import annotations

import time

import numpy as np

from realtime.camera import FrameFeed
from realtime.observation import Crop, Frame, Observation
from realtime.perception import Perception
from realtime.perception.tracking import Tracker


class View:
    """The newest frame of one source, and who is in it.

    `perception_start_ns`, `perception_end_ns`: time.monotonic_ns() around the perception of the last frame.
    """

    def __init__(self, feed: FrameFeed, perception: Perception, tracker: Tracker) -> None:
        self.feed = feed
        self.perception = perception
        self.tracker = tracker
        self.perception_start_ns = 0
        self.perception_end_ns = 0

    def next(self, timeout_s: float) -> tuple[Frame, Observation] | None:
        """Wait up to timeout_s seconds for a frame not used yet, and perceive it; None if none came."""
        frame = self.feed.next(timeout_s)
        if frame is None:
            return None
        self.perception_start_ns = time.monotonic_ns()
        observation = perceive(frame.image, frame.t_capture_ns, self.perception, self.tracker)
        self.perception_end_ns = time.monotonic_ns()
        return frame, observation

    def close(self) -> None:
        """Stop the source and let go of the models."""
        self.feed.close()
        self.perception.close()


def perceive(image: np.ndarray, t_ns: int, perception: Perception, tracker: Tracker) -> Observation:
    """One step of perception and tracker. image: (H, W, 3) uint8 BGR, left as it is; t_ns: its stamp."""
    height, width = image.shape[:2]
    looked_at = image if tracker.search is None else only_inside(image, tracker.search)
    observation = tracker.update(perception.process(looked_at, t_ns), t_ns, (width, height))
    if tracker.restart:
        perception.reset()
    return observation


def only_inside(image: np.ndarray, square: Crop) -> np.ndarray:
    """A copy of the image, same shape, that is black outside the square."""
    height, width = image.shape[:2]
    left, right = (int(np.clip(square.cx + side * square.side / 2, 0, width)) for side in (-1, 1))
    top, bottom = (int(np.clip(square.cy + side * square.side / 2, 0, height)) for side in (-1, 1))
    masked = np.zeros_like(image)
    masked[top:bottom, left:right] = image[top:bottom, left:right]
    return masked
