"""A network camera that stands still once: MJPEG over HTTP on 127.0.0.1, each picture with its number in it.

Picture n is taken at t0 + n / fps, whatever happens. During the pause either none is taken ("silent"), or the network
holds them back, and they all come at its end ("held back"). So it is known when a picture was taken, which no receiver
of such a stream can know.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType

import cv2
import numpy as np

BITS = 16
BOX_PX = 24  # side of a box of the number, along the upper edge of the picture
LEAST_WIDTH_PX = BITS * BOX_PX
MODES = ("silent", "held back")


def numbered(image: np.ndarray, number: int) -> np.ndarray:
    """A copy of `image` (H, W >= LEAST_WIDTH_PX, 3) uint8 with the number in boxes along its upper edge."""
    made = image.copy()
    for bit in range(BITS):
        made[:BOX_PX, bit * BOX_PX : (bit + 1) * BOX_PX] = 255 if number >> bit & 1 else 0
    return made


def number_of(image: np.ndarray) -> int:
    """The number in a picture of the size that `numbered` made, after a codec or two."""
    inner = slice(BOX_PX // 4, 3 * BOX_PX // 4)
    boxes = (image[inner, bit * BOX_PX + BOX_PX // 4 : bit * BOX_PX + 3 * BOX_PX // 4] for bit in range(BITS))
    return sum(int(box.mean() > 127) << bit for bit, box in enumerate(boxes))


def pictures_of(clip: Path, count: int) -> list[bytes]:
    """`count` JPEGs: the clip's pictures over and over, numbered. Raises RuntimeError if there are none, or no room
    for the numbers."""
    made: list[bytes] = []
    while len(made) < count:
        video, before = cv2.VideoCapture(str(clip)), len(made)
        while len(made) < count:
            good, image = video.read()
            if not good:
                break
            if image.shape[1] < LEAST_WIDTH_PX:
                raise RuntimeError(
                    f"{clip}: {image.shape[1]} px wide; numbers in its pictures take {LEAST_WIDTH_PX}"
                )
            made.append(cv2.imencode(".jpg", numbered(image, len(made)))[1].tobytes())
        video.release()
        if len(made) == before:
            raise RuntimeError(f"{clip}: not one frame can be read")
    return made


class StallingCamera:
    """Serves `url` in a context. The pause begins `after_s` after somebody connects first, and lasts `stall_s`."""

    def __init__(
        self, pictures: Sequence[bytes], fps: float, after_s: float, stall_s: float, mode: str
    ) -> None:
        self.fps = fps
        self._pictures = pictures
        self._stall_s, self._after_s = stall_s, after_s
        self._held_back = mode == "held back"
        self._t0_ns = 0
        self._lock = threading.Lock()
        camera = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(200)
                self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
                self.end_headers()
                with contextlib.suppress(OSError):  # the receiver left
                    camera.send(self)

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._server.block_on_close = False
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/"

    def taken_ns(self, number: int) -> int:
        """When picture `number` was taken, time.monotonic_ns()."""
        return self._t0_ns + round(number * 1e9 / self.fps)

    @property
    def stall_ns(self) -> tuple[int, int]:
        """Begin and end of the pause; (0, 0) before anybody connected."""
        if not self._t0_ns:
            return 0, 0
        begin_ns = self._t0_ns + round(self._after_s * 1e9)
        return begin_ns, begin_ns + round(self._stall_s * 1e9)

    def send(self, handler: BaseHTTPRequestHandler) -> None:
        """To one receiver, until the pictures are used up."""
        with self._lock:
            self._t0_ns = self._t0_ns or time.monotonic_ns()
        begin_ns, end_ns = self.stall_ns
        number = self._next_number()
        while number < len(self._pictures):
            due_ns = self.taken_ns(number)
            if begin_ns <= due_ns < end_ns:
                if not self._held_back:
                    number += 1
                    continue
                due_ns = end_ns
            time.sleep(max(0.0, (due_ns - time.monotonic_ns()) / 1e9))
            jpeg = self._pictures[number]
            head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(jpeg)}\r\n\r\n"
            handler.wfile.write(head.encode() + jpeg + b"\r\n")
            number += 1

    def _next_number(self) -> int:
        return int((time.monotonic_ns() - self._t0_ns) * self.fps / 1e9) + 1

    def __enter__(self) -> StallingCamera:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
