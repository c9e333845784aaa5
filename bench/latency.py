"""How long a frame takes through the live program, from exposure to a subscriber's render tick; how soon after its
start the first pose comes; its memory.

    python -m bench.latency [--source demo|FILE|0] [--seconds 20] [flags of run_live.py]
    python -m bench.latency --against mediapipe      the same with MediaPipe as perception, in turns, side by side
    python -m bench.latency --fps 15,30,60           the clip's pictures at these rates, one session each; of a camera,
                                                     what it is asked for
    python -m bench.latency --subscribers 16 --viewer --recording --hog      each beside the unloaded run, in turns
    python -m bench.latency --stall 2                the source stands still: how old is the next pose?

Starts run_live.py without a viewer at the clip's own rate, listens on its bus, and watches it. Stages are stamped
inside the program (realtime/summary.py, `--trace`); received is stamped here, in another process on the same clock, and
a third reads the newest pose at 60 render ticks a second. With a clip as source this is the latency of the software:
exposure, driver and display come on top (docs/latency.md says what is measured where). Without a display the
viewer draws every pose unseen.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
import tempfile
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from bench.clip_at_rate import write_at_rate
from bench.latency_frames import Frames, write_frames, write_ticks
from bench.latency_kinds import MOST_SUBSCRIBERS, Kind, Looks, kinds
from bench.latency_plot import draw
from bench.latency_stall import Stall, measure_stalls
from bench.latency_table import about, acceptance, header, merge, name_of, rows
from bench.live_run import first_pose, machine
from bench.table import print_table
from engines import ENGINES
from realtime.assets import asset
from realtime.errors import ConfigError, HmmrLiveError, install_command
from realtime.perception import PERCEPTIONS
from realtime.record import check_writable_folder

COPY_MARGIN_S = 2.0  # a copied clip outlasts the run
LOADED_ROUNDS = 3


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m bench.latency",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="Other flags go to run_live.py.",
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("--source", default="demo", metavar="demo|FILE|0", help="a clip, or a webcam's number")
    add("--seconds", type=float, default=20.0, metavar="S", help="of one run; 300 for a statement on memory")
    add("--fps", type=_rates, default=[0.0], metavar="F[,F]", help="play a copy of the clip at these rates")
    add(
        "--against",
        default="",
        choices=sorted({*PERCEPTIONS, *ENGINES} - {"auto"}),
        help="run also with this perception or engine, in turns, and print both side by side",
    )
    add(
        "--subscribers",
        type=_count,
        default=1,
        metavar="N",
        help=f"run also with N, up to {MOST_SUBSCRIBERS}",
    )
    add("--viewer", action="store_true", help="run also with the viewer beside it")
    add("--recording", action="store_true", help="run also recording .npz and .mcap")
    add("--hog", action="store_true", help="run also with a program beside it that keeps a core busy")
    add(
        "--stall",
        type=float,
        default=0.0,
        metavar="S",
        help="instead: a source that stands still for S seconds",
    )
    add(
        "--rounds",
        type=int,
        default=0,
        metavar="N",
        help="runs of each; 1, and 3 where there are several kinds",
    )
    add("--starts", type=int, default=5, metavar="N", help="starts to the first pose; 0: none")
    add("--json", type=Path, metavar="FILE")
    add(
        "--csv",
        type=Path,
        metavar="FILE.csv",
        help="every frame; the render ticks into FILE.ticks.csv beside it",
    )
    add("--png", type=Path, metavar="FILE.png", help="histograms and timeline")
    add(
        "--trace",
        type=Path,
        metavar="FILE.json",
        help="the last round, unloaded, as a Chrome trace (Perfetto)",
    )
    return parser


def _rates(text: str) -> list[float]:
    rates = [float(part) for part in text.split(",")]
    if not all(1 <= rate <= 1000 for rate in rates):
        raise argparse.ArgumentTypeError("expected frames per second, by commas")
    return rates


def _count(text: str) -> int:
    if not 1 <= (value := int(text)) <= MOST_SUBSCRIBERS:
        raise argparse.ArgumentTypeError(f"expected 1 to {MOST_SUBSCRIBERS}")
    return value


def _is_camera(source: str) -> bool:
    return source.isdecimal() or source.startswith("/dev/video")


def _clip(source: str) -> Path:
    return asset("demo.mp4") if source == "demo" else Path(source)


def _session(options: argparse.Namespace, flags: Sequence[str], fps: float, folder: Path) -> dict[str, Any]:
    """Everything asked for, at one rate. {"fps", "runs", "merged", "starts_s"} and, for this program, "frames"."""
    source, seconds, flags = options.source, options.seconds, list(flags)
    if fps and _is_camera(source):
        flags += ["--set", f"camera.fps={fps:g}"]
    elif fps:
        clip = _clip(source)
        copy = folder / f"{clip.stem}-{fps:g}fps.mp4"
        source = str(write_at_rate(clip, fps, seconds + COPY_MARGIN_S, copy))
    asked = options.against, options.subscribers, options.viewer, options.recording, options.hog
    chosen = kinds(flags, *asked)
    starts = [
        [first_pose(source, kind.flags) for kind in chosen if not kind.name] for _ in range(options.starts)
    ]
    rounds = options.rounds or (LOADED_ROUNDS if len(chosen) > 1 else 1)
    looks = Looks()
    runs = [[looks.run(kind, source, seconds) for kind in chosen] for _ in range(rounds)]
    of_kinds = list(zip(*runs, strict=True))
    session = {
        "fps": fps or None,
        "runs": [[result for result, _ in of_kind] for of_kind in of_kinds],
        "merged": [merge([result for result, _ in of_kind]) for of_kind in of_kinds],
        "starts_s": [[start.seconds for start in of_kind] for of_kind in zip(*starts, strict=True)],
        "frames": [[frames for _, frames in of_kind] for of_kind in of_kinds],
    }
    _print(session, [*zip(*starts, strict=True)], chosen, rounds, seconds)
    return session


def _print(
    session: dict[str, Any], starts: list, chosen: Sequence[Kind], rounds: int, seconds: float
) -> None:
    results = session["merged"]
    where, camera = machine(), results[0]["camera"]
    print(f"{where['cpus']} cpus, load {where['load_1min']:.1f}, {where['system']}")
    print(
        f"{results[0]['source']}, {camera['width']}x{camera['height']} at {camera['nominal_fps']:g} fps, "
        f"{rounds} x {seconds:g} s; pictures stamped by {camera['stamped_by']}"
    )
    for result in results:
        print(about(result))
        if result["viewer"]:
            print(f"   {result['viewer']}")
    begun = [*starts, *([[]] * (len(chosen) - len(starts)))] if starts else []
    print_table(header(results), rows(results, begun))
    for line in acceptance(results):
        print(line)


def _ticks(options: argparse.Namespace) -> Path:
    path: Path = options.csv.with_suffix(".ticks.csv")
    return path


def _check_outputs(options: argparse.Namespace) -> None:
    """Raises ConfigError: better now than after the runs."""
    for flag in ("json", "csv", "png", "trace"):
        if path := getattr(options, flag):
            check_writable_folder(f"--{flag}", path)
    if options.csv:
        check_writable_folder("--csv", _ticks(options))
    if options.png and find_spec("matplotlib") is None:
        raise ConfigError(f"--png: matplotlib is not installed; {install_command('train')}")


def _write(options: argparse.Namespace, sessions: Sequence[dict[str, Any]], stalls: Sequence[Any]) -> None:
    """The files asked for. Raises RuntimeError without matplotlib, OSError."""
    named: list[tuple[str, list[Frames]]] = []
    for session in sessions:
        rate = f" at {session['fps']:g} fps" if session["fps"] else ""
        for result, frames in zip(session["merged"], session.pop("frames"), strict=True):
            named.append((f"{name_of(result)}{rate}", frames))
    if options.json:
        report = {"machine": machine(), "sessions": sessions, "stalls": [vars(stall) for stall in stalls]}
        options.json.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    if options.csv and named:
        for path, write in ((options.csv, write_frames), (_ticks(options), write_ticks)):
            with path.open("w", encoding="utf-8", newline="") as file:
                write(file, ((name, turn, one) for name, rounds in named for turn, one in enumerate(rounds)))
    if options.trace and named:
        options.trace.write_text(json.dumps(named[0][1][-1].trace()) + "\n", encoding="utf-8")
    if options.png and named:
        where = machine()
        draw(options.png, f"bench.latency, {options.source}, {where['cpus']} cpus, {where['system']}", named)


def main(argv: Sequence[str] | None = None) -> int:
    options, flags = _parser().parse_known_args(argv)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # what we started is not left behind
    failed = False
    sessions: list[dict[str, Any]] = []
    stalls: list[Stall] = []
    try:
        _check_outputs(options)
        try:
            _measure(options, flags, sessions, stalls)
        except (HmmrLiveError, RuntimeError, OSError) as error:
            print(error, file=sys.stderr)
            failed = True
        finally:  # one that fails, or Ctrl-C, takes nothing from those before it
            if sessions or stalls:
                _write(options, sessions, stalls)
    except (HmmrLiveError, RuntimeError, OSError) as error:
        print(error, file=sys.stderr)
        failed = True
    return int(failed)


def _measure(
    options: argparse.Namespace, flags: Sequence[str], sessions: list[dict[str, Any]], stalls: list[Stall]
) -> None:
    """All that is asked for; what is measured is added to `sessions` and `stalls` as it comes."""
    with tempfile.TemporaryDirectory() as name:
        for fps in options.fps:
            if not options.stall:
                sessions.append(_session(options, flags, fps, Path(name)))
                continue
            for stall in measure_stalls(_clip(options.source), fps or 30.0, options.stall, flags):
                stalls.append(stall)
                print(stall.line())


if __name__ == "__main__":
    sys.exit(main())
