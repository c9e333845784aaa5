"""What stands after a sink's name: `NAME:first[,key=value…]`, for example `web:8765,host=0.0.0.0,token=…`."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from typing import Any

from realtime.errors import ConfigError


def parse_arguments(text: str, known: Mapping[str, Callable[[str], Any]], sink: str = "") -> dict[str, Any]:
    """`FIRST,key=value,…` → {key: value} of what was given; values hold no commas.

    known: key → what makes the value of its text, or raises ValueError that says what was expected. The first key of
    `known` is the one whose name may be left out when it comes first.
    Raises ConfigError: a key that is unknown (naming the nearest), given twice, or whose value is refused.
    """
    where = f"--sink {sink}:{text}" if sink else text
    values: dict[str, Any] = {}
    for index, part in enumerate(text.split(",") if text else ()):
        key, equals, value = part.partition("=")
        if not equals and index == 0:
            key, value = next(iter(known)), part
        elif not equals:
            raise ConfigError(f"{where}: {part!r} is no key=value; known keys: {', '.join(known)}")
        if key not in known:
            near = difflib.get_close_matches(key, known, n=1)
            meant = f"did you mean {near[0]}? " if near else ""
            raise ConfigError(f"{where}: no such key {key!r}; {meant}known: {', '.join(known)}")
        if key in values:
            raise ConfigError(f"{where}: {key} is given twice")
        try:
            values[key] = known[key](value)
        except ValueError as error:
            raise ConfigError(f"{where}: {key}={value}: {error}") from None
    return values


def port_number(text: str) -> int:
    """A port to listen on or to send to; 0 lets the system choose. Raises ValueError."""
    if not (text.isascii() and text.isdecimal() and int(text) <= 65535):
        raise ValueError("expected a port, 0 to 65535")
    return int(text)
