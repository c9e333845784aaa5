"""The command line: flags → Config, and errors → one or two lines and an exit code."""

from __future__ import annotations

import argparse
import math
import sys
import traceback
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any, NoReturn

from realtime.bus.publisher import keys_for
from realtime.config import MAP_MODES, MIRROR_MODES, PERCEPTION_ENGINES, Config, apply_setting, settable_keys
from realtime.errors import ConfigError, HmmrLiveError, LoadError, install_command
from realtime.lead_time import asked_ms
from realtime.perception import PERCEPTIONS
from realtime.record import check_record_path, check_trace_path, check_writable_folder
from realtime.sinks import SINKS
from realtime.supervisor import Supervisor
from realtime.terminal import print_anything
from realtime.version import VERSION

DESCRIPTION = "An ordinary webcam in; at frame rate, a live stream of SMPL body parameters out."
EPILOG = """\
examples:
  run_live.py                                   the first webcam, with the viewer
  run_live.py --source demo                     the shipped clip, played once like a camera
                                                (in a loop with --frames or --duration)
  run_live.py --source clip.mp4 --every-frame --viewer none --record out.npz
                                                every frame of a file, as fast as it goes
  run_live.py --source rtsp://host/stream --set camera.fov_deg=78

sinks (--sink NAME[:ARGS]; python -m realtime.sinks.NAME --help lists their keys):
  {sinks}

exit codes: 0 finished or Ctrl-C; 2 bad arguments or configuration; 3 the source cannot be opened;
4 model, body or engine cannot be loaded. Ctrl-C ends cleanly, a second one at once."""

# What a setting may be where another value would divide by zero, never end, or mean nothing.
LIMITS = {
    "camera.width": (1, 16384),
    "camera.height": (1, 16384),
    "camera.fps": (1, 1000),
    "camera.fov_deg": (5, 170),
    "camera.pitch_deg": (-90, 90),
    "camera.roll_deg": (-180, 180),
    "camera.stale_ms": (10, 1e6),
    "camera.reconnect_first_s": (0.01, 3600),
    "camera.reconnect_max_s": (0.01, 3600),
    "camera.open_timeout_s": (0.1, 3600),
    "camera.buffers": (1, 100),
    "camera.latency_ms": (0, 2000),
    "perception.threads": (0, 256),
    "perception.enter_score": (0, 1),
    "perception.leave_score": (0, 1),
    "perception.enter_frames": (1, 1000),
    "perception.hold_ms": (0, 1e6),
    "perception.box_tau_ms": (0, 1e6),
    "runtime.threads": (1, 256),
    "refine.steps": (0, 10),
    "lead.display_ms": (0, 1000),
    "bus.image_fps": (0.1, 1000),
    "bus.image_width": (16, 8192),
    "viewer.width": (200, 8192),
    "viewer.height": (200, 8192),
    "viewer.fps": (1, 1000),
}

# Settings that are one of a few words.
CHOICES: dict[str, Collection[str]] = {
    "perception.name": PERCEPTIONS,
    "perception.mirror": MIRROR_MODES,
    "perception.map": MAP_MODES,
    "perception.engine": PERCEPTION_ENGINES,
}

# Packages that the default install leaves out → the extra of pyproject.toml that brings them.
EXTRAS = {
    "cuda": "tensorrt-rtx",
    "mediapipe": "mediapipe",
    "safetensors": "torch",
    "tensorrt": "tensorrt",
    "tensorrt_rtx": "tensorrt-rtx",
    "torch": "torch",
    "viser": "web",
}


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise ConfigError(f"{message}; see run_live.py --help")


class _Once(argparse.Action):
    """One value: a second would silently take its place, and a file that was asked for would not be written."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        flags: argparse.Namespace,
        value: Any,
        option: str | None = None,
    ) -> None:
        if getattr(flags, self.dest) != self.default:
            raise argparse.ArgumentError(self, f"given twice, {getattr(flags, self.dest)} and {value}")
        setattr(flags, self.dest, value)


def build_parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="run_live.py",
        description=DESCRIPTION,
        epilog=EPILOG.format(sinks="\n  ".join(entry.help for entry in SINKS.values())),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    default = Config()
    add = parser.add_argument
    add(
        "--source",
        default=default.source,
        metavar="0|demo|FILE|URL",
        help="webcam number, the shipped clip, a video file (plays at its own rate) or an http/RTSP address; "
        "default %(default)s. python -m realtime.camera lists the webcams",
    )
    add(
        "--engine",
        default=default.engine,
        choices=("auto", "tensorrt", "onnxruntime", "torch"),
        help="what runs the network; default %(default)s: TensorRT where it can run, else ONNX Runtime",
    )
    add(
        "--perception",
        choices=tuple(PERCEPTIONS),
        default=default.perception.name,
        help="what finds the person in the picture; default %(default)s",
    )
    add(
        "--model",
        default=default.model,
        metavar="NAME",
        help="weights: default, lookahead (answers six frames later, and better), or a .safetensors or .onnx file; "
        "default %(default)s",
    )
    add(
        "--body",
        default=default.body,
        metavar="FILE",
        help="an SMPL .npz or .pkl; default: the body shipped",
    )
    add(
        "--viewer",
        dest="viewer_kind",
        default=default.viewer_kind,
        choices=("open3d", "none"),
        help="window beside the stream, a process of its own; default %(default)s",
    )
    add(
        "--bus",
        dest="bus_address",
        default=default.bus_address,
        metavar="ADDRESS",
        help="where the stream is published; default %(default)s. Other machines: tcp://0.0.0.0:5555, with keys "
        "(python -m realtime.keys)",
    )
    add(
        "--sink",
        dest="sinks",
        action="append",
        default=[],
        metavar="NAME[:ARGS]",
        help="a receiver to start beside the stream; may be repeated",
    )
    add(
        "--record",
        action="append",
        default=[],
        metavar="PATH",
        help="record the motion: .npz (arrays per frame), .amass.npz, .bvh, .glb, or .mcap (the bus, for replay); "
        "an existing file is never overwritten; may be repeated",
    )
    add(
        "--every-frame",
        action="store_true",
        help="with a file or demo: process every frame, as fast as it goes, instead of playing in real time",
    )
    add(
        "--lead",
        default=default.lead.mode,
        metavar="auto|off|MS",
        help="the pose as it will be when it is seen, beside the one that was seen: as old as it will be then, not at "
        "all, or so many milliseconds; default %(default)s (with --every-frame: off). Recordings are of what was seen",
    )
    add("--frames", type=_count, default=0, metavar="N", help="end after N processed frames")
    add("--duration", type=_seconds, default=0.0, metavar="S", help="end after S seconds")
    add(
        "--summary",
        action=_Once,
        default="",
        metavar="PATH.json",
        help="write what the run did: frames, drops, latencies",
    )
    add(
        "--trace",
        action=_Once,
        default="",
        metavar="PATH",
        help="write when each frame passed each stage: .json (Chrome trace, opens in Perfetto) or .csv; the last "
        "20,000 frames (of .csv 100,000), at the end of the run",
    )
    add(
        "--set",
        dest="settings",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="any setting of realtime/config.py, for example camera.width=1280; may be repeated",
    )
    add("--debug", action="store_true", help="show where an error came from")
    add("--version", action="version", version=f"hmmr-live {VERSION}")
    return parser


def _count(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError("expected a number of at least 1")
    return value


_count.__name__ = "whole number"  # argparse: "invalid whole number value: 'x'"


def _seconds(text: str) -> float:
    value = float(text)
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError("expected a number of seconds above 0")
    return value


_seconds.__name__ = "number of seconds"


def parse(argv: Sequence[str]) -> Config:
    """Flags → Config, everything checked that can be checked before anything is loaded or opened.

    Raises ConfigError. Leaves by SystemExit(0) for --help and --version.
    """
    flags = vars(build_parser().parse_args(argv))
    settings, perception, lead = (flags.pop(name) for name in ("settings", "perception", "lead"))
    config = Config(**flags)
    config.perception.name, config.lead.mode = perception, lead
    for assignment in settings:
        apply_setting(config, assignment)
    for key, (least, most) in LIMITS.items():
        owner, name, _ = settable_keys(config)[key]
        value = getattr(owner, name)
        if value is not None and not least <= value <= most:
            raise ConfigError(f"--set {key}={value:g}: expected {least:g} to {most:g}")
    for key, words in CHOICES.items():
        owner, name, _ = settable_keys(config)[key]
        if getattr(owner, name) not in words:
            raise ConfigError(f"--set {key}={getattr(owner, name)}: expected one of {', '.join(words)}")
    asked_ms(config.lead.mode)
    fourcc = config.camera.fourcc
    if not (1 <= len(fourcc) <= 4 and fourcc.isascii() and fourcc.isprintable()):
        raise ConfigError(
            f"--set camera.fourcc={fourcc}: expected up to four letters, for example MJPG or YUYV"
        )
    keys_for(config.bus_address, config.bus)  # listens nowhere: a bad address, or missing keys, are told now
    Supervisor(config)  # starts nothing: an unknown sink is told now
    if not config.source:
        raise ConfigError("--source: empty; give a webcam number, demo, a file or an address")
    taken = set()
    for record in config.record:
        path = Path(record)
        check_record_path(path)
        if path.resolve() in taken:
            raise ConfigError(f"--record {record}: given twice")
        taken.add(path.resolve())
    if config.summary:
        check_writable_folder("--summary", Path(config.summary))
    if config.trace:
        check_trace_path(Path(config.trace))
        if config.summary and Path(config.trace).resolve() == Path(config.summary).resolve():
            raise ConfigError(
                f"--trace {config.trace}: --summary goes there, too; give one of them another name"
            )
    return config


def main(argv: Sequence[str] | None = None) -> int:
    """Run and return the exit code."""
    print_anything()
    arguments = list(sys.argv[1:] if argv is None else argv)
    debug = "--debug" in arguments
    try:
        config = parse(arguments)
        # Only now: --help and a mistyped flag should not wait for the networks' packages to load.
        from realtime.pipeline import run

        run(config)
    except KeyboardInterrupt:
        return 0  # Ctrl-C while still loading: nothing was started that is not closed by now
    except HmmrLiveError as error:
        _report(error, f"run_live: {error}", debug)
        return error.exit_code
    except ModuleNotFoundError as error:
        what = f"run_live: the package {error.name} is not installed for {sys.executable}"
        _report(error, f"{what}\n{_how_to_install(error.name)}", debug)
        return LoadError.exit_code
    except Exception as error:
        # The one place where anything may be caught: a bug of ours must not bury its message in a traceback.
        what = " ".join(str(error).split())[:300]
        _report(
            error,
            f"run_live: unexpected {type(error).__name__}: {what}\nrun with --debug to see where",
            debug,
        )
        return 1
    return 0


def _how_to_install(module: str | None) -> str:
    extra = EXTRAS.get((module or "").partition(".")[0])
    if extra is None:
        return "run it with .venv/bin/python (make demo sets that up), or pip install -e ."
    return f"install it: {install_command(extra)}"


def _report(error: Exception, text: str, debug: bool) -> None:
    if debug:
        traceback.print_exception(error)
    print(text, file=sys.stderr)
