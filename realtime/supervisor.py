"""The viewer and the sinks as child processes: started, watched, ended. Nothing they do stops the stream."""

from __future__ import annotations

import contextlib
import logging
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from realtime import child
from realtime.config import Config
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
MAX_NOTES = 20


@dataclass
class Child:
    """One program: what it is called in the status message, how it is started, how it is doing."""

    name: str
    command: Sequence[str]
    restarts: bool  # a sink is started again when it crashes; a viewer is not
    finish_s: float = 0.0  # at the end it may take so long to make a file whole
    state: str = (
        "waiting"  # running | closed | ended | no display | refused | crashed … | restarting … | given up …
    )
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
        if config.viewer_kind == "open3d":
            self.add("viewer", viewer_command(config, address), restarts=False)
        for spec in config.sinks:
            name = spec.partition(":")[0]
            self.add(name, sink_command(spec, address), restarts=True, finish_s=SINKS[name].finish_s)

    def add(self, name: str, command: Sequence[str], restarts: bool, finish_s: float = 0.0) -> None:
        """One more child. Its name gets a number where it is taken."""
        taken = sum(other.name.split()[0] == name for other in self._children)
        self._children.append(Child(f"{name} {taken + 1}" if taken else name, command, restarts, finish_s))

    def start(self) -> None:
        for one in self._children:
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
        return self.children != before

    @property
    def children(self) -> dict[str, str]:
        """{"viewer": "running", "jsonl": "restarting, 1 of 5"}: for the status message."""
        return {one.name: one.state for one in self._children}

    def stop(self) -> None:
        """End them all, within a second: asked by the end of their standard input, then SIGTERM, then killed. Who may
        take `finish_s` gets that, and the user is told; it ends by itself (realtime/child.py) where it writes nothing.

        Before the publisher is closed, so that sinks get what was still on its way to them.
        """
        asked_at = time.monotonic()
        running = [one for one in self._children if one.process is not None]
        for one in running:
            if one.process is not None:
                _close_stdin(one.process)
        for limit_s, insist in ((TERMINATE_AFTER_S, "terminate"), (KILL_AFTER_S, "kill")):
            for one in running:
                if one.finish_s or one.process is None:
                    continue
                if not _ends_by(one.process, asked_at + limit_s):
                    getattr(one.process, insist)()
        for one in running:
            if one.finish_s and one.process is not None:
                _let_finish(one.name, one.process, asked_at, one.finish_s)
        for one in running:
            if one.process is not None:
                one.process.wait()  # killed, or ended before: no longer than the system takes
                one.process = None
        for one in self._children:
            one.restart_at = None
            one.state = "stopped"

    def __enter__(self) -> Supervisor:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _start(self, one: Child) -> None:
        one.started_at = time.monotonic()
        try:
            one.process = child.start(one.command, self._keys)
            one.state = "running"
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


def _let_finish(name: str, process: subprocess.Popen[bytes], asked_at: float, finish_s: float) -> None:
    if _ends_by(process, asked_at + KILL_AFTER_S):
        return
    log.warning("%s is still making its recording whole; waiting for it, at most %.0f s", name, finish_s)
    if not _ends_by(process, asked_at + finish_s):
        process.kill()
        log.warning(
            "%s did not finish its recording: it is in a file .npz.part; python -m realtime.record X.npz.part makes it "
            "whole",
            name,
        )


def _ends_by(process: subprocess.Popen[bytes], moment: float) -> bool:
    try:
        process.wait(max(0.0, moment - time.monotonic()))
    except subprocess.TimeoutExpired:
        return False
    return True
