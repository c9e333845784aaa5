"""Rotations of the network: 6-D and back, rotation vectors, their gradient at rest."""

import pytest
import torch
from networks import some_pose

from engines.network.rotations import (
    matrix_to_rotation6d,
    rotation6d_to_matrix,
    rotation_basis,
    rotation_vector_to_matrix,
)


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(7)


def test_rotation_vectors_become_rotations():
    vectors = torch.randn(100, 3, dtype=torch.float64) * torch.logspace(-7, 0.5, 100)[:, None]
    basis = rotation_basis().double()
    expected = torch.linalg.matrix_exp((vectors @ basis[:3]).unflatten(-1, (3, 3)))
    assert (rotation_vector_to_matrix(vectors, basis) - expected).abs().max() < 1e-9
    x, y = torch.randn(2, 3, dtype=torch.float64)
    assert torch.allclose((x @ basis[:3]).view(3, 3) @ y, torch.linalg.cross(x, y))


def test_rotation_vector_has_a_gradient_at_zero():
    vector = torch.zeros(2, 3, requires_grad=True)
    rotation_vector_to_matrix(vector, rotation_basis())[..., 2, 1].sum().backward()
    assert torch.allclose(vector.grad, torch.tensor([1.0, 0, 0]).expand(2, 3))


def test_six_numbers_and_back():
    matrix = some_pose(4)
    six = matrix_to_rotation6d(matrix)
    assert torch.equal(six[..., :3], matrix[..., :, 0])
    assert (rotation6d_to_matrix(six) - matrix).abs().max() < 1e-6
    assert torch.isfinite(rotation6d_to_matrix(torch.zeros(6))).all()
