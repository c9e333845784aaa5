"""Several ways to do one thing, timed side by side: what disturbs one disturbs all, and their ratios hold.

In every round each variant gets its turn, in an order that rotates. Hot: it steps once untimed and once timed, its
weights in whatever cache holds them. Cold: it steps once, right after `disturb` (perception on a picture), as live.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

LEAST_ROUNDS = 5


@dataclass
class Variant:
    """One way to do it."""

    name: str
    step: Callable[[], object]  # does the work once
    bytes_read: int  # of weights, by one step
    error: float | None = None  # against the reference, checked before anything is timed
    timed_ms: Callable[[], float] | None = None  # the same, timing itself
    hot_ms: list[float] = field(default_factory=list)
    cold_ms: list[float] = field(default_factory=list)


def interleave(
    variants: Sequence[Variant], disturb: Callable[[], object] | None, rounds: int, seconds: float
) -> int:
    """Fill `hot_ms` and (with `disturb`) `cold_ms` of every variant. Returns how many rounds were made.

    As many as `rounds`, or fewer if `seconds` are over, but 5 at the least. The first round is thrown away.
    """
    started, done = time.perf_counter(), 0
    for index in range(rounds + 1):
        if index > LEAST_ROUNDS and time.perf_counter() - started > seconds:
            break
        turn = index % len(variants)
        order = [*variants[turn:], *variants[:turn]]
        for variant in order:
            variant.step()
            took = _timed_ms(variant)
            if index:
                variant.hot_ms.append(took)
        if disturb is not None:
            for variant in order:
                disturb()
                took = _timed_ms(variant)
                if index:
                    variant.cold_ms.append(took)
        done = index
    return done


def in_turns_us(steps: Mapping[str, Callable[[int], object]], rounds: int) -> dict[str, dict[str, float]]:
    """`statistics` of each step in microseconds, one after the other in every round; called with the round's number."""
    taken_us: dict[str, list[float]] = {name: [] for name in steps}
    for turn in range(rounds):
        for name, step in steps.items():
            started_ns = time.perf_counter_ns()
            step(turn)
            taken_us[name].append((time.perf_counter_ns() - started_ns) / 1e3)
    return {name: statistics(values) for name, values in taken_us.items()}


def _timed_ms(variant: Variant) -> float:
    if variant.timed_ms is not None:
        return variant.timed_ms()
    started_ns = time.perf_counter_ns()
    variant.step()
    return (time.perf_counter_ns() - started_ns) / 1e6


def statistics(times_ms: Sequence[float]) -> dict[str, float]:
    """p50, p99 and the least of them; NaN of none."""
    if not times_ms:
        return dict.fromkeys(("p50", "p99", "min"), float("nan"))
    return {
        "p50": float(np.median(times_ms)),
        "p99": float(np.percentile(times_ms, 99)),
        "min": float(min(times_ms)),
    }
