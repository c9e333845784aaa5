"""The pose a moment from now: what makes up for the time that a pose is under way to whoever sees it.

The network foretells poses (f_Δt, HMMR §3.3); between them and the pose itself every joint turns steadily. How much of
that is dared is the confidence: it grows while somebody is tracked, and where he is not there is no lead at all.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from realtime.body.rotations import between_axis_angles
from realtime.observation import Estimate

EASE_S = 0.3  # from no lead to all of it, after somebody was found


@dataclass(frozen=True, slots=True)
class Led:
    """The body `ms` after its frame, as far as it can be told."""

    ms: float
    pose: np.ndarray  # (72,) float32, as Θ's
    trans: np.ndarray  # (3,) float32, pelvis in the camera frame, metres
    confidence: float  # 0: this is the present pose … 1: all that the network foretells


class Leader:
    """Leads the estimates of one stream; remembers how long its person has been tracked."""

    def __init__(self) -> None:
        self._person = 0
        self._t_ns = 0
        self._confidence = 0.0

    def lead(self, t_ns: int, estimate: Estimate, lead_ms: float) -> Led:
        """Call it once for every frame, in order. t_ns: when the frame was taken; lead_ms ≥ 0."""
        since_s = (t_ns - self._t_ns) / 1e9
        if estimate.state != "tracking" or estimate.person != self._person:
            self._confidence = 0.0
        else:
            self._confidence = min(1.0, self._confidence + since_s / EASE_S)
        self._person, self._t_ns = estimate.person, t_ns
        pose = pose_at(estimate, lead_ms * self._confidence)
        return Led(lead_ms, pose, estimate.trans, self._confidence)


def pose_at(estimate: Estimate, ms: float) -> np.ndarray:
    """(72,) float32: the pose `ms` after the frame. Beyond the furthest that is foretold it stays there."""
    before_ms, before = 0.0, estimate.theta[3:75]
    for dt_ms, pose in sorted(estimate.ahead, key=lambda one: one[0]):
        if ms <= before_ms:
            break
        if dt_ms > before_ms:
            share = min(1.0, (ms - before_ms) / (dt_ms - before_ms))
            turned = between_axis_angles(before.reshape(24, 3), pose.reshape(24, 3), share)
            before_ms, before = dt_ms, turned.reshape(72)
    return np.asarray(before, np.float32)
