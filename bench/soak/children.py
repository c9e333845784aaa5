"""The program and the processes it starts: memory, processor time, who was started anew, who outlives it."""

from __future__ import annotations

import contextlib

import psutil

PROGRAM = "program"


class Children:
    """Of the process `pid`. `rss_mb` and `pids`, by name ("program", "jsonl", "vmc" …), are as of the last `look`."""

    def __init__(self, pid: int) -> None:
        self._program = psutil.Process(pid)
        self._labels: dict[tuple[str, ...], str] = {}
        self._seen: dict[int, psutil.Process] = {}
        self._present: dict[str, psutil.Process] = {}
        self._busy_s = self._idle_s = self._ours_s = 0.0
        self.rss_mb: dict[str, float] = {}
        self.pids: dict[str, int] = {}

    def look(self) -> None:
        """Milliseconds."""
        self._present = {}
        rss_mb = {}
        for process in (self._program, *self._children()):
            try:
                name = self._name(process)
                rss_mb[name] = round(process.memory_info().rss / 1e6, 3)
            except psutil.NoSuchProcess:
                continue
            self._present[name] = process
        self.rss_mb = rss_mb
        self.pids = {name: process.pid for name, process in self._present.items()}

    def named(self, name: str) -> psutil.Process:
        """Raises psutil.NoSuchProcess where it does not run now."""
        self.look()
        if name not in self._present:
            raise psutil.NoSuchProcess(0, name)
        return self._present[name]

    def cores(self) -> tuple[float, float]:
        """Busy cores since the last call: the program and what it started, and all of the machine."""
        ours_s = 0.0
        for process in self._present.values():
            try:
                times = process.cpu_times()
            except psutil.NoSuchProcess:
                continue
            ours_s += times.user + times.system
        machine = psutil.cpu_times()
        idle_s = machine.idle + getattr(machine, "iowait", 0.0)
        busy_s = sum(machine[: 8 if len(machine) > 8 else None]) - idle_s  # guests' time is the user's, too
        passed_s = (busy_s + idle_s - self._busy_s - self._idle_s) / (psutil.cpu_count() or 1)
        ours, all_of_it = ours_s - self._ours_s, busy_s - self._busy_s
        self._busy_s, self._idle_s, self._ours_s = busy_s, idle_s, ours_s
        if passed_s <= 0:
            return 0.0, 0.0
        return max(0.0, ours / passed_s), all_of_it / passed_s

    def left_behind(self) -> list[str]:
        """Who of all that the program ever started still runs, each as "PID command"."""
        left = []
        for process in self._left():
            with contextlib.suppress(psutil.NoSuchProcess):
                left.append(f"{process.pid} {' '.join(process.cmdline())}"[:120])
        return left

    def end_left_behind(self) -> None:
        for process in self._left():
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()

    def _left(self) -> list[psutil.Process]:
        left = []
        for process in self._seen.values():
            with contextlib.suppress(psutil.NoSuchProcess):
                if process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
                    left.append(process)
        return left

    def _children(self) -> list[psutil.Process]:
        try:
            children = self._program.children(recursive=True)
        except psutil.NoSuchProcess:
            return []
        self._seen |= {one.pid: one for one in children}
        return children

    def _name(self, process: psutil.Process) -> str:
        """ "jsonl" for `python -m realtime.sinks.jsonl …`; with a number where another one has the name already."""
        if process.pid == self._program.pid:
            return PROGRAM
        command = tuple(process.cmdline())
        if not command or list(command) == self._program.cmdline():  # just dying; between fork and exec
            raise psutil.NoSuchProcess(process.pid)
        if command not in self._labels:
            module = command[command.index("-m") + 1] if "-m" in command[:-1] else command[0]
            name = module.rpartition(".")[2].rpartition("/")[2]
            taken = sum(label.split()[0] == name for label in self._labels.values())
            self._labels[command] = f"{name} {taken + 1}" if taken else name
        return self._labels[command]
