"""What the bus costs, and what one peer can do to the others.

    python -m bench.bus                       1, 4 and 16 subscribers at 30, 60 and 120 Hz, every sink
    python -m bench.bus --quick               4 subscribers at 60 Hz, short
    python -m bench.bus --subscribers 4 --rates 60 --sinks jsonl --json out.json

One process sends the same poses over three lanes in turns: our publisher, our publisher with keys (CURVE), and a bare
pyzmq socket that does nothing but send as many bytes. Every subscriber is a process of its own that hears all three. So
what disturbs one lane disturbs all, and their differences hold on a busy machine, too.

Then peers of the first lane misbehave, on and off in turns, and the turns in which they do are held against those in
which they do not. The bare lane, which nobody disturbs, shows how much of a difference is the machine's own; the
processor time of the sender's turn does not depend on what else the machine does. What the bus says of its clock to
receivers on other hosts is asked here, where the truth is known.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import psutil

from bench.bus_peers import Fault, bus_faults
from bench.bus_sinks import sink_faults
from bench.bus_tables import LANES, Result, say_faults, say_latencies
from bench.live_run import machine
from realtime import key_files
from realtime.bus.remote_clock import RemoteClock
from realtime.clock import clock_id
from realtime.sinks import SINKS

ROOT = Path(__file__).resolve().parent.parent
WARM_UP_S = 1.0
RECOVER_S = 1.0  # after a fault, before the next window without one

Window = tuple[int, int]  # from, until, of time.monotonic_ns()


@dataclass
class Scene:
    """A stream and its subscribers, while they run; and what they saw, afterwards."""

    addresses: dict[str, str]
    stream: subprocess.Popen[str]
    sent: Result = field(default_factory=dict)
    read: list[Result] = field(default_factory=list)

    def turns_us(self, lane: str, windows: Sequence[Window], what: str = "wall_us") -> np.ndarray:
        """What the sender's turns took within the windows."""
        index = self.sent["lanes"].index(lane)
        return _within(self.sent["at_ns"][index], self.sent[what][index], windows)

    def under_way_us(self, lane: str, windows: Sequence[Window]) -> np.ndarray:
        """How long messages were under way, to all subscribers together."""
        each = [_within(one[lane]["at_ns"], one[lane]["under_way_us"], windows) for one in self.read]
        return np.concatenate(each)

    def lost(self, lane: str) -> int:
        return sum(one[lane]["lost"] for one in self.read)


@contextlib.contextmanager
def scene(subscribers: int, rate: float, keys: Path) -> Iterator[Scene]:
    """Runs while the context does; afterwards the Scene knows what was seen. Raises RuntimeError if a process fails."""
    stream = _start("bench.bus_stream", "--rate", rate, "--subscribers", subscribers, "--keys", keys)
    processes = [stream]
    try:
        addresses = json.loads(_line(stream))
        readers = [
            _start("bench.bus_reader", json.dumps(addresses), keys / "local.key") for _ in range(subscribers)
        ]
        processes += readers
        one = Scene(addresses, stream)
        _line(stream)  # everybody has joined
        time.sleep(WARM_UP_S)
        yield one
        one.sent = _finish(stream)
        one.read = [_finish(reader) for reader in readers]
    finally:
        for process in processes:
            process.kill()
            process.communicate()


def measure(subscribers: int, rate: float, keys: Path, options: argparse.Namespace) -> Result:
    """One number of subscribers at one rate: latencies of the lanes, then every fault."""
    windows: dict[str, tuple[list[Window], list[Window]]] = {}
    failed: dict[str, str] = {}
    with scene(subscribers, rate, keys) as one:
        process = psutil.Process(one.stream.pid)
        busy_s, began_ns = sum(process.cpu_times()[:2]), time.monotonic_ns()
        time.sleep(options.seconds * options.rounds)
        calm = [(began_ns, time.monotonic_ns())]
        cores = (sum(process.cpu_times()[:2]) - busy_s) / ((calm[0][1] - began_ns) / 1e9)
        clock = _ask_the_time(one.addresses["plain"], options.seconds)
        with contextlib.ExitStack() as stack:
            faults = (
                stack.enter_context(bus_faults(one.addresses["plain"], options.seconds))
                if options.faults
                else []
            )
            time.sleep(RECOVER_S)
            for fault in faults:
                windows[fault.name] = _in_turns(fault, options.rounds, options.seconds)
        for name in options.sinks if options.faults else []:
            try:
                with sink_faults(name, one.addresses["plain"]) as faults:
                    for fault in faults:
                        windows[fault.name] = _in_turns(fault, options.rounds, options.seconds)
            except RuntimeError as error:
                failed[name] = str(error)
    return {
        "subscribers": subscribers,
        "rate_hz": rate,
        "late": one.sent["late"],
        "cores": cores,
        "clock_ms": clock,
        "lanes": {lane: _lane(one, lane, calm) for lane in LANES},
        "faults": {name: _fault(one, *both) for name, both in windows.items()},
        "sinks_that_did_not_run": failed,
    }


def _ask_the_time(address: str, seconds: float) -> Result:
    """How a receiver on another host would know the stream's clock. Here both are one: the offset told is the error."""
    clock = RemoteClock(address, None)
    time.sleep(seconds)
    offset = clock.offset(clock_id())
    clock.close()
    if offset is None:
        return {"uncertainty": None, "error": None}
    return {"uncertainty": offset.uncertainty_ns / 1e6, "error": abs(offset.ns) / 1e6}


def _in_turns(fault: Fault, rounds: int, seconds: float) -> tuple[list[Window], list[Window]]:
    """Windows without the fault, and with it: its beginning is within them, its end is not."""
    without: list[Window] = []
    while_on: list[Window] = []
    for _ in range(rounds):
        without.append(_window(seconds, lambda: None))
        while_on.append(_window(seconds, fault.on))
        fault.off()
        time.sleep(RECOVER_S)
    return without, while_on


def _window(seconds: float, begin: Callable[[], None]) -> Window:
    began_ns = time.monotonic_ns()
    begin()
    time.sleep(seconds)
    return began_ns, time.monotonic_ns()


def _lane(one: Scene, lane: str, calm: list[Window]) -> Result:
    under_way, turns = one.under_way_us(lane, calm), one.turns_us(lane, calm)
    return {
        "messages": len(under_way),
        "lost": one.lost(lane),
        "under_way_us": {"p50": _percentile(under_way, 50), "p99": _percentile(under_way, 99)},
        "turn_us": {"p50": _percentile(turns, 50), "p99": _percentile(turns, 99)},
        "turn_cpu_us": _percentile(one.turns_us(lane, calm, "cpu_us"), 50),
    }


def _fault(one: Scene, without: list[Window], while_on: list[Window]) -> Result:
    """p99 without and with it, ms, of the sender's turns and of messages under way to those who do nothing wrong.
    noise_ms: by how much the bare lane's differs between the windows in which nobody did anything.
    """
    both = without, while_on

    def cpu_us(lane: str, windows: Sequence[Window]) -> np.ndarray:
        return one.turns_us(lane, windows, "cpu_us")

    each = [_percentile(one.under_way_us("bare", [window]), 99) / 1e3 for window in without]
    p99_ms = {
        f"{lane}_{name}_p99_ms": [_percentile(values(lane, windows), 99) / 1e3 for windows in both]
        for lane in ("plain", "bare")
        for name, values in (("turn", one.turns_us), ("turn_cpu", cpu_us), ("under_way", one.under_way_us))
    }
    return {**p99_ms, "noise_ms": max(each) - min(each)}


def _within(at_ns: Sequence[int], values: Sequence[float], windows: Sequence[Window]) -> np.ndarray:
    at, of = np.asarray(at_ns, np.int64), np.asarray(values, float)
    inside = np.zeros(len(at), bool)
    for begin_ns, end_ns in windows:
        inside |= (at >= begin_ns) & (at < end_ns)
    return of[inside]


def _percentile(values: np.ndarray, percent: float) -> float:
    return float(np.percentile(values, percent)) if len(values) else float("nan")


def _start(module: str, *arguments: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", module, *map(str, arguments)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def _line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line:
        raise RuntimeError(f"{' '.join(map(str, process.args))} ended")  # type: ignore[arg-type]
    return line


def _finish(process: subprocess.Popen[str]) -> Result:
    out, _ = process.communicate("", timeout=180)
    if process.returncode != 0 or not out:
        raise RuntimeError(f"{process.args} ended with {process.returncode}")
    result: Result = json.loads(out)
    return result


def _parser() -> argparse.ArgumentParser:
    def numbers(text: str) -> list[float]:
        return [float(one) for one in text.split(",")]

    parser = argparse.ArgumentParser(
        prog="python -m bench.bus", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--subscribers", type=numbers, default=[1, 4, 16], metavar="N,…")
    add("--rates", type=numbers, default=[30, 60, 120], metavar="HZ,…")
    add(
        "--sinks",
        type=lambda text: text.split(","),
        default=list(SINKS),
        metavar="NAME,…",
        help="default: all",
    )
    add("--seconds", type=float, default=2.0, metavar="S", help="of a turn with or without a fault")
    add("--rounds", type=int, default=5, metavar="N", help="turns of each")
    add("--no-faults", dest="faults", action="store_false", help="latencies alone")
    add("--quick", action="store_true", help="4 subscribers at 60 Hz, two turns of a second")
    add("--json", type=Path, metavar="FILE")
    return parser


def main(argv: list[str] | None = None) -> int:
    options = _parser().parse_args(argv)
    if options.quick:
        options.subscribers, options.rates, options.rounds, options.seconds = [4], [60], 2, 1.0
    where = machine()
    print(f"{where['cpus']} cpus, load {where['load_1min']:.1f}, {where['system']}")
    results = []
    with tempfile.TemporaryDirectory() as folder:
        keys = Path(folder) / "keys"
        key_files.make_server(keys)
        key_files.make_client(keys, key_files.LOCAL)
        try:
            for subscribers in options.subscribers:
                for rate in options.rates:
                    results.append(measure(int(subscribers), rate, keys, options))
                    say_faults(results[-1])
        except RuntimeError as error:
            print(error, file=sys.stderr)
            return 1
    say_latencies(results)
    if options.json:
        options.json.write_text(
            json.dumps({"machine": where, "results": results}, indent=2) + "\n", encoding="utf-8"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
