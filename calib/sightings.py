"""Camera pictures of the clock → the camera's latency."""

from __future__ import annotations

import time
from collections import Counter

import numpy as np

from calib.estimate import Delay, MeasurementError, combine, fit
from calib.reader import Reading
from calib.schedule import Drawings

LEAST_SHARE = 0.3  # of the pictures must be readable
OLDEST_MS = 5000.0  # a picture that is older than this shows another round of the clock, or another clock

ADVICE = {
    "not found": "point the camera at the whole black frame and the white around it (is it black? start again)",
    "too small": "move the camera nearer to the screen, or make the window larger",
    "too faint": "make the screen brighter, or the room darker",
    "unreadable": "keep the camera still, in focus, and reflections off the screen",
}


class Sightings:
    """Counts read in pictures, each with its picture's arrival, for each opening of the camera apart."""

    def __init__(self) -> None:
        self.pictures = 0
        self.read = 0
        self.troubles: Counter[str] = Counter()
        self._openings: list[list[tuple[int, int]]] = []  # (arrival, count) each

    def camera_opened(self) -> None:
        """Before the first picture, and wherever the camera was opened anew."""
        self._openings.append([])

    def add(self, arrival_ns: int, reading: Reading) -> None:
        self.pictures += 1
        count = reading.counts[0]
        if count is None:
            self.troubles[reading.trouble] += 1
        else:
            self.read += 1
            self._openings[-1].append((arrival_ns, count))

    def latency(self, drawings: Drawings) -> Delay:
        """From the draw call to the arrival of the picture that shows it. Raises MeasurementError."""
        if self.read < LEAST_SHARE * self.pictures or not self.read:
            raise MeasurementError(
                f"the clock could be read in only {self.read} of {self.pictures} pictures ({self.trouble()});\n"
                f"{self.advice()}, and measure again"
            )
        openings = [_intervals(opening, drawings) for opening in self._openings]
        if sum(map(len, openings)) < LEAST_SHARE * self.read:
            raise MeasurementError(
                "the clock that the camera sees is not the one that is shown here;\n"
                "close other windows that show one, and measure again"
            )
        try:
            return combine([fit(*opening.T) for opening in openings])
        except MeasurementError as error:
            raise MeasurementError(
                f"{error};\nkeep camera and screen still, and measure longer (--duration)"
            ) from None

    def trouble(self) -> str:
        """What mostly kept pictures from being read."""
        return self.troubles.most_common(1)[0][0] if self.troubles else "not found"

    def advice(self) -> str:
        return ADVICE[self.trouble()]


def _intervals(sightings: list[tuple[int, int]], drawings: Drawings) -> np.ndarray:
    """(N, 3): the least and the most that the latency of each picture can be, ms, and its arrival, s."""
    rows = []
    for arrival_ns, count in sightings:
        shown = drawings.between(0, count, arrival_ns)
        if shown is not None and (arrival_ns - shown[0]) / 1e6 < OLDEST_MS:
            rows.append(((arrival_ns - shown[1]) / 1e6, (arrival_ns - shown[0]) / 1e6, arrival_ns / 1e9))
    return np.array(rows).reshape(-1, 3)


def clock_resolution_ms() -> float:
    """By how much time.monotonic_ns() is rounded: next to nothing, but 15.6 ms on Windows before Python 3.13."""
    return time.get_clock_info("monotonic").resolution * 1e3
