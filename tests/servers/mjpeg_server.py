"""A network camera: MJPEG over HTTP on 127.0.0.1, with numbered pictures.

python tests/servers/mjpeg_server.py PORT     prints "ready PORT"; port 0 takes a free one
/video               the stream, 30 pictures per second
/silence, /resume    stop and go on sending; everybody stays connected
/empty               200, but a web page
anything else        404
"""

import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import cv2
import numpy as np
from numbered_picture import HEIGHT, WIDTH, draw_gray

FPS = 30
sending = threading.Event()


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        if self.path == "/video":
            self.stream()
        elif self.path in ("/silence", "/resume", "/empty"):
            if self.path == "/silence":
                sending.clear()
            elif self.path == "/resume":
                sending.set()
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(b"<html>ok</html>")
        else:
            self.send_error(404)

    def stream(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
        self.end_headers()
        start, number = time.monotonic(), 0
        try:
            while True:
                sending.wait()
                gray = np.frombuffer(draw_gray(number), np.uint8).reshape(HEIGHT, WIDTH)
                jpeg = cv2.imencode(".jpg", gray)[1].tobytes()
                head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(jpeg)}\r\n\r\n"
                self.wfile.write(head.encode() + jpeg + b"\r\n")
                number += 1
                time.sleep(max(0.0, start + number / FPS - time.monotonic()))
        except (BrokenPipeError, ConnectionResetError):
            pass  # the viewer left

    def log_message(self, *args) -> None:
        pass


class Server(ThreadingHTTPServer):
    daemon_threads = True
    allow_reuse_address = True


if __name__ == "__main__":
    sending.set()
    server = Server(("127.0.0.1", int(sys.argv[1])), Handler)
    print("ready", server.server_address[1], flush=True)
    server.serve_forever()
