"""What the model is held to, from the numbers of one run; a target whose section was not run is left out."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from bench.accuracy import display
from bench.accuracy.dynamics import CONSTANT, HOLD, OURS
from bench.accuracy.rates import NOMINAL
from bench.accuracy.rows import LOOK_AHEAD, RAW, SINGLE, STREAM

AT_167 = "+167"
HELD_TO_MS = ("66", "100", "166")  # latencies at which leading is held to something


@dataclass(frozen=True)
class Target:
    """A number and its bound."""

    what: str
    value: float
    bound: float
    at_most: bool = True

    @property
    def met(self) -> bool:
        """nan is not."""
        return self.value <= self.bound if self.at_most else self.value < self.bound

    def as_row(self) -> list[str]:
        sign = "≤" if self.at_most else "<"
        verdict = "met" if self.met else "not measured" if math.isnan(self.value) else "missed"
        return [self.what, f"{self.value:.3f}", f"{sign} {self.bound:.2f}", verdict]


def targets(summary: dict[str, Any]) -> list[Target]:
    """summary: what __main__ writes as JSON. Points: 14, limbs with neck and head."""
    found: list[Target] = []
    for section, judge in (
        ("main", _main),
        ("rotations", _rotations),
        ("dynamics", _dynamics),
        ("display", _display),
        ("rates", _rates),
        ("videos", _videos),
    ):
        if summary.get(section):
            found += judge(summary[section])
    return found


def _main(table: dict[str, Any]) -> list[Target]:
    rows = table["rows"]
    raw, single, stream = rows[RAW], rows[SINGLE], rows[STREAM]
    found = []
    for points, name in (("14", ""), ("12", ", limbs alone")):
        found += [
            Target(f"{heading}{name}, stream / {RAW}", _ratio(stream[metric], raw[metric]), bound)
            for heading, metric, bound in (
                ("MPJPE", f"mpjpe_{points}", 0.75),
                ("PA-MPJPE", f"pa_{points}", 0.72),
                ("acceleration error", f"accel_{points}", 0.30),
            )
        ]
    found.append(
        Target(f"flips, stream / {RAW}", _ratio(stream["flips_percent"], raw["flips_percent"]), 0.25)
    )
    found += [
        Target("lag of the stream, ms", stream["lag_ms"], 10.0),
        Target(f"lag after {RAW}, ms", table["against"]["raw"][STREAM]["lag_ms"]["mean"], 10.0),
        Target(
            "acceleration error, stream / single frame", _ratio(stream["accel_14"], single["accel_14"]), 0.45
        ),
        Target("PA-MPJPE, stream / single frame", _ratio(stream["pa_14"], single["pa_14"]), 1.0),
    ]
    if LOOK_AHEAD in rows:
        ahead = rows[LOOK_AHEAD]
        found += [
            Target(
                f"{heading}, look-ahead / stream", _ratio(ahead[metric], stream[metric]), 1.0, at_most=False
            )
            for heading, metric in (("acceleration error", "accel_14"), ("PA-MPJPE", "pa_14"))
        ]
    return found


def _rotations(section: dict[str, Any]) -> list[Target]:
    groups = section["rows"][STREAM]["groups"]
    knees = section["rows"][STREAM]["standing_knees"]
    return [
        *(
            Target(f"{g}, degrees", groups[g]["error_deg"], 12.0)
            for g in ("hips", "knees", "shoulders", "elbows")
        ),
        *(Target(f"{g} / mean pose", groups[g]["ratio"], 0.75) for g in ("head", "wrists", "ankles")),
        Target("knee flexion of who stands, degrees off", abs(knees["bias_deg"]), 5.0),
    ]


def _dynamics(section: dict[str, Any]) -> list[Target]:
    horizons = section[STREAM]
    there, fast = horizons[AT_167]["all"], horizons[AT_167]["fastest third"]
    best = min(there[method]["displacement_mm"] for method in CONSTANT)
    found = [
        Target(f"{AT_167} ms, position / hold last", there[OURS]["position_ratio"], 0.88),
        Target(f"{AT_167} ms, the same, fastest third", fast[OURS]["position_ratio"], 0.80),
        Target(f"{AT_167} ms, displacement / hold last", there[OURS]["displacement_ratio"], 0.80),
        Target(
            f"{AT_167} ms, displacement / best constant velocity",
            _ratio(there[OURS]["displacement_mm"], best),
            1.0,
            at_most=False,
        ),
    ]
    for horizon, groups in horizons.items():
        if horizon.startswith("+") and horizon != AT_167:
            found.append(
                Target(f"{horizon} ms, position / {HOLD}", groups["all"][OURS]["position_ratio"], 1.0)
            )
    return found


def _display(section: dict[str, Any]) -> list[Target]:
    """At the latencies of HELD_TO_MS, or at all of them."""
    found = []
    for latency in HELD_TO_MS:
        rows = section[latency]["methods"]
        ours, held, constant = (rows[method] for method in (display.OURS, display.NO_LEAD, display.CONSTANT))
        found += [
            Target(f"{latency} ms, error that delay adds / no lead", _ratio(ours["own"], held["own"]), 0.80),
            Target(
                f"{latency} ms, the same, fastest third", _ratio(ours["own_fast"], held["own_fast"]), 0.70
            ),
            Target(
                f"{latency} ms, error that delay adds / constant velocity",
                _ratio(ours["own"], constant["own"]),
                1.0,
            ),
            Target(f"{latency} ms, jitter / no lead", _ratio(ours["jitter"], held["jitter"]), 1.2),
        ]
    # Without delay nothing is led.
    every = [group["methods"][display.OURS] for latency, group in section.items() if float(latency) > 0]
    found.append(Target("error at display time / no lead, worst latency", _worst(every, "truth_ratio"), 1.0))
    found.append(Target("movement of who keeps still / no lead, worst", _worst(every, "still_ratio"), 1.0))
    return found


def _worst(rows: list[dict[str, Any]], metric: str) -> float:
    """nan where it was not measured everywhere; Python's max drops a nan or not by where it stands."""
    return float(np.max([row[metric] for row in rows]))


def _rates(section: dict[str, Any]) -> list[Target]:
    return [
        Target(f"PA-MPJPE, {name} / {NOMINAL}", row["pa_ratio"], 1.05)
        for name, row in section["rates"].items()
        if name != NOMINAL
    ]


def _videos(section: list[dict[str, Any]]) -> list[Target]:
    return [
        Target(
            f"{clip['clip']}: reprojection, % of height",
            clip["rows"][STREAM].get("reprojection_median", math.nan),
            2.5,
        )
        for clip in section
    ]


def _ratio(a: float, b: float) -> float:
    return a / b if b else (0.0 if a == 0 else math.inf)
