"""Intervals → a delay: where it is, how sure, and when there is none."""

import numpy as np
import pytest

from calib.estimate import FEWEST, Delay, MeasurementError, combine, fit


def intervals(delay_ms: float, count: int, seed: int, deviation_ms: float = 1.0, strays: int = 0) -> tuple:
    """Each of 30 to 50 ms about the true delay, at any phase."""
    chance = np.random.default_rng(seed)
    length_ms = chance.uniform(30, 50, count)
    below_ms = chance.uniform(0, 1, count) * length_ms
    low_ms = delay_ms + chance.normal(0, deviation_ms, count) - below_ms
    low_ms[:strays] += chance.uniform(100, 400, strays)
    return low_ms, low_ms + length_ms, np.arange(count) / 30.0


@pytest.mark.parametrize("delay_ms", [20.0, 77.7, 200.0])
@pytest.mark.parametrize("deviation_ms", [0.0, 1.0, 5.0])
def test_the_delay_is_found_and_the_uncertainty_is_true(delay_ms, deviation_ms) -> None:
    results = [fit(*intervals(delay_ms, 300, seed, deviation_ms)) for seed in range(8)]
    errors_ms = np.array([result.median_ms - delay_ms for result in results])
    limits_ms = np.array([result.uncertainty_ms for result in results])
    assert np.abs(errors_ms).max() < 2.0
    assert (np.abs(errors_ms) <= limits_ms).mean() >= 0.75
    assert limits_ms.max() < 2.5
    if deviation_ms:
        assert np.mean([result.spread_ms for result in results]) == pytest.approx(deviation_ms, rel=0.6)


def test_strays_have_no_say() -> None:
    clean, spoiled = fit(*intervals(60.0, 300, 1)), fit(*intervals(60.0, 300, 1, strays=20))
    assert clean.strays == 0 and 18 <= spoiled.strays <= 20
    assert spoiled.median_ms == pytest.approx(clean.median_ms, abs=0.3)


def test_too_few_and_such_as_do_not_agree_are_refused() -> None:
    with pytest.raises(MeasurementError, match=f"only {FEWEST - 1} readings"):
        fit(*intervals(60.0, FEWEST - 1, 0))
    chance = np.random.default_rng(0)
    low_ms = chance.uniform(0, 1000, 40)
    with pytest.raises(MeasurementError, match="do not agree"):
        fit(low_ms, low_ms + 40, np.arange(40) / 30)


def test_openings_are_averaged_and_their_scatter_is_in_the_uncertainty() -> None:
    parts = [Delay(median_ms, 0.5, 1.0, 90, 1) for median_ms in (50.0, 56.0, 62.0, 52.0, 60.0, 56.0)]
    whole = combine(parts)
    medians_ms = np.array([part.median_ms for part in parts])
    assert whole.median_ms == pytest.approx(56.0)
    assert whole.uncertainty_ms == pytest.approx(2.57 * medians_ms.std(ddof=1) / np.sqrt(6))
    assert (whole.observations, whole.strays, whole.spread_ms) == (540, 6, 1.0)
    assert combine(parts[:1]) is parts[0]
    with pytest.raises(MeasurementError, match="do not agree"):
        combine([Delay(20.0, 0.5, 1.0, 90, 0), Delay(40.0, 0.5, 1.0, 90, 0)])
