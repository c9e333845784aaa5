"""Which fault comes when: by a seed, one after the other, with quiet between them."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

# How long each lasts, seconds, from … to.
KINDS = {
    "camera stalled": (0.5, 5.0),
    "camera cut": (0.5, 5.0),
    "subscriber killed": (1.0, 3.0),  # until another one joins in its place
    "subscriber stopped": (2.0, 6.0),
    "subscriber joins": (2.0, 6.0),  # and is gone again
    "sink killed": (1.0, 1.0),
    "hog": (2.0, 6.0),
    "garbage on the port": (2.0, 6.0),
}
CAMERA_FAULTS = ("camera stalled", "camera cut")
FIRST_S = 5.0
QUIET_S = (8.0, 14.0)  # from the end of one to the beginning of the next
LAST_S = 15.0  # before the end nothing more begins
SINK_PAUSE_S = (
    40.0  # between two kills of the sink: the supervisor gives up who crashes six times without running 30 s
)


@dataclass(frozen=True)
class Planned:
    """One fault: begins `at_s` after the first pose, lasts `seconds`."""

    at_s: float
    kind: str
    seconds: float


def plan(seconds: float, seed: int, kinds: Sequence[str] = tuple(KINDS)) -> list[Planned]:
    """The faults of a run of so many seconds. Every kind comes once before any comes again."""
    rng = random.Random(seed)
    planned: list[Planned] = []
    deck: list[str] = []
    now_s, sink_s = FIRST_S, -SINK_PAUSE_S
    while kinds:
        deck = deck or rng.sample(list(kinds), len(kinds))
        kind = deck.pop()
        if kind == "sink killed":
            now_s = max(now_s, sink_s + SINK_PAUSE_S)
            sink_s = now_s
        lasts_s = rng.uniform(*KINDS[kind])
        if now_s + lasts_s > seconds - LAST_S:
            break
        planned.append(Planned(round(now_s, 2), kind, round(lasts_s, 2)))
        now_s += lasts_s + rng.uniform(*QUIET_S)
    return planned
