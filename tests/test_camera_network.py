"""MJPEG over HTTP and RTSP from real servers on this machine: cut, silent, brought back, refusing."""

import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from servers.launch import ServerProcess, rtsp_missing
from servers.numbered_picture import age_ms, read_boxes
from streams import free_port

from realtime.camera import FrameFeed, open_feed
from realtime.camera.diagnose import without_password
from realtime.config import CameraConfig, Config
from realtime.errors import SourceError
from realtime.observation import Frame

FAST = {"stale_ms": 500.0, "reconnect_first_s": 0.2, "reconnect_max_s": 0.4}


@pytest.fixture(params=["mjpeg", pytest.param("rtsp", marks=pytest.mark.needs_rtsp)])
def server(request) -> Iterator[ServerProcess]:
    if request.param == "rtsp" and (reason := rtsp_missing()):
        pytest.skip(f"needs GStreamer's RTSP server: {reason}")
    with getattr(ServerProcess, request.param)() as running:
        yield running


@pytest.fixture
def mjpeg() -> Iterator[ServerProcess]:
    with ServerProcess.mjpeg() as running:
        yield running


def feed_of(url: str, **settings: float) -> FrameFeed:
    return open_feed(Config(source=url, camera=CameraConfig(**{**FAST, **settings})))


def take(feed: FrameFeed, count: int, limit_s: float = 20) -> list[Frame]:
    frames: list[Frame] = []
    until = time.monotonic() + limit_s
    while len(frames) < count:
        assert time.monotonic() < until, f"{len(frames)} of {count} frames; {feed.status()}"
        if (frame := feed.next(0.5)) is not None:
            frames.append(frame)
    return frames


def states_until(feed: FrameFeed, wanted: str, limit_s: float = 20) -> list[str]:
    """States in the order in which they were seen, up to the wanted one."""
    seen = [feed.status().state]
    until = time.monotonic() + limit_s
    while seen[-1] != wanted:
        assert time.monotonic() < until, f"{seen}; {feed.status()}"
        time.sleep(0.01)
        if (state := feed.status().state) != seen[-1]:
            seen.append(state)
    return seen


def numbers(frames: list[Frame]) -> list[int]:
    return [read_boxes(frame.image)[0] for frame in frames]


def test_a_stream_is_fresh_cut_and_brought_back(server) -> None:
    feed = feed_of(server.url)
    feed.start()
    before = take(feed, 30)
    assert numbers(before) == sorted(set(numbers(before)))
    if server.url.startswith("rtsp"):  # FFmpeg held pictures back while it looked what the stream is
        assert numbers(before)[0] - before[0].index > 5, "old pictures were given"
    ages = sorted(age_ms(read_boxes(frame.image)[1]) for frame in take(feed, 10))
    assert ages[0] < 300  # nothing queues up between the server and us; the best of ten, as machines are busy
    status = feed.status()
    assert (status.state, status.width, status.height, status.reconnects) == ("live", 160, 120, 0)
    assert status.fps > 10

    server.kill()
    assert states_until(feed, "reconnecting")[-1] == "reconnecting"
    last = feed.next(0)
    assert feed.next(0.7) is None and not feed.ended
    assert "reconnecting" in feed.status().message

    server.start()
    states_until(feed, "live")
    after = take(feed, 30)
    indices = [frame.index for frame in (*before, *([last] if last else []), *after)]
    assert indices == sorted(set(indices))
    assert numbers(after) == sorted(set(numbers(after)))
    assert min(age_ms(read_boxes(frame.image)[1]) for frame in after[-10:]) < 300
    assert feed.status().reconnects == 1
    feed.close()
    assert feed.ended and feed.next(1) is None


def test_a_server_that_goes_silent_without_closing(mjpeg) -> None:
    feed = feed_of(mjpeg.url, open_timeout_s=1.0, reconnect_first_s=0.6)  # time to see it stalled
    feed.start()
    take(feed, 5)
    control = mjpeg.url.removesuffix("/video")
    urllib.request.urlopen(f"{control}/silence").read()
    seen = states_until(feed, "reconnecting")
    assert seen == ["live", "stalled", "reconnecting"]
    assert (feed.status().age_ms or 0) > FAST["stale_ms"]
    urllib.request.urlopen(f"{control}/resume").read()
    states_until(feed, "live")
    take(feed, 5)
    assert feed.status().reconnects == 1
    feed.close()


def test_two_streams_side_by_side(mjpeg) -> None:
    with ServerProcess.mjpeg() as other:
        feeds = [feed_of(mjpeg.url), feed_of(other.url)]
        for feed in feeds:
            feed.start()
        mjpeg.kill()
        states_until(feeds[0], "reconnecting")
        assert {frame.camera for frame in take(feeds[1], 20)} == {other.url}
        assert feeds[1].status().state == "live"
        for feed in feeds:
            feed.close()


def test_close_does_not_wait_for_a_blocked_read_nor_does_the_end_of_the_program(mjpeg) -> None:
    program = f"""
import time, urllib.request
from realtime.camera import open_feed
from realtime.config import CameraConfig, Config
feed = open_feed(Config(source={mjpeg.url!r}, camera=CameraConfig(stale_ms=30000)))
feed.start()
urllib.request.urlopen({mjpeg.url.removesuffix("/video")!r} + "/silence").read()
time.sleep(0.3)
begin = time.monotonic()
feed.close()
print(time.monotonic() - begin)
"""
    begin = time.monotonic()
    ended = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True, text=True, timeout=60, cwd=Path(__file__).parents[1],
    )  # fmt: skip
    assert (ended.returncode, ended.stderr) == (0, "")
    assert 0.1 < float(ended.stdout) < 1.5  # it did block, and was left
    assert time.monotonic() - begin < 20  # far from the 30 s of the read


@pytest.mark.parametrize("scheme", ["http", "https", "rtsp", "rtsps"])
def test_a_url_that_refuses(scheme, capfd) -> None:
    port = free_port()
    begin = time.monotonic()
    with pytest.raises(SourceError, match=f"nothing listens on port {port} of 127.0.0.1") as caught:
        feed_of(f"{scheme}://user:secret@127.0.0.1:{port}/video").start()
    assert time.monotonic() - begin < 10
    assert "secret" not in str(caught.value) and len(str(caught.value).splitlines()) == 1
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("host", ["a..b"])  # no name at all: nobody is asked for it
def test_a_host_that_is_not_known(host) -> None:
    with pytest.raises(SourceError, match=f"the host {host} is not known"):
        feed_of(f"http://{host}/video").start()


@pytest.mark.parametrize("scheme", ["http", "rtsp"])
def test_a_server_that_accepts_and_never_answers(scheme, capfd) -> None:
    with socket.socket() as mute:
        mute.bind(("127.0.0.1", 0))
        mute.listen()
        begin = time.monotonic()
        with pytest.raises(SourceError, match="does not answer"):
            feed_of(f"{scheme}://127.0.0.1:{mute.getsockname()[1]}/video", open_timeout_s=1.0).start()
        assert time.monotonic() - begin < 6
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("path", "message"), [("absent", "404"), ("empty", "not with video that OpenCV can read")]
)
def test_a_server_that_has_no_video_there(mjpeg, path, message, capfd) -> None:
    with pytest.raises(SourceError, match=message):
        feed_of(mjpeg.url.replace("video", path)).start()
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("ftp://127.0.0.1/x", "ftp:// is not known"),
        ("rtsp://", "names no host"),
        ("http://127.0.0.1:99999/x", "not a valid URL"),
        ("http://[::1/x", "not a valid URL"),
    ],
)
def test_what_is_no_url_is_refused_at_once(url, message) -> None:
    with pytest.raises(SourceError, match=message):
        open_feed(Config(source=url))


def test_what_grants_access_is_not_shown() -> None:
    url = "http://me:mine@h:8080/v.cgi?channel=2&USER=a&pwd=b%20c&token=d"
    assert without_password(url) == "http://h:8080/v.cgi?channel=2&USER=***&pwd=***&token=***"
    assert len(without_password("rtsp://h/" + "x" * 2000)) <= 256  # it has to fit into a status message


def test_the_password_is_in_no_name_and_no_status(mjpeg) -> None:
    feed = feed_of(mjpeg.url.replace("http://", "http://user:secret@"))
    feed.start()
    frame = take(feed, 1)[0]
    mjpeg.kill()
    states_until(feed, "reconnecting")
    assert "secret" not in f"{feed.name} {frame.camera} {feed.status()}"
    feed.close()
