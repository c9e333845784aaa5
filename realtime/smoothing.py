"""Steadier poses, where that is asked for: a causal One-Euro filter after the model.

    --set smoothing.filter=one-euro --set smoothing.min_cutoff_hz=2 --set smoothing.beta=0.5

What it gives is the stream's pose: it is published, led, shown and recorded. By default it is off, since the network's
own poses are steady for their lag already (docs/accuracy.md).
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from realtime.body.kinematics import forward_kinematics
from realtime.body.rotations import (
    axis_angle_to_matrix,
    matrix_to_axis_angle,
    matrix_to_rotation_6d,
    rotation_6d_to_matrix,
)
from realtime.body.smpl import Body
from realtime.config import SMOOTHING_FILTERS, SmoothingConfig
from realtime.errors import ConfigError
from realtime.observation import Estimate
from realtime.translation import OneEuro

GAP_NS = 500_000_000  # after such a pause, what was before says nothing of what comes


class RotationFilter:
    """A One-Euro filter of rotations. beta: Hz per 1/s of an element of a rotation matrix."""

    def __init__(self, min_cutoff_hz: float, beta: float) -> None:
        self._filter = OneEuro(min_cutoff_hz, beta)

    def reset(self) -> None:
        self._filter.reset()

    def filter(self, t_ns: int, rotations: np.ndarray) -> np.ndarray:
        """(N, 3, 3) at time t_ns → filtered (N, 3, 3) float32."""
        # Two columns of each matrix: continuous over every turn, which angles and quaternions are not.
        columns = self._filter.filter(t_ns, matrix_to_rotation_6d(rotations).reshape(-1))
        return rotation_6d_to_matrix(columns.reshape(-1, 6))


class Smoother:
    """Smooths the poses of one stream, each person from his first frame on.

    Raises ConfigError for a filter that there is not, a cut-off that is not above 0 or a beta below 0.
    """

    def __init__(self, body: Body, config: SmoothingConfig) -> None:
        if config.filter not in SMOOTHING_FILTERS:
            known = ", ".join(SMOOTHING_FILTERS)
            raise ConfigError(f"--set smoothing.filter={config.filter}: expected one of {known}")
        if config.min_cutoff_hz <= 0:
            raise ConfigError(f"--set smoothing.min_cutoff_hz={config.min_cutoff_hz:g}: expected above 0")
        if config.beta < 0:
            raise ConfigError(f"--set smoothing.beta={config.beta:g}: expected at least 0")
        self._body = body
        self._filter = None
        if config.filter == "one-euro":
            self._filter = RotationFilter(config.min_cutoff_hz, config.beta)
        self._person = 0
        self._t_ns = 0

    def smooth(self, t_ns: int, estimate: Estimate) -> Estimate:
        """The estimate of the frame taken at t_ns with a steadier pose, and joints of it; off: the same estimate.

        The poses ahead go on from there by the turns that were foretold. Pelvis, camera and shape stay: they have
        filters of their own.
        """
        if self._filter is None:
            return estimate
        if (
            estimate.person != self._person
            or estimate.state == "lost"
            or not 0 <= t_ns - self._t_ns <= GAP_NS
        ):
            self._filter.reset()
        self._person, self._t_ns = estimate.person, t_ns
        poses = np.stack((estimate.theta[3:75], *(pose for _, pose in estimate.ahead)))
        said = axis_angle_to_matrix(poses.reshape(-1, 24, 3))
        steady = self._filter.filter(t_ns, said[0])
        said = (steady @ np.swapaxes(said[0], -1, -2)) @ said
        said[0] = steady
        now, *ahead = matrix_to_axis_angle(said).reshape(-1, 72)
        theta = estimate.theta.copy()
        theta[3:75] = now
        joints, _ = forward_kinematics(self._body, steady, theta[75:])
        return replace(
            estimate,
            theta=theta,
            joints=joints - joints[0],
            ahead=tuple((dt_ms, pose) for (dt_ms, _), pose in zip(estimate.ahead, ahead, strict=True)),
        )
