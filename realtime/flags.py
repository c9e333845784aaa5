"""The flags of run_live.py, and the words of its --help."""

from __future__ import annotations

import argparse
import math
from typing import Any, NoReturn

from realtime.config import Config
from realtime.errors import ConfigError
from realtime.perception import PERCEPTIONS
from realtime.sinks import SINKS
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
