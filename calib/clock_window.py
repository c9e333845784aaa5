"""The window that shows the clock: a program of its own, so that drawing and camera do not wait for each other, and
because OpenCV's window ends the whole program where a display does not answer.

Started by calib/clock_process.py. On standard input: lines "COUNT DUE_NS", what the second clock is to show and from
when on; it ends when that closes. On standard output, after each drawing: "T_NS COUNT…", the moment at which the draw
call began (CLOCK_MONOTONIC ns) and what was drawn, "-" for an empty clock.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import threading
import time

import cv2

from calib.pattern import draw_clock
from calib.schedule import count_at, next_change_ns
from realtime.errors import LoadError

TITLE = "hmmr-live clock: let the camera see all of it (Esc ends)"
POLL_NS = 4_000_000  # the window answers, and an echo is drawn, within this
ESCAPE = 27
OPENING_MS = (
    200  # before and after the window gets its size: without, Qt often leaves it black on a busy machine
)


class _Echo:
    """What the second clock shows; set by the thread that reads the commands."""

    def __init__(self) -> None:
        self._coming: list[tuple[int, int]] = []  # (due, count)
        self.ended = False

    def listen(self) -> None:
        for line in sys.stdin:
            count, due_ns = line.split()
            self._coming.append((int(due_ns), int(count)))
        self.ended = True

    def due(self, now_ns: int, shown: int | None) -> int | None:
        while self._coming and self._coming[0][0] <= now_ns:
            shown = self._coming.pop(0)[1]
        return shown

    def next_ns(self) -> int:
        return self._coming[0][0] if self._coming else sys.maxsize


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m calib.clock_window", description=__doc__)
    parser.add_argument("--clocks", type=int, choices=(1, 2), default=1)
    clocks = parser.parse_args().clocks
    # The terminal's Ctrl-C is for the program that measures; it closes our standard input.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        cv2.namedWindow(TITLE, cv2.WINDOW_NORMAL | cv2.WINDOW_KEEPRATIO | cv2.WINDOW_GUI_NORMAL)
        empty = draw_clock((None,) * clocks)
        cv2.imshow(TITLE, empty)
        cv2.waitKey(OPENING_MS)
        cv2.resizeWindow(TITLE, empty.shape[1], empty.shape[0])
        cv2.waitKey(OPENING_MS)
        return _show(clocks)
    except cv2.error as error:
        print(f"OpenCV cannot open a window ({error.err})", file=sys.stderr)
        return LoadError.exit_code


def _show(clocks: int) -> int:
    echo = _Echo()
    threading.Thread(target=echo.listen, name="commands", daemon=True).start()
    shown: tuple[int | None, ...] = ()
    echoed: int | None = None
    while not echo.ended:
        now_ns = time.monotonic_ns()
        echoed = echo.due(now_ns, echoed)
        counts = (count_at(now_ns), echoed)[:clocks]
        if counts != shown:
            picture = draw_clock(counts)
            drawn_ns = time.monotonic_ns()
            cv2.imshow(TITLE, picture)
            key = cv2.pollKey()
            shown = counts
            print(drawn_ns, *("-" if count is None else count for count in counts), flush=True)
        else:
            key = cv2.pollKey()
        if key == ESCAPE or cv2.getWindowProperty(TITLE, cv2.WND_PROP_VISIBLE) < 1:
            return 0
        now_ns = time.monotonic_ns()
        until_ns = min(next_change_ns(now_ns), echo.next_ns(), now_ns + POLL_NS)
        time.sleep(max(0, until_ns - now_ns) / 1e9)
    return 0


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    os._exit(code)  # Qt's threads may hang at the end where the display has gone
