"""What one frame of the network costs, in every way it can be computed, beside the machine's own limit.

    python -m bench.encoder [--width 256 512 2048] [--rounds 200] [--seconds 60] [--perception NAME] [--json FILE]

The temporal encoder alone, and the whole frame with its heads; hot, and cold: right after a perception call on a
picture in the same thread, as live. All variants of a width are timed in one run, in turns, one thread, so that
their ratios hold on a busy machine, too; before that each is held against torch's clip pass. The limit is the time
in which one thread reads a block as large as the variant's own weights, measured in the same turns.
Width 256 is the shipped model, others are random networks of that size, 2048 HMMR's.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import onnxruntime
import torch

from bench.encoder_lineup import ALONE, HEADS, ONNX, ONNX_INT8, Lineup
from bench.encoder_models import default_model, random_model
from bench.interleave import Variant, interleave, statistics
from bench.live_run import machine
from bench.table import print_table
from engines.network.config import NetworkConfig
from realtime.assets import asset
from realtime.config import Config
from realtime.errors import HmmrLiveError
from realtime.perception import make_perception

PICTURES = 30

# What issue 3 asks for.
LEAST_SPEED_UP, MOST_OF_LIMIT = 14.0, 1.6  # ONNX Runtime's step, D=2048
MOST_MS, MOST_INT8_MS = 2.0, 1.2  # the shipped model after MediaPipe, heads included


def make_disturber(name: str) -> Callable[[], object]:
    """A perception call on the next picture of the demo clip. Raises HmmrLiveError."""
    config = Config()
    config.perception.name = name
    perception = make_perception(config)
    capture = cv2.VideoCapture(str(asset("demo.mp4")))
    pictures = [picture for ok, picture in (capture.read() for _ in range(PICTURES)) if ok]
    capture.release()
    frames = itertools.count()

    def disturb() -> object:
        index = next(frames)
        return perception.process(pictures[index % len(pictures)], int(1e9 + index * 1e9 / 30))

    return disturb


def result(lineup: Lineup, rounds: int) -> dict[str, Any]:
    """Everything measured at one width, as JSON values."""
    groups: dict[str, list[dict[str, Any]]] = {}
    for group, members in lineup.groups.items():
        port = {kind: statistics(times)["p50"] for kind, times in _times(members[0])}
        groups[group] = []
        for variant in members:
            row: dict[str, Any] = {"name": variant.name, "bytes": variant.bytes_read, "error": variant.error}
            for kind, times in _times(variant):
                limit = statistics(dict(_times(lineup.readers[variant.bytes_read]))[kind])["p50"]
                row[kind] = statistics(times)
                row[kind] |= {"limit_ms": limit, "of_limit": row[kind]["p50"] / limit}
                row[kind]["faster_than_port"] = port[kind] / row[kind]["p50"]
            groups[group].append(row)
    config = lineup.model.network.config
    sizes = {"width": config.width, "head_width": config.head_width, "blocks": config.blocks}
    return {
        "model": lineup.model.name,
        **sizes,
        "rounds": rounds,
        "groups": groups,
        "missing": lineup.missing,
    }


def _times(variant: Variant) -> list[tuple[str, list[float]]]:
    return [("hot", variant.hot_ms), ("cold", variant.cold_ms)]


def report(found: dict[str, Any], kinds: dict[str, str]) -> None:
    """Two tables. kinds: which of "hot" and "cold" were measured → what that means."""
    for group, rows in found["groups"].items():
        mb = rows[0]["bytes"] / 1e6
        print(
            f"\n{found['model']} (D={found['width']}, heads {found['head_width']}), {group}, {found['rounds']} rounds"
        )
        for kind, meaning in kinds.items():
            ms = rows[0][kind]["limit_ms"]
            print(f"  {kind}: {meaning}; {mb:.1f} MB are read in {ms:.3f} ms ({mb / ms:.0f} GB/s)")
        table = []
        for row in rows:
            cells = [row["name"]]
            for one in (row[kind] for kind in kinds):
                cells += [f"{one['p50']:.3f}", f"{one['p99']:.3f}", f"{one['of_limit']:.2f}"]
                cells.append(f"{one['faster_than_port']:.1f}")
            table.append([*cells, "-" if row["error"] is None else f"{row['error']:.0e}"])
        header = [column for kind in kinds for column in (f"{kind} ms", "p99", "× limit", "port ÷")]
        print_table(("", *header, "error"), table)
    for line in found["missing"]:
        print(line)


def targets(found: list[dict[str, Any]], perception: str) -> list[tuple[str, str, str]]:
    """(what, measured, target) as text, for what was measured."""
    rows = []
    for one in found:
        named = {(group, row["name"]): row for group, members in one["groups"].items() for row in members}
        if one["width"] == 2048:
            step = named[ALONE, ONNX]["hot"]
            rows += [
                ("D=2048: port's window ÷ step", f"{step['faster_than_port']:.1f}", f">= {LEAST_SPEED_UP:g}"),
                ("D=2048: step, × bandwidth limit", f"{step['of_limit']:.2f}", f"<= {MOST_OF_LIMIT:g}"),
            ]
        if one["model"] == "default" and perception == "mediapipe":
            rows += [
                (
                    f"default, heads, after {perception}, {name}, ms",
                    f"{named[HEADS, name]['cold']['p50']:.2f}",
                    most,
                )
                for name, most in ((ONNX, f"<= {MOST_MS:g}"), (ONNX_INT8, f"<= {MOST_INT8_MS:g}"))
            ]
    return rows


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m bench.encoder",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--width", type=int, nargs="+", default=[256, 512, 2048], metavar="D")
    parser.add_argument("--rounds", type=int, default=200, help="of all variants, at the most")
    parser.add_argument(
        "--seconds", type=float, default=60.0, help="per width, at the most (five rounds are made)"
    )
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument(
        "--perception", default="mediapipe", help="what makes the caches cold; none: hot only"
    )
    parser.add_argument("--json", type=Path, metavar="FILE")
    options = parser.parse_args(argv)
    if os.environ.get("OPENBLAS_NUM_THREADS") != str(options.threads):
        # numpy reads it when it is loaded: only a process that is started with it has it.
        environment = {**os.environ, "OPENBLAS_NUM_THREADS": str(options.threads)}
        command = [sys.executable, "-m", "bench.encoder", *(sys.argv[1:] if argv is None else argv)]
        return subprocess.run(command, env=environment).returncode
    torch.set_num_threads(options.threads)
    perception = "" if options.perception == "none" else options.perception
    kinds = {"hot": "the weights in whatever cache holds them"}
    if perception:
        kinds["cold"] = f"right after {perception} on a picture, in the same thread"
    found = []
    try:
        disturb = make_disturber(perception) if perception else None
        for width in options.width:
            with tempfile.TemporaryDirectory() as name:
                folder = Path(name)
                shipped = width == NetworkConfig.width
                model = default_model(folder) if shipped else random_model(width, folder)
                lineup = Lineup(model, options.threads)
            rounds = interleave(lineup.all(), disturb, options.rounds, options.seconds)
            lineup.close()
            found.append(result(lineup, rounds))
            report(found[-1], kinds)
    except HmmrLiveError as error:
        parser.exit(error.exit_code, f"{error}\n")
    where = machine()
    about = f"{where['cpus']} cpus, load {where['load_1min']:.1f}, {options.threads} thread(s)"
    print(f"\n{about}, {where['system']}, onnxruntime {onnxruntime.__version__}, torch {torch.__version__}")
    goals = targets(found, perception)
    if goals:
        print_table(("", "measured", "target"), goals)
    if options.json:
        everything = {
            "machine": where,
            "perception": perception,
            "threads": options.threads,
            "widths": found,
        }
        options.json.write_text(json.dumps(everything, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
