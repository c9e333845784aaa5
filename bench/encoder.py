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
import platform
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnxruntime
import psutil
import torch

from bench import encoder_variants as variants
from bench.bandwidth import Reader
from bench.encoder_models import BenchModel, default_model, random_model, weight_bytes
from bench.interleave import Variant, interleave, statistics
from bench.table import print_table
from engines import load
from engines.config import NetworkConfig
from engines.gate import load_gate
from engines.torch_engine import torch_engine
from realtime.assets import asset
from realtime.body.smpl import load_body
from realtime.config import Config
from realtime.errors import HmmrLiveError
from realtime.perception import make_perception

CHECKED_FRAMES = 40  # three receptive fields
PICTURES = 30
LARGEST_ERROR = {
    "fp32": 1e-4,
    "int8": float("inf"),
}  # int8's is reported (docs/engines.md has its cost in mm)
ALONE, HEADS = "encoder alone", "with heads"
NAIVE, ONNX, ONNX_INT8 = "torch, whole window (port)", "ONNX Runtime step", "ONNX Runtime step, int8"

# What issue 3 asks for.
LEAST_SPEED_UP, MOST_OF_LIMIT = 14.0, 1.6  # ONNX Runtime's step, D=2048
MOST_MS, MOST_INT8_MS = 2.0, 1.2  # the shipped model after MediaPipe, heads included


class Bench:
    """All variants of one width, checked, and the readers that stand for their limits."""

    def __init__(self, model: BenchModel, threads: int) -> None:
        self.model = model
        self.groups: dict[str, list[Variant]] = {ALONE: [], HEADS: []}
        self.readers: dict[int, Variant] = {}
        self.missing: list[str] = []
        self._alone(threads)
        self._with_heads(threads)

    def all(self) -> list[Variant]:
        return [*self.readers.values(), *itertools.chain(*self.groups.values())]

    def _alone(self, threads: int) -> None:
        encoder = self.model.network.encoder
        columns = np.random.default_rng(1).standard_normal((CHECKED_FRAMES, encoder.width)).astype(np.float32)
        expected, full = variants.clip_strip(encoder, columns), encoder.receptive_field - 1
        nbytes = {"fp32": weight_bytes(encoder), "int8": weight_bytes(encoder, 1.0)}
        checked = variants.torch_window(encoder, hmmr=False)
        port_error = _error(checked, columns, expected, full)

        def add(name: str, step: variants.Step, first: int = 0, precision: str = "fp32") -> Variant:
            variant = self._add(ALONE, name, step, columns, nbytes[precision])
            if name != NAIVE:
                variant.error = _checked(name, precision, _error(step, columns, expected, first))
            return variant

        add(NAIVE, variants.torch_window(encoder, hmmr=True)).error = _checked(NAIVE, "fp32", port_error)
        add("torch, whole window (ours)", variants.torch_clip_window(encoder), full)
        try:
            add("continual-inference step", variants.continual_step(encoder))
        except ImportError:
            self.missing.append("continual-inference is not installed: pip install continual-inference")
        add("torch step", variants.torch_step(encoder))
        add("numpy step", variants.numpy_step(encoder))
        add(ONNX, variants.onnxruntime_step(self.model.encoders["fp32"], threads))
        add(ONNX_INT8, variants.onnxruntime_step(self.model.encoders["int8"], threads), precision="int8")

    def _with_heads(self, threads: int) -> None:
        network, body = self.model.network, load_body(None)
        features = load_gate().features
        expected = variants.clip_theta(network, features[:CHECKED_FRAMES])
        horizons_ms = tuple(float(text) for text in Config().runtime.ahead_ms.split(",") if text)
        nbytes = {"fp32": weight_bytes(network), "int8": weight_bytes(network, 1.0)}
        port = variants.torch_window_with_heads(network, horizons_ms)
        self._add(HEADS, NAIVE, port, features, nbytes["fp32"] - weight_bytes(network.hallucinator))
        for name, form, precision in (
            ("torch step", "step", ""),
            ("torch window", "window", ""),
            ("ONNX Runtime window", "window", "fp32"),
            (ONNX, "step", "fp32"),
            (ONNX_INT8, "step", "int8"),
        ):
            if precision:
                graph = self.model.graphs[f"{form} {precision}"]
                engine = load(str(graph), "onnxruntime", threads=threads)
            else:
                cpu = torch.device("cpu")
                engine = torch_engine(network, Path(self.model.name), form=form, threads=threads, device=cpu)
            engine.prepare(len(horizons_ms), body)
            step = variants.engine_step(engine, horizons_ms)
            variant = self._add(HEADS, name, step, features, nbytes[precision or "fp32"])
            error = _error(step, features[:CHECKED_FRAMES], expected, 0)
            variant.error = _checked(name, precision or "fp32", error)

    def _add(self, group: str, name: str, step: variants.Step, inputs: np.ndarray, nbytes: int) -> Variant:
        stream = itertools.cycle(inputs)
        variant = Variant(name, lambda: step(next(stream)), nbytes)
        self.groups[group].append(variant)
        if nbytes not in self.readers:
            self.readers[nbytes] = Variant(f"read {nbytes / 1e6:.1f} MB", Reader(nbytes), nbytes)
        return variant


def _error(step: variants.Step, inputs: np.ndarray, expected: np.ndarray, first: int) -> float:
    """Largest difference from the clip pass, from frame `first` on; the step starts from nothing seen."""
    given = np.stack([np.array(step(row)) for row in inputs])
    return float(np.abs(given - expected)[first:].max())


def _checked(name: str, precision: str, error: float) -> float:
    if not error <= LARGEST_ERROR[precision]:
        raise RuntimeError(
            f"{name}: {error:.2g} from the clip pass; nothing is timed that computes something else"
        )
    return error


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


def result(bench: Bench, rounds: int) -> dict[str, Any]:
    """Everything measured at one width, as JSON values."""
    groups: dict[str, list[dict[str, Any]]] = {}
    for group, members in bench.groups.items():
        naive = {kind: statistics(times)["p50"] for kind, times in _times(members[0])}
        groups[group] = []
        for variant in members:
            row: dict[str, Any] = {"name": variant.name, "bytes": variant.bytes_read, "error": variant.error}
            for kind, times in _times(variant):
                limit = statistics(dict(_times(bench.readers[variant.bytes_read]))[kind])["p50"]
                row[kind] = statistics(times)
                row[kind] |= {"limit_ms": limit, "of_limit": row[kind]["p50"] / limit}
                row[kind]["faster_than_port"] = naive[kind] / row[kind]["p50"]
            groups[group].append(row)
    config = bench.model.network.config
    sizes = {"width": config.width, "head_width": config.head_width, "blocks": config.blocks}
    return {"model": bench.model.name, **sizes, "rounds": rounds, "groups": groups, "missing": bench.missing}


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
                bench = Bench(
                    default_model(folder) if shipped else random_model(width, folder), options.threads
                )
            rounds = interleave(bench.all(), disturb, options.rounds, options.seconds)
            found.append(result(bench, rounds))
            report(found[-1], kinds)
    except HmmrLiveError as error:
        parser.exit(error.exit_code, f"{error}\n")
    machine = {"cpus": os.cpu_count(), "load_1min": psutil.getloadavg()[0], "system": platform.platform()}
    about = f"{machine['cpus']} cpus, load {machine['load_1min']:.1f}, {options.threads} thread(s)"
    print(f"\n{about}, {machine['system']}, onnxruntime {onnxruntime.__version__}, torch {torch.__version__}")
    goals = targets(found, perception)
    if goals:
        print_table(("", "measured", "target"), goals)
    if options.json:
        everything = {
            "machine": machine,
            "perception": perception,
            "threads": options.threads,
            "widths": found,
        }
        options.json.write_text(json.dumps(everything, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
