"""Rotations in numpy: axis-angle, matrices, and the 6-D form. All functions take any leading dimensions.

A matrix R turns column vectors, x' = R x. float32 in and out; computed in float64 inside.
"""

from __future__ import annotations

import numpy as np


def axis_angle_to_matrix(axis_angle: np.ndarray) -> np.ndarray:
    """Rodrigues' formula. (…, 3) axis times angle in radians → (…, 3, 3) float32."""
    v = np.asarray(axis_angle, np.float64)
    x, y, z = v[..., 0], v[..., 1], v[..., 2]
    square = x * x + y * y + z * z
    angle = np.sqrt(square)
    small = square < 1e-12  # below: series of sin(a)/a and (1 - cos(a))/a², exact to double precision
    safe = np.where(small, 1.0, angle)
    a = np.where(small, 1.0 - square / 6.0, np.sin(safe) / safe)
    # 2 sin²(a/2) is 1 - cos(a) without its cancellation at small angles
    b = np.where(small, 0.5 - square / 24.0, 2.0 * (np.sin(safe / 2.0) / safe) ** 2)
    matrix = np.empty((*v.shape, 3), np.float32)
    matrix[..., 0, 0] = 1.0 - b * (y * y + z * z)
    matrix[..., 1, 1] = 1.0 - b * (x * x + z * z)
    matrix[..., 2, 2] = 1.0 - b * (x * x + y * y)
    bxy, bxz, byz = b * x * y, b * x * z, b * y * z
    ax, ay, az = a * x, a * y, a * z
    matrix[..., 0, 1] = bxy - az
    matrix[..., 1, 0] = bxy + az
    matrix[..., 0, 2] = bxz + ay
    matrix[..., 2, 0] = bxz - ay
    matrix[..., 1, 2] = byz - ax
    matrix[..., 2, 1] = byz + ax
    return matrix


def matrix_to_quaternion(matrix: np.ndarray) -> np.ndarray:
    """(…, 3, 3) rotation → (…, 4) float64 unit quaternion x, y, z, w with w ≥ 0.

    The largest component is computed first, so it is exact near no turn and near half a turn, where the trace alone
    says nothing. At exactly half a turn either of the two opposite quaternions may come out.
    """
    m = np.asarray(matrix, np.float64)
    m00, m11, m22 = m[..., 0, 0], m[..., 1, 1], m[..., 2, 2]
    # Four times the squares of x, y, z, w on the diagonal of the outer product q qᵀ.
    outer = np.empty((*m.shape[:-2], 4, 4))
    outer[..., 0, 0] = 1.0 + m00 - m11 - m22
    outer[..., 1, 1] = 1.0 - m00 + m11 - m22
    outer[..., 2, 2] = 1.0 - m00 - m11 + m22
    outer[..., 3, 3] = 1.0 + m00 + m11 + m22
    outer[..., 0, 3] = outer[..., 3, 0] = m[..., 2, 1] - m[..., 1, 2]
    outer[..., 1, 3] = outer[..., 3, 1] = m[..., 0, 2] - m[..., 2, 0]
    outer[..., 2, 3] = outer[..., 3, 2] = m[..., 1, 0] - m[..., 0, 1]
    outer[..., 0, 1] = outer[..., 1, 0] = m[..., 0, 1] + m[..., 1, 0]
    outer[..., 0, 2] = outer[..., 2, 0] = m[..., 0, 2] + m[..., 2, 0]
    outer[..., 1, 2] = outer[..., 2, 1] = m[..., 1, 2] + m[..., 2, 1]
    largest = np.einsum("...ii->...i", outer).argmax(axis=-1)
    # Every row of q qᵀ is q times one of its components: the row of the largest is the best conditioned.
    q = np.take_along_axis(outer, largest[..., None, None], axis=-2)[..., 0, :]
    q = q / np.linalg.norm(q, axis=-1, keepdims=True)
    return np.where(q[..., 3:] < 0, -q, q)


def quaternion_to_matrix(quaternion: np.ndarray) -> np.ndarray:
    """(…, 4) unit quaternion x, y, z, w → (…, 3, 3) float64."""
    q = np.asarray(quaternion, np.float64)
    x, y, z, w = q[..., 0], q[..., 1], q[..., 2], q[..., 3]
    rows = (
        (1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)),
        (2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)),
        (2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)),
    )
    return np.stack([np.stack(row, axis=-1) for row in rows], axis=-2)


def matrix_to_axis_angle(matrix: np.ndarray) -> np.ndarray:
    """(…, 3, 3) rotation → (…, 3) float32 axis times angle, angle in [0, π].

    At exactly π either of the two opposite axes may come out.
    """
    q = matrix_to_quaternion(matrix)
    sine = np.linalg.norm(q[..., :3], axis=-1, keepdims=True)
    angle = 2.0 * np.arctan2(sine, q[..., 3:])
    scale = np.where(sine < 1e-9, 2.0, angle / np.maximum(sine, 1e-9))
    return (q[..., :3] * scale).astype(np.float32)


def rotation_6d_to_matrix(rotation_6d: np.ndarray) -> np.ndarray:
    """Zhou et al. 2019: (…, 6), two columns one after the other, not yet orthonormal → (…, 3, 3) float32.

    A degenerate input (a zero or parallel columns) gives finite numbers, not a rotation.
    """
    d = np.asarray(rotation_6d, np.float64)
    a, b = d[..., :3], d[..., 3:6]
    x = a / np.maximum(np.linalg.norm(a, axis=-1, keepdims=True), 1e-12)
    b = b - (x * b).sum(axis=-1, keepdims=True) * x
    y = b / np.maximum(np.linalg.norm(b, axis=-1, keepdims=True), 1e-12)
    z = np.cross(x, y)
    return np.stack((x, y, z), axis=-1).astype(np.float32)


def matrix_to_rotation_6d(matrix: np.ndarray) -> np.ndarray:
    """(…, 3, 3) → (…, 6) float32: the first column, then the second."""
    m = np.asarray(matrix, np.float32)
    return np.concatenate((m[..., :, 0], m[..., :, 1]), axis=-1)


def between(start: np.ndarray, end: np.ndarray, share: float) -> np.ndarray:
    """Rotations (…, 3, 3): `share` of the shortest way from start to end; beyond 1 the turn goes on."""
    turn = np.swapaxes(start, -1, -2) @ end
    return start @ axis_angle_to_matrix(matrix_to_axis_angle(turn) * share)
