"""Files: whole with --every-frame, at their own rate otherwise; broken files are named, never a traceback."""

import math
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
from servers.numbered_picture import HEIGHT, WIDTH, draw_gray, read_boxes

import realtime.assets
from realtime.camera import FrameFeed, clip, open_feed
from realtime.camera.capture import Capture
from realtime.camera.clip import FALLBACK_FPS, ClipFile
from realtime.config import Config
from realtime.errors import SourceError
from realtime.observation import Frame


def write_clip(path: Path, frames: int, fps: float = 30, fourcc: str = "MJPG") -> Path:
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*fourcc), fps, (WIDTH, HEIGHT))
    assert writer.isOpened()
    for number in range(frames):
        gray = np.frombuffer(draw_gray(number), np.uint8).reshape(HEIGHT, WIDTH)
        writer.write(cv2.cvtColor(gray, cv2.COLOR_GRAY2BGR))
    writer.release()
    return path


def started(source: Path | str, **settings) -> FrameFeed:
    feed = open_feed(Config(source=str(source), **settings))
    feed.start()
    return feed


def play(feed: FrameFeed, limit_s: float = 30) -> list[Frame]:
    """Take every frame there is, as a fast user would."""
    frames = []
    until = time.monotonic() + limit_s
    while not feed.ended:
        assert time.monotonic() < until, "the feed does not end"
        if (frame := feed.next(0.5)) is not None:
            frames.append(frame)
    return frames


def numbers(frames: list[Frame]) -> list[int]:
    return [read_boxes(frame.image)[0] for frame in frames]


@pytest.mark.parametrize(("suffix", "fourcc"), [(".avi", "MJPG"), (".mp4", "mp4v")])
def test_every_frame_gives_each_frame_once_in_order_on_the_clips_time_line(tmp_path, suffix, fourcc) -> None:
    feed = started(write_clip(tmp_path / f"clip{suffix}", 40, 25, fourcc), every_frame=True)
    frames = []
    for _ in range(40):
        assert not feed.ended
        frame = feed.next(0)
        assert frame is not None
        frames.append(frame)
    assert feed.ended  # known at once, not by one more call
    assert feed.next(0) is None
    assert numbers(frames) == list(range(40))
    assert [frame.index for frame in frames] == list(range(40))
    assert {frame.camera for frame in frames} == {f"clip{suffix}"}
    first_ns = frames[0].t_arrival_ns
    assert [frame.t_capture_ns - first_ns for frame in frames] == [n * 40_000_000 for n in range(40)]
    status = feed.status()
    assert (status.state, status.captured, status.skipped) == ("ended", 40, 0)
    assert (status.width, status.height, status.nominal_fps) == (WIDTH, HEIGHT, 25)
    feed.close()


def test_a_file_plays_at_its_own_rate_and_ends(tmp_path) -> None:
    feed = started(write_clip(tmp_path / "clip.avi", 60, 50))
    frames = play(feed)
    seen = numbers(frames)
    assert seen == [frame.index for frame in frames]
    assert seen == sorted(set(seen)) and seen[-1] == 59
    assert all(frame.t_capture_ns == frame.t_arrival_ns for frame in frames)
    span_s = (frames[-1].t_arrival_ns - frames[0].t_arrival_ns) / 1e9
    assert 1.1 < span_s < 2.5  # 59 / 50 = 1.18
    status = feed.status()
    assert (status.state, status.captured) == ("ended", 60)
    assert status.captured - status.skipped == len(frames)
    assert "end after 60 frames" in status.message
    feed.close()


def test_a_slow_user_gets_the_newest_frame_and_play_time_does_not_drift(tmp_path) -> None:
    feed = started(write_clip(tmp_path / "clip.avi", 90, 60))
    begin = time.monotonic()
    for _ in range(4):
        time.sleep(0.25)
        frame = feed.next(1)
        assert frame is not None
        due = (frame.t_arrival_ns / 1e9 - begin) * 60
        assert abs(frame.index - due) < 15
    assert feed.status().skipped > 20
    feed.close()


def test_frames_that_come_too_late_are_passed_over(tmp_path, monkeypatch) -> None:
    read = ClipFile.read

    def slow_read(self: ClipFile) -> np.ndarray | None:
        time.sleep(0.06)
        return read(self)

    monkeypatch.setattr(ClipFile, "read", slow_read)
    feed = started(write_clip(tmp_path / "clip.avi", 60, 60))
    begin = time.monotonic()
    frames = play(feed)
    assert time.monotonic() - begin < 2.2  # at 60 ms each it would be 3.6 s
    assert len(frames) >= 8
    assert feed.status().captured == 60
    assert numbers(frames) == [frame.index for frame in frames]


@pytest.mark.parametrize("settings", [{"frames": 100}, {"duration": 10.0}])
def test_the_demo_loops_while_a_limit_is_set(tmp_path, monkeypatch, settings) -> None:
    monkeypatch.setattr(realtime.assets, "ASSETS", tmp_path)
    write_clip(tmp_path / "demo.mp4", 10, 60, "mp4v")
    feed = started("demo", **settings)
    frames = [frame for _ in range(35) if (frame := feed.next(5)) is not None]
    assert len(frames) == 35 and not feed.ended
    assert [frame.index % 10 for frame in frames] == numbers(frames)
    assert frames[-1].index >= 34  # counts on over the end of the clip
    feed.close()
    assert feed.ended


@pytest.mark.parametrize("settings", [{}, {"every_frame": True, "frames": 100}])
def test_the_demo_plays_once_without_a_limit_or_with_every_frame(tmp_path, monkeypatch, settings) -> None:
    monkeypatch.setattr(realtime.assets, "ASSETS", tmp_path)
    write_clip(tmp_path / "demo.mp4", 10, 60, "mp4v")
    assert numbers(play(started("demo", **settings)))[-1] == 9


def test_a_missing_demo_is_a_source_error(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(realtime.assets, "ASSETS", tmp_path)
    with pytest.raises(SourceError, match=r"assets/demo\.mp4 is missing"):
        open_feed(Config(source="demo"))


@pytest.mark.parametrize("claimed", [0.0, math.nan, -25.0, 90000.0])
def test_an_absurd_rate_becomes_30_and_is_announced(tmp_path, monkeypatch, claimed) -> None:
    open_file = clip.open_file

    def with_claim(path: Path) -> Capture:
        capture = open_file(path)
        capture.nominal_fps = claimed
        return capture

    monkeypatch.setattr(clip, "open_file", with_claim)
    feed = started(write_clip(tmp_path / "clip.avi", 5), every_frame=True)
    assert feed.status().nominal_fps == FALLBACK_FPS
    assert "played at 30 fps" in feed.status().message
    feed.close()


def test_the_rate_is_known_before_it_is_opened(tmp_path) -> None:
    slow, absurd = write_clip(tmp_path / "slow.avi", 3, 5), write_clip(tmp_path / "absurd.avi", 3, 1000)
    expected = {str(slow): 5, str(absurd): FALLBACK_FPS, str(tmp_path / "absent.avi"): FALLBACK_FPS, "0": 24}
    for source, fps in expected.items():
        config = Config(source=source)
        config.camera.fps = 24
        feed = open_feed(config)
        assert feed.expected_fps == fps and not feed.status().captured
    assert open_feed(Config(source=str(slow), every_frame=True)).expected_fps is None


def test_a_file_that_really_claims_1000_fps_plays_at_30(tmp_path) -> None:
    feed = started(write_clip(tmp_path / "clip.avi", 5, 1000))
    assert feed.status().nominal_fps == FALLBACK_FPS
    feed.close()


@pytest.mark.parametrize("every_frame", [True, False])
def test_a_truncated_video_is_used_up_to_the_cut(tmp_path, every_frame) -> None:
    whole = write_clip(tmp_path / "clip.avi", 60, 60).read_bytes()
    cut = tmp_path / "cut.avi"
    cut.write_bytes(whole[: len(whole) // 2])
    feed = started(cut, every_frame=every_frame)
    frames = play(feed)
    assert 20 <= frames[-1].index <= 35
    assert numbers(frames)[:-1] == [frame.index for frame in frames][:-1]  # the last may be half a picture
    readable = frames[-1].index + 1
    assert f"only {readable} of 60 announced frames were readable" in feed.status().message
    feed.close()


def zero_size(path: Path) -> None:
    """A video whose header says 0 x 0."""
    data = bytearray(write_clip(path, 5, fourcc="I420").read_bytes())
    header = data.index(b"strf") + 8
    assert int.from_bytes(data[header + 4 : header + 8], "little") == WIDTH
    data[header + 4 : header + 12] = bytes(8)
    path.write_bytes(data)


def without_index(path: Path) -> None:
    """An .mp4 keeps its index at the end: cut in half, nothing of it can be read."""
    data = write_clip(path, 30, fourcc="mp4v").read_bytes()
    path.write_bytes(data[: len(data) // 2])


def header_only(path: Path) -> None:
    data = write_clip(path, 30).read_bytes()
    path.write_bytes(data[: data.index(b"movi") + 4])


@pytest.mark.parametrize("every_frame", [True, False])
@pytest.mark.parametrize(
    ("name", "make", "message"),
    [
        ("absent.mp4", lambda path: None, "does not exist"),
        ("name.mp4" * 99, lambda path: None, "cannot be read"),
        ("12345", lambda path: path.write_text("a file named by a number, no camera"), "is a text file"),
        ("folder.mp4", lambda path: path.mkdir(), "is not a file"),
        ("empty.mp4", lambda path: path.touch(), "is empty"),
        ("text.mp4", lambda path: path.write_text("Zeilen für Zeilen\n" * 500), "is a text file"),
        ("notes.txt", lambda path: path.write_text("FFmpeg would draw this\n" * 500), "is a text file"),
        ("noise.mp4", lambda path: path.write_bytes(np.random.default_rng(0).bytes(9999)), "is no video"),
        ("cut.mp4", without_index, "is no video"),
        ("headers.avi", header_only, "not one frame"),
        ("zero.avi", zero_size, "no video|not one frame|0x0"),
    ],
)
def test_what_is_no_video_is_named_in_one_line(tmp_path, capfd, name, make, message, every_frame) -> None:
    make(tmp_path / name)
    feed = open_feed(Config(source=str(tmp_path / name), every_frame=every_frame))
    with pytest.raises(SourceError, match=message) as caught:
        feed.start()
    assert name in str(caught.value) and "\n" not in str(caught.value)
    feed.close()
    assert capfd.readouterr() == ("", "")  # nothing from OpenCV or FFmpeg around our own line


def test_closing_a_paced_clip_is_immediate(tmp_path) -> None:
    feed = started(write_clip(tmp_path / "clip.avi", 30, 1))  # one frame per second: the player sleeps
    assert feed.next(5) is not None
    begin = time.monotonic()
    feed.close()
    assert time.monotonic() - begin < 0.9
    assert feed.ended and feed.next(5) is None
