"""Rotations inside the network: 6-D ↔ matrix (Zhou et al. 2019) and rotation vector → matrix, in torch."""

from __future__ import annotations

import torch
from torch import Tensor

# [v]× = v @ SKEW reshaped to 3×3: one small product instead of nine slices and a stack.
_SKEW = (
    (0.0, 0.0, 0.0, 0.0, 0.0, -1.0, 0.0, 1.0, 0.0),
    (0.0, 0.0, 1.0, 0.0, 0.0, 0.0, -1.0, 0.0, 0.0),
    (0.0, -1.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0),
)
_EPS = 1e-8


def skew_basis() -> Tensor:
    """(3, 9) float32 basis E with (v @ E).view(3, 3) = [v]×, the cross-product matrix of v."""
    return torch.tensor(_SKEW)


def rotation6d_to_matrix(rotation6d: Tensor) -> Tensor:
    """(…, 6) → (…, 3, 3): the first two COLUMNS of the matrix, one after the other, made orthonormal."""
    first, second = rotation6d[..., :3], rotation6d[..., 3:]
    x = first / first.norm(dim=-1, keepdim=True).clamp_min(_EPS)
    y = second - (x * second).sum(-1, keepdim=True) * x
    y = y / y.norm(dim=-1, keepdim=True).clamp_min(_EPS)
    return torch.stack((x, y, torch.linalg.cross(x, y)), dim=-1)


def matrix_to_rotation6d(matrix: Tensor) -> Tensor:
    """(…, 3, 3) → (…, 6): its first two columns, one after the other."""
    return matrix[..., :2].transpose(-1, -2).flatten(-2)


def rotation_vector_to_matrix(vector: Tensor, skew: Tensor) -> Tensor:
    """(…, 3) axis · angle in radians → (…, 3, 3). Exactly the identity, with a finite gradient, at zero.

    `skew` is `skew_basis()` on the vector's device. R = (1 − bθ²)·I + a·[v]× + b·v·vᵀ, a = sin θ / θ,
    b = (1 − cos θ) / θ²; written with sinc, both are smooth through θ = 0.
    """
    square = (vector * vector).sum(-1, keepdim=True)
    angle = torch.sqrt(square + 1e-12)
    a = torch.sinc(angle / torch.pi).unsqueeze(-1)
    b = (0.5 * torch.sinc(angle / (2 * torch.pi)).square()).unsqueeze(-1)
    cross = (vector @ skew).unflatten(-1, (3, 3))
    outer = vector.unsqueeze(-1) * vector.unsqueeze(-2)
    identity = torch.eye(3, dtype=vector.dtype, device=vector.device)
    return (1 - b * square.unsqueeze(-1)) * identity + a * cross + b * outer
