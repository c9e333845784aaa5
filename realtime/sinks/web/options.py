"""What may be said of the page: `--sink web:8765[,key=value…]`."""

from __future__ import annotations

import math
import secrets
from dataclasses import dataclass
from pathlib import Path

from realtime.errors import ConfigError
from realtime.sinks.options import Option, port, read_options
from realtime.sinks.web.guard import MIN_TOKEN, is_own


@dataclass(frozen=True)
class Options:
    port: int
    host: str
    token: str
    record: Path
    body: str
    fps: float


def read_arguments(text: str) -> Options:
    """Raises ConfigError, also for an open door without a token."""
    listen_port, given = read_options("web", text, FIRST, KEYS)
    options = Options(listen_port, **given)
    if not is_own(options.host) and not options.token:
        raise ConfigError(
            f"web: host={options.host}: whoever reaches it would see the camera's picture; give a token too, "
            f"for example token={secrets.token_urlsafe(9)}"
        )
    return options


def _host(text: str) -> str:
    if not text or not all(letter.isalnum() or letter in ".-:" for letter in text):
        raise ValueError("expected an address or a name of this machine, for example 0.0.0.0")
    return text


def _token(text: str) -> str:
    if len(text) < MIN_TOKEN or not all(
        letter.isascii() and (letter.isalnum() or letter in "-_.~") for letter in text
    ):
        raise ValueError(
            f"expected at least {MIN_TOKEN} letters, digits, - or _, for example {secrets.token_urlsafe(9)}"
        )
    return text


def _folder(text: str) -> Path:
    if not Path(text).is_dir():
        raise ValueError("no such folder; make it first")
    return Path(text)


def _fps(text: str) -> float:
    value = float(text)
    if not (math.isfinite(value) and 1 <= value <= 240):
        raise ValueError("expected 1 to 240")
    return value


FIRST = Option(8765, port, "PORT (0: a free one)")
KEYS = {
    "host": Option("127.0.0.1", _host, "0.0.0.0: listen there; any but this machine's own needs a token"),
    "token": Option("", _token, "SECRET: browsers must know it (?token=SECRET)"),
    "record": Option(Path(), _folder, "FOLDER: where recordings go; default: the current one"),
    "body": Option("", str, "FILE: the body, where run_live.py has --body"),
    "fps": Option(60.0, _fps, "30: at most so many figures a second; default 60"),
}
