"""One soak: the real program on the failing camera, everything around it, and a log row a second.

The log is lines of JSON, told apart by their "kind": "run" (what ran where), "second", "fault", "end". Seconds count
from the first pose. docs/soak.md lists the keys; bench/soak/verdicts*.py judge them.
"""

from __future__ import annotations

import json
import signal
import time
from bisect import bisect_right
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TextIO

import numpy as np

from bench.live_run import STARTUP_S, machine
from bench.soak.camera import Camera
from bench.soak.children import Children
from bench.soak.faults import Faults, Injected, acts
from bench.soak.listener import Listener
from bench.soak.process import Process
from bench.soak.program import Program
from bench.soak.schedule import CAMERA_FAULTS, Planned

TURN_S = 0.02
LATER_S = 1.0  # a second is written down when the camera and the listener have told of all of it
SETTLE_S = 3.0  # after a fault that is over, until a second counts as undisturbed again
RECOVERY_S = 25.0  # longer than this nothing is excused by a fault: pauses to reconnect grow to 8 s, opening takes some


@dataclass(frozen=True)
class Plan:
    """What is to be done. clip: its pictures are the camera's; flags: of run_live.py."""

    seconds: float
    fps: float
    seed: int
    clip: str
    faults: Sequence[Planned]
    flags: Sequence[str] = ()


def soak(plan: Plan, folder: Path, log: TextIO) -> None:
    """From the start of the program to its end; everything that happened is in the log. Ctrl-C ends it early.

    folder: for the recordings; log: open for writing. Raises RuntimeError where the program, the camera or a subscriber
    does not run.
    """
    with ExitStack() as stack:
        camera = Camera(plan.clip, plan.fps)
        stack.callback(camera.close)
        program = Program(camera.url, plan.seconds, plan.flags, folder)
        children = Children(program.process.pid)
        stack.callback(children.end_left_behind)
        stack.callback(program.close)
        listener = Listener(program.address)
        stack.callback(listener.close)
        if program.websocket_port:
            reader = Process("bench.soak.websocket_reader", str(program.websocket_port))
            stack.callback(reader.close)
        watch = Watch(plan, camera, program, children, listener, log)
        kinds = {fault.kind for fault in plan.faults}
        done = acts(program.address, camera, children, watch.victim, kinds, plan.seed)
        watch.run(Faults(plan.faults, stack.enter_context(done), watch.now_s))


class Watch:
    """Sees to the faults, looks at everybody once a second, and writes the log."""

    def __init__(
        self,
        plan: Plan,
        camera: Camera,
        program: Program,
        children: Children,
        listener: Listener,
        log: TextIO,
    ) -> None:
        self._plan = plan
        self._camera = camera
        self._program = program
        self._listener = listener
        self._log = log
        self._children = children
        self.victim = program.sinks[0].partition(":")[0]  # the sink that is killed
        self._start_ns = 0
        self._looks: list[dict[str, Any]] = []  # at the end of each second
        self._rows = 0
        self._over: list[Injected] = []  # faults that are in the log

    def now_s(self) -> float:
        """Since the first pose."""
        return (time.monotonic_ns() - self._start_ns) / 1e9

    def run(self, faults: Faults) -> None:
        self._write(
            "run",
            seconds=self._plan.seconds,
            fps=self._plan.fps,
            seed=self._plan.seed,
            flags=self._program.flags,
            victim=self.victim,
            sinks=numbered([sink.partition(":")[0] for sink in self._program.sinks]),
            planned=[asdict(one) for one in self._plan.faults],
            machine=machine(),
        )
        early = ""
        try:
            self._await_first_pose()
            self._children.look()
            self._children.cores()
            while len(self._looks) < int(self._plan.seconds) and not early:
                early = self._turn(faults)
        except KeyboardInterrupt:
            early = "Ctrl-C"
        faults.end()
        time.sleep(LATER_S)
        self._note(faults, at_the_end=True)
        while self._rows < len(self._looks):
            self._write_second(faults)
        self._end(early)

    def _await_first_pose(self) -> None:
        until_s = time.monotonic() + STARTUP_S
        while not self._listener.arrivals:
            if self._program.exit_code is not None or time.monotonic() > until_s:
                raise RuntimeError(f"run_live.py published nothing; it said: {self._program.said()}")
            time.sleep(TURN_S)
        self._start_ns = self._listener.arrivals[0].at_ns

    def _turn(self, faults: Faults) -> str:
        """Returns why it ends here, or ""."""
        # Before anything is done to anybody: what a look sees belongs to the second that is over.
        if self.now_s() >= len(self._looks) + 1:
            self._children.look()
            ours, machines = self._children.cores()
            self._looks.append(
                {
                    "rss_mb": dict(self._children.rss_mb),
                    "pids": dict(self._children.pids),
                    "cores": round(ours, 3),
                    "machine_cores": round(machines, 3),
                }
            )
        faults.turn()
        self._note(faults)
        while self._rows < len(self._looks) and self.now_s() >= self._rows + 1 + LATER_S:
            self._write_second(faults)
        if self._program.exit_code is not None:
            return f"the program ended by itself with {self._program.exit_code}"
        time.sleep(TURN_S)
        return ""

    def _note(self, faults: Faults, at_the_end: bool = False) -> None:
        """Which faults the program is over by now; they, and those it does not get over, go into the log."""
        for fault in faults.injected:
            if fault in self._over or fault.end_s is None:
                continue
            if fault.recovered_s is None:
                self._look_for_recovery(fault, fault.end_s)
            if fault.recovered_s is not None or at_the_end or self.now_s() > fault.end_s + RECOVERY_S:
                self._over.append(fault)
                self._write("fault", **asdict(fault))

    def _look_for_recovery(self, fault: Injected, end_s: float) -> None:
        if fault.name in CAMERA_FAULTS:
            first = self._first_arrival(self._start_ns + round(end_s * 1e9))
            if first < len(self._listener.arrivals):
                arrival = self._listener.arrivals[first]
                fault.recovered_s = round((arrival.at_ns - self._start_ns) / 1e9, 3)
                fault.first_age_ms = round(arrival.age_ms, 2)
        else:
            before = self._looks[min(int(fault.begin_s), len(self._looks)) - 1] if self._looks else {}
            pid = self._children.pids.get(self.victim)
            if pid is not None and pid != before.get("pids", {}).get(self.victim):
                fault.recovered_s = round(self.now_s(), 3)

    def _first_arrival(self, after_ns: int) -> int:
        return bisect_right(self._listener.arrivals, after_ns, key=lambda arrival: arrival.at_ns)

    def _write_second(self, faults: Faults) -> None:
        begin_ns = self._start_ns + self._rows * 1_000_000_000
        end_ns = begin_ns + 1_000_000_000
        # Exclusive of the begin: the first pose is at 0 and belongs to no second.
        arrivals = self._listener.arrivals[self._first_arrival(begin_ns) : self._first_arrival(end_ns)]
        taken_ns = self._camera.taken_ns
        taken = bisect_right(taken_ns, end_ns) - bisect_right(taken_ns, begin_ns)
        ages_ms = [round(arrival.age_ms, 2) for arrival in arrivals]
        self._write(
            "second",
            t=self._rows,
            faults=in_force(faults.injected, self._rows),
            taken=taken,
            fps=len(arrivals),
            p50_ms=round(float(np.percentile(ages_ms, 50)), 2) if ages_ms else None,
            p99_ms=round(float(np.percentile(ages_ms, 99)), 2) if ages_ms else None,
            ages_ms=ages_ms,
            states=dict(Counter(arrival.state for arrival in arrivals)),
            **self._looks[self._rows],
            status=self._listener.status,
        )
        self._rows += 1

    def _end(self, early: str) -> None:
        number = (signal.SIGTERM, signal.SIGINT)[self._plan.seed % 2]
        left = self._program.end(number)
        self._listener.finish()
        arrivals = self._listener.arrivals
        self._write(
            "end",
            early=early,
            signal=number.name,
            **left,
            left_behind=self._children.left_behind(),
            received=len(arrivals),
            first_seq=arrivals[0].seq if arrivals else None,
            listener=self._listener.counts,
            taken=len(self._camera.taken_ns),
        )

    def _write(self, kind: str, **fields: Any) -> None:
        self._log.write(json.dumps({"kind": kind, **fields}) + "\n")
        self._log.flush()


def numbered(names: Sequence[str]) -> list[str]:
    """As the supervisor calls its children: the second of a name is "vmc 2"."""
    return [
        f"{name} {taken + 1}" if (taken := names[:i].count(name)) else name for i, name in enumerate(names)
    ]


def in_force(faults: Sequence[Injected], second: int) -> list[str]:
    """What disturbs this second: the kinds of faults that are present or that the program is not over yet, for
    RECOVERY_S at most, and "settling" for SETTLE_S after them."""
    found = []
    for fault in faults:
        over_s = fault.recovered_s
        if over_s is None:
            over_s = float("inf") if fault.end_s is None else fault.end_s + RECOVERY_S
        if fault.begin_s < second + 1 and over_s > second:
            found.append(fault.name)
        elif over_s <= second < over_s + SETTLE_S:
            found.append("settling")
    return found
