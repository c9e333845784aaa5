"""A network camera that films the screen of an Xvfb: MJPEG over HTTP on 127.0.0.1, each picture DELAY_MS after it was
taken.

python tests/servers/clock_camera.py PORT FRAMEBUFFER FPS DELAY_MS     prints "ready PORT"; port 0 takes a free one

FRAMEBUFFER is the file that `Xvfb -fbdir` keeps, in X's window dump format (XWD, <X11/XWDFile.h>): 25 big-endian
words of header, colours, pixels.
"""

import mmap
import struct
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import cv2
import numpy as np

SIZE = (640, 480)
HEADER_SIZE, WIDTH, HEIGHT, BYTES_PER_LINE, COLOURS = 0, 4, 5, 12, 19  # words of the header
BYTES_PER_COLOUR = 12


class Screen:
    def __init__(self, framebuffer: Path) -> None:
        with framebuffer.open("rb") as file:
            self._map = mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ)
        words = struct.unpack(">25I", self._map[:100])
        start = words[HEADER_SIZE] + words[COLOURS] * BYTES_PER_COLOUR
        pixels = np.frombuffer(self._map, np.uint8, words[HEIGHT] * words[BYTES_PER_LINE], start)
        self._green = pixels.reshape(words[HEIGHT], words[BYTES_PER_LINE] // 4, 4)[:, : words[WIDTH], 1]
        height, width = self.grab().shape
        flat = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float32)
        seen = np.array([[30, 60], [610, 90], [590, 400], [50, 430]], np.float32)
        self._warp = cv2.getPerspectiveTransform(flat, seen)
        self._noise = np.random.default_rng(0).normal(20, 4, (2 * SIZE[1], 2 * SIZE[0])).astype(np.int16)
        self._films = 0

    def grab(self) -> np.ndarray:
        return self._green[::2, ::2].copy()

    def film(self, grabbed: np.ndarray) -> bytes:
        seen = cv2.warpPerspective(grabbed, self._warp, SIZE, flags=cv2.INTER_AREA, borderValue=60)
        seen = cv2.GaussianBlur(cv2.convertScaleAbs(seen, alpha=0.7), (5, 5), 1.0)
        self._films += 1
        row, column = self._films * 37 % SIZE[1], self._films * 53 % SIZE[0]
        noise = self._noise[row : row + SIZE[1], column : column + SIZE[0]]
        return cv2.imencode(".jpg", cv2.add(seen, noise, dtype=cv2.CV_8U))[1].tobytes()


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
        self.end_headers()
        due_s = time.monotonic()
        try:
            while True:
                time.sleep(max(0.0, due_s - time.monotonic()))
                taken_s = time.monotonic()
                jpeg = screen.film(screen.grab())
                head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(jpeg)}\r\n\r\n"
                # Taking and sending in turns: the delay must be shorter than a period.
                time.sleep(max(0.0, taken_s + delay_s - time.monotonic()))
                self.wfile.write(head.encode() + jpeg + b"\r\n")
                due_s = max(due_s + 1 / fps, taken_s + 0.5 / fps)
        except (BrokenPipeError, ConnectionResetError):
            pass  # the viewer left

    def log_message(self, *args) -> None:
        pass


class Server(ThreadingHTTPServer):
    daemon_threads = True
    allow_reuse_address = True


if __name__ == "__main__":
    screen = Screen(Path(sys.argv[2]))
    fps, delay_s = float(sys.argv[3]), float(sys.argv[4]) / 1000
    server = Server(("127.0.0.1", int(sys.argv[1])), Handler)
    print("ready", server.server_address[1], flush=True)
    server.serve_forever()
