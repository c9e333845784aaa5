"""The viewer and the sinks as child processes: started, watched, ended. Nothing they do stops the stream."""

from __future__ import annotations

import contextlib
import logging
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from realtime import child
from realtime.config import Config
from realtime.files.whole import unfinished_beside
from realtime.record_file import part_path
from realtime.sinks import SINKS, sink_command

log = logging.getLogger(__name__)

RESTART_PAUSES_S = (
    0.5,
    1.0,
    2.0,
    4.0,
    8.0,
)  # before each new start of a sink that crashed; then it is given up
STEADY_S = 30.0  # a sink that ran this long starts its pauses over
TERMINATE_AFTER_S = 0.5  # a child that has not ended this long after it was asked gets SIGTERM …
KILL_AFTER_S = 0.85  # … and is killed then, so that stopping takes less than a second
STALLED_S = 5.0  # a child that makes a file whole is waited for, but not when nothing has grown for so long
MAX_NOTES = 20


@dataclass
class Child:
    """One program: what it is called in the status message, how it is started, how it is doing."""

    name: str
    command: Sequence[str]
    restarts: bool  # a sink is started again when it crashes; a viewer is not
    finish_s: float = 0.0  # at the end it may take so long to make a file whole
    serves: bool = False  # others come to it: it is starting until it says that it can be reached
    # starting | running | closed | ended | no display | refused | crashed … | restarting … | given up …
    state: str = "waiting"
    note: Path | None = None
    process: subprocess.Popen[bytes] | None = None
    started_at: float = 0.0
    failures: int = 0
    restart_at: float | None = field(default=None)


class Supervisor:
    """The children that `config` asks for. `address` is where they connect, by default the configured bus
    address; `keys`, if the bus wants any, go to them by the environment, so that no sink need know of them.

    Raises ConfigError for an unknown sink, before anything is started.
    """

    def __init__(self, config: Config, address: str = "", keys: Path | None = None) -> None:
        address = address or config.bus_address
        self.notes: list[str] = []  # what happened to the children, for people; the newest MAX_NOTES
        self._address = address
        self._keys = keys
        self._children: list[Child] = []
        self._notes: Path | None = None  # the folder of the children's
        if config.viewer_kind == "open3d":
            self.add("viewer", viewer_command(config, address), restarts=False)
        for spec in config.sinks:
            name = spec.partition(":")[0]
            command = sink_command(spec, address)
            self.add(name, command, True, finish_s=SINKS[name].finish_s, serves=SINKS[name].serves)

    def add(
        self,
        name: str,
        command: Sequence[str],
        restarts: bool,
        finish_s: float = 0.0,
        serves: bool = False,
    ) -> None:
        """One more child. Its name gets a number where it is taken."""
        taken = sum(other.name.split()[0] == name for other in self._children)
        named = f"{name} {taken + 1}" if taken else name
        self._children.append(Child(named, command, restarts, finish_s, serves))

    def start(self) -> None:
        if any(one.serves or one.finish_s for one in self._children):
            with contextlib.suppress(OSError):
                self._notes = Path(tempfile.mkdtemp(prefix="hmmr-live-"))
        for number, one in enumerate(self._children):
            one.note = None if self._notes is None else self._notes / str(number)
            self._start(one)

    def poll(self) -> bool:
        """Notice who ended, and start again what is due. True when something changed. Microseconds; never
        waits.
        """
        before = self.children
        for one in self._children:
            if one.process is not None and (code := one.process.poll()) is not None:
                _close_stdin(one.process)
                one.process = None
                self._ended(one, code)
            elif one.restart_at is not None and time.monotonic() >= one.restart_at:
                one.restart_at = None
                self._start(one)
            elif one.state == "starting" and (note := child.read_note(one.note)) and note.serves:
                one.state = "running"
        return self.children != before

    @property
    def children(self) -> dict[str, str]:
        """{"viewer": "running", "jsonl": "restarting, 1 of 5"}: for the status message."""
        return {one.name: one.state for one in self._children}

    def stop(self) -> None:
        """End them all, within a second: asked by the end of their standard input, then SIGTERM, then killed. Who is
        making a file whole, and may take `finish_s` for it, gets that while the file grows, and the user is told.

        Before the publisher is closed, so that sinks get what was still on its way to them.
        """
        asked_at = time.monotonic()
        running = [one for one in self._children if one.process is not None]
        for one in running:
            if one.process is not None:
                _close_stdin(one.process)
        for limit_s, insist in ((TERMINATE_AFTER_S, "terminate"), (KILL_AFTER_S, "kill")):
            for one in running:
                if one.process is None or one.finish_s and _finishing(one) != "":
                    continue
                if not _ends_by(one.process, asked_at + limit_s):
                    getattr(one.process, insist)()
        for one in running:
            if one.finish_s and one.process is not None:
                _let_finish(one, one.process, asked_at)
        for one in running:
            if one.process is not None:
                one.process.wait()  # killed, or ended before: no longer than the system takes
                one.process = None
        for one in self._children:
            one.restart_at = None
            one.state = "stopped"
        if self._notes is not None:
            shutil.rmtree(self._notes, ignore_errors=True)
            self._notes = None

    def __enter__(self) -> Supervisor:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _start(self, one: Child) -> None:
        one.started_at = time.monotonic()
        try:
            one.process = child.start(one.command, self._keys, one.note)
            one.state = "starting" if one.serves and one.note is not None else "running"
        except OSError as error:
            one.state = "cannot be started"
            self._note(
                logging.WARNING, f"{one.name}: cannot be started ({error.strerror}); the stream goes on"
            )

    def _ended(self, one: Child, code: int) -> None:
        if code == 0:
            one.state = "ended" if one.restarts else "closed"
            self._note(logging.INFO, f"{one.name} {one.state}; the stream goes on")
        elif code == child.EXIT_NO_DISPLAY:
            one.state = "no display"
            self._note(logging.INFO, f"{one.name}: no display here; the stream goes on")
        elif code == child.EXIT_FINAL and one.restarts:
            one.state = "refused"
            self._note(
                logging.WARNING, f"{one.name} cannot run, as it says above; the stream goes on without it"
            )
        elif not one.restarts:
            how = f"exit code {code}" if code > 0 else f"signal {-code}"
            one.state = f"crashed, {how}"
            keys = "" if self._keys is None else f" --keys {self._keys}"
            command = f"python -m realtime.viewer --connect {self._address}{keys}"
            self._note(logging.WARNING, f"{one.name} {one.state}; the stream goes on; again: {command}")
        else:
            self._crashed(one, code)

    def _crashed(self, one: Child, code: int) -> None:
        if time.monotonic() - one.started_at >= STEADY_S:
            one.failures = 0
        if one.failures == len(RESTART_PAUSES_S):
            one.state = f"given up after {one.failures} restarts"
            self._note(logging.WARNING, f"{one.name} {one.state}; the stream goes on without it")
            return
        one.restart_at = time.monotonic() + RESTART_PAUSES_S[one.failures]
        one.failures += 1
        one.state = f"restarting, {one.failures} of {len(RESTART_PAUSES_S)}"
        if one.failures == 1:  # said once; the status message counts
            how = f"exit code {code}" if code > 0 else f"signal {-code}"
            self._note(logging.WARNING, f"{one.name} crashed ({how}); starting it again")

    def _note(self, level: int, text: str) -> None:
        log.log(level, text)
        self.notes = [*self.notes, text][-MAX_NOTES:]


def viewer_command(config: Config, address: str) -> list[str]:
    """How the viewer is started: a program of its own that connects to `address`."""
    command = [sys.executable, "-m", "realtime.viewer", "--connect", address]
    if config.body:
        command += ["--body", config.body]
    for option in ("width", "height", "fps"):
        command += [f"--{option}", f"{getattr(config.viewer, option):g}"]
    return command


def _close_stdin(process: subprocess.Popen[bytes]) -> None:
    if process.stdin is not None:
        with contextlib.suppress(OSError):
            process.stdin.close()


def _finishing(one: Child) -> str | None:
    """The file that it is making whole; "" where there is none, None where it cannot tell."""
    note = child.read_note(one.note)
    return None if note is None else note.finishing


def _let_finish(one: Child, process: subprocess.Popen[bytes], asked_at: float) -> None:
    if _ends_by(process, asked_at + KILL_AFTER_S):
        return
    told = _finishing(one)
    if told == "":  # killed a moment ago, or done a moment ago
        if not _ends_by(process, asked_at + KILL_AFTER_S + TERMINATE_AFTER_S):
            process.kill()
        return
    what = told or "its recording"
    log.warning("%s is still making %s whole; waiting for it, at most %.0f s", one.name, what, one.finish_s)
    file = Path(told) if told else None
    grown, grown_at = _sizes(file), time.monotonic()
    while time.monotonic() < asked_at + one.finish_s and time.monotonic() - grown_at < STALLED_S:
        if _ends_by(process, time.monotonic() + 0.1):
            return
        if file is None or _sizes(file) != grown:
            grown, grown_at = _sizes(file), time.monotonic()
    process.kill()
    process.wait()
    part = "X.npz.part" if file is None else part_path(file)
    for unfinished in [] if file is None else unfinished_beside(file):
        unfinished.unlink(missing_ok=True)  # all of its rows are in the .part
    log.warning(
        "%s did not finish its recording; make it whole: python -m realtime.record %s", one.name, part
    )


def _sizes(file: Path | None) -> list[int]:
    """How much there is of a file that is being made: under its own name, as .part, and under the writer's."""
    if file is None:
        return []
    sizes = []
    for name in (file, part_path(file), *unfinished_beside(file)):
        with contextlib.suppress(OSError):
            sizes.append(name.stat().st_size)
    return sizes


def _ends_by(process: subprocess.Popen[bytes], moment: float) -> bool:
    try:
        process.wait(max(0.0, moment - time.monotonic()))
    except subprocess.TimeoutExpired:
        return False
    return True
