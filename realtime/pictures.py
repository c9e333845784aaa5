"""The picture topic: the camera's image, made small, with what was found in it; for looking at only."""

from __future__ import annotations

import logging
import time

import cv2
import numpy as np

from realtime.bus.publisher import Publisher
from realtime.clock import clock_id
from realtime.config import BusConfig
from realtime.messages import ImageMessage, MessageError, encode_image
from realtime.observation import Frame, Observation, State

JPEG_QUALITY = 75
DIMMED = 0.35  # brightness of what is not the person, where perception gave a mask

log = logging.getLogger(__name__)


class PictureSender:
    """Sends at most `config.image_fps` pictures per second, and none while nobody subscribes to them.

    always: also while nobody does, for a recorder.
    """

    def __init__(self, publisher: Publisher, config: BusConfig, always: bool = False) -> None:
        self.invalid = 0  # pictures that could not be sent; the stream must not end over one
        self._publisher = publisher
        self._always = always
        self._interval_ns = round(1e9 / config.image_fps)
        self._width = config.image_width
        self._seq = 0
        self._due_ns = 0

    def offer(self, frame: Frame, observation: Observation, state: State) -> bool:
        """Called after each frame's pose was sent. True when a picture was sent."""
        now_ns = time.monotonic_ns()
        if now_ns < self._due_ns or not frame.image.size:
            return False
        if not self._always and not self._publisher.wants("image"):
            return False
        # On a steady grid: 15 of 30 fps are every second frame, also where frames do not come exactly on time.
        self._due_ns = max(self._due_ns + self._interval_ns, now_ns + self._interval_ns * 3 // 4)
        try:
            message = self._message(frame, observation, state)
        except MessageError as error:
            if not self.invalid:
                log.warning("picture of frame %d not sent: %s", frame.index, error)
            self.invalid += 1
            return False
        self._publisher.publish(encode_image(message))
        self._seq += 1
        return True

    def _message(self, frame: Frame, observation: Observation, state: State) -> ImageMessage:
        height, width = frame.image.shape[:2]
        scale = min(1.0, self._width / width)
        size = (max(1, round(width * scale)), max(1, round(height * scale)))
        small = cv2.resize(frame.image, size, interpolation=cv2.INTER_AREA) if scale < 1 else frame.image
        if observation.detection is not None and observation.detection.mask is not None:
            small = dim_background(small, observation.detection.mask)
        _, jpeg = cv2.imencode(".jpg", small, (cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY))
        per_axis = np.array((size[0] / width, size[1] / height), np.float32)
        detection, crop = observation.detection, observation.crop
        return ImageMessage(
            seq=self._seq,
            t_publish_ns=time.monotonic_ns(),
            clock=clock_id(),
            frame=frame.index,
            t_capture_ns=frame.t_capture_ns,
            jpeg=jpeg.tobytes(),
            width=size[0],
            height=size[1],
            state=state,
            landmarks=None if detection is None else detection.landmarks_px * per_axis,
            visibility=None if detection is None else detection.visibility,
            crop=None if crop is None else np.array((crop.cx, crop.cy, crop.side), np.float32) * per_axis[0],
        )


def dim_background(picture: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """A copy of the picture, darker where the mask says that there is no person.

    picture: (H, W, 3) or grey (H, W) uint8. mask: float32 in [0, 1] of any size, laid over the whole picture.
    """
    height, width = picture.shape[:2]
    share = cv2.resize(mask, (width, height), interpolation=cv2.INTER_LINEAR)
    share = cv2.convertScaleAbs(share, alpha=255.0 * (1.0 - DIMMED), beta=255.0 * DIMMED)
    if picture.ndim == 3:
        share = cv2.cvtColor(share, cv2.COLOR_GRAY2BGR)
    return cv2.multiply(picture, share, scale=1.0 / 255.0)
