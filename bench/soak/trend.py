"""Is there a trend, and how sure is that? Without SciPy, for series in which a few values lie far off."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

SIGNIFICANT_S = 1800  # a shorter run says nothing about a trend
Z_90 = 1.645  # of the normal distribution: 90 % lie within so many deviations
RESAMPLES = 400
_SEED = 1


def slope(x: np.ndarray, y: np.ndarray) -> tuple[float, float, float]:
    """Theil-Sen: the median of the slopes between all pairs, and its 90 % interval by Kendall's variance (Sen 1968).

    x: (N,), all different; y: (N,); N >= 3. The interval takes the N values as independent of each other.
    """
    i, j = np.triu_indices(len(x), 1)
    slopes = np.sort((y[j] - y[i]) / (x[j] - x[i]))
    n, pairs = len(x), len(slopes)
    half = Z_90 * np.sqrt(n * (n - 1) * (2 * n + 5) / 18) / 2
    low = max(0, round(pairs / 2 - half))
    high = min(pairs - 1, round(pairs / 2 + half))
    return float(np.median(slopes)), float(slopes[low]), float(slopes[high])


def ratio_of_p99(
    first: Sequence[Sequence[float]], last: Sequence[Sequence[float]]
) -> tuple[float, float, float]:
    """p99 of all values in `last` over that in `first`, and its 90 % interval by bootstrap.

    Each is a list of groups (a second's values) that are drawn as wholes: neighbours in time are alike. None empty.
    """
    rng = np.random.default_rng(_SEED)
    drawn = [_drawn_p99(groups, rng) for groups in (first, last)]
    ratios = drawn[1] / drawn[0]
    low, high = np.percentile(ratios, (5, 95))
    whole = [float(np.percentile(np.concatenate(groups), 99)) for groups in (first, last)]
    return whole[1] / whole[0], float(low), float(high)


def _drawn_p99(groups: Sequence[Sequence[float]], rng: np.random.Generator) -> np.ndarray:
    values = np.concatenate([np.asarray(group, float) for group in groups])
    order = np.argsort(values)
    group_of = np.repeat(np.arange(len(groups)), [len(group) for group in groups])[order]
    drawn = np.empty(RESAMPLES)
    for k in range(RESAMPLES):
        times = np.bincount(rng.integers(0, len(groups), len(groups)), minlength=len(groups))
        rank = np.cumsum(
            times[group_of]
        )  # in the drawn values, sorted, of the last that is equal to this one
        drawn[k] = values[order[np.searchsorted(rank, 0.99 * rank[-1])]]
    return drawn
