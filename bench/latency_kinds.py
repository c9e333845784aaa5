"""What bench.latency runs in turns: the stream alone, and with something beside it."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path

from bench.latency_frames import Frames
from bench.live_run import measure
from bench.pose_readers import ReaderProcess
from engines import ENGINES
from realtime.perception import PERCEPTIONS
from realtime.trace import read_csv
from realtime.viewer.display import NoDisplayError, check_display

MOST_SUBSCRIBERS = 16
VIEWER_NICE = 5  # as the viewer gives itself, where there is a display
END_S = 20.0
HOG_LONGER_S = 60.0  # than the run, which takes its time to start
# Kept short, whatever becomes of us: it ends with its parent, or after so many seconds.
HOG = """
import os, sys, time
parent, until = os.getppid(), time.monotonic() + float(sys.argv[1])
while time.monotonic() < until and os.getppid() == parent:
    pass
"""
SEEN = ("--viewer", "open3d")
AGES = "pictures drawn; age of the pose"  # of the line in which the viewer tells (realtime/viewer/stream.py)


@dataclass(frozen=True)
class Kind:
    """One way to run the stream."""

    name: str = ""  # of the load; empty: nothing is beside it, and perception and engine name it
    flags: tuple[str, ...] = ()  # of run_live.py
    subscribers: int = 1  # that take in every pose; the measured one is the first of them
    viewer: bool = False
    recording: bool = False
    hog: bool = False


@dataclass
class _Beside:
    """What goes on beside one run; knows afterwards what was seen there."""

    kind: Kind
    folder: Path
    seconds: float  # of the run
    ticks: ReaderProcess = field(init=False)
    viewer_said: str = ""

    @contextlib.contextmanager
    def __call__(self, address: str) -> Iterator[None]:
        with ExitStack() as stack:
            self.ticks = stack.enter_context(ReaderProcess("ticks", address))
            if self.kind.subscribers > 1:
                stack.enter_context(ReaderProcess("crowd", address, str(self.kind.subscribers - 1)))
            if self.kind.hog:
                stack.enter_context(_running(hog_command(self.seconds + HOG_LONGER_S)))
            if self.kind.viewer and not has_display():
                stack.enter_context(self._unseen_viewer(address))
            yield

    @contextlib.contextmanager
    def _unseen_viewer(self, address: str) -> Iterator[None]:
        """The viewer, drawing every pose into memory."""
        target = str(self.folder / "unseen.png")
        command = [sys.executable, "-m", "realtime.viewer", "--connect", address, "--snapshot", target]
        with _running([*_nice(), *command, "--frames", "1000000000"]) as process:
            yield
            process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.viewer_said = process.communicate(timeout=END_S)[1]


def kinds(
    flags: Sequence[str],
    against: str = "",
    subscribers: int = 1,
    viewer: bool = False,
    recording: bool = False,
    hog: bool = False,
) -> list[Kind]:
    """The stream with `flags` alone, then with another perception or engine, then with each of the loads."""
    plain = tuple(flags)
    chosen = [Kind(flags=plain)]
    if against:
        other = ("--set", f"perception.name={against}") if against in PERCEPTIONS else ("--engine", against)
        assert against in PERCEPTIONS or against in ENGINES
        chosen.append(Kind(flags=(*plain, *other)))
    if subscribers > 1:
        chosen.append(Kind(f"{subscribers} subscribers", plain, subscribers=subscribers))
    if viewer:
        seen = SEEN if has_display() else ()
        chosen.append(Kind("viewer" if seen else "viewer, unseen", (*plain, *seen), viewer=True))
    if recording:
        chosen.append(Kind("recording", plain, recording=True))
    if hog:
        chosen.append(Kind("CPU hog", plain, hog=True))
    return chosen


class Looks:
    """Runs kinds, each of them, and its loads, with as many looks at a picture as its first run had: otherwise
    `perception.mirror` would be chosen anew by every run, and one look be held against two.
    """

    def __init__(self) -> None:
        self._found: dict[tuple[str, ...], str] = {}  # by the flags of a kind

    def run(self, kind: Kind, source: str, seconds: float) -> tuple[dict, Frames]:
        stream = tuple(flag for flag in kind.flags if flag not in SEEN)
        mirror = self._found.get(stream)
        same = () if mirror is None else ("--set", f"perception.mirror={mirror}")
        result, frames = run_kind(replace(kind, flags=(*kind.flags, *same)), source, seconds)
        if "mirror" in result["perception"]:
            self._found.setdefault(stream, result["perception"]["mirror"])
        return result, frames


def run_kind(kind: Kind, source: str, seconds: float) -> tuple[dict, Frames]:
    """One run: (the program's summary with what was measured beside it, every frame of it).

    `latency_ms` of the result is made anew from the frames after the warm-up. Raises RuntimeError as `measure`.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        trace = folder / "trace.csv"
        flags = [*kind.flags, "--trace", str(trace)]
        if kind.recording:
            flags += ["--record", str(folder / "take.npz"), "--record", str(folder / "take.mcap")]
        beside = _Beside(kind, folder, seconds)
        result = measure(source, seconds, flags, beside)
        rows, drops = read_csv(trace)
    frames = Frames(rows, drops, dict(result.pop("received_at_ns")), beside.ticks.ticks())
    said = f"{result.pop('said')}\n{beside.viewer_said}".splitlines()
    result["load"] = kind.name
    result["viewer"] = next((line for line in said if AGES in line), "")
    result.update(frames.statistics())
    return result, frames


def hog_command(seconds: float) -> list[str]:
    """What keeps a core busy for so long."""
    return [sys.executable, "-c", HOG, str(seconds)]


def has_display() -> bool:
    try:
        check_display()
    except NoDisplayError:
        return False
    return True


def _nice() -> list[str]:
    return ["nice", "-n", str(VIEWER_NICE)] if os.name == "posix" else []


@contextlib.contextmanager
def _running(command: Sequence[str]) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        list(command),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()
