"""python -m realtime.viewer --connect tcp://127.0.0.1:5555: watch a running stream, from wherever it runs."""

from __future__ import annotations

import argparse
import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np

from realtime import child
from realtime.body.smpl import Body, load_body
from realtime.bus.connect import add_connect_flags
from realtime.config import Config
from realtime.errors import ConfigError, LoadError, SourceError
from realtime.sinks.options import LEAD, lead
from realtime.viewer.display import NoDisplayError, check_display
from realtime.viewer.stream import LiveStream

if TYPE_CHECKING:
    from realtime.viewer.window import ViewerWindow

PICTURE_WAIT_S = 0.05  # a new camera picture is drawn with the next pose, or alone after this time
IDLE_REDRAW_S = 0.25  # the numbers go on while nothing comes
SNAPSHOT_PATIENCE_S = 30.0  # without a stream for this long, a snapshot is given up
SNAPSHOT_SILENCE_S = 5.0  # and after the last pose it was the last
SNAPSHOT_PICTURE_S = 2.0  # a snapshot waits this long for the camera's picture


def parse(argv: list[str] | None = None) -> argparse.Namespace:
    default = Config()
    parser = argparse.ArgumentParser(prog="python -m realtime.viewer", description=__doc__)
    add = parser.add_argument
    add_connect_flags(parser)
    add("--body", default="", metavar="FILE", help="an SMPL .npz or .pkl; default: the body shipped")
    add("--width", type=_pixels, default=default.viewer.width, metavar="PX")
    add("--height", type=_pixels, default=default.viewer.height, metavar="PX")
    add("--fps", type=float, default=default.viewer.fps, help="upper bound; default %(default)s")
    add(
        "--lead", type=_lead, default=None, metavar="on|off|MS", help=f"{LEAD.help.partition(': ')[2]}; key L"
    )
    add(
        "--snapshot",
        default="",
        metavar="OUT.png",
        help="needs no display: draw unseen, write the picture and end; with %%d in the name, every frame",
    )
    add("--frames", type=int, default=10, metavar="N", help="poses to draw for a snapshot; default 10")
    flags = parser.parse_args(argv)
    if not 0 < flags.fps < float("inf") or flags.frames < 1:
        parser.error("--fps and --frames must be numbers above 0")
    return flags


def _pixels(text: str) -> int:
    value = int(text)
    if not 200 <= value <= 8192:
        raise argparse.ArgumentTypeError("expected 200 to 8192 pixels")
    return value


def _lead(text: str) -> float | None:
    try:
        return lead(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def main() -> int:
    flags = parse()
    if flags.snapshot:
        _check_snapshot(flags.snapshot)
    try:
        if not flags.snapshot:
            check_display()
        window = _open(load_body(flags.body), flags)
    except NoDisplayError as error:
        raise NoDisplayError(
            f"viewer: {error}; it ends here and the stream goes on.\n"
            "A picture without a display: python -m realtime.viewer --snapshot OUT.png"
        ) from None
    if hasattr(os, "nice") and not flags.snapshot:
        os.nice(5)  # where there are few cores, the pose comes before its picture
    stream = LiveStream(flags.connect, flags.keys)
    print(f"viewer: waiting for {flags.connect}", file=sys.stderr, flush=True)
    try:
        if flags.snapshot:
            _snapshot(window, stream, flags.snapshot, flags.frames)
        else:
            _watch(window, stream, 1.0 / flags.fps)
    finally:
        if ages := stream.ages_at_ticks():
            print(f"viewer: {ages}", file=sys.stderr, flush=True)
        stream.close()
        window.close()
    return 0


def _open(body: Body, flags: argparse.Namespace) -> ViewerWindow:
    # Here and not above: loading Open3D takes seconds, in which Ctrl-C must be answered and --help given.
    try:
        from realtime.viewer.window import ViewerWindow
    except (ImportError, OSError) as error:
        raise LoadError(
            f"viewer: Open3D cannot be loaded ({error}).\n"
            "On Debian or Ubuntu: apt-get install libegl1 libgl1 libgomp1 libusb-1.0-0"
        ) from None
    return ViewerWindow(body, flags.width, flags.height, visible=not flags.snapshot, lead_ms=flags.lead)


def _watch(window: ViewerWindow, stream: LiveStream, interval_s: float) -> None:
    """Draw until the window is closed: each pose as soon as it comes, at most one per interval.

    Drawing takes half of the time at most: where it is slow (no graphics card), the pose has the processor.
    """
    pause_s = interval_s
    pose_waits = False
    picture_since_s: float | None = None
    state, drawn_at_s, panel_at_s, seen = "", 0.0, 0.0, False
    while window.poll():
        new_pose, new_picture = stream.poll(interval_s / 2)
        now = time.monotonic()
        pose_waits |= new_pose
        if new_picture and picture_since_s is None:
            picture_since_s = now
        if pose_waits and not seen:
            seen = True
            print(f"viewer: receiving {stream.address}", file=sys.stderr, flush=True)
        picture_due = picture_since_s is not None and now - picture_since_s >= PICTURE_WAIT_S
        changed = pose_waits or picture_due or window.moving or stream.state != state
        if now - drawn_at_s < (pause_s if changed else IDLE_REDRAW_S):
            continue
        state = stream.state
        if picture_since_s is not None or now - panel_at_s >= IDLE_REDRAW_S:
            window.set_panel(stream.picture, stream.numbers(window.lead_ms))
            picture_since_s, panel_at_s = None, now
        _draw(window, stream, pose_waits)
        pose_waits, drawn_at_s = False, now
        pause_s = max(interval_s, 2 * (time.monotonic() - now))


def _draw(window: ViewerWindow, stream: LiveStream, new_pose: bool) -> None:
    pose = stream.pose if new_pose else None
    now = time.monotonic()
    if pose is not None and not window.set_pose(now, pose):
        stream.bad += 1
        pose = None
    window.draw(now, stream.state)
    if pose is not None:
        stream.drawn(pose)
    stream.ticked()


def _snapshot(window: ViewerWindow, stream: LiveStream, target: str, frames: int) -> None:
    """Draw `frames` poses unseen and write the last, or with %d in the name each; of a stream that falls silent before,
    those that came. Raises SourceError where none does.
    """
    give_up_s = time.monotonic() + SNAPSHOT_PATIENCE_S
    picture_until_s: float | None = None
    drawn = 0
    while drawn < frames:
        new_pose, _ = stream.poll(0.1)
        now = time.monotonic()
        if now > give_up_s and drawn:
            print(f"viewer: no more than {drawn} poses came", file=sys.stderr, flush=True)
            break
        if now > give_up_s:
            raise SourceError(f"viewer: no pose from {stream.address} for {SNAPSHOT_PATIENCE_S:.0f} s")
        if not new_pose:
            continue
        give_up_s = now + SNAPSHOT_SILENCE_S
        picture_until_s = picture_until_s or now + SNAPSHOT_PICTURE_S
        if stream.picture is None and now < picture_until_s:
            continue
        window.set_panel(stream.picture, stream.numbers(window.lead_ms))
        _draw(window, stream, new_pose)
        drawn += 1
        if "%" in target:
            _write(Path(target % drawn), window.capture())
    if "%" not in target:
        _write(Path(target), window.capture())


def _check_snapshot(target: str) -> None:
    try:
        path = Path(target % 1 if "%" in target else target)
    except (TypeError, ValueError):
        raise ConfigError(f"--snapshot {target}: expected one %d, for example frame%04d.png") from None
    if path.suffix.lower() not in (".png", ".jpg") or not path.parent.is_dir():
        raise ConfigError(f"--snapshot {target}: expected a .png or .jpg in a folder that exists")


def _write(path: Path, image: np.ndarray) -> None:
    try:
        encoded = cv2.imencode(path.suffix, cv2.cvtColor(image, cv2.COLOR_RGB2BGR))[1]
        path.write_bytes(encoded.tobytes())
    except OSError as error:
        raise ConfigError(f"--snapshot {path}: cannot be written ({error.strerror})") from None


if __name__ == "__main__":
    sys.exit(child.run(main))
