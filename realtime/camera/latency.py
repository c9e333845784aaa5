"""The measured latency of the user's cameras, kept in his configuration folder beside the key files.

Written by `python -m calib.latency` (docs/calibration.md), read by the stream. One JSON file, one entry per camera.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from realtime.errors import ConfigError
from realtime.key_files import default_folder

log = logging.getLogger(__name__)

FILE_NAME = "camera-latency.json"
VERSION = 1
MAX_LATENCY_MS = 5000.0
_MAX_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class CameraLatency:
    """One measurement: how long before its arrival in the program a picture was exposed."""

    latency_ms: float  # from light to `Frame.t_arrival_ns`; 0 to MAX_LATENCY_MS
    uncertainty_ms: float  # 95 %
    width: int  # the mode that was measured: pixels, …
    height: int
    fps: float  # … measured rate, …
    fourcc: str  # … and the format asked for; empty for a network camera
    date: str  # ISO 8601, UTC
    method: str  # in words: what is in the number and what is not
    with_screen: bool  # the clock's screen is in latency_ms: it was not known, and not taken off


def latency_file() -> Path:
    return default_folder().parent / FILE_NAME


def stored_latency(camera_name: str) -> CameraLatency | None:
    """The measurement of the camera with this name (`FrameFeed.name`); None where there is none.

    A file that cannot be used is told in the log, once per call, and counts as none.
    """
    file = latency_file()
    try:
        entry = _read(file).get(camera_name)
        return None if entry is None else _checked(entry)
    except (OSError, ValueError, TypeError) as error:
        log.warning(
            "%s: not used, it is damaged or cannot be read (%s); python -m calib.latency measures anew",
            file,
            error,
        )
        return None


def store_latency(camera_name: str, latency: CameraLatency) -> Path:
    """Keep the latency of this camera, in place of an earlier one; returns the file.

    A damaged file is moved aside, to NAME.bad. Raises ConfigError where nothing can be written.
    """
    _checked(asdict(latency))
    file = latency_file()
    try:
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            cameras = _read(file)
        except ValueError as error:
            aside = file.with_name(f"{file.name}.bad")
            file.replace(aside)
            log.warning("%s: damaged (%s); moved to %s", file, error, aside.name)
            cameras = {}
        cameras[camera_name] = asdict(latency)
        text = json.dumps({"version": VERSION, "cameras": cameras}, indent=2, ensure_ascii=False) + "\n"
        _replace(file, text)
    except OSError as error:
        raise ConfigError(
            f"{file}: cannot be written ({error.strerror}); the latency is not stored"
        ) from None
    return file


def _read(file: Path) -> dict[str, Any]:
    """Entries by camera; none where there is no file. Raises OSError, and ValueError for a file that is not ours."""
    try:
        with file.open("rb") as source:
            raw = source.read(_MAX_BYTES + 1)
    except FileNotFoundError:
        return {}
    if len(raw) > _MAX_BYTES:
        raise ValueError("far too long")
    try:
        content = json.loads(raw)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    if not isinstance(content, dict) or not isinstance(content.get("cameras"), dict):
        raise ValueError("no cameras in it")
    if content.get("version") != VERSION:
        raise ValueError(f"version {content.get('version')!r}; this program reads {VERSION}")
    return content["cameras"]


def _checked(entry: Any) -> CameraLatency:
    """Raises ValueError or TypeError for what is no measurement."""
    if not isinstance(entry, dict):
        raise ValueError("an entry is no object")
    latency = CameraLatency(**entry)
    for name, most in (("latency_ms", MAX_LATENCY_MS), ("uncertainty_ms", MAX_LATENCY_MS), ("fps", 1e4)):
        value = getattr(latency, name)
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= most:
            raise ValueError(f"{name} is {value!r}; expected 0 to {most:g}")
    for name in ("width", "height"):
        if not isinstance(value := getattr(latency, name), int) or isinstance(value, bool) or value < 0:
            raise ValueError(f"{name} is {value!r}; expected pixels")
    if not isinstance(latency.with_screen, bool):
        raise ValueError(f"with_screen is {latency.with_screen!r}; expected true or false")
    return latency


def _replace(file: Path, text: str) -> None:
    """Whoever reads meanwhile sees the old file or the new one, whole."""
    temporary = file.with_name(f".{file.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("w", encoding="utf-8") as out:
            out.write(text)
            out.flush()
            os.fsync(out.fileno())
        temporary.replace(file)
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
