"""Batches by number: what batch 1234 holds follows from the seed alone, so a run that was cut off goes on with it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from training.batch import Batch
from training.dataset import Tier, TrainingData

_TRAINING, _STATISTICS = 0, 1  # streams of random numbers beside each other


class Withheld:
    """Windows of a tier as if nobody had measured them: their 3-D is kept back (HMMR's second tier)."""

    def __init__(self, tier: Tier) -> None:
        self._tier = tier

    def windows(self, count: int) -> Batch:
        batch = self._tier.windows(count)
        batch.has_3d[:] = 0.0
        for placeholder in (batch.rotations, batch.ahead, batch.betas, batch.keypoints):
            placeholder[:] = 0.0
        return batch


def tensors(batch: Batch) -> dict[str, Tensor]:
    return {name: torch.from_numpy(getattr(batch, name)) for name in Batch.__dataclass_fields__}


class NumberedBatches(Dataset):
    """Batch `index` of the training. generator: the one that all tiers of `data` draw from, and nobody else."""

    def __init__(self, data: TrainingData, generator: np.random.Generator, seed: int) -> None:
        self._data, self._generator, self._seed = data, generator, seed

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        return self._draw(_TRAINING, index)

    def statistics(self, count: int) -> Tensor:
        """Features (N, F) of `count` batches that are not trained on."""
        return torch.cat([self._draw(_STATISTICS, i)["features"].flatten(0, 1) for i in range(count)])

    def _draw(self, stream: int, index: int) -> dict[str, Tensor]:
        fresh = np.random.default_rng([self._seed, stream, index])
        self._generator.bit_generator.state = fresh.bit_generator.state
        return tensors(next(iter(self._data)))


class _From(Sampler):
    """first, first + 1, … without end."""

    def __init__(self, first: int) -> None:
        self._first = first

    def __iter__(self) -> Iterator[int]:
        index = self._first
        while True:
            yield index
            index += 1


def load_from(
    batches: NumberedBatches, first: int, workers: int, pinned: bool = False
) -> Iterable[dict[str, Tensor]]:
    """Batches from number `first` on, in order, made by so many processes beside this one (0: in this one)."""
    return DataLoader(
        batches,
        batch_size=None,
        sampler=_From(first),
        num_workers=workers,
        pin_memory=pinned,
        prefetch_factor=4 if workers else None,
    )
