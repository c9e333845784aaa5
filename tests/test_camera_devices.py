"""Listing cameras: Video4Linux's answers are read rightly; without a camera the next step is said."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

if not sys.platform.startswith("linux"):
    pytest.skip("Video4Linux is Linux only", allow_module_level=True)

from realtime.camera import devices, v4l2_modes
from realtime.camera.v4l2_modes import (
    ENUM_FMT,
    ENUM_FRAMEINTERVALS,
    ENUM_FRAMESIZES,
    QUERYCAP,
    READ,
    READ_WRITE,
    Mode,
    ask,
    request,
)

# As the C compiler gives them from <linux/videodev2.h>.
VIDIOC_QUERYCAP = 0x80685600
VIDIOC_ENUM_FMT = 0xC0405602
VIDIOC_ENUM_FRAMESIZES = 0xC02C564A
VIDIOC_ENUM_FRAMEINTERVALS = 0xC034564B

MJPG = int.from_bytes(b"MJPG", "little")
YUYV = int.from_bytes(b"YUYV", "little")
SIZES = {MJPG: [(640, 480), (1280, 720)], YUYV: [(640, 480)]}
INTERVALS = {MJPG: [(1, 30), (1, 15)], YUYV: [(2, 15)]}  # seconds as fractions


class Driver:
    """Answers as a kernel driver does: changes the buffer in place, EINVAL past the end of a list."""

    def __init__(self, of_node: int = 0x04200001) -> None:
        self.of_node = of_node

    def __call__(self, descriptor: int, number: int, buffer: bytearray) -> int:
        if number == VIDIOC_QUERYCAP:
            names = b"uvcvideo", "Café Cam".encode(), b"usb-1"
            buffer[:] = QUERYCAP.pack(*names, 0x60100, 0x84A00001, self.of_node)
        elif number == VIDIOC_ENUM_FMT:
            index, kind, *_ = ENUM_FMT.unpack(buffer)
            assert kind == 1
            buffer[:] = ENUM_FMT.pack(index, 1, 0, b"a format", self.entry([MJPG, YUYV], index))
        elif number == VIDIOC_ENUM_FRAMESIZES:
            index, pixel_format, *_ = ENUM_FRAMESIZES.unpack(buffer)
            size = self.entry(SIZES[pixel_format], index)
            buffer[:] = ENUM_FRAMESIZES.pack(index, pixel_format, 1, *size, 0, 0, 0, 0)
        elif number == VIDIOC_ENUM_FRAMEINTERVALS:
            index, pixel_format, width, height, *_ = ENUM_FRAMEINTERVALS.unpack(buffer)
            assert (width, height) in SIZES[pixel_format]
            interval = self.entry(INTERVALS[pixel_format], index)
            buffer[:] = ENUM_FRAMEINTERVALS.pack(index, pixel_format, width, height, 1, *interval, 0, 0, 0, 0)
        else:
            raise OSError(errno.ENOTTY, "not a request of this driver")
        return 0

    @staticmethod
    def entry(entries: list, index: int):
        if index >= len(entries):
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        return entries[index]


def test_request_numbers_are_the_kernels() -> None:
    assert request(READ, 0, QUERYCAP) == VIDIOC_QUERYCAP
    assert request(READ_WRITE, 2, ENUM_FMT) == VIDIOC_ENUM_FMT
    assert request(READ_WRITE, 74, ENUM_FRAMESIZES) == VIDIOC_ENUM_FRAMESIZES
    assert request(READ_WRITE, 75, ENUM_FRAMEINTERVALS) == VIDIOC_ENUM_FRAMEINTERVALS


def test_all_modes_of_a_camera_are_listed() -> None:
    assert ask(0, Driver()) == (
        "Café Cam",
        [
            Mode("MJPG", 640, 480, (30.0, 15.0)),
            Mode("MJPG", 1280, 720, (30.0, 15.0)),
            Mode("YUYV", 640, 480, (7.5,)),
        ],
    )


def test_a_node_for_metadata_is_no_camera() -> None:
    assert ask(0, Driver(of_node=0x04A00000)) is None


def test_sizes_and_rates_given_as_ranges() -> None:
    class Range(Driver):
        def __call__(self, descriptor: int, number: int, buffer: bytearray) -> int:
            if number == VIDIOC_ENUM_FRAMESIZES:
                index, pixel_format, *_ = ENUM_FRAMESIZES.unpack(buffer)
                buffer[:] = ENUM_FRAMESIZES.pack(index, pixel_format, 3, 32, 1920, 2, 24, 1080, 2)
            elif number == VIDIOC_ENUM_FRAMEINTERVALS:
                head = ENUM_FRAMEINTERVALS.unpack(buffer)[:4]
                buffer[:] = ENUM_FRAMEINTERVALS.pack(*head, 3, 1, 90, 1, 1, 1, 1)
            else:
                return super().__call__(descriptor, number, buffer)
            return 0

    answer = ask(0, Range())
    assert answer is not None
    assert answer[1][0] == Mode("MJPG", 1920, 1080, (90.0, 1.0))


def test_a_list_without_end_does_not_hang() -> None:
    class Endless(Driver):
        @staticmethod
        def entry(entries: list, index: int):
            return entries[-1]

    driver = Endless()
    driver_sizes = list(v4l2_modes._sizes(0, driver, MJPG))
    assert len(driver_sizes) == v4l2_modes.MAX_ENTRIES


def test_cameras_are_shown_in_words(monkeypatch, tmp_path) -> None:
    node, gone = tmp_path / "video0", tmp_path / "video2"
    node.touch()
    monkeypatch.setattr(v4l2_modes, "video_nodes", lambda: [node, gone])
    monkeypatch.setattr(v4l2_modes.fcntl, "ioctl", Driver())
    first, second = devices.list_cameras()
    assert first.index == 0 and first.name == f"Café Cam ({node})"
    assert first.modes[0] == "MJPG 640x480 at 30, 15 fps"
    assert second.index == 2 and "No such file" in second.name


def test_no_camera_is_said_with_the_next_step() -> None:
    if v4l2_modes.video_nodes():
        pytest.skip("this machine has a camera")
    ended = subprocess.run(
        [sys.executable, "-m", "realtime.camera"],
        capture_output=True, text=True, timeout=60, cwd=Path(__file__).parents[1],
    )  # fmt: skip
    assert ended.returncode == 3
    assert ended.stdout == "" and "no camera found" in ended.stderr and "--source demo" in ended.stderr
    assert len(ended.stderr.splitlines()) == 1
