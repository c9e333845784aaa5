"""Hours of the real program while things go wrong around it; then it asserts on its own log.

    python -m bench.soak [--minutes 30] [--fps 30] [--seed 1] [--json FILE] [--plot FILE.png] [flags of run_live.py]
    python -m bench.soak --judge LOG      verdicts, --json and --plot of a log that is there

run_live.py runs as a process on a camera that fails (the demo clip in a loop as MJPEG over HTTP on 127.0.0.1), with
sinks, two recordings and subscribers. By the seed, one after the other: the camera stalls and is cut off, subscribers
are killed, stopped and join, a sink is killed, the processor is hogged, garbage arrives on the port. Once a second what
was seen goes into a log; at the end it is judged, and the exit code is 1 where a verdict fails. Ctrl-C ends it early.
docs/soak.md explains the verdicts.
"""

from __future__ import annotations

import argparse
import json
import math
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path

from bench.live_run import ROOT
from bench.soak.log import Log, read_log
from bench.soak.plot import plot
from bench.soak.run import Plan, soak
from bench.soak.schedule import KINDS, plan
from bench.soak.verdict import Verdict
from bench.soak.verdicts import judge
from bench.table import print_table
from realtime.assets import asset
from realtime.errors import ConfigError, HmmrLiveError, install_command
from realtime.record import check_writable_folder

OURS = ("--source", "--bus", "--summary", "--duration", "--frames", "--every-frame", "--record")


def parse(argv: Sequence[str] | None) -> tuple[argparse.Namespace, list[str]]:
    """Ours, and the flags of run_live.py."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.soak",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("--minutes", type=_positive, default=30.0, metavar="M", help="default %(default)g")
    add("--fps", type=_positive, default=30.0, help="of the camera; default %(default)g")
    add("--seed", type=int, default=1, metavar="N", help="of the faults; default %(default)s")
    add("--faults", type=_kinds, default=list(KINDS), metavar="KIND,…",
        help=f"which kinds, or none; default all: {', '.join(KINDS)}")  # fmt: skip
    add("--clip", default="", metavar="FILE", help="what the camera sees; default: the demo clip")
    add("--log", type=Path, metavar="FILE", help="a row a second; default out/soak-DATE.jsonl")
    add("--json", type=Path, metavar="FILE", help="verdicts, faults and summary")
    add("--plot", type=Path, metavar="FILE.png", help="memory and p99 over time (matplotlib)")
    add("--judge", type=Path, metavar="LOG", help="run nothing: judge this log")
    return parser.parse_known_args(argv)


def _positive(text: str) -> float:
    value = float(text)
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError("expected a number above 0")
    return value


_positive.__name__ = "number"  # argparse: "invalid number value: 'x'"


def _kinds(text: str) -> list[str]:
    kinds = [] if text == "none" else [kind.strip() for kind in text.split(",")]
    if unknown := [kind for kind in kinds if kind not in KINDS]:
        raise argparse.ArgumentTypeError(f"{unknown[0]}: expected some of {', '.join(KINDS)}, or none")
    return kinds


def report(log: Log, verdicts: Sequence[Verdict]) -> None:
    """The table, and what the machine did besides."""
    run, machine = log.run, log.run["machine"]
    flags = " ".join(run["flags"])
    print(
        f"{len(log.seconds) / 60:.1f} min at {run['fps']:g} fps, seed {run['seed']}, {machine['cpus']} cpus, "
        f"load {machine['load_1min']:.1f} before, {machine['system']}\nrun_live.py {flags}\n"
    )
    if log.seconds:
        busy = [[row[key] for row in log.seconds] for key in ("cores", "machine_cores")]
        ours, all_of_it = (sum(one) / len(one) for one in busy)
        print(f"busy cores, mean: {ours:.2f} the program and its sinks, {all_of_it:.2f} the machine")
    print()
    rows = [[v.name, v.measured, v.asked, v.word] for v in verdicts]
    print_table(["", "measured", "asked for", ""], rows)
    notes = [f"  {v.name}: {v.note}" for v in verdicts if v.note]
    print("\n" + "\n".join(notes))


def main(argv: Sequence[str] | None = None) -> int:
    options, flags = parse(argv)
    path = options.judge or options.log or ROOT / "out" / f"soak-{time.strftime('%Y%m%d-%H%M%S')}.jsonl"
    try:
        path.parent.mkdir(
            parents=True, exist_ok=True
        )  # before --json and --plot are looked at: they may be beside it
        _check_outputs(options)
        if not options.judge:
            _run(options, flags, path)
        log = read_log(path)
        verdicts = judge(log)
        report(log, verdicts)
        print(f"log: {path}")
        if options.json:
            told = {"verdicts": [{**asdict(one), "word": one.word} for one in verdicts], "run": log.run}
            told |= {"faults": log.faults, "end": log.end}
            options.json.write_text(json.dumps(told, indent=2) + "\n")
        if options.plot:
            plot(log, options.plot)
    except (HmmrLiveError, RuntimeError) as error:
        print(error, file=sys.stderr)
        return getattr(error, "exit_code", 1)
    except (ImportError, OSError, ValueError) as error:
        print(f"{error}; the log is {path}, python -m bench.soak --judge {path} reads it", file=sys.stderr)
        return 1
    return int(any(one.passed is False for one in verdicts))


def _check_outputs(options: argparse.Namespace) -> None:
    """Raises ConfigError: better now than after half an hour."""
    for flag, path in (("--json", options.json), ("--plot", options.plot)):
        if path:
            check_writable_folder(flag, path)
    if options.plot and find_spec("matplotlib") is None:
        raise ConfigError(f"--plot: matplotlib is not installed; {install_command('train')}")


def _run(options: argparse.Namespace, flags: Sequence[str], path: Path) -> None:
    if taken := [flag for flag in flags if flag.partition("=")[0] in OURS]:
        name = taken[0].partition("=")[0]
        raise ConfigError(
            f"{name}: the soak sets this itself; leave it out (what its camera sees is --clip FILE)"
        )
    if path.exists():
        raise ConfigError(f"--log {path}: exists and is not overwritten; give another name")
    seconds = options.minutes * 60
    faults = plan(seconds, options.seed, options.faults)
    clip = options.clip or str(asset("demo.mp4"))
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # what we started is not left behind
    with tempfile.TemporaryDirectory() as folder, path.open("x") as log:
        soak(Plan(seconds, options.fps, options.seed, clip, faults, flags), Path(folder), log)


if __name__ == "__main__":
    sys.exit(main())
