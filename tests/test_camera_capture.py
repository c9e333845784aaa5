"""Opening cameras: a webcam's mode is asked for and told, what is not there is a clear error."""

import itertools
import time

import cv2
import numpy as np
import pytest
from scripted_cameras import picture

from realtime.camera import capture as capture_module
from realtime.camera import open_feed
from realtime.camera.capture import open_webcam
from realtime.config import CameraConfig, Config
from realtime.errors import ConfigError, SourceError


@pytest.mark.parametrize("source", ["97", "/dev/video97"])
def test_an_absent_camera_is_a_clear_error(source, capfd) -> None:
    with pytest.raises(SourceError) as caught:
        open_feed(Config(source=source)).start()
    message = str(caught.value)
    assert "97" in message and "--source demo" in message and len(message.splitlines()) <= 2
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("source", ["0", "rtsp://127.0.0.1/x"])
def test_every_frame_of_a_live_source_is_refused(source) -> None:
    with pytest.raises(ConfigError, match="--every-frame"):
        open_feed(Config(source=source, every_frame=True))


class Webcam:
    """Stands for cv2.VideoCapture with a camera that knows one mode only: 320x240 YUYV at 15 fps."""

    asked: dict[int, float] = {}

    def __init__(self, device: int, backend: int) -> None:
        self.asked.clear()
        self.values = itertools.count()

    def isOpened(self) -> bool:
        return True

    def set(self, key: int, value: float) -> bool:
        self.asked[key] = value
        return False

    def get(self, key: int) -> float:
        return {
            cv2.CAP_PROP_FRAME_WIDTH: 320,
            cv2.CAP_PROP_FRAME_HEIGHT: 240,
            cv2.CAP_PROP_FPS: 15,
            cv2.CAP_PROP_FOURCC: cv2.VideoWriter.fourcc(*"YUYV"),
            cv2.CAP_PROP_POS_MSEC: 0,
        }[key]

    def read(self) -> tuple[bool, np.ndarray]:
        time.sleep(0.01)
        return True, picture(next(self.values))

    def release(self) -> None:
        pass


def test_a_webcam_is_asked_for_our_mode_and_what_it_gives_is_said(monkeypatch) -> None:
    monkeypatch.setattr(capture_module.cv2, "VideoCapture", Webcam)
    config = CameraConfig(width=1280, height=720, fps=60)
    capture = open_webcam(0, config)
    assert Webcam.asked == {
        cv2.CAP_PROP_FOURCC: cv2.VideoWriter.fourcc(*"MJPG"),
        cv2.CAP_PROP_FRAME_WIDTH: 1280,
        cv2.CAP_PROP_FRAME_HEIGHT: 720,
        cv2.CAP_PROP_FPS: 60,
        cv2.CAP_PROP_BUFFERSIZE: 1,
    }
    assert next(iter(Webcam.asked)) == cv2.CAP_PROP_FOURCC  # sizes and rates depend on it
    assert capture.mode == "320x240 YUYV at 15 fps (asked for 1280x720 MJPG at 60 fps)"

    feed = open_feed(Config(source="0", camera=config))
    feed.start()
    assert feed.status().message == capture.mode and feed.status().nominal_fps == 15
    feed.close()
