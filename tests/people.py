"""A standing person as landmarks, and real pictures of one, for the tests of perception and view."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from realtime.assets import ASSETS
from realtime.config import Config
from realtime.observation import Detection
from realtime.perception import Perception, make_perception

VIDEOS = Path(__file__).resolve().parent.parent.parent / "shared" / "videos"

# x (his left is positive: he faces the camera), y (down), metres from mid-hip; a row per BlazePose landmark.
STANDING = np.array(
    [[0.0, -0.66]] + [[0.03 * side, -0.69] for side in (1, 1, 1, -1, -1, -1)]  # nose, eyes
    + [[0.07, -0.68], [-0.07, -0.68], [0.02, -0.62], [-0.02, -0.62]]  # ears, mouth
    + [[0.18, -0.48], [-0.18, -0.48], [0.24, -0.20], [-0.24, -0.20], [0.26, 0.04], [-0.26, 0.04]]  # arms
    + [[0.27 * side, 0.10] for side in (1, -1, 1, -1, 1, -1)]  # hands
    + [[0.10, 0.0], [-0.10, 0.0], [0.11, 0.42], [-0.11, 0.42], [0.11, 0.82], [-0.11, 0.82]]  # legs
    + [[0.11, 0.86], [-0.11, 0.86], [0.14, 0.88], [-0.14, 0.88]],  # feet
    np.float32,
)  # fmt: skip
IMAGE_SIZE = (640, 480)


def standing(
    x: float = 320.0, y: float = 230.0, px_per_m: float = 200.0, visibility: float = 0.95
) -> Detection:
    """A person whose mid-hip is at pixel (x, y)."""
    world = np.concatenate([STANDING, np.zeros((33, 1), np.float32)], axis=1)
    pixels = np.array([x, y], np.float32) + np.float32(px_per_m) * STANDING
    return Detection(pixels, world, np.full(33, visibility, np.float32))


def at_desk(hidden: float = 0.05) -> Detection:
    """Head, shoulders and elbows in view; the rest below the picture's edge or the desk."""
    person = standing(y=420.0, px_per_m=300.0)
    visibility = person.visibility.copy()
    visibility[15:] = hidden
    visibility[[15, 16]] = 0.5
    return Detection(person.landmarks_px, person.world, visibility)


def perception_of(name: str, **settings: object) -> Perception:
    """The perception of that name, with settings of `perception`; or the test is skipped where it is not installed."""
    if name == "mediapipe":
        pytest.importorskip("mediapipe", reason="the extra [mediapipe] is not installed")
    config = Config()
    config.perception.name = name
    for key, value in settings.items():
        setattr(config.perception, key, value)
    return make_perception(config)


def clip_with_person() -> Path:
    """A video with one person in view all the time, or the test is skipped."""
    for path in (ASSETS / "demo.mp4", VIDEOS / "tfjs_squats.mp4"):
        if path.is_file():
            return path
    pytest.skip("neither assets/demo.mp4 nor ../shared/videos/tfjs_squats.mp4 is here")


def pictures(count: int, path: Path | None = None) -> list[np.ndarray]:
    """The first pictures of that clip, (H, W, 3) uint8 BGR."""
    capture = cv2.VideoCapture(str(path or clip_with_person()))
    frames = [capture.read()[1] for _ in range(count)]
    capture.release()
    return frames
