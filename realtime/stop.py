"""Ctrl-C and SIGTERM: the first ends cleanly, the second at once."""

from __future__ import annotations

import signal
import threading
from types import FrameType, TracebackType
from typing import Any

# SIGHUP: the terminal was closed. SIGBREAK: Windows.
SIGNALS = tuple(
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK") if hasattr(signal, name)
)


class StopRequest:
    """While it is entered, the first signal sets `requested`; while `loading` it also raises
    KeyboardInterrupt, for loading cannot look at a flag. After it the system's own handling is back: a second
    signal ends the process at once, even where it hangs in somebody's C code.

    Installs its handlers also where a shell started us in the background with SIGINT ignored; SIGHUP stays
    ignored under nohup. In a thread other than the main one nothing is installed, and `requested` may be set
    by the caller.
    """

    def __init__(self) -> None:
        self.requested = ""  # the signal's name
        self.loading = True
        self._before: dict[int, Any] = {}

    def __enter__(self) -> StopRequest:
        if threading.current_thread() is threading.main_thread():
            for number in SIGNALS:
                if number.name == "SIGHUP" and signal.getsignal(number) == signal.SIG_IGN:
                    continue
                self._before[number] = signal.signal(number, self._on_signal)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            if not self.requested:
                signal.signal(number, handler)
        if self.requested and self.loading and kind is not None and issubclass(kind, Exception):
            # Raised while a package's C code starts up, KeyboardInterrupt comes out of it as an ImportError.
            raise KeyboardInterrupt from None

    def _on_signal(self, number: int, _frame: FrameType | None) -> None:
        self.requested = signal.Signals(number).name
        for each in self._before:
            signal.signal(each, signal.SIG_DFL)
        if self.loading:
            raise KeyboardInterrupt
