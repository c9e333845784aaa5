"""Sinks carry the stream to other programs. Each is a program of its own that subscribes to the bus like
anyone else:

    python -m realtime.sinks.NAME --connect tcp://127.0.0.1:5555 [ARGS]

`run_live.py --sink NAME[:ARGS]` starts it beside the stream (realtime/supervisor.py). A new sink is a module
here with `main`, wrapped in `realtime.child.run`, and a line in SINKS. Arguments are `first[,key=value…]`
(realtime/sinks/options.py).
"""

from __future__ import annotations

import difflib
import importlib
import sys
from dataclasses import dataclass

from realtime.errors import ConfigError


@dataclass(frozen=True)
class SinkEntry:
    module: str
    help: str  # one line, for --help and for error messages; begins with how it is written
    checks: bool = False  # its module has `read_arguments`: bad arguments are refused before anything starts
    joins: bool = True  # it subscribes to poses as soon as it runs: the frames of a file wait for it
    serves: bool = False  # others connect to it: it says when they can (realtime.child.say_serving)
    finish_s: float = (
        0.0  # how long it may take to make a file whole when the stream ends, beyond what all may
    )


SINKS = {
    "jsonl": SinkEntry(
        "realtime.sinks.jsonl", "jsonl[:FILE]  every pose as a line of JSON, to FILE or to stdout"
    ),
    "vmc": SinkEntry(
        "realtime.sinks.vmc",
        "vmc[:HOST:PORT][,key=value…]  to VTuber programs, Unity, Unreal as a VMC performer; default 127.0.0.1:39539",
        checks=True,
    ),
    "udp": SinkEntry(
        "realtime.sinks.udp",
        "udp[:HOST:PORT][,key=value…]  humanoid bones as UDP records; default 127.0.0.1:5577",
        checks=True,
    ),
    "websocket": SinkEntry(
        "realtime.sinks.websocket",
        "websocket[:PORT][,key=value…]  humanoid bones over WebSocket, JSON or records; default 8766",
        checks=True,
        serves=True,
    ),
    "web": SinkEntry(
        "realtime.sinks.web",
        "web[:PORT][,key=value…]  a page for the browser; default 8765",
        checks=True,
        joins=False,  # while a window is open
        serves=True,
        finish_s=20.0,
    ),
}


def joins_at_once(spec: str) -> bool:
    """True where the sink of `--sink spec` subscribes to poses as soon as it runs."""
    return SINKS[spec.partition(":")[0]].joins


def fills_stdout(spec: str) -> bool:
    """True where the sink of `--sink spec` writes its data to our stdout, which then may carry nothing else."""
    return spec in ("jsonl", "jsonl:", "jsonl:-")


def sink_command(spec: str, address: str) -> list[str]:
    """The command of `--sink NAME[:ARGS]`. Raises ConfigError for an unknown name, naming the known ones, and for
    arguments that the sink itself would refuse."""
    name, _, arguments = spec.partition(":")
    if name not in SINKS:
        near = difflib.get_close_matches(name, SINKS, n=1)
        meant = f"did you mean {near[0]}? " if near else ""
        known = "; ".join(entry.help for entry in SINKS.values())
        raise ConfigError(f"--sink {spec}: no such sink; {meant}known: {known}")
    if SINKS[name].checks:
        importlib.import_module(SINKS[name].module).read_arguments(arguments)
    command = [sys.executable, "-m", SINKS[name].module, "--connect", address]
    return [*command, "--", arguments] if arguments else command
