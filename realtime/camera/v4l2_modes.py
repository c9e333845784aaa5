"""What Linux knows about its cameras: Video4Linux's enumerations, asked by ioctl without any library.

Structures and request numbers are those of <linux/videodev2.h> (kernel documentation, "Video for Linux API",
VIDIOC_QUERYCAP, VIDIOC_ENUM_FMT, VIDIOC_ENUM_FRAMESIZES, VIDIOC_ENUM_FRAMEINTERVALS).
"""

from __future__ import annotations

import errno
import fcntl
import os
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

QUERYCAP = struct.Struct("16s32s32sIII12x")  # driver, card, bus_info, version, capabilities, device_caps
ENUM_FMT = struct.Struct("III32sI16x")  # index, type, flags, description, pixelformat
ENUM_FRAMESIZES = struct.Struct("III6I8x")  # index, pixel_format, type, width height | min max step of each
ENUM_FRAMEINTERVALS = struct.Struct("IIIII6I8x")  # index, pixel_format, width, height, type, seconds

READ, READ_WRITE = 2, 3
CAPTURE = 1  # V4L2_CAP_VIDEO_CAPTURE and V4L2_BUF_TYPE_VIDEO_CAPTURE
DEVICE_CAPS = 0x80000000  # the node's own capabilities are in device_caps, not those of the whole device
DISCRETE = 1
MAX_ENTRIES = 256  # no driver lists more; one that never says "end" must not hang us

Ioctl = Callable[[int, int, bytearray], object]


@dataclass(frozen=True, slots=True)
class Mode:
    """A format and size of a camera with its rates, highest first."""

    fourcc: str
    width: int  # pixels; where sizes are a range, its largest
    height: int
    fps: tuple[float, ...]


def request(direction: int, number: int, layout: struct.Struct) -> int:
    """The ioctl request number: direction, size of the argument, 'V', number."""
    return direction << 30 | layout.size << 16 | ord("V") << 8 | number


def video_nodes() -> list[Path]:
    """/dev/video0, /dev/video1, … in the order of their numbers."""
    nodes = (node for node in Path("/dev").glob("video*") if node.name[5:].isdecimal())
    return sorted(nodes, key=lambda node: int(node.name[5:]))


def query(node: Path) -> tuple[str, list[Mode]] | None:
    """Name and modes of a camera; None for a node that gives no pictures (cameras have one for metadata).

    Raises OSError if the node cannot be opened or asked.
    """
    descriptor = os.open(node, os.O_RDWR | os.O_NONBLOCK)
    try:
        return ask(descriptor, fcntl.ioctl)
    finally:
        os.close(descriptor)


def ask(descriptor: int, ioctl: Ioctl) -> tuple[str, list[Mode]] | None:
    """`query` for an open node, through the given ioctl(descriptor, request, buffer to change in place)."""
    answer = bytearray(QUERYCAP.size)
    ioctl(descriptor, request(READ, 0, QUERYCAP), answer)
    _, card, _, _, of_all, of_node = QUERYCAP.unpack(answer)
    if not (of_node if of_all & DEVICE_CAPS else of_all) & CAPTURE:
        return None
    modes = []
    for _, _, _, _, pixel_format in _entries(descriptor, ioctl, 2, ENUM_FMT, (CAPTURE, 0, b"", 0)):
        for width, height in _sizes(descriptor, ioctl, pixel_format):
            rates = _rates(descriptor, ioctl, pixel_format, width, height)
            modes.append(Mode(_letters(pixel_format), width, height, rates))
    return _text(card), modes


def _sizes(descriptor: int, ioctl: Ioctl, pixel_format: int) -> Iterator[tuple[int, int]]:
    blank = (pixel_format, 0, *[0] * 6)
    for _, _, kind, *size in _entries(descriptor, ioctl, 74, ENUM_FRAMESIZES, blank):
        if kind == DISCRETE:
            yield size[0], size[1]
        else:  # min, max, step of the width, then of the height; the one entry there is
            yield size[1], size[4]
            return


def _rates(descriptor: int, ioctl: Ioctl, pixel_format: int, width: int, height: int) -> tuple[float, ...]:
    rates = set()
    blank = (pixel_format, width, height, 0, *[0] * 6)
    for _, _, _, _, kind, *interval in _entries(descriptor, ioctl, 75, ENUM_FRAMEINTERVALS, blank):
        fractions = interval[:2] if kind == DISCRETE else interval[:4]  # shortest and longest, then the step
        for seconds, per in zip(fractions[::2], fractions[1::2], strict=True):
            if seconds:
                rates.add(round(per / seconds, 2))
        if kind != DISCRETE:
            break
    return tuple(sorted(rates, reverse=True))


def _entries(
    descriptor: int, ioctl: Ioctl, number: int, layout: struct.Struct, blank: tuple[object, ...]
) -> Iterator[tuple]:
    """Ask for entry 0, 1, … until the driver says that there is none (EINVAL; ENOTTY: no such list)."""
    for index in range(MAX_ENTRIES):
        buffer = bytearray(layout.pack(index, *blank))
        try:
            ioctl(descriptor, request(READ_WRITE, number, layout), buffer)
        except OSError as error:
            if error.errno in (errno.EINVAL, errno.ENOTTY):
                return
            raise
        yield layout.unpack(buffer)


def _letters(pixel_format: int) -> str:
    return _text(struct.pack("<I", pixel_format & 0x7FFFFFFF)).strip()  # the top bit means big-endian


def _text(raw: bytes) -> str:
    return raw.split(b"\0")[0].decode("utf-8", errors="replace")
