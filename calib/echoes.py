"""The whole loop: a picture's light → the stream → a receiver of its poses → the screen → light again.

The window has two clocks. The first runs. The receiver knows from the picture topic which count each frame shows. Some
time after the frame's pose has come, it draws that count as the second clock, the echo, and waits until the camera
shows the echo, too:

    frame k sees 1234 │ pose of k comes │ wait │ echo 1234 is drawn │ frame j is the first that sees the echo
    ●─────────────────┼─────────────────┼──────┼────────────────────┼───●
                      └── loop = light of k to pose of k + drawing to light ──┘ without the wait

The wait, from the pose to the drawing, is known and is taken off. It is random, because the camera looks only at its
own steady moments: frame j says no more than that the echo appeared after the frame before and not after j. Waits that
take all values let the loop be found to much less than the time between two frames (calib/estimate.py).
"""

from __future__ import annotations

import random
from collections import OrderedDict, deque
from dataclasses import dataclass

import numpy as np

from calib.estimate import Delay, MeasurementError, fit
from calib.schedule import Drawings

GIVE_UP_NS = 2_000_000_000  # an echo that nobody has seen after this long is drawn anew, with a newer count
REMEMBERED = 300  # frames whose pose has come
RECENT = 30  # pictures, for their usual distance in time …
FIRST_GAP_NS = 33_000_000  # … and what that is taken for before the second


@dataclass(frozen=True, slots=True)
class Echo:
    """A count to be drawn as the second clock at `due_ns`."""

    count: int
    due_ns: int


@dataclass(slots=True)
class _Echoed:
    count: int
    captured_ns: int  # frame k
    pose_ns: int  # when the pose of k came
    due_ns: int
    not_before_ns: int | None  # capture of the last frame that showed another echo
    seen_ns: int | None = None  # capture of frame j


class Echoes:
    """Which count is echoed next, and what the camera saw of it. Poses and pictures may come in any order, but from one
    thread.
    """

    def __init__(self, seed: int = 0) -> None:
        self._chance = random.Random(seed)
        self._poses_ns: OrderedDict[int, int] = OrderedDict()
        self._gaps_ns: deque[int] = deque(maxlen=RECENT)
        self._last_capture_ns: int | None = None
        self._done: list[_Echoed] = []
        self._present: _Echoed | None = None

    @property
    def seen(self) -> int:
        return len(self._done)

    def pose_came(self, frame: int, received_ns: int) -> None:
        self._poses_ns[frame] = received_ns
        while len(self._poses_ns) > REMEMBERED:
            self._poses_ns.popitem(last=False)

    def picture_came(
        self, frame: int, captured_ns: int, counts: tuple[int | None, ...], now_ns: int
    ) -> Echo | None:
        """The two clocks of a frame; returns what is to be drawn next, if anything."""
        if self._last_capture_ns is not None:
            self._gaps_ns.append(captured_ns - self._last_capture_ns)
        self._last_capture_ns = captured_ns
        running, echoed = counts
        if (present := self._present) is not None:
            if echoed == present.count:
                present.seen_ns = captured_ns
                self._done.append(present)
            elif now_ns < present.due_ns + GIVE_UP_NS:
                if echoed is not None:
                    present.not_before_ns = captured_ns
                return None
            self._present = None
        pose_ns = self._poses_ns.get(frame)
        if running is None or pose_ns is None:
            return None
        usual_ns = sorted(self._gaps_ns)[len(self._gaps_ns) // 2] if self._gaps_ns else FIRST_GAP_NS
        due_ns = now_ns + round(usual_ns * self._chance.random())
        # Where the second clock cannot be read, nothing is known of when the echo was not there yet.
        not_before_ns = captured_ns if echoed is not None else None
        self._present = _Echoed(running, captured_ns, pose_ns, due_ns, not_before_ns)
        return Echo(running, due_ns)

    def latency(self, drawings: Drawings) -> Delay:
        """From the light of a frame to the light of what was made of it. Raises MeasurementError."""
        low_ms, high_ms, at_s = [], [], []
        for echo in self._done:
            drawn_ns = drawings.drawn_ns(1, echo.count, echo.due_ns)
            if drawn_ns is None or echo.not_before_ns is None or echo.seen_ns is None:
                continue
            wait_ns = drawn_ns - echo.pose_ns
            low_ms.append((echo.not_before_ns - echo.captured_ns - wait_ns) / 1e6)
            high_ms.append((echo.seen_ns - echo.captured_ns - wait_ns) / 1e6)
            at_s.append(echo.seen_ns / 1e9)
        try:
            return fit(np.array(low_ms), np.array(high_ms), np.array(at_s))
        except MeasurementError as error:
            raise MeasurementError(
                f"{error};\nkeep camera and screen still, and measure longer (--duration)"
            ) from None
