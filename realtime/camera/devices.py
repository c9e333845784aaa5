"""The cameras of this machine with their modes, for `python -m realtime.camera`."""

from __future__ import annotations

import sys
from dataclasses import dataclass

from realtime.camera.capture import open_webcam
from realtime.config import CameraConfig
from realtime.errors import SourceError

PROBED_INDICES = range(5)


@dataclass(frozen=True, slots=True)
class Found:
    """One camera."""

    index: int  # for --source
    name: str
    modes: tuple[str, ...]  # in words; empty if it would not tell


def list_cameras() -> list[Found]:
    """Cameras in the order of their index. Linux tells all modes; elsewhere each index is opened to see."""
    return _ask_linux() if sys.platform.startswith("linux") else _probe()


def _ask_linux() -> list[Found]:
    from realtime.camera import v4l2_modes  # needs fcntl, which Windows lacks

    found = []
    for node in v4l2_modes.video_nodes():
        index = int(node.name[5:])
        try:
            answer = v4l2_modes.query(node)
        except OSError as error:
            found.append(Found(index, f"{node}: {error.strerror}", ()))
            continue
        if answer is None:
            continue
        name, modes = answer
        words = []
        for mode in modes:
            rates = ", ".join(f"{rate:g}" for rate in mode.fps)
            words.append(f"{mode.fourcc} {mode.width}x{mode.height}" + (f" at {rates} fps" if rates else ""))
        found.append(Found(index, f"{name} ({node})", tuple(words)))
    return found


def _probe() -> list[Found]:
    found = []
    for index in PROBED_INDICES:
        try:
            capture = open_webcam(index, CameraConfig())
        except SourceError:
            continue  # most indices have no camera
        found.append(Found(index, f"camera {index}", (f"{capture.mode}, other modes unknown",)))
        capture.close()
    return found
