"""Endless, seeded batches from the tiers of data: motion under the noise model, rendered takes, unlabelled video."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from training.batch import Batch, join


class Tier(Protocol):
    """A source of windows."""

    def windows(self, count: int) -> Batch: ...


class TrainingData:
    """Endless batches of `batch` windows; tiers: each with its share of them (shares add up to 1)."""

    def __init__(self, tiers: list[tuple[Tier, float]], batch: int) -> None:
        edges = [0]
        total = 0.0
        for _, share in tiers:
            total += share
            edges.append(round(batch * total))
        if edges[-1] != batch:
            raise ValueError(f"shares of the tiers add up to {total:g}, not to 1")
        self._parts = [
            (tier, last - first) for (tier, _), first, last in zip(tiers, edges[:-1], edges[1:], strict=True)
        ]

    def __iter__(self) -> Iterator[Batch]:
        while True:
            yield join([tier.windows(count) for tier, count in self._parts if count])
