"""A network camera: H.264 over RTSP on 127.0.0.1, with numbered pictures, by GStreamer's RTSP server.

    /usr/bin/python3 tests/servers/rtsp_server.py PORT     prints "ready PORT"; port 0 takes a free one
    rtsp://127.0.0.1:PORT/video                            the stream, 30 pictures per second

Needs Debian's gir1.2-gst-rtsp-server-1.0, gstreamer1.0-plugins-base, -good, -ugly and python3-gi, which only
the system's own Python can import. `--check` as the only argument tells by the exit code if all are there.
"""

import sys
import time

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtspServer  # noqa: E402
from numbered_picture import HEIGHT, WIDTH, draw_gray  # noqa: E402

FPS = 30
ELEMENTS = ("appsrc", "videoconvert", "x264enc", "rtph264pay")
PIPELINE = (
    f"( appsrc name=camera is-live=true format=time do-timestamp=true "
    f"caps=video/x-raw,format=GRAY8,width={WIDTH},height={HEIGHT},framerate={FPS}/1 "
    "! videoconvert ! video/x-raw,format=I420 "
    f"! x264enc tune=zerolatency speed-preset=ultrafast threads=1 key-int-max={FPS // 2} "
    "! rtph264pay name=pay0 pt=96 )"
)


class Camera:
    """Feeds one media pipeline with a new picture every 1/30 s, whether or not anybody keeps up."""

    def __init__(self, source) -> None:
        self.source = source
        self.start, self.number = time.monotonic(), 0
        GLib.timeout_add(5, self.tick)

    def tick(self) -> bool:
        while time.monotonic() >= self.start + self.number / FPS:
            picture = Gst.Buffer.new_wrapped(draw_gray(self.number))
            if self.source.emit("push-buffer", picture) == Gst.FlowReturn.EOS:
                return False
            self.number += 1
        return True


def main() -> int:
    Gst.init(None)
    missing = [name for name in ELEMENTS if Gst.ElementFactory.find(name) is None]
    if missing:
        print("GStreamer lacks", ", ".join(missing), file=sys.stderr)
        return 1
    if sys.argv[1] == "--check":
        return 0
    server = GstRtspServer.RTSPServer()
    server.set_address("127.0.0.1")
    server.set_service(sys.argv[1])
    factory = GstRtspServer.RTSPMediaFactory()
    factory.set_launch(PIPELINE)
    factory.set_shared(True)
    factory.connect(
        "media-configure",
        lambda _, media: Camera(media.get_element().get_by_name("camera")),
    )
    server.get_mount_points().add_factory("/video", factory)
    if not server.attach(None):
        print("cannot listen on port", sys.argv[1], file=sys.stderr)
        return 1
    print("ready", server.get_bound_port(), flush=True)
    GLib.MainLoop().run()
    return 0


if __name__ == "__main__":
    sys.exit(main())
