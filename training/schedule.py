"""How fast a network learns, by how much of its training is done."""

from __future__ import annotations

import math

WARM_UP_STEPS = 200
LAST_SHARE = 0.01  # of the peak rate, at the end


def learning_rate(step: int, done: float, peak: float) -> float:
    """Linear warm-up, then a cosine down to a hundredth of the peak. done: share of the training in [0, 1]."""
    cosine = 0.5 * (1.0 + math.cos(math.pi * min(done, 1.0)))
    return peak * min(1.0, (step + 1) / WARM_UP_STEPS) * (LAST_SHARE + (1.0 - LAST_SHARE) * cosine)
