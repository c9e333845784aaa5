"""A delay from many observations that each say only "between so much and so much".

A picture that shows a count tells that its light left the screen between two drawings: the delay lies in an interval of
30 to 50 ms. The steps' length and the camera's phase vary, so each interval lies differently about the same value, and
hundreds of them leave less than a millisecond. The delay is taken as logistic about its middle (camera and screen each
have their wait), one observation in fifty as anything at all (a late picture, a count read wrong): interval-censored
likelihood with outliers, on a grid, every value of the grid equally likely beforehand.

What no number of pictures tells: the screen changes at its refreshes only, and a camera whose rate is that of the
screen, or half of it, always looks at the same moment between two of them. The measured delay is then anything within
one refresh (60 Hz: ±8 ms). Each opening of a camera begins at another moment: several of them, measured apart, tell.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from realtime.errors import HmmrLiveError

FEWEST = 20  # observations; fewer are refused
MAX_UNCERTAINTY_MS = 15.0  # a result that says less is refused
STRAY_SHARE, STRAY_SPAN_MS = 0.02, 1000.0
SCALES_MS = np.array([0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0])  # of the logistic distribution
STANDARD_DEVIATION = np.pi / np.sqrt(3)  # of a logistic distribution of scale 1
REACH_MS = 60.0  # how far from the median of the intervals' middles the centre is looked for
COARSE_MS, FINE_MS = 0.5, 0.05
RESAMPLES = 400
BLOCK_S = 0.5  # neighbours in time share their phase: they are drawn again together
# Student's t for 95 % of both sides, by the number of values less one; beyond, near enough to the last.
STUDENT_T = (np.nan, 12.71, 4.30, 3.18, 2.78, 2.57, 2.45, 2.36, 2.31, 2.26, 2.23)


class MeasurementError(HmmrLiveError):
    """What was filmed does not give the delay."""


@dataclass(frozen=True, slots=True)
class Delay:
    """A measured delay, milliseconds."""

    median_ms: float
    uncertainty_ms: float  # of the median: 95 % are within ± this
    spread_ms: float  # standard deviation from one observation to the next
    observations: int
    strays: int  # of those, what fits nothing, and has no say


def fit(low_ms: np.ndarray, high_ms: np.ndarray, at_s: np.ndarray) -> Delay:
    """The delay that is in (low, high] of each observation.

    low_ms, high_ms, at_s: (N,) float64; at_s is when each was made. Raises MeasurementError for too few observations,
    or such as do not agree.
    """
    if len(low_ms) < FEWEST:
        raise MeasurementError(f"only {len(low_ms)} readings that can be used; {FEWEST} are needed")
    rough_ms = float(np.median((low_ms + high_ms) / 2))
    centres_ms = rough_ms + np.arange(-REACH_MS, REACH_MS + COARSE_MS, COARSE_MS)
    likelihoods = [_log_likelihood(low_ms, high_ms, centres_ms, scale).sum(0) for scale in SCALES_MS]
    weights = _probabilities(np.stack(likelihoods))  # (scales, centres)
    scale_ms = float(weights.sum(1) @ SCALES_MS)
    rough_ms = float(weights.sum(0) @ centres_ms)
    deviation_ms = float(np.sqrt(weights.sum(0) @ (centres_ms - rough_ms) ** 2))
    reach_ms = max(4.0, 6 * deviation_ms)
    centres_ms = rough_ms + np.arange(-reach_ms, reach_ms + FINE_MS, FINE_MS)
    fine = _log_likelihood(low_ms, high_ms, centres_ms, scale_ms)
    posterior = _probabilities(fine.sum(0))
    median_ms = float(posterior @ centres_ms)
    within_ms = 1.96 * float(np.sqrt(posterior @ (centres_ms - median_ms) ** 2))
    return Delay(
        median_ms=median_ms,
        uncertainty_ms=_acceptable(max(within_ms, _bootstrap_ms(fine, centres_ms, at_s))),
        spread_ms=scale_ms * STANDARD_DEVIATION,
        observations=len(low_ms),
        strays=int(_strays(low_ms, high_ms, median_ms, scale_ms).sum()),
    )


def combine(parts: Sequence[Delay]) -> Delay:
    """Measurements of the same delay, each from another opening of the camera: their mean, and how well they agree.

    Raises MeasurementError where that is not well enough.
    """
    if len(parts) == 1:
        return parts[0]
    medians_ms = np.array([part.median_ms for part in parts])
    from_each_ms = float(np.sqrt(np.sum([part.uncertainty_ms**2 for part in parts]))) / len(parts)
    t = STUDENT_T[min(len(parts) - 1, len(STUDENT_T) - 1)]
    from_all_ms = t * float(medians_ms.std(ddof=1)) / np.sqrt(len(parts))
    return Delay(
        median_ms=float(medians_ms.mean()),
        uncertainty_ms=_acceptable(max(from_each_ms, from_all_ms), f"{len(parts)} openings of the camera"),
        spread_ms=float(np.mean([part.spread_ms for part in parts])),
        observations=sum(part.observations for part in parts),
        strays=sum(part.strays for part in parts),
    )


def _acceptable(uncertainty_ms: float, what: str = "the readings") -> float:
    if uncertainty_ms > MAX_UNCERTAINTY_MS:
        more = "; give more of them (--openings)" if "openings" in what else ""
        raise MeasurementError(f"{what} do not agree (±{uncertainty_ms:.0f} ms){more}")
    return uncertainty_ms


def _log_likelihood(
    low_ms: np.ndarray, high_ms: np.ndarray, centres_ms: np.ndarray, scale_ms: float
) -> np.ndarray:
    """(N, centres): of each observation, where the delay has that centre and this scale."""
    inside = _inside(low_ms[:, None], high_ms[:, None], centres_ms, scale_ms)
    stray = np.clip(high_ms - low_ms, 0.0, None)[:, None] / STRAY_SPAN_MS
    return np.log((1 - STRAY_SHARE) * inside + STRAY_SHARE * stray + 1e-12)


def _inside(
    low_ms: np.ndarray, high_ms: np.ndarray, centre_ms: np.ndarray | float, scale_ms: float
) -> np.ndarray:
    """Probability of the logistic distribution between low and high."""
    low, high = (low_ms - centre_ms) / scale_ms, (high_ms - centre_ms) / scale_ms
    return np.clip((np.tanh(high / 2) - np.tanh(low / 2)) / 2, 0.0, 1.0)


def _strays(low_ms: np.ndarray, high_ms: np.ndarray, centre_ms: float, scale_ms: float) -> np.ndarray:
    inside = (1 - STRAY_SHARE) * _inside(low_ms, high_ms, centre_ms, scale_ms)
    return inside < STRAY_SHARE * (high_ms - low_ms) / STRAY_SPAN_MS


def _probabilities(log_likelihood: np.ndarray) -> np.ndarray:
    weights = np.exp(log_likelihood - log_likelihood.max())
    return weights / weights.sum()


def _bootstrap_ms(log_likelihood: np.ndarray, centres_ms: np.ndarray, at_s: np.ndarray) -> float:
    """Half of the interval in which 95 % of the centres are when the blocks of time are drawn again."""
    blocks = np.unique((at_s - at_s.min()) // BLOCK_S, return_inverse=True)[1]
    of_block = np.zeros((blocks.max() + 1, len(centres_ms)))
    np.add.at(of_block, blocks, log_likelihood)
    chance = np.random.default_rng(0)
    drawn = chance.multinomial(len(of_block), np.full(len(of_block), 1 / len(of_block)), RESAMPLES)
    sums = drawn @ of_block
    weights = np.exp(sums - sums.max(1, keepdims=True))
    medians_ms = weights @ centres_ms / weights.sum(1)
    low_ms, high_ms = np.percentile(medians_ms, (2.5, 97.5))
    return float(high_ms - low_ms) / 2
