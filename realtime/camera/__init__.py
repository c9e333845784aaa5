"""Sources of frames: webcam, file, URL, demo clip, all behind one interface (`FrameFeed`)."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from realtime.assets import asset
from realtime.camera.capture import open_stream, open_webcam
from realtime.camera.clip import EveryFrameClip, PacedClip
from realtime.camera.diagnose import DEFAULT_PORTS, without_password
from realtime.camera.feed import CameraStatus, FeedState, FrameFeed
from realtime.camera.live import LiveFeed
from realtime.config import Config
from realtime.errors import ConfigError, SourceError

__all__ = ["CameraStatus", "FeedState", "FrameFeed", "open_feed"]


def open_feed(config: Config) -> FrameFeed:
    """The feed for `config.source`, not yet started: nothing is opened before `start()`.

    "0", "1", … or /dev/videoN   webcam
    http(s)://…, rtsp(s)://…     network stream
    demo                         the shipped clip: looped if frames or duration is limited, else once
    FILE                         at its own rate, or whole with every_frame

    Raises ConfigError for every_frame with a live source, SourceError for a URL that cannot be one.
    """
    source = config.source.strip()
    if not _is_utf8(source):
        raise SourceError(
            f"{source}: the name is not valid UTF-8, and OpenCV takes no other; rename the file"
        )
    if "://" in source:
        scheme = source.partition("://")[0].lower()
        if scheme not in DEFAULT_PORTS:
            raise SourceError(f"{source}: {scheme}:// is not known; use one of {', '.join(DEFAULT_PORTS)}")
        name = without_password(source)
        _refuse_every_frame(config, name)
        connect = partial(open_stream, source, config.camera)
        return LiveFeed(name, connect, config.camera, repeats_when_gone=False)
    if (source.isdecimal() and len(source) < 4) or source.startswith("/dev/video"):
        _refuse_every_frame(config, f"camera {source}")
        device = int(source) if source.isdecimal() else source
        connect = partial(open_webcam, device, config.camera)
        return LiveFeed(f"camera {source}", connect, config.camera, repeats_when_gone=True)
    is_demo = source == "demo"
    path = asset("demo.mp4", SourceError) if is_demo else Path(source)
    name = "demo" if is_demo else path.name
    if config.every_frame:
        return EveryFrameClip(name, path)
    return PacedClip(name, path, loop=is_demo and bool(config.frames or config.duration))


def _is_utf8(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:  # bytes that Python carries as surrogates; OpenCV would crash on them
        return False
    return True


def _refuse_every_frame(config: Config, name: str) -> None:
    if config.every_frame:
        raise ConfigError(
            f"--every-frame: {name} does not wait; leave --every-frame out, or give --source FILE"
        )
