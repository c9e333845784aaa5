"""Every engine that runs on this machine's NVIDIA GPU: parity, time of a step and of a frame, the GPU's own limit.

    python -m bench.gpu [--width 256 2048] [--rounds 300] [--device cuda|cpu] [--json out.json]      (make gpu-check)

Parity: over the gate's 300 real frames, against the same network on the CPU in fp32. Step: the engine's whole call,
from features in host memory to a pose in host memory; in turns with the other engines, hot, and right after
perception. Frame: perception, tracking, engine and what comes after it, on pictures of the demo clip. × limit: the
step against the time in which the GPU reads the network's weights once. Width 256 is the shipped model, others are
random networks of that size.

--device cpu runs the same on the CPU, to try the check itself. Exit codes: 0 all that could run agrees; 1 an engine
does not (only the shipped model's parity is judged), or none could run; 3 no NVIDIA GPU that anything installed here
can use.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import json
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from bench.gpu_engines import Candidate, Network, candidates, default_network, random_network, run_gate
from bench.gpu_machine import Machine, machine, why_no_gpu
from bench.interleave import Variant, interleave, statistics
from bench.table import print_table
from engines.cache import VARIABLE
from engines.gate import Gate, load_gate
from engines.network.config import NetworkConfig
from engines.parity import LIMITS, compare
from engines.runtime import Engine
from realtime.assets import asset
from realtime.body.smpl import Body, load_body
from realtime.config import Config
from realtime.errors import HmmrLiveError, LoadError
from realtime.estimator import Estimator, parse_horizons
from realtime.perception import check_appearance, make_perception
from realtime.perception.tracking import Tracker
from realtime.view import perceive

NO_GPU = 3
MOST_OF_LIMIT, JUDGED_WIDTH = 1.5, 2048  # issue 3's goal
PICTURES = 60
SECONDS = 60.0  # for the steps of one network, and for its frames


def demo_pictures() -> list[np.ndarray]:
    capture = cv2.VideoCapture(str(asset("demo.mp4")))
    pictures = [picture for ok, picture in (capture.read() for _ in range(PICTURES)) if ok]
    capture.release()
    return pictures


def whole_frame(engine: Engine, body: Body, pictures: list[np.ndarray]) -> Callable[[], object]:
    """The live path without camera and bus, one picture per call."""
    config = Config()
    perception, tracker = make_perception(config), Tracker(config.perception)
    check_appearance(perception, engine)
    estimator, numbers = Estimator(engine, body, config), itertools.count(1)

    def frame() -> object:
        number = next(numbers)
        t_ns = int(number * 1e9 / 30)
        picture = pictures[number % len(pictures)]
        return estimator.update(t_ns, perceive(picture, t_ns, perception, tracker))

    return frame


def open_engines(
    network: Network, tried: list[Candidate]
) -> tuple[list[tuple[Candidate, Engine]], dict[str, str]]:
    """Those that can run, and the reasons of the others."""
    opened, refused = [], {}
    for candidate in tried:
        try:
            opened.append((candidate, candidate.open(network)))
        except (LoadError, ImportError, RuntimeError) as error:  # torch's own errors are RuntimeErrors
            reason = (str(error).splitlines() or [type(error).__name__])[0]
            refused[f"{candidate.name}, {candidate.precision}"] = reason
    return opened, refused


def check(
    network: Network, device: str, limit: Machine, rounds: int, gate: Gate, body: Body
) -> dict[str, Any]:
    """Everything about one network, as JSON values."""
    exact, reasons = open_engines(network, [one for one in candidates("cpu") if one.precision == "fp32"])
    if not exact:
        raise LoadError(
            f"{network.name}: no engine on the CPU to compare with ({'; '.join(reasons.values())})"
        )
    against, exact_engine = exact[0]
    expected = run_gate(exact_engine, gate, body)
    exact_engine.close()

    opened, refused = open_engines(network, candidates(device))
    rows, steps = [], []
    horizons_ms = parse_horizons(Config().runtime.ahead_ms, float("inf"))
    for candidate, engine in opened:
        parity = compare(run_gate(engine, gate, body), expected)
        theta, joints_mm = LIMITS[candidate.precision]
        engine.prepare(len(horizons_ms), body)
        stream = itertools.cycle(gate.features)
        nbytes = candidate.weight_bytes(network)
        step = Variant(candidate.name, lambda e=engine, s=stream: e.step(next(s), horizons_ms), nbytes)
        steps.append(step)
        agrees = parity["theta"] <= theta and parity["joints_mm"] <= joints_mm
        rows.append(
            {"engine": candidate.name, "precision": candidate.precision, "parity": parity, "agrees": agrees}
            | {"described": engine.describe(), "bytes": nbytes, "limit_ms": nbytes / 1e6 / limit.gb_per_s}
        )
    if opened:
        pictures, numbers = demo_pictures(), itertools.count(1)
        perception = make_perception(Config())
        interleave(steps, lambda: _perceive(perception, pictures, next(numbers)), rounds, SECONDS)
        frames = [Variant("", whole_frame(engine, body, pictures), 0) for _, engine in opened]
        interleave(frames, None, rounds, SECONDS)
        perception.close()
        for row, step, frame in zip(rows, steps, frames, strict=True):
            row |= {"step_ms": statistics(step.hot_ms), "live_step_ms": statistics(step.cold_ms)}
            row |= {"frame_ms": statistics(frame.hot_ms)}
            row["of_limit"] = row["step_ms"]["p50"] / row["limit_ms"]
    for _, engine in opened:
        engine.close()
    about = {"network": network.name, "against": f"{against.name} on the CPU, {against.precision}"}
    return {**about, "perception": Config().perception.name, "engines": rows, "refused": refused}


@contextlib.contextmanager
def cache_in(folder: str | None) -> Iterator[None]:
    """Nobody needs the engines of a random network again: they go where it lies. None: nothing is changed."""
    before = os.environ.get(VARIABLE)
    if folder is not None:
        os.environ[VARIABLE] = folder
    try:
        yield
    finally:
        if folder is not None:
            os.environ.pop(VARIABLE)
            os.environ |= {} if before is None else {VARIABLE: before}


def _perceive(perception: Any, pictures: list[np.ndarray], number: int) -> object:
    return perception.process(pictures[number % len(pictures)], int(number * 1e9 / 30))


def report(found: dict[str, Any]) -> None:
    print(f"\n{found['network']}; parity against {found['against']}; perception {found['perception']}")
    table = []
    for row in found["engines"]:
        parity, times = row["parity"], []
        for kind in ("step_ms", "live_step_ms", "frame_ms"):
            times += [f"{row[kind]['p50']:.3f}", f"{row[kind]['p99']:.3f}"]
        cells = [
            f"{row['engine']}, {row['precision']}",
            f"{parity['theta']:.0e}",
            f"{parity['joints_mm']:.3f}",
        ]
        table.append([*cells, "yes" if row["agrees"] else "NO", *times, f"{row['of_limit']:.2f}"])
    header = (
        "",
        "Θ",
        "joints mm",
        "agrees",
        "step ms",
        "p99",
        "after perception",
        "p99",
        "frame ms",
        "p99",
        "× limit",
    )
    print_table(header, table)
    for name, reason in found["refused"].items():
        print(f"not run: {name}: {reason}")


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m bench.gpu", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--width", type=int, nargs="+", default=[NetworkConfig.width, JUDGED_WIDTH], metavar="D"
    )
    parser.add_argument("--rounds", type=int, default=300)
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--json", type=Path, metavar="FILE")
    options = parser.parse_args(argv)
    reason = why_no_gpu() if options.device == "cuda" else None
    if reason:
        print(reason, file=sys.stderr)
        return NO_GPU
    found = []
    try:
        limit = machine(options.device)
        print(f"{limit.name}, driver {limit.driver}, reads {limit.gb_per_s:.0f} GB/s ({limit.how})")
        gate, body = load_gate(), load_body(None)
        for width in options.width:
            with tempfile.TemporaryDirectory() as name:
                if width == NetworkConfig.width:
                    network = default_network(Path(name), options.device)
                else:
                    network = random_network(width, Path(name), options.device)
                with cache_in(None if network.name == "default" else name):
                    found.append(check(network, options.device, limit, options.rounds, gate, body))
            report(found[-1])
    except HmmrLiveError as error:
        parser.exit(error.exit_code, f"{error}\n")
    best = min((row["of_limit"] for row in found[-1]["engines"]), default=None)
    if options.width[-1] == JUDGED_WIDTH and best is not None:
        print(f"\nD={JUDGED_WIDTH}: the fastest step is {best:.2f} × the limit (goal: <= {MOST_OF_LIMIT:g})")
    if options.json:
        everything = {"machine": vars(limit), "networks": found}
        options.json.write_text(json.dumps(everything, indent=1) + "\n", encoding="utf-8")
    if not any(one["engines"] for one in found):
        print("no engine runs here: nothing was checked", file=sys.stderr)
        return 1
    judged = [row for one in found if one["network"] == "default" for row in one["engines"]]
    return 0 if all(row["agrees"] for row in judged) else 1


if __name__ == "__main__":
    raise SystemExit(main())
