"""`--trace`: when each frame passed each stage, kept in memory while the stream runs and written at its end.

As .csv one row per frame, used or not, times in ns of CLOCK_MONOTONIC; as .json a Chrome trace
(realtime/chrome_trace.py). Keeping a frame takes microseconds (`python -m bench.stamps`); nothing is written while
frames go by.
"""

from __future__ import annotations

import csv
import io
import json
import logging
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, get_args

import numpy as np

from realtime.camera import FrameFeed
from realtime.camera.drops import Drop
from realtime.chrome_trace import chrome_trace
from realtime.observation import State
from realtime.summary import Stamps

log = logging.getLogger(__name__)

LATEST = 100_000  # frames kept: the last 55 minutes at 30 fps, 10 MB
JSON_FRAMES = (
    20_000  # of these into .json, which takes seconds and a hundred megabytes while it is made: 11 minutes
)
COLUMNS = ("frame", "state", "dropped", "dropped_ns", *Stamps._fields)
_STATES: tuple[State, ...] = get_args(State)
_NONE = np.iinfo(np.int64).min


class Row(NamedTuple):
    """A frame that was published."""

    frame: int  # source frame index
    state: State
    stamps: Stamps


class Trace:
    """The latest frames of a run; leaving its context writes the file. Memory never grows."""

    def __init__(self, path: Path, feed: FrameFeed, latest: int = LATEST) -> None:
        """path: .csv or .json. feed: tells what it dropped."""
        self._path = path
        self._feed = feed
        self._rows = np.zeros((latest, 2 + len(Stamps._fields)), np.int64)  # touched as it fills
        self._count = 0
        self.is_written = False
        self._dropped: list[Drop] = []  # by the live loop, which does so once in a blue moon

    def add(self, frame: int, state: State, stamps: Stamps) -> None:
        """One published frame."""
        stations = [_NONE if stamp is None else stamp for stamp in stamps]
        self._rows[self._count % len(self._rows)] = (frame, _STATES.index(state), *stations)
        self._count += 1

    def drop(self, frame: int, reason: str) -> None:
        """A frame that the live loop did not publish."""
        if len(self._dropped) < LATEST:
            self._dropped.append(Drop(frame, reason, time.monotonic_ns()))

    def rows(self) -> list[Row]:
        """Oldest first."""
        order = np.arange(max(0, self._count - len(self._rows)), self._count) % len(self._rows)
        return [
            Row(frame, _STATES[state], Stamps._make(None if one == _NONE else one for one in stations))
            for frame, state, *stations in self._rows[order].tolist()
        ]

    def write(self) -> None:
        """Write the file. Raises OSError."""
        rows, drops = self.rows(), sorted([*self._feed.dropped(), *self._dropped])
        if self._path.suffix == ".csv":
            text = to_csv(rows, drops)
        else:
            rows = rows[-JSON_FRAMES:]
            drops = [drop for drop in drops if not rows or drop.t_ns >= rows[0].stamps.arrival_ns]
            text = json.dumps(chrome_trace(rows, drops), separators=(",", ":"), allow_nan=False)
        self._path.write_text(text + "\n", encoding="utf-8")
        self.is_written = True

    def __enter__(self) -> Trace:
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self.write()
        except OSError as error:
            log.error("--trace %s could not be written (%s)", self._path, error.strerror)


def to_csv(rows: Sequence[Row], drops: Sequence[Drop]) -> str:
    """The lines of COLUMNS, in the order of the frames; a field is empty where there was nothing."""
    lines: dict[int, tuple[object, ...]] = {
        drop.frame: (drop.frame, "", drop.reason, drop.t_ns, *[""] * len(Stamps._fields)) for drop in drops
    }
    for row in rows:
        lines[row.frame] = (row.frame, row.state, "", "", *("" if one is None else one for one in row.stamps))
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerows([COLUMNS, *(lines[frame] for frame in sorted(lines))])
    return text.getvalue().rstrip("\n")


def read_csv(path: Path) -> tuple[list[Row], list[Drop]]:
    """What --trace X.csv wrote. Raises OSError and ValueError."""
    rows, drops = [], []
    with path.open(encoding="utf-8", newline="") as file:
        for line in csv.DictReader(file):
            if line["dropped"]:
                drops.append(Drop(int(line["frame"]), line["dropped"], int(line["dropped_ns"])))
                continue
            state = next((one for one in _STATES if one == line["state"]), None)
            if state is None:
                raise ValueError(f"{path}: {line['state']!r} is no state")
            stamps = Stamps._make(int(line[name]) if line[name] else None for name in Stamps._fields)
            rows.append(Row(int(line["frame"]), state, stamps))
    return rows, drops
