"""The body of realtime/body in torch: batched, differentiable, joints alone or with some of the vertices."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from realtime.body.skeleton import PARENTS, TREE_LEVELS
from realtime.body.smpl import Body


class TorchBody(nn.Module):
    """A Body's arrays as buffers; nothing of it is trained.

    vertex_indices: (S,) the vertices to compute, all when None; markers and surface losses need only a few.
    Leading dimensions "…" are B or (B, T), whatever is given. Conventions as in realtime/body/kinematics.py.
    """

    J_template: Tensor
    J_shapedirs: Tensor
    v_template: Tensor
    shapedirs: Tensor
    weights: Tensor
    posedirs: Tensor | None

    def __init__(self, body: Body, vertex_indices: Sequence[int] | np.ndarray | None = None) -> None:
        super().__init__()
        count = len(body.v_template)
        chosen = np.arange(count) if vertex_indices is None else np.asarray(vertex_indices, np.int64)
        posedirs = body.posedirs
        if posedirs is not None:
            posedirs = posedirs.reshape(207, count, 3)[:, chosen].reshape(207, -1)
        for name, array in (
            ("J_template", body.J_template),
            ("J_shapedirs", body.J_shapedirs),
            ("v_template", body.v_template[chosen]),
            ("shapedirs", body.shapedirs[chosen]),
            ("weights", body.weights[chosen]),
            ("posedirs", posedirs),
        ):
            tensor = None if array is None else torch.from_numpy(np.ascontiguousarray(array))
            self.register_buffer(name, tensor, persistent=False)
        self.faces = body.faces

    def joints(self, pose_rotmat: Tensor, betas: Tensor) -> tuple[Tensor, Tensor]:
        """(…, 24, 3, 3) rotations, (…, 10) betas → joints (…, 24, 3) metres, transforms (…, 24, 3, 4).

        The last row of a transform, 0 0 0 1, is left out.
        """
        rest = self._rest(betas)
        offset = torch.cat((rest[..., :1, :], rest[..., 1:, :] - rest[..., PARENTS[1:], :]), dim=-2)
        rotation: list[Tensor] = [pose_rotmat[..., 0, :, :]] * 24
        position: list[Tensor] = [offset[..., 0, :].expand(pose_rotmat.shape[:-3] + (3,))] * 24
        for joints, parents in TREE_LEVELS:
            # One product per level: the local rotation, and the offset as a fourth column.
            parent = torch.stack([rotation[p] for p in parents], dim=-3)
            local = _with_column(pose_rotmat[..., joints, :, :], offset[..., joints, :])
            turned = parent @ local
            for at, (joint, above) in enumerate(zip(joints, parents, strict=True)):
                rotation[joint] = turned[..., at, :, :3]
                position[joint] = position[above] + turned[..., at, :, 3]
        posed = torch.stack(position, dim=-2)
        return posed, torch.cat((torch.stack(rotation, dim=-3), posed[..., None]), dim=-1)

    def vertices(self, transforms: Tensor, betas: Tensor, pose_rotmat: Tensor) -> Tensor:
        """The chosen vertices (…, S, 3), metres; transforms from joints() with the same betas and pose."""
        shaped = self.v_template + torch.einsum("vcb,...b->...vc", self.shapedirs, betas)
        if self.posedirs is not None:
            identity = torch.eye(3, dtype=pose_rotmat.dtype, device=pose_rotmat.device)
            feature = (pose_rotmat[..., 1:, :, :] - identity).flatten(-3)
            shaped = shaped + (feature @ self.posedirs).unflatten(-1, (-1, 3))
        rotation = transforms[..., :3]
        moved = transforms[..., 3] - (rotation @ self._rest(betas)[..., None])[..., 0]
        blended = self.weights @ torch.cat((rotation.flatten(-2), moved), dim=-1)
        turn, shift = blended[..., :9].unflatten(-1, (3, 3)), blended[..., 9:]
        return (turn @ shaped[..., None])[..., 0] + shift

    def _rest(self, betas: Tensor) -> Tensor:
        return self.J_template + torch.einsum("jcb,...b->...jc", self.J_shapedirs, betas)


def _with_column(rotation: Tensor, offset: Tensor) -> Tensor:
    """(…, J, 3, 3) and (…, J, 3), with fewer leading dimensions where the betas are shared → (…, J, 3, 4)."""
    return torch.cat((rotation, offset[..., None].expand(rotation.shape[:-1] + (1,))), dim=-1)
