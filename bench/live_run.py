"""run_live.py as a measured process: one run listened to and watched, or one start up to the first pose."""

from __future__ import annotations

import json
import os
import platform
import re
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from realtime import Subscriber
from realtime.messages import PoseMessage

ROOT = Path(__file__).resolve().parent.parent
SETTLED_S = 10.0  # caches are filled by then; the allocator's pools still grow in steps for minutes:
SETTLED_SHARE = 0.5  # so the slope is that of the second half of a run, in which a leak would go on
SAMPLE_S = 1.0
STARTUP_S = 120.0
END_S = 30.0


class Receiver(threading.Thread):
    """Takes in every pose; keeps how old each was, and when it was there, decoded."""

    def __init__(self, address: str) -> None:
        super().__init__(daemon=True)
        self.ages_ms: list[float] = []
        self.at_ns: list[tuple[int, int]] = []  # (source frame index, time.monotonic_ns())
        self._subscriber = Subscriber(address, every=True)
        self.stopped = threading.Event()

    def run(self) -> None:
        while not self.stopped.is_set():
            message = self._subscriber.receive(0.2)
            age_ms = None if message is None else message.age_ms()
            if isinstance(message, PoseMessage) and age_ms is not None:
                self.at_ns.append((message.frame, time.monotonic_ns()))
                self.ages_ms.append(age_ms)
        self._subscriber.close()


def measure(
    source: str,
    seconds: float,
    flags: Sequence[str],
    beside: Callable[[str], AbstractContextManager[object]] | None = None,
) -> dict[str, Any]:
    """Run once. Returns the program's summary with `received`, `received_ms`, `received_at_ns` [(frame, when)], `said`
    (its stderr), `memory` and `cores` added.

    beside: given the bus's address, a context in which something goes on beside the run.

    Raises RuntimeError with what the program said if it does not run to its end, or publishes nothing.
    """
    address = _free_address()
    receiver = Receiver(address)
    receiver.start()
    with ExitStack() as stack:
        out = Path(stack.enter_context(tempfile.TemporaryDirectory())) / "summary.json"
        process = _start(source, address, ["--duration", str(seconds), "--summary", str(out), *flags])
        try:
            if beside is not None:
                stack.enter_context(beside(address))
            watched = _watch(process, receiver, seconds)
            _, said = process.communicate(timeout=END_S)
        finally:
            process.kill()
            receiver.stopped.set()
            receiver.join()
        if process.returncode != 0 or not out.exists():
            raise RuntimeError(f"run_live.py ended with {process.returncode}: {said.strip()}")
        result: dict[str, Any] = json.loads(out.read_text())
    if not result["frames"]["published"]:
        raise RuntimeError(f"{source}: nothing was published, nothing to measure")
    ages = receiver.ages_ms
    result["received"] = len(ages)
    result["received_at_ns"], result["said"] = receiver.at_ns, said
    result["received_ms"] = {f"p{p}": float(np.percentile(ages, p)) for p in (50, 95, 99)} if ages else {}
    return {**result, **watched}


@dataclass(frozen=True)
class Start:
    """One start. seconds: from the spawning of the process to the first pose that arrives; rss_mb: then."""

    seconds: float
    rss_mb: float


def first_pose(source: str, flags: Sequence[str]) -> Start:
    """Start run_live.py, wait for the first pose of somebody who is seen (state "warming" or "tracking") at a
    subscriber that waits already, and end it.

    Raises RuntimeError if the program ends before, or if nobody is seen within STARTUP_S.
    """
    address = _free_address()
    with Subscriber(address, every=True) as subscriber:
        spawned_at = time.monotonic()
        process = _start(source, address, flags)
        try:
            while time.monotonic() < spawned_at + STARTUP_S:
                message = subscriber.receive(0.2)
                if message is not None and message.state in ("warming", "tracking"):
                    seconds = time.monotonic() - spawned_at
                    return Start(seconds, psutil.Process(process.pid).memory_info().rss / 1e6)
                if message is None and process.poll() is not None:
                    _, said = process.communicate()
                    raise RuntimeError(f"run_live.py ended with {process.returncode}: {said.strip()}")
            raise RuntimeError(f"{source}: nobody was seen within {STARTUP_S:g} s of the start")
        finally:
            process.terminate()
            try:
                process.communicate(timeout=END_S)
            except subprocess.TimeoutExpired:
                process.kill()


def machine() -> dict[str, Any]:
    """{"system", "cpus", "load_1min"}: what the numbers were measured on, and how busy it was."""
    return {"system": _system(), "cpus": os.cpu_count(), "load_1min": psutil.getloadavg()[0]}


def _system() -> str:
    """ "Linux 6.18 x86_64". No more of the release: the rest names a build of it, and reports are published."""
    version = re.match(r"\d+(\.\d+)?", platform.release())
    return " ".join([platform.system(), *([version[0]] if version else []), platform.machine()])


def _start(source: str, address: str, flags: Sequence[str]) -> subprocess.Popen[str]:
    command = [sys.executable, str(ROOT / "run_live.py"), "--source", source, "--viewer", "none"]
    return subprocess.Popen(
        [*command, "--bus", address, *flags],
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


def _watch(process: subprocess.Popen[str], receiver: Receiver, seconds: float) -> dict[str, Any]:
    """Memory and processor time of the program until it ends, from its first pose on.

    {"memory": {"rss_mb": [(seconds, MB)], "slope_mb_per_min": of a straight line through the settled samples,
    or None}, "cores": mean number of busy cores, or None}.
    """
    watched = psutil.Process(process.pid)
    samples: list[tuple[float, float, float]] = []  # seconds, MB, seconds of processor time
    started = 0.0
    until = time.monotonic() + STARTUP_S + seconds
    while process.poll() is None and time.monotonic() < until:
        if receiver.ages_ms:  # the stream runs
            started = started or time.monotonic()
            try:
                busy = watched.cpu_times()
                rss_mb = watched.memory_info().rss / 1e6
                if not rss_mb:  # it has ended, and nobody has waited for it yet
                    break
            except psutil.NoSuchProcess:
                break
            samples.append((time.monotonic() - started, rss_mb, busy.user + busy.system))
        time.sleep(SAMPLE_S)
    at_s, rss_mb_all, busy_s = np.array(samples, float).reshape(-1, 3).T
    late = at_s >= max(SETTLED_S, SETTLED_SHARE * at_s.max(initial=0.0))
    slope = float(np.polyfit(at_s[late] / 60.0, rss_mb_all[late], 1)[0]) if late.sum() >= 20 else None
    return {
        "memory": {
            "rss_mb": [(round(at, 1), round(mb, 1)) for at, mb, _ in samples],
            "slope_mb_per_min": slope,
        },
        "cores": float((busy_s[-1] - busy_s[0]) / (at_s[-1] - at_s[0])) if len(samples) > 1 else None,
    }


def _free_address() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"tcp://127.0.0.1:{probe.getsockname()[1]}"
