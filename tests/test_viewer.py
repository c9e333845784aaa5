"""The viewer as its users meet it: a program on a real stream, with a display and without."""

import os
import shutil
import subprocess
import sys
import time

import cv2
import numpy as np
import pytest
from viewer_stream import BODY, Stage, image_message, pose_message, posed

from realtime import child
from realtime.clock import clock_id
from realtime.lead import Led
from realtime.messages import StatusMessage, encode_image, encode_pose, encode_status
from realtime.viewer.stream import LiveStream

ENVIRONMENT = {
    **{key: value for key, value in os.environ.items() if key not in ("DISPLAY", "WAYLAND_DISPLAY")},
    "LP_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
}


@pytest.fixture
def viewer():
    """Starts viewers; none is left behind, whatever the test found."""
    started = []

    def start(*arguments, **settings):
        command = [sys.executable, "-m", "realtime.viewer", *map(str, arguments)]
        pipes = {"stderr": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        started.append(subprocess.Popen(command, env=ENVIRONMENT | settings, **pipes))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.wait()


def finished(process, timeout_s=60):
    """(exit code, stderr)"""
    _, said = process.communicate(timeout=timeout_s)
    return process.returncode, said


def until(condition, timeout_s=30):
    end = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


@pytest.fixture(scope="module")
def body_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("body") / "figure.npz"
    table = np.array([BODY.parents, range(24)])
    names = ("id", "v_template", "shapedirs", "J_regressor", "weights")
    np.savez(path, kintree_table=table, f=BODY.faces, **{name: getattr(BODY, name) for name in names})
    return path


def test_snapshots_of_a_live_stream_show_the_body_the_picture_and_motion(viewer, tmp_path, body_file):
    with Stage(pose=posed()) as stage:
        process = viewer(
            *("--connect", stage.address, "--body", body_file, "--width", 640, "--height", 320),
            *("--snapshot", tmp_path / "frame%d.png", "--frames", 30),
        )
        until(lambda: (tmp_path / "frame5.png").exists() or process.poll() is not None)
        stage.pose = posed(left_arm_up=True)
        code, said = finished(process)
    assert code == 0, said
    first, last = (cv2.imread(str(tmp_path / f"frame{n}.png")) for n in (1, 30))
    assert first.shape == last.shape == (320, 640, 3)
    assert last[:, 320:].std() > 15 and last[:, :320].std() > 15
    top_right = (slice(20, 140), slice(175, 300))  # where only a raised left arm comes
    blue = [
        (pane[top_right][..., 0].astype(int) > pane[top_right][..., 2] + 30).sum() for pane in (first, last)
    ]
    assert blue[1] > blue[0] + 150


def test_a_stream_that_ends_before_is_shown_as_far_as_it_came(viewer, tmp_path):
    with Stage(pose=posed()) as stage:
        process = viewer(
            *("--connect", stage.address, "--width", 400, "--height", 200),
            *("--snapshot", tmp_path / "last.png", "--frames", 100000),
        )
        until(lambda: stage.poses_wanted or process.poll() is not None)
        time.sleep(1.0)
    code, said = finished(process)
    assert code == 0 and "no more than" in said and "Traceback" not in said
    assert cv2.imread(str(tmp_path / "last.png")).shape == (200, 400, 3)


def test_without_a_display_it_says_so_and_ends_with_its_own_code(viewer):
    started = time.monotonic()
    code, said = finished(viewer("--connect", "tcp://127.0.0.1:9"))
    assert code == child.EXIT_NO_DISPLAY and time.monotonic() - started < 30
    assert "no display" in said and "--snapshot" in said and "Traceback" not in said and said.count("\n") <= 2
    code, said = finished(viewer("--connect", "tcp://127.0.0.1:9", DISPLAY=":4711"))
    assert code == child.EXIT_NO_DISPLAY and "display does not answer" in said and "Traceback" not in said


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("--width", "3"), 2, "200 to 8192"),
        (("--fps", "0"), 2, "above 0"),
        (("--lead", "nan"), 2, "expected on, off, or milliseconds from 0 to 1000"),
        (("--snapshot", "nowhere/out.png"), 2, "folder that exists"),
        (("--snapshot", "out%s%d.png"), 2, "one %d"),
        (("--snapshot", "out.gif"), 2, ".png"),
        (("--snapshot", "out.png", "--connect", "tcp://nonsense"), 2, "cannot connect"),
        (("--snapshot", "out.png", "--body", "pyproject.toml"), 4, "not an SMPL"),
    ],
)
def test_bad_arguments_are_named(viewer, arguments, code, message):
    found, said = finished(viewer(*arguments))
    assert found == code and message in said and "Traceback" not in said


def test_it_ends_with_its_parent(tmp_path):
    """A child of ours that draws for ever, on a stream that goes on: its standard input closes, it ends."""
    with Stage() as stage:
        process = child.start(
            [sys.executable, "-m", "realtime.viewer", "--connect", stage.address]
            + ["--width", "300", "--height", "200", "--frames", "1000000"]
            + ["--snapshot", str(tmp_path / "never.png")]
        )
        until(lambda: stage.poses_wanted or process.poll() is not None)
        time.sleep(0.3)
        assert process.poll() is None
        process.stdin.close()
        try:
            assert process.wait(timeout=10) == 0
        finally:
            process.kill()
        until(lambda: not stage.poses_wanted)


def test_a_window_opens_on_a_display_and_ends_when_asked(viewer, body_file):
    if shutil.which("Xvfb") is None:
        pytest.skip("Xvfb (Debian package xvfb) is not installed")
    read, write = os.pipe()
    display = subprocess.Popen(
        ["Xvfb", "-displayfd", str(write), "-screen", "0", "800x600x24"],
        pass_fds=[write],
        stderr=subprocess.DEVNULL,
    )
    try:
        number = os.read(read, 16).decode().strip()
        with Stage() as stage:
            size = ("--width", 400, "--height", 200)
            process = viewer("--connect", stage.address, "--body", body_file, *size, DISPLAY=f":{number}")
            until(lambda: stage.poses_wanted or process.poll() is not None)
            assert process.poll() is None, finished(process)
            time.sleep(1.0)
            process.terminate()
            code, said = finished(process)
        assert code == 0 and "receiving" in said and "Traceback" not in said, said
    finally:
        display.terminate()
        display.wait()
        os.close(read)
        os.close(write)


def receive(stream, condition, timeout_s=20):
    end = time.monotonic() + timeout_s
    while not condition():
        stream.poll(0.02)
        assert time.monotonic() < end
    return stream.numbers()


def test_numbers_of_a_stream_that_comes_stops_and_comes_again():
    with Stage() as stage:
        address = stage.address
        stream = LiveStream(address)
        assert stream.state == "waiting" and address in stream.numbers().detail
        receive(stream, lambda: stream.pose is not None and stream.picture is not None)
        for _ in range(20):
            if stream.poll(0.1)[0]:
                stream.drawn(stream.pose)
        numbers = stream.numbers()
        assert numbers.state == "tracking" and "score 0.93" in numbers.detail
        fps, latency_ms = float(numbers.numbers.split()[0]), float(numbers.numbers.split()[5])
        assert 1 < fps < 40 and 15 < latency_ms < 2000
        stage.state = "held"
        receive(stream, lambda: stream.state == "held")
        stage.silent = True
        status = {"t_publish_ns": time.monotonic_ns(), "clock": clock_id(), "state": "lost"}
        trouble = StatusMessage(
            seq=0, camera={"state": "reconnecting"}, drops={"late": 3, "bad": 1}, **status
        )
        stage.raw.append(encode_status(trouble))
        numbers = receive(stream, lambda: stream.state == "waiting")  # the last pose is nobody's any more
        assert address in numbers.detail and "camera reconnecting" in numbers.detail
        assert "dropped 4" in numbers.numbers
    with Stage(address):
        receive(stream, lambda: stream.state == "tracking")
    stream.close()


def test_the_age_at_render_ticks_is_that_of_the_pose_on_the_screen():
    with Stage() as stage:
        stream = LiveStream(stage.address)
        stream.ticked()
        assert stream.ages_at_ticks() == ""  # nothing was shown yet
        receive(stream, lambda: stream.pose is not None)
        stream.drawn(stream.pose)
        first_ms = stream.pose.age_ms()
        for _ in range(4):
            stream.ticked()
            time.sleep(0.05)
        told = stream.ages_at_ticks()
        assert told.startswith("4 pictures drawn")
        most_ms = float(told.rpartition(" ")[2])
        assert first_ms + 150 <= most_ms + 0.1 and most_ms < 10_000  # it grew while it stayed
        stage.silent = True
        receive(stream, lambda: stream.state == "waiting")
        stream.ticked()
        assert stream.ages_at_ticks() == told  # a pose that is nobody's any more
        stream.close()


def test_the_numbers_tell_the_lead():
    with Stage() as stage:
        stream = LiveStream(stage.address)
        assert "lead" not in receive(stream, lambda: stream.pose is not None).numbers
        stage.changes = {"lead": Led(41.2, posed().ravel(), np.zeros(3, np.float32), 1.0)}
        receive(stream, lambda: stream.pose.lead is not None)
        assert "lead 41 ms" in stream.numbers().numbers
        assert "lead off" in stream.numbers(0.0).numbers and "lead 80 ms" in stream.numbers(80.0).numbers
        stream.close()


def test_an_old_pose_kept_for_late_joiners_is_not_taken_for_a_live_one():
    with Stage() as stage:
        stage.silent = True
        long_ago = time.monotonic_ns() - 5_000_000_000
        stage.raw.append(encode_pose(pose_message(posed(), t_publish_ns=long_ago, t_capture_ns=long_ago)))
        until(lambda: not stage.raw)
        stream = LiveStream(stage.address)
        receive(stream, lambda: stream.pose is not None)
        assert stream.state == "waiting"
        stream.close()


def test_bad_messages_and_pictures_are_counted():
    with Stage() as stage:
        stage.silent = True
        stream = LiveStream(stage.address)
        until(lambda: stage.poses_wanted)
        good = image_message(pose_message(posed()))
        broken = type(good)(**{**vars(good), "jpeg": good.jpeg[:40], "seq": 7})
        stage.raw += [b"pose nonsense", encode_image(broken)]
        receive(stream, lambda: stream.bad == 1 and "bad messages 2" in stream.numbers().numbers)
        assert stream.pose is None and stream.picture is None
        stream.close()
