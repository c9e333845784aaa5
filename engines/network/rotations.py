"""Rotations inside the network: 6-D ↔ matrix (Zhou et al. 2019) and rotation vector → matrix, in torch."""

from __future__ import annotations

import torch
from torch import Tensor

# (v, c) @ BASIS reshaped to 3×3 is [v]× + c·I: one small product instead of slices, a stack and an identity.
_BASIS = (
    (0.0, 0.0, 0.0, 0.0, 0.0, -1.0, 0.0, 1.0, 0.0),
    (0.0, 0.0, 1.0, 0.0, 0.0, 0.0, -1.0, 0.0, 0.0),
    (0.0, -1.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0),
    (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0),
)
_EPS = 1e-8


def rotation_basis() -> Tensor:
    """(4, 9) float32 E with ((v, c) @ E).view(3, 3) = [v]× + c·I, [v]× the cross-product matrix of v."""
    return torch.tensor(_BASIS)


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


def rotation_vector_to_matrix(vector: Tensor, basis: Tensor) -> Tensor:
    """(…, 3) axis · angle in radians → (…, 3, 3). Exactly the identity, with a finite gradient, at zero.

    `basis` is `rotation_basis()` on the vector's device. R = (1 − bθ²)·I + a·[v]× + b·v·vᵀ, a = sin θ / θ,
    b = (1 − cos θ) / θ²; written with sinc, both are smooth through θ = 0.
    """
    square = (vector * vector).sum(-1, keepdim=True)
    angle = torch.sqrt(square + 1e-12)
    a = torch.sinc(angle / torch.pi)
    b = 0.5 * torch.sinc(angle / (2 * torch.pi)).square()
    linear = (torch.cat((a * vector, 1 - b * square), dim=-1) @ basis).unflatten(-1, (3, 3))
    return linear + (b * vector).unsqueeze(-1) * vector.unsqueeze(-2)
