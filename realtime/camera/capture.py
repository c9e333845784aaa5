"""Opening cv2.VideoCapture: webcams with the mode we ask for, network streams with time limits, files.

The only module of the live path that opens cameras and videos through OpenCV.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import Any

# FFmpeg's and OpenCV's own complaints would surround our one line that says what is wrong. FFmpeg's level is
# read when it is first used, OpenCV's when it is loaded; whoever debugs them sets these variables himself.
os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")  # AV_LOG_QUIET
_LOG_LEVEL_IS_THE_USERS = "OPENCV_LOG_LEVEL" in os.environ

import cv2  # noqa: E402
import numpy as np  # noqa: E402

from realtime.camera.diagnose import why_url_fails, why_webcam_fails, without_password  # noqa: E402
from realtime.config import CameraConfig  # noqa: E402
from realtime.errors import SourceError  # noqa: E402

if not _LOG_LEVEL_IS_THE_USERS:
    _owner: Any = getattr(cv2.utils, "logging", cv2)  # OpenCV 4.13 moved the function
    _owner.setLogLevel(0)  # silent; cv2 may have been imported by others before us

SNIFF_BYTES = 4096
FFMPEG_GUESS_FPS = 25.0  # what FFmpeg says of a stream that tells no rate, as MJPEG over HTTP never does
MAX_BACKLOG = 300  # pictures that FFmpeg may hold back while it finds out what a stream is: 5 s at 60 fps
BACKLOG_SHARE = 0.3  # a picture that comes within this share of the time between two was held back
MAX_STAMP_MS = 1e15  # 30,000 years: beyond, and for NaN, a driver gave nonsense


class Capture:
    """An open cv2.VideoCapture. Not thread-safe: the thread that opened it reads and closes it."""

    def __init__(
        self, video: cv2.VideoCapture, where: str, mode: str, nominal_fps: float, stamped: bool = False
    ) -> None:
        self._video = video
        self.where = where  # what it is, as messages name it
        self.mode = mode  # what it gives, in words
        self.nominal_fps = nominal_fps  # 0 where unknown
        self.stamped = (
            stamped  # by its driver, on CLOCK_MONOTONIC if all is well (realtime/camera/exposure.py)
        )

    def read(self) -> np.ndarray | None:
        """Next picture (H, W, 3) uint8 BGR; None where there is none (end, connection lost, read timed out).

        Raises SourceError if the backend fails or gives something that is no colour picture.
        """
        try:
            ok, image = self._video.read()
        except cv2.error as error:
            raise SourceError(f"{self.where}: OpenCV cannot read it ({error.err})") from None
        if not ok:
            return None
        if image is None or image.ndim != 3 or image.shape[2] != 3 or image.size == 0:
            size = "no" if image is None else "x".join(str(length) for length in reversed(image.shape[:2]))
            raise SourceError(f"{self.where} gives {size} pixels, not a colour picture; try another source")
        return image

    def stamp_ns(self) -> int:
        """The driver's stamp of the picture last read, nanoseconds; 0 where it gives none."""
        stamp_ms = self._video.get(cv2.CAP_PROP_POS_MSEC) if self.stamped else 0.0
        return round(stamp_ms * 1e6) if 0.0 < stamp_ms < MAX_STAMP_MS else 0

    def pass_over(self) -> bool:
        """Go past the next picture without converting it; False where there is none."""
        return bool(self._video.grab())

    def pass_over_backlog(self, fps: float) -> None:
        """Go on to where reading has to wait for the source: pictures held back so far are old."""
        for _ in range(MAX_BACKLOG):
            before_s = time.monotonic()
            if not self._video.grab() or time.monotonic() - before_s > BACKLOG_SHARE / fps:
                return

    def announced_frames(self) -> int:
        """How many frames a file's header promises; 0 where it does not say."""
        count = self._video.get(cv2.CAP_PROP_FRAME_COUNT)
        return int(count) if 0 < count < 1e9 else 0

    def close(self) -> None:
        self._video.release()


def open_webcam(device: int | str, config: CameraConfig) -> Capture:
    """Open a webcam by index (or /dev/videoN) in the mode of `config`, or the nearest that it has.

    Raises SourceError with the system's reason and the next step.
    """
    where = f"camera {device}"
    for backend in _webcam_backends():
        video = cv2.VideoCapture(device, backend)
        if video.isOpened():
            break
        video.release()
    else:
        raise SourceError(
            f"{where} cannot be opened: {why_webcam_fails(device)}.\n"
            "`python -m realtime.camera` lists the cameras found; run_live.py --source demo needs none."
        )
    # The format first: the sizes and rates that a camera has depend on it.
    video.set(cv2.CAP_PROP_FOURCC, cv2.VideoWriter.fourcc(*config.fourcc.ljust(4)[:4]))
    video.set(cv2.CAP_PROP_FRAME_WIDTH, config.width)
    video.set(cv2.CAP_PROP_FRAME_HEIGHT, config.height)
    video.set(cv2.CAP_PROP_FPS, config.fps)
    video.set(cv2.CAP_PROP_BUFFERSIZE, config.buffers)
    fps = max(video.get(cv2.CAP_PROP_FPS), 0.0)
    return Capture(video, where, webcam_mode(video, config), fps, stamped=backend == cv2.CAP_V4L2)


def webcam_mode(video: cv2.VideoCapture, config: CameraConfig | None) -> str:
    """The mode that a webcam is in, and what was asked of it where that differs."""
    width, height = int(video.get(cv2.CAP_PROP_FRAME_WIDTH)), int(video.get(cv2.CAP_PROP_FRAME_HEIGHT))
    code = int(video.get(cv2.CAP_PROP_FOURCC))
    letters = "".join(chr(code >> shift & 0xFF) for shift in (0, 8, 16, 24))
    given = describe_mode(width, height, letters, video.get(cv2.CAP_PROP_FPS))
    if config is None:
        return given
    asked = describe_mode(config.width, config.height, config.fourcc, config.fps)
    return given if given == asked else f"{given} (asked for {asked})"


def describe_mode(width: int, height: int, fourcc: str, fps: float) -> str:
    name = fourcc.strip() if fourcc.strip().isprintable() and fourcc.strip() else "unknown format"
    return f"{width}x{height} {name} at {fps:g} fps" if fps > 0 else f"{width}x{height} {name}, rate not told"


def open_stream(url: str, config: CameraConfig) -> Capture:
    """Open an http(s) or rtsp(s) URL; a read gives up some time after the stream counts as stale.

    Raises SourceError with the server's answer.
    """
    where = without_password(url)
    settings = [
        cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, int(config.open_timeout_s * 1000),
        # Later than the verdict "stale": that one is ours to pass; this only sets the abandoned reader free.
        cv2.CAP_PROP_READ_TIMEOUT_MSEC, int(config.stale_ms + config.reconnect_first_s * 1000),
        # With one thread per core the H.264 decoder holds back as many frames as there are threads.
        cv2.CAP_PROP_N_THREADS, 1,
    ]  # fmt: skip
    video = cv2.VideoCapture(url, cv2.CAP_FFMPEG, settings)
    if not video.isOpened():
        video.release()
        raise SourceError(f"{where} cannot be opened: {why_url_fails(url)}")
    fps = video.get(cv2.CAP_PROP_FPS)
    if not 0 < fps <= 1000 or (url.startswith("http") and fps == FFMPEG_GUESS_FPS):
        fps = 0.0
    width, height = int(video.get(cv2.CAP_PROP_FRAME_WIDTH)), int(video.get(cv2.CAP_PROP_FRAME_HEIGHT))
    capture = Capture(video, where, describe_mode(width, height, "stream", fps), fps)
    capture.pass_over_backlog(fps or FFMPEG_GUESS_FPS)
    return capture


def open_file(path: Path) -> Capture:
    """Open a video file. Raises SourceError if it is absent or no video."""
    choices = "--source takes a camera number, a video file, a URL or demo"
    try:
        if path.exists() and not path.is_file():
            raise SourceError(f"{path} is not a file; {choices}")
        with path.open("rb") as file:
            head = file.read(SNIFF_BYTES)
    except FileNotFoundError:
        raise SourceError(f"{path} does not exist; {choices}") from None
    except OSError as error:
        raise SourceError(f"{path} cannot be read: {error.strerror}") from None
    if not head:
        raise SourceError(f"{path} is empty; give a video file")
    if _is_text(head):  # FFmpeg would draw some of them on a terminal screen and call that a video
        raise SourceError(f"{path} is a text file, not a video")
    video = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG)
    width, height = video.get(cv2.CAP_PROP_FRAME_WIDTH), video.get(cv2.CAP_PROP_FRAME_HEIGHT)
    if not video.isOpened():
        video.release()
        raise SourceError(f"{path} is no video that OpenCV can read, or damaged; does it play elsewhere?")
    fps = video.get(cv2.CAP_PROP_FPS)
    return Capture(video, str(path), f"{width:g}x{height:g} at {fps:g} fps", fps)


def _is_text(head: bytes) -> bool:
    return not any(byte < 32 and byte not in b"\t\n\v\f\r\x1b" for byte in head) and _decodes(head)


def _decodes(head: bytes) -> bool:
    try:
        head.decode("utf-8")
    except UnicodeDecodeError as error:
        return error.start >= len(head) - 3  # a character cut by the end of the sample
    return True


def _webcam_backends() -> tuple[int, ...]:
    if sys.platform.startswith("linux"):
        return (cv2.CAP_V4L2,)
    if sys.platform == "darwin":
        return (cv2.CAP_AVFOUNDATION,)
    return (cv2.CAP_DSHOW, cv2.CAP_MSMF)  # DirectShow opens in a fraction of Media Foundation's time
