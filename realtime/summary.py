"""What a run did: counted while it runs, written by `--summary` as JSON at its end."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple, get_args

import numpy as np

from realtime.camera.slot import RateMeter
from realtime.observation import State

SAMPLES = 100_000  # per stage: the last 55 minutes at 30 fps in 0.4 MB; percentiles are over these

# The way of a frame, in order. With --every-frame everything counts from its arrival.
STAGES = (
    "camera",  # exposure, by the driver's stamp → arrival, decoded; only where there is such a stamp
    "wait",  # arrival → perception takes it up
    "perception",
    "perception_own",  # of it, the networks with what is before and behind them (or MediaPipe's call), where it is told
    "look_ahead",  # waiting for the frames after it; only of a model that wants them
    "estimate",  # features, ring, network, body, metres
    "engine",  # of it, the network alone; only where it was asked
    "publish",  # encoding and handing to the bus
    "features_to_sent",  # estimate + publish
    "arrival_to_publish",  # everything that this program does
    "capture_to_publish",  # the same, and `camera` where that is known: how old a pose is when it is sent
)


class Samples:
    """The last SAMPLES durations in ms; count and maximum are over all of them. Memory never grows."""

    def __init__(self, capacity: int = SAMPLES) -> None:
        self._ms = np.full(
            capacity, np.nan, np.float32
        )  # zeros would take their memory page by page while it runs
        self._slots: Any = self._ms.data  # takes a number in a third of numpy's time
        self.count = 0
        self.max_ms = 0.0

    def add(self, ms: float) -> None:
        self._slots[self.count % len(self._slots)] = ms
        self.count += 1
        if ms > self.max_ms:
            self.max_ms = ms

    def recent_ms(self, count: int) -> float | None:
        """Median of the last `count`; None before the first."""
        last = np.arange(max(0, self.count - min(count, len(self._ms))), self.count)
        return float(np.median(self._ms[last % len(self._ms)])) if len(last) else None

    def report(self) -> dict[str, float | int | None]:
        """{"p50", "p95", "p99", "max", "count"}, milliseconds; None for all but the count before the
        first."""
        if not self.count:
            return {"p50": None, "p95": None, "p99": None, "max": None, "count": 0}
        p50, p95, p99 = np.percentile(self._ms[: self.count], (50, 95, 99))
        numbers = {"p50": p50, "p95": p95, "p99": p99, "max": self.max_ms}
        return {**{key: round(float(value), 3) for key, value in numbers.items()}, "count": self.count}


class Stamps(NamedTuple):
    """When one frame passed each station, time.monotonic_ns(); None where it did not, or nobody can tell."""

    exposure_ns: int | None  # the driver's stamp
    arrival_ns: int
    perception_start_ns: int
    perception_end_ns: int
    perception_own_ns: int | None  # a duration, as perception tells it
    # When the last frame that its estimate waited for was perceived; itself, without look-ahead:
    complete_ns: int
    engine_start_ns: int | None
    engine_end_ns: int | None
    estimated_ns: int
    sent_ns: int


def durations_ms(stamps: Stamps) -> dict[str, float]:
    """Stage → milliseconds, of the stages that this frame went through."""
    exposure, arrival, perception_start, perception_end, own = stamps[:5]
    complete, engine_start, engine_end, estimated, sent = stamps[5:]
    ms = {
        "wait": (perception_start - arrival) / 1e6,
        "perception": (perception_end - perception_start) / 1e6,
        "estimate": (estimated - complete) / 1e6,
        "publish": (sent - estimated) / 1e6,
        "features_to_sent": (sent - complete) / 1e6,
        "arrival_to_publish": (sent - arrival) / 1e6,
        "capture_to_publish": (sent - (arrival if exposure is None else exposure)) / 1e6,
    }
    if exposure is not None:
        ms["camera"] = (arrival - exposure) / 1e6
    if own is not None:
        ms["perception_own"] = own / 1e6
    if complete > perception_end:
        ms["look_ahead"] = (complete - perception_end) / 1e6
    if engine_start is not None and engine_end is not None:
        ms["engine"] = (engine_end - engine_start) / 1e6
    return ms


class Tally:
    """Counts frames, states and latencies of a run."""

    def __init__(self) -> None:
        self.stages = {stage: Samples() for stage in STAGES}
        self.states: dict[str, int] = dict.fromkeys(get_args(State), 0)
        self.published = 0
        self._first_sent_ns = 0
        self._last_sent_ns = 0
        self._rate = RateMeter()

    def add(self, stamps: Stamps, state: State) -> None:
        """One published frame."""
        for stage, ms in durations_ms(stamps).items():
            self.stages[stage].add(ms)
        self.states[state] += 1
        self.published += 1
        self._first_sent_ns = self._first_sent_ns or stamps.sent_ns
        self._last_sent_ns = stamps.sent_ns
        self._rate.tick(stamps.sent_ns)

    @property
    def fps(self) -> float:
        """Frames published per second, from the first to the last of the run; 0 before the second."""
        span_ns = self._last_sent_ns - self._first_sent_ns
        return (self.published - 1) * 1e9 / span_ns if span_ns > 0 else 0.0

    def recent_fps(self) -> float:
        """Frames published per second over the last three seconds."""
        return self._rate.per_second(time.monotonic_ns())


@dataclass
class Summary:
    """`--summary`: every field is a key of the JSON."""

    source: str
    ended_by: str  # end of the source, --frames, --duration, or the signal
    frames: dict[str, Any]  # captured, processed, published, dropped, drop_reasons {reason: count}
    not_finite: int  # published as held because features or network output held NaN or infinity
    fps: float  # published, first to last
    duration_s: float
    latency_ms: dict[str, dict[str, float | int | None]]  # stage → p50, p95, p99, max, count; see STAGES
    lead: dict[str, Any]  # mode, ms and its parts at the end; see LeadTime.describe
    states: dict[str, int]  # frames published in each
    engine: dict[str, Any]
    model: str
    body: str
    camera: dict[str, Any]
    bus: dict[str, Any]
    perception: dict[str, Any]
    children: dict[str, str]  # viewer and sinks: how each was when the run ended
    recordings: list[dict[str, Any]]  # path, frames, error
    versions: dict[str, str]

    def write(self, path: Path) -> None:
        """Write the JSON beside `path` and move it into place. Raises OSError.

        A link or device (/dev/stdout) is written to, never replaced.
        """
        content = json.dumps(asdict(self), indent=2, allow_nan=False) + "\n"
        if path.is_symlink() or (path.exists() and not path.is_file()):
            path.write_text(content, encoding="utf-8")
            return
        temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
        try:
            temporary.write_text(content, encoding="utf-8")
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)

    def lines(self) -> list[str]:
        """The end of a run in a few lines for people."""
        frames, latency = self.frames, self.latency_ms["capture_to_publish"]
        reasons = ", ".join(
            f"{count} {reason.replace('_', ' ')}" for reason, count in frames["drop_reasons"].items() if count
        )
        # A file that was cut or damaged says so in its last message.
        text = [self.camera["message"]] if self.ended_by == "end of the source" else []
        text += [
            f"{frames['published']} of {frames['captured']} frames published, {self.fps:.1f} per second"
            + (f"; dropped: {reasons}" if reasons else "")
        ]
        if latency["count"]:
            median, p99 = latency["p50"], latency["p99"]
            camera = self.latency_ms.get("camera", {}).get("p50")
            of_it = "" if camera is None else f"; of it the camera {camera:.1f}, by its driver's stamps"
            text.append(f"latency capture → publish: median {median:.1f} ms, 99 % under {p99:.1f} ms{of_it}")
        if (lead_ms := self.lead.get("ms")) is not None:
            text.append(f"lead: {lead_ms:.0f} ms" + _parts(self.lead))
        seen = ", ".join(f"{count} {state}" for state, count in self.states.items() if count)
        if seen:
            text.append(f"states: {seen}")
        for recording in self.recordings:
            if recording["path"]:
                text.append(f"recorded {recording['frames']} frames: {recording['path']}")
        return text


def _parts(lead: Mapping[str, Any]) -> str:
    if lead["mode"] != "auto":
        return ", as asked"
    camera, way, display = (lead[f"{part}_ms"] for part in ("camera", "pipeline", "display"))
    parts = f"camera {camera:.0f} ({lead['camera']}), way to the bus {way:.0f}, display {display:.0f}"
    cut = (
        f"; no more than {lead['furthest_ms']:.0f} ms are foretold"
        if camera + way + display > lead["furthest_ms"]
        else ""
    )
    return f": {parts}{cut}"


def plain(value: Mapping[str, Any]) -> dict[str, Any]:
    """A mapping made fit for JSON: numpy scalars to numbers, tuples to lists, numbers that are not finite to
    None."""
    return {str(key): _plain(item) for key, item in value.items()}


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return plain(value)
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not np.isfinite(value):
        return None
    return value
