"""A network's configuration: sizes that cannot be."""

import pytest

from engines.network.config import NetworkConfig


@pytest.mark.parametrize(
    "change",
    [
        {"width": 300},
        {"groups": 64},
        {"width": 0},
        {"blocks": 65},
        {"head_width": 10**9},
        {"feature_dim": 2.0},
        {"horizon_ms": 0},
        {"horizon_ms": float("nan")},
        {"dropout": 1.0},
        {"delay": -1},
        {"delay": 13},
        {"delay": 6.0},
        {"delay": True},
        {"model_id": ""},
        {"feature_version": None},
    ],
)
def test_impossible_sizes_are_refused_by_name(change):
    with pytest.raises(ValueError, match=next(iter(change))):
        NetworkConfig(**{"feature_dim": 8, "feature_version": 1, "model_id": "m", **change})
