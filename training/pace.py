"""When the pictures of a window come: 60 to 5 a second, late and dropped ones among them."""

from __future__ import annotations

import numpy as np

from training.motion import FPS

MAX_AHEAD_FRAMES = 6.0  # 200 ms at 30 fps
# Frames of the capture from one picture to the next, and how often: 30, 60, 24, 20, 15, 10 and 5 pictures a second.
STRIDES = ((1.0, 0.5), (0.5, 0.12), (1.25, 0.08), (1.5, 0.05), (2.0, 0.14), (3.0, 0.07), (6.0, 0.04))
P_DROP, P_POOR, P_DROP_POOR = 0.05, 0.15, 0.22  # of the frames; windows of a poor connection


def random_stride(rng: np.random.Generator) -> float:
    strides, chances = zip(*STRIDES, strict=True)
    return float(rng.choice(strides, p=chances))


def frame_times(frames: int, stride: float, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Times (T,) in frames of the capture, and seconds since the picture before (T,), nominal for the first."""
    steps = np.full(frames, stride)
    chance = P_DROP_POOR if rng.uniform() < P_POOR else P_DROP
    steps *= rng.geometric(1.0 - chance, frames)  # one, and one more for every picture dropped
    steps *= rng.uniform(0.85, 1.15, frames)
    steps[0] = 0.0
    dt_s = steps / FPS
    dt_s[0] = 1.0 / FPS
    return np.cumsum(steps), dt_s
