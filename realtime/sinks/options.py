"""What follows the name of a sink: `NAME:first[,key=value…]`, with every sink alike.

A sink lists its keys as `Option`s. An unknown key is an error that names the nearest known one.
"""

from __future__ import annotations

import difflib
import ipaddress
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from realtime.config import MAX_LEAD_MS
from realtime.coordinates import BLENDER, GODOT, UNITY, UNREAL, WORLD, Axes
from realtime.errors import ConfigError

AXES: dict[str, Axes] = {axes.name.lower(): axes for axes in (WORLD, UNITY, UNREAL, GODOT, BLENDER)}


@dataclass(frozen=True)
class Option:
    default: Any
    parse: Callable[[str], Any]  # raises ValueError, which says what was expected
    help: str  # "VALUE|VALUE: what it does; default VALUE"

    @property
    def example(self) -> str:
        return self.help.partition(":")[0].partition("|")[0]


def read_options(
    sink: str, text: str, first: Option, keys: Mapping[str, Option]
) -> tuple[Any, dict[str, Any]]:
    """`first[,key=value…]` → the first value, and every key with its value; what is not given is as by default.

    Raises ConfigError for a missing `=`, an unknown or repeated key, and a bad value.
    """
    head, *assignments = text.split(",")
    if "=" in head:  # NAME:key=value
        head, assignments = "", [head, *assignments]
    values = {key: option.default for key, option in keys.items()}
    seen = set()
    for assignment in assignments:
        key, equals, value = assignment.partition("=")
        key = key.strip()
        if not equals:
            example = f"{next(iter(keys))}={next(iter(keys.values())).example}"
            raise ConfigError(f"{sink}: {assignment!r}: expected key=value, for example {example}")
        if key not in keys:
            nearest = difflib.get_close_matches(key, keys, n=1, cutoff=0.0)
            raise ConfigError(
                f"{sink}: {key}: no such key; did you mean {nearest[0]}? known: {', '.join(keys)}"
            )
        if key in seen:
            raise ConfigError(f"{sink}: {key} is given twice; give it once")
        seen.add(key)
        values[key] = _parsed(f"{sink}: {key}={value}", value.strip(), keys[key])
    return (_parsed(f"{sink}:{head}", head.strip(), first) if head.strip() else first.default), values


def options_help(first: str, keys: Mapping[str, Option]) -> str:
    """For --help: one line per key."""
    lines = [f"  {key}={option.help}" for key, option in keys.items()]
    return "\n".join([f"arguments: {first}[,key=value…]", *lines])


def _parsed(what: str, text: str, option: Option) -> Any:
    try:
        return option.parse(text)
    except ValueError as error:
        raise ConfigError(f"{what}: {error}") from None


def on_or_off(text: str) -> bool:
    if text not in ("on", "off"):
        raise ValueError("expected on or off")
    return text == "on"


def one_of(*choices: str) -> Callable[[str], str]:
    def parse(text: str) -> str:
        if text not in choices:
            raise ValueError(f"expected one of {', '.join(choices)}")
        return text

    return parse


def number(low: float, high: float) -> Callable[[str], float]:
    def parse(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not low <= value <= high:  # false for NaN too
            raise ValueError(f"expected a number from {low:g} to {high:g}")
        return value

    return parse


def port(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not 0 <= int(text[:6]) <= 65535:
        raise ValueError("expected a port, 1 to 65535")
    return int(text)


def host_and_port(text: str) -> tuple[str, int]:
    """HOST:PORT or PORT; an IPv6 host in brackets."""
    host, colon, last = text.rpartition(":")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host or (colon and not host):
        raise ValueError("expected HOST:PORT")
    try:
        number_of_port = port(last)
    except ValueError:
        raise ValueError("expected HOST:PORT, the port 1 to 65535") from None
    if not number_of_port:
        raise ValueError("expected HOST:PORT, the port 1 to 65535")
    return host or "127.0.0.1", number_of_port


def is_loopback(host: str) -> bool:
    """True for an address that only this machine reaches."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def lead(text: str) -> float | None:
    """on → None, as the stream leads; off → 0.0; else the receiver's own, ms (`PoseMessage.shown`)."""
    if text in ("on", "off"):
        return None if text == "on" else 0.0
    try:
        return number(0.0, MAX_LEAD_MS)(text)
    except ValueError:
        raise ValueError(f"expected on, off, or milliseconds from 0 to {MAX_LEAD_MS:g}") from None


# Keys that several sinks have.
FPS = Option(0.0, number(0.0, 1000.0), "30: at most so many poses a second; 0, the default: each as it comes")
AXES_KEY = Option("world", one_of(*AXES), f"{'|'.join(AXES)}: whose axes and units; default world")
PITCH = Option(0.0, number(-90.0, 90.0), "12: the camera looks down by so many degrees; default 0")
LEAD = Option(
    None,
    lead,
    "on|off|MS: on, the default: the pose led as the stream leads it; off: as it was seen; or led by MS milliseconds",
)
ROLL = Option(0.0, number(-180.0, 180.0), "5: the camera leans so that upright things lean right; default 0")
