"""Joints and markers of posed bodies in torch, fast: what the losses ask for several times per step.

The same as `TorchBody.joints` followed by `Markers.place`, tested equal. All that is fixed, who descends from whom and
where a marker sits on its bone, is put into two matrices, so that what is left per body are the turns down the tree,
one product per level, and two matrix products over the whole batch.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from realtime.body.skeleton import PARENTS, TREE_LEVELS
from realtime.body.smpl import Body
from training.noise import Markers

POINTS = 24 + 33


class BodyPoints(nn.Module):
    """Rotations and shape → 24 joints and 33 markers about the pelvis, metres, in the axes of the root's rotation."""

    rest: Tensor
    shape: Tensor
    below: Tensor
    on_bone: Tensor

    def __init__(self, body: Body, markers: Markers) -> None:
        super().__init__()
        order = [0] + [
            joint for joints, _ in TREE_LEVELS for joint in joints
        ]  # down the tree, level by level
        place = {joint: index for index, joint in enumerate(order)}
        # Of each level: where its joints begin and end in that order, and where in the level above their parents stand.
        self._levels: list[tuple[int, int, list[int]]] = []
        first, above_first = 1, 0
        for joints, parents in TREE_LEVELS:
            above = [place[parent] - above_first for parent in parents]
            self._levels.append((first, first + len(joints), above))
            above_first, first = first, first + len(joints)
        children = order[1:]
        parents_of = [PARENTS[child] for child in children]
        offsets = body.J_template[children] - body.J_template[parents_of]
        directions = body.J_shapedirs[children] - body.J_shapedirs[parents_of]
        below = np.zeros(
            (23, POINTS), np.float32
        )  # 1 where the point hangs on the bone that ends in this child
        seats = list(range(24)) + [int(seat) for seat in markers.seat]
        for point, joint in enumerate(seats):
            while PARENTS[joint] >= 0:
                below[place[joint] - 1, point] = 1.0
                joint = PARENTS[joint]
        on_bone = np.zeros((24, 3, POINTS), np.float32)
        for index, (carrier, offset) in enumerate(zip(markers.carrier, markers.offset, strict=True)):
            on_bone[place[int(carrier)], :, 24 + index] = offset
        self.register_buffer("rest", torch.from_numpy(np.ascontiguousarray(offsets, np.float32)))
        flat = directions.reshape(69, -1).T
        self.register_buffer("shape", torch.from_numpy(np.ascontiguousarray(flat, np.float32)))
        self.register_buffer("below", torch.from_numpy(below))
        self.register_buffer("on_bone", torch.from_numpy(on_bone.reshape(72, POINTS)))
        self.register_buffer("_order", torch.tensor(order), persistent=False)
        self.register_buffer("_parents", torch.tensor([place[p] for p in parents_of]), persistent=False)
        for level, (_, _, above) in enumerate(self._levels):
            self.register_buffer(f"_above{level}", torch.tensor(above), persistent=False)

    def forward(self, pose: Tensor, betas: Tensor) -> Tensor:
        """pose (…, 24, 3, 3), betas (…, 10) → (…, 57, 3)."""
        lead = pose.shape[:-3]
        local = pose.reshape(-1, 24, 3, 3).index_select(1, self._order)
        turned = [local[:, :1]]
        for level, (first, end, _) in enumerate(self._levels):
            above = turned[-1].index_select(1, getattr(self, f"_above{level}"))
            turned.append(above @ local[:, first:end])
        rotation = torch.cat(turned, dim=1)
        offset = self.rest + (betas.reshape(-1, betas.shape[-1]) @ self.shape).unflatten(-1, (23, 3))
        bones = (rotation.index_select(1, self._parents) * offset[:, :, None, :]).sum(dim=-1)
        # Points last: the losses sum over x, y, z, and a sum over the middle is faster than one over a last of three.
        by_axis = rotation.transpose(1, 2).reshape(-1, 3, 72)
        points = bones.transpose(1, 2) @ self.below + by_axis @ self.on_bone
        return points.transpose(1, 2).unflatten(0, lead)
