"""Where the floor is: under the feet, told from the body alone. Camera frame, y down, metres.

No plane: what one camera tells of height drifts by centimetres within seconds, and where the camera is tilted the floor
rises or falls with the way that somebody walks. realtime/files/ground.py does it for recordings, which know the future.
"""

from __future__ import annotations

import math
from collections import deque

import numpy as np

WINDOW_S = 1.0  # the floor is under the lowest foot of this time: nobody who jumps is in the air for longer
TAU_S = 0.3  # and it moves there this slowly, so that it does not tremble with the estimate
PERCENTILE = 80  # of that time: one wrong frame does not sink it, and who stands does so in the middle of his trembling


class Floor:
    """Height of the floor from the lowest points of the body over time."""

    def __init__(self) -> None:
        self._lowest: deque[tuple[float, float]] = deque()
        self._t_s = 0.0
        self.y: float | None = None  # metres, downwards; None before the first body

    def reset(self) -> None:
        self._lowest.clear()
        self.y = None

    def update(self, t_s: float, lowest_y: float) -> float:
        """Take in the lowest point (the largest y) of the body at time t_s; returns the floor's y."""
        self._lowest.append((t_s, lowest_y))
        while self._lowest[0][0] < t_s - WINDOW_S:
            self._lowest.popleft()
        wanted = float(np.percentile([y for _, y in self._lowest], PERCENTILE))
        if self.y is None:
            self.y = wanted
        else:
            self.y += (wanted - self.y) * (1.0 - math.exp(-max(0.0, t_s - self._t_s) / TAU_S))
        self._t_s = t_s
        return self.y
