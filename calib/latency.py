"""How late is the camera, and the whole loop? A clock on the screen, filmed by the camera itself (docs/calibration.md).

python -m calib.latency          the camera: from light to the arrival of its picture in the program; stored
python -m calib.latency --loop   light to light through a stream that runs: camera, pose, receiver, screen
"""

from __future__ import annotations

import argparse
import math
import statistics
import sys
from collections.abc import Callable
from contextlib import closing
from datetime import datetime, timezone
from typing import NoReturn

from calib.camera_run import Filmed, WindowClosed, film, open_camera
from calib.clock_process import ClockProcess
from calib.estimate import MeasurementError
from calib.loop_run import Looped, watch_loop
from calib.sightings import clock_resolution_ms
from realtime.bus.connect import add_connect_flags
from realtime.camera.latency import CameraLatency, store_latency
from realtime.cli import parse as parse_run_live
from realtime.config import Config
from realtime.errors import ConfigError, HmmrLiveError
from realtime.stop import StopRequest
from realtime.terminal import Terminal, print_anything

CAMERA_S, LOOP_S = 18.0, 30.0
OPENINGS = 6
USUAL_REFRESH_HZ = 60.0
STOPPED = "stopped before the measurement was complete; nothing is stored"


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise ConfigError(f"{message}; see python -m calib.latency --help")


def build_parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="python -m calib.latency",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("--source", default=Config().source, metavar="0|URL", help="the camera; default %(default)s")
    add(
        "--set",
        dest="settings",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="settings of the camera, as run_live.py has them; may be repeated",
    )
    add(
        "--duration",
        type=_number(1, 3600),
        metavar="S",
        help=f"seconds of measuring; default {CAMERA_S:g}, with --loop {LOOP_S:g}",
    )
    add(
        "--openings",
        type=_number(1, 100, whole=True),
        default=OPENINGS,
        metavar="N",
        help="how often the camera is opened anew meanwhile; default %(default)s",
    )
    add(
        "--display-ms",
        type=_number(0, 1000),
        default=0.0,
        metavar="MS",
        help="the screen's own delay from draw call to light, where you know it: is taken off; default %(default)g",
    )
    add("--no-store", action="store_true", help="measure only")
    add("--loop", action="store_true", help="the whole loop, of the stream at --connect")
    add_connect_flags(parser)
    return parser


def _number(least: float, most: float, whole: bool = False) -> Callable[[str], float]:
    def number(text: str) -> float:
        value = int(text) if whole else float(text)
        if not least <= value <= most:
            raise argparse.ArgumentTypeError(f"expected {least:g} to {most:g}")
        return value

    number.__name__ = "whole number" if whole else "number"
    return number


def main(argv: list[str] | None = None) -> int:
    """Run and return the exit code: 0 measured, or ended by Ctrl-C or by closing the window; 2 bad arguments; 3 no
    camera or stream, or it never saw the clock; 4 OpenCV has no windows; 5 no display; 1 no result.
    """
    print_anything()
    terminal = Terminal()
    try:
        flags = build_parser().parse_args(argv)
        with StopRequest():  # the first signal is a KeyboardInterrupt, wherever we are
            if flags.loop:
                _loop(flags, terminal)
            else:
                _camera(flags, terminal)
    except (KeyboardInterrupt, WindowClosed):
        terminal.say(STOPPED)
    except HmmrLiveError as error:
        print(f"calib.latency: {error}", file=sys.stderr)
        return error.exit_code
    return 0


def _camera(flags: argparse.Namespace, terminal: Terminal) -> None:
    settings = [argument for setting in flags.settings for argument in ("--set", setting)]
    config = parse_run_live(["--source", flags.source, *settings])
    feed = open_camera(config)  # before a window opens: is there a camera at all?
    name = feed.name
    with closing(feed), ClockProcess(clocks=1) as clock:
        terminal.say(
            f"{name}: let it see the whole clock, in the middle of its picture; measuring begins by itself"
        )
        filmed = film(feed, config, clock, flags.duration or CAMERA_S, flags.openings, terminal)
    latency = camera_latency(filmed, config, flags.display_ms)
    for line in camera_lines(name, filmed, latency, flags.openings):
        terminal.say(line)
    if flags.no_store:
        terminal.say("not stored (--no-store)")
    else:
        terminal.say(f'stored for "{name}" in {store_latency(name, latency)}')


def camera_latency(filmed: Filmed, config: Config, display_ms: float) -> CameraLatency:
    """Raises MeasurementError where the screen is said to take longer than all of it."""
    delay, camera = filmed.delay, filmed.camera
    if delay.median_ms < display_ms:
        raise MeasurementError(
            f"--display-ms {display_ms:g}: all of it, screen and camera, takes {delay.median_ms:.1f} ms; give less"
        )
    # Picture and drawing are stamped alike, so that rounding cancels on average; it is not certain to.
    uncertainty_ms = math.hypot(delay.uncertainty_ms, clock_resolution_ms() / 2)
    screen = f"without {display_ms:g} ms of the screen" if display_ms else "with the screen's own delay"
    return CameraLatency(
        latency_ms=round(delay.median_ms - display_ms, 2),
        uncertainty_ms=round(uncertainty_ms, 2),
        width=camera.width,
        height=camera.height,
        fps=round(camera.fps, 2),
        fourcc="" if "://" in config.source else config.camera.fourcc,
        date=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        method=f"clock on the screen, from draw call to arrival, {screen}",
        with_screen=not display_ms,
    )


def camera_lines(name: str, filmed: Filmed, latency: CameraLatency, openings: int) -> list[str]:
    delay, camera = filmed.delay, filmed.camera
    lines = [
        f"{name} ({camera.message}): latency {latency.latency_ms:.1f} ms ± {latency.uncertainty_ms:.1f} ms (95 %)",
        f"  {latency.method}; {delay.observations} of {filmed.pictures} pictures, {openings} openings, "
        f"{delay.strays} set aside; from picture to picture {delay.spread_ms:.1f} ms",
    ]
    if openings < 3:
        lines.append(_in_step())
    return lines


def _loop(flags: argparse.Namespace, terminal: Terminal) -> None:
    with ClockProcess(clocks=2) as clock:
        terminal.say(f"let the camera of {flags.connect} see both clocks; measuring begins by itself")
        looped = watch_loop(flags.connect, flags.keys, clock, flags.duration or LOOP_S, terminal)
    for line in loop_lines(looped):
        terminal.say(line)


def loop_lines(looped: Looped) -> list[str]:
    delay, received = looped.delay, looped.received
    uncertainty_ms = math.hypot(delay.uncertainty_ms, clock_resolution_ms() / 2)
    lines = [
        f"whole loop: {delay.median_ms:.1f} ms ± {uncertainty_ms:.1f} ms (95 %), from light to light",
        f"  {delay.observations} echoes, {delay.strays} set aside; from echo to echo {delay.spread_ms:.1f} ms",
    ]
    if received.ages_ms:
        inside_ms = statistics.median(received.ages_ms)
        lines.append(
            f"  in it, by stamps: picture taken (by its driver, else: arrived) to pose received {inside_ms:.1f} ms; "
            f"the rest of camera and screen {delay.median_ms - inside_ms:.1f} ms"
        )
    if frame_ms := received.frame_ms():
        lines.append(
            f"  what you see is that old when it appears, and {frame_ms:.0f} ms older when the next takes its place"
        )
    states = ", ".join(f"{count} {state}" for state, count in received.states.most_common())
    lines.append(f"  poses meanwhile: {states or 'none'}")
    lines.append(_in_step())
    return lines


def _in_step() -> str:
    half_ms = 500 / USUAL_REFRESH_HZ
    return (
        f"  not in ±: while camera and screen run in step, half a refresh of the screen either way "
        f"({USUAL_REFRESH_HZ:g} Hz: {half_ms:.1f} ms)"
    )


if __name__ == "__main__":
    sys.exit(main())
