"""What is true of a batch: in 2-D of every window, in 3-D of those that say so. Placeholders are never handed out."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property

import torch
from torch import Tensor

DYNAMICS_EVERY = 2  # frames: of neighbouring ones the future is nearly the same
FARTHEST_KEYPOINT = 2.5  # half crops


class Truth:
    """What a batch knows: of all its B windows in 2-D, of the K with has_3d in 3-D; its first T frames.

    points_of: (…, 24, 3, 3) rotations, (…, 10) betas → (…, 57, 3) joints and markers.
    """

    def __init__(
        self, points_of: Callable[[Tensor, Tensor], Tensor], batch: dict[str, Tensor], frames: int
    ) -> None:
        known = batch["has_3d"] > 0
        self.any_3d = bool(known.any())
        self._rows = None if bool(known.all()) else known.nonzero()[:, 0]
        of_all = slice(0, frames)
        self.dt_s = batch["dt_s"][:, of_all]
        self.all_dt_ahead_ms = batch["dt_ahead_ms"][:, of_all]
        self.landmarks = batch["landmarks"][:, of_all]
        self.landmark_weight = batch["landmark_weight"][:, of_all] * _in_reach(self.landmarks)
        self.dt_ahead_ms = self.in_3d(self.all_dt_ahead_ms)
        self.rotations = self.in_3d(batch["rotations"])[:, of_all]
        self.ahead = self.in_3d(batch["ahead"])[:, of_all]
        self.keypoints = self.in_3d(batch["keypoints"])[:, of_all]
        self.keypoint_weight = _in_reach(self.keypoints)
        self.betas = self.in_3d(batch["betas"])[:, None].expand(-1, frames, -1)
        self._points_of = points_of

    @cached_property
    def points(self) -> Tensor:
        """(K, T, 57, 3) metres about the pelvis."""
        with torch.no_grad():
            return self._points_of(self.rotations, self.betas)

    @cached_property
    def _points_ahead(self) -> Tensor:
        some = slice(None, None, DYNAMICS_EVERY)
        with torch.no_grad():
            return self._points_of(self.ahead[:, some], self.betas[:, some])

    def in_3d(self, values: Tensor) -> Tensor:
        """(B, …) → (K, …), the windows whose 3-D is known."""
        return values if self._rows is None else values[self._rows]

    def points_ahead(self, every: int) -> Tensor:
        """(K, every so many frames, 57, 3) metres at t + Δt, about the pelvis then; a multiple of DYNAMICS_EVERY."""
        return self._points_ahead[:, :: every // DYNAMICS_EVERY]

    def flat_points(self, rows: Tensor, index: Tensor) -> tuple[Tensor, Tensor]:
        """(B, 1), (B, S) frames → what is known of the 57 points in 2-D (B, S, 57, 2), and its weight (B, S, 57)."""
        joints = self.landmarks.new_zeros(*self.landmarks.shape[:2], 24, 2)
        weight = self.landmark_weight.new_zeros(*self.landmarks.shape[:2], 24)
        chosen = slice(None) if self._rows is None else self._rows
        joints[chosen], weight[chosen] = self.keypoints, self.keypoint_weight
        flat = torch.cat((joints, self.landmarks), dim=-2)[rows, index]
        return flat, torch.cat((weight, self.landmark_weight), dim=-1)[rows, index]


def _in_reach(flat: Tensor) -> Tensor:
    """(…, K, 2) half crops → (…, K) 1, or 0 for a joint beside or behind the camera: it projects anywhere, and one such
    would outweigh a thousand others."""
    return (flat.abs() < FARTHEST_KEYPOINT).all(dim=-1).float()
