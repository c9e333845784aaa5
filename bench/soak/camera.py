"""A network camera that can fail: a clip over and over as MJPEG over HTTP on 127.0.0.1, at its own rate.

    python -m bench.soak.camera CLIP FPS      says {"port": N}, then what it took: {"taken_ns": [stamp, …]}

Words on its standard input, a line each: "stall": no picture is taken, everybody stays connected; "cut": everybody is
thrown out and nobody is let in; "on": it works again. It ends when its standard input does. Like a camera it has no
memory: pictures not taken, or not fetched before the next, are gone.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import sys
import threading
import time

import cv2

from bench.soak.process import Process

QUALITY = 85
SAY_S = 0.2
HEAD = b"HTTP/1.0 200 OK\r\nContent-Type: multipart/x-mixed-replace; boundary=frame\r\n\r\n"
MAX_REQUEST_BYTES = 8192


class Camera(Process):
    """The program below; `taken_ns` holds the stamps (CLOCK_MONOTONIC) of the pictures taken so far."""

    def __init__(self, clip: str, fps: float) -> None:
        self.taken_ns: list[int] = []
        super().__init__("bench.soak.camera", clip, f"{fps:g}")
        self.port: int = self.first["port"]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/video"

    def take(self, line: dict) -> None:
        self.taken_ns += line["taken_ns"]


class Sensor:
    """Takes a picture every 1/fps s while it is on; `wait_for_next` hands out the newest."""

    def __init__(self, pictures: list[bytes], fps: float) -> None:
        self._pictures = pictures
        self._fps = fps
        self._changed = threading.Condition()
        self._number = 0
        self.on = True
        self._taken_ns: list[int] = []

    def run(self) -> None:
        due_s = said_s = time.monotonic()
        while True:
            due_s = max(due_s + 1 / self._fps, time.monotonic() - 1 / self._fps)  # what was not taken is gone
            time.sleep(max(0.0, due_s - time.monotonic()))
            if self.on:
                with self._changed:
                    self._number += 1
                    self._taken_ns.append(time.monotonic_ns())
                    self._changed.notify_all()
            if time.monotonic() - said_s >= SAY_S:
                taken_ns, self._taken_ns = self._taken_ns, []
                said_s = time.monotonic()
                print(json.dumps({"taken_ns": taken_ns}), flush=True)

    def wait_for_next(self, after: int) -> tuple[int, bytes]:
        """(number, JPEG) of the newest picture, which is later than number `after`."""
        with self._changed:
            self._changed.wait_for(lambda: self._number > after)
            return self._number, self._pictures[self._number % len(self._pictures)]

    @property
    def number(self) -> int:
        return self._number


class Server:
    """Gives the sensor's pictures to everybody who connects, until `cut`."""

    def __init__(self, sensor: Sensor) -> None:
        self._sensor = sensor
        self._listening: socket.socket | None = None
        self._connected: set[socket.socket] = set()
        self.port = 0

    def listen(self) -> None:
        if self._listening is None:
            self._listening = socket.create_server(("127.0.0.1", self.port))
            self.port = self._listening.getsockname()[1]
            threading.Thread(target=self._accept, args=(self._listening,), daemon=True).start()

    def cut(self) -> None:
        listening, self._listening = self._listening, None
        for one in (*([listening] if listening else []), *list(self._connected)):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)  # wakes who waits in accept or sendall; close alone does not
            one.close()

    def _accept(self, listening: socket.socket) -> None:
        while True:
            try:
                connection, _ = listening.accept()
            except OSError:
                return  # cut
            self._connected.add(connection)
            if listening is not self._listening:
                connection.close()
            threading.Thread(target=self._send, args=(connection,), daemon=True).start()

    def _send(self, connection: socket.socket) -> None:
        try:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            request = b""
            while b"\r\n\r\n" not in request and len(request) < MAX_REQUEST_BYTES:
                if not (more := connection.recv(1024)):
                    return
                request += more
            connection.sendall(HEAD)
            number = self._sensor.number
            while True:
                number, jpeg = self._sensor.wait_for_next(number)
                part = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(jpeg)}\r\n\r\n"
                connection.sendall(part.encode() + jpeg + b"\r\n")
        except OSError:
            pass  # they left, or were thrown out
        finally:
            self._connected.discard(connection)
            connection.close()


def read_clip(path: str) -> list[bytes]:
    """Its pictures as JPEG, all of them in memory. Raises RuntimeError where there is none."""
    video = cv2.VideoCapture(path)
    pictures = []
    while (read := video.read())[0]:
        pictures.append(cv2.imencode(".jpg", read[1], [cv2.IMWRITE_JPEG_QUALITY, QUALITY])[1].tobytes())
    video.release()
    if not pictures:
        raise RuntimeError(f"{path}: not one frame can be read")
    return pictures


def main() -> int:
    clip, fps = sys.argv[1], float(sys.argv[2])
    try:
        sensor = Sensor(read_clip(clip), fps)
    except RuntimeError as error:
        print(error, file=sys.stderr)
        return 1
    server = Server(sensor)
    server.listen()
    print(json.dumps({"port": server.port}), flush=True)
    threading.Thread(target=sensor.run, daemon=True).start()
    for word in sys.stdin:
        sensor.on = word.strip() == "on"
        if word.strip() == "cut":
            server.cut()
        elif word.strip() == "on":
            server.listen()
    os._exit(0)  # threads of connections may hang in sendall


if __name__ == "__main__":
    sys.exit(main())
