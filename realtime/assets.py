"""Where the files that come with the project lie: `<repository root>/assets`."""

from __future__ import annotations

from pathlib import Path

from realtime.errors import HmmrLiveError, LoadError

ASSETS = Path(__file__).resolve().parent.parent / "assets"
APPEARANCE = "appearance.onnx"  # made by engines/appearance.py, run by realtime/perception/appearance.py


def is_shipped(name: str) -> bool:
    """Whether the file `name` comes with this checkout."""
    return (ASSETS / name).is_file()


def asset(name: str, error: type[HmmrLiveError] = LoadError) -> Path:
    """Path of the shipped file `name`.

    Raises `error` (LoadError, unless the caller's subject asks for another) if the file is not there.
    """
    path = ASSETS / name
    if not path.is_file():
        raise error(f"assets/{name} is missing (looked in {ASSETS}); run from a complete checkout")
    return path
