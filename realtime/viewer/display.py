"""Is there a display to open a window on? Kept apart from Open3D, which takes seconds to load."""

from __future__ import annotations

import os
import sys

from realtime.child import EXIT_NO_DISPLAY
from realtime.errors import HmmrLiveError


class NoDisplayError(HmmrLiveError):
    """A window was asked for and there is nowhere to show it."""

    exit_code = EXIT_NO_DISPLAY


def check_display() -> None:
    """Raises NoDisplayError where a window is out of the question. Says nothing of displays that are named
    but do not answer: opening the window tells.
    """
    if sys.platform.startswith("linux") and not (
        os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    ):
        raise NoDisplayError("no display (neither DISPLAY nor WAYLAND_DISPLAY is set)")
