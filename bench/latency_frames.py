"""Every frame of a measured run, and what its times come to: per stage, end to end, jitter, age at render ticks.

All times are one host's CLOCK_MONOTONIC. Percentiles are over the frames after the warm-up.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TextIO

import numpy as np

from bench.pose_readers import Tick
from realtime.camera.drops import Drop
from realtime.chrome_trace import chrome_trace
from realtime.summary import STAGES, Stamps, durations_ms
from realtime.trace import Row

WARM_S = 3.0  # from the first pose on: caches, the allocator, the processor's clock …
WARM_SHARE = 0.25  # … but of a short run no more than this
ENDS = ("sent_to_received", "arrival_to_received", "capture_to_received", "between_received", "age_at_ticks")
COLUMNS = ("kind", "round", "frame", "state", "dropped", "dropped_ns", *Stamps._fields, "received_ns")
TICK_COLUMNS = ("kind", "round", "tick_ns", "frame", "age_ms")
PERCENTILES = (50, 95, 99)


@dataclass(frozen=True)
class Frames:
    """One run, frame by frame."""

    rows: list[Row]  # published
    drops: list[Drop]
    received_ns: dict[int, int]  # source frame index → when a subscriber had it decoded
    ticks: list[Tick]

    def warm(self) -> list[Row]:
        """The published frames after the warm-up."""
        if not self.rows:
            return []
        first_ns, last_ns = self.rows[0].stamps.sent_ns, self.rows[-1].stamps.sent_ns
        from_ns = first_ns + min(WARM_S * 1e9, WARM_SHARE * (last_ns - first_ns))
        return [row for row in self.rows if row.stamps.sent_ns >= from_ns]

    def durations(self) -> dict[str, np.ndarray]:
        """Stage or end → (n,) milliseconds."""
        found: dict[str, list[float]] = {name: [] for name in (*STAGES, *ENDS)}
        rows = self.warm()
        for row in rows:
            for stage, ms in durations_ms(row.stamps).items():
                found[stage].append(ms)
            at = row.stamps
            received_ns = self.received_ns.get(row.frame)
            if received_ns is not None:
                taken_ns = at.arrival_ns if at.exposure_ns is None else at.exposure_ns
                found["sent_to_received"].append((received_ns - at.sent_ns) / 1e6)
                found["arrival_to_received"].append((received_ns - at.arrival_ns) / 1e6)
                found["capture_to_received"].append((received_ns - taken_ns) / 1e6)
        in_order = sorted(self.received_ns[row.frame] for row in rows if row.frame in self.received_ns)
        found["between_received"] = list(np.diff(in_order) / 1e6)
        if rows:
            first_ns, last_ns = rows[0].stamps.sent_ns, rows[-1].stamps.sent_ns
            found["age_at_ticks"] = [age for at_ns, _, age in self.ticks if first_ns <= at_ns <= last_ns]
        return {name: np.array(ms, np.float64) for name, ms in found.items()}

    def statistics(self) -> dict[str, Any]:
        """{"latency_ms": {stage: {"p50", "p95", "p99", "max", "count"}}, "jitter_ms": {…}}; None of nothing.

        Jitter is p95 − p50: of capture → received, and of the time between two received poses.
        """
        latency_ms = {name: _statistics(ms) for name, ms in self.durations().items()}
        jitter = {}
        for name in ("capture_to_received", "between_received"):
            p50, p95 = latency_ms[name]["p50"], latency_ms[name]["p95"]
            jitter[name] = None if p50 is None or p95 is None else p95 - p50
        return {"latency_ms": latency_ms, "jitter_ms": jitter}

    def shown_ns(self) -> dict[int, tuple[int, int]]:
        """Frame → (first, last) render tick that showed it; the last is where the next one's first is."""
        shown: dict[int, tuple[int, int]] = {}
        for (at_ns, frame, _), (next_ns, _, _) in zip(self.ticks, self.ticks[1:], strict=False):
            first_ns = shown.get(frame, (at_ns, 0))[0]
            shown[frame] = (first_ns, next_ns)
        return shown

    def trace(self) -> dict[str, Any]:
        """As a Chrome trace, from exposure to display."""
        return chrome_trace(self.rows, self.drops, self.received_ns, self.shown_ns())


def write_frames(file: TextIO, runs: Iterable[tuple[str, int, Frames]]) -> None:
    """COLUMNS, one line per frame; runs: (kind, round, frames)."""
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(COLUMNS)
    for kind, turn, frames in runs:
        for row in frames.rows:
            stamps = ("" if one is None else one for one in row.stamps)
            received = frames.received_ns.get(row.frame, "")
            writer.writerow((kind, turn, row.frame, row.state, "", "", *stamps, received))
        for drop in frames.drops:
            empty = [""] * (len(Stamps._fields) + 1)
            writer.writerow((kind, turn, drop.frame, "", drop.reason, drop.t_ns, *empty))


def write_ticks(file: TextIO, runs: Iterable[tuple[str, int, Frames]]) -> None:
    """TICK_COLUMNS, one line per render tick."""
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(TICK_COLUMNS)
    for kind, turn, frames in runs:
        writer.writerows((kind, turn, *tick) for tick in frames.ticks)


def _statistics(ms: Sequence[float] | np.ndarray) -> dict[str, float | int | None]:
    if not len(ms):
        return {**dict.fromkeys(("p50", "p95", "p99", "max")), "count": 0}
    numbers = (float(value) for value in np.percentile(ms, PERCENTILES))
    return {
        **dict(zip(("p50", "p95", "p99"), numbers, strict=True)),
        "max": float(np.max(ms)),
        "count": len(ms),
    }
