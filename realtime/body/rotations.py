"""Rotations in numpy: axis-angle, matrices, and the 6-D form. All functions take any leading dimensions.

A matrix R turns column vectors, x' = R x. float32 in and out; computed in float64 inside.
"""

from __future__ import annotations

import numpy as np

# (3, 9): v → [v]×, the matrix whose product with x is the cross product of v and x, row by row.
_SKEW = np.zeros((3, 9))
_SKEW[(2, 1, 0), (1, 2, 5)] = -1, 1, -1
_SKEW[(2, 1, 0), (3, 6, 7)] = 1, -1, 1
# (9, 16): R, row by row → 4 q qᵀ without the ones on its diagonal, q = (x, y, z, w).
_OUTER = np.zeros((9, 4, 4))
_OUTER[0, range(4), range(4)] = 1, -1, -1, 1
_OUTER[4, range(4), range(4)] = -1, 1, -1, 1
_OUTER[8, range(4), range(4)] = -1, -1, 1, 1
for _one, _other, _row, _column, _sign in (
    (3, 1, 0, 1, 1), (2, 6, 0, 2, 1), (7, 5, 1, 2, 1), (7, 5, 0, 3, -1), (2, 6, 1, 3, -1), (3, 1, 2, 3, -1),
):  # fmt: skip
    _OUTER[_one, (_row, _column), (_column, _row)] = 1
    _OUTER[_other, (_row, _column), (_column, _row)] = _sign
_OUTER = _OUTER.reshape(9, 16)
_ONES = np.eye(4).ravel()
# (16, 4): p qᵀ, row by row → the product of two quaternions x, y, z, w.
_PRODUCT = np.zeros((4, 4, 4))
for _one in range(3):
    _PRODUCT[_one, 3, _one] = _PRODUCT[3, _one, _one] = 1
    _PRODUCT[_one, _one, 3] = -1
    _PRODUCT[_one, (_one + 1) % 3, (_one + 2) % 3] = 1
    _PRODUCT[(_one + 1) % 3, _one, (_one + 2) % 3] = -1
_PRODUCT[3, 3, 3] = 1
_PRODUCT = _PRODUCT.reshape(16, 4)
_NOTHING = 1e-100  # an angle that divides as zero would, in the limit: sin(a)/a is exactly 1


def axis_angle_to_matrix(axis_angle: np.ndarray) -> np.ndarray:
    """Rodrigues' formula. (…, 3) axis times angle in radians → (…, 3, 3) float32."""
    v = np.asarray(axis_angle, np.float64)
    square = np.einsum("...i,...i->...", v, v)[..., None]
    angle = np.maximum(np.sqrt(square), _NOTHING)
    a = np.sin(angle) / angle
    # 2 sin²(a/2) is 1 - cos(a) without its cancellation at small angles
    half = np.sin(0.5 * angle) / angle
    b = 2.0 * half * half
    # All nine at once: a handful of calls in place of fifty, which is what it costs for a body's joints.
    matrix = a * (v @ _SKEW) + ((b * v)[..., None] * v[..., None, :]).reshape(*v.shape[:-1], 9)
    matrix[..., ::4] += 1.0 - b * square
    return matrix.astype(np.float32).reshape(*v.shape, 3)


def matrix_to_quaternion(matrix: np.ndarray) -> np.ndarray:
    """(…, 3, 3) rotation → (…, 4) float64 unit quaternion x, y, z, w with w ≥ 0.

    The largest component is computed first, so it is exact near no turn and near half a turn, where the trace alone
    says nothing. At exactly half a turn either of the two opposite quaternions may come out.
    """
    m = np.asarray(matrix, np.float64)
    outer = (m.reshape(-1, 9) @ _OUTER + _ONES).reshape(-1, 4, 4)
    # On the diagonal, four times the squares of x, y, z, w. Every row of q qᵀ is q times one of its components: the row
    # of the largest is the best conditioned.
    largest = outer.reshape(-1, 16)[:, ::5].argmax(axis=1)
    q = outer[np.arange(len(outer)), largest]
    q /= np.copysign(np.sqrt(np.einsum("ni,ni->n", q, q)), q[:, 3])[:, None]
    return q.reshape(*m.shape[:-2], 4)


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
    return _axis_angle(matrix_to_quaternion(matrix))


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


def between_axis_angles(start: np.ndarray, end: np.ndarray, share: float) -> np.ndarray:
    """As `between`, of and to axis times angle: (…, 3) → (…, 3) float32, angle in [0, π]. A third of its time."""
    first, last = _quaternions(np.stack((start, end)))
    turn = _product(first * (-1.0, -1.0, -1.0, 1.0), last)
    v, w = turn[..., :3], turn[..., 3:]
    sine = np.maximum(np.sqrt(np.einsum("...i,...i->...", v, v))[..., None], _NOTHING)
    half = share * np.arctan2(sine, np.abs(w))  # the shorter way round
    turn[..., :3] *= np.sin(half) / np.copysign(sine, w)
    turn[..., 3:] = np.cos(half)
    return _axis_angle(_product(first, turn))


def turned_axis_angles(start: np.ndarray, turns: np.ndarray) -> np.ndarray:
    """Axis times angle (…, 3) twice → (…, 3) float32, angle in [0, π]: `start` turned about its own axes by `turns`."""
    return _axis_angle(_product(*_quaternions(np.stack((start, turns)))))


def _quaternions(axis_angle: np.ndarray) -> np.ndarray:
    """(…, 3) → (…, 4) x, y, z, w, float64."""
    v = np.asarray(axis_angle, np.float64)
    angle = np.maximum(np.sqrt(np.einsum("...i,...i->...", v, v))[..., None], _NOTHING)
    q = np.empty((*v.shape[:-1], 4))
    np.multiply(v, np.sin(0.5 * angle) / angle, out=q[..., :3])
    np.cos(0.5 * angle, out=q[..., 3:])
    return q


def _product(p: np.ndarray, q: np.ndarray) -> np.ndarray:
    """p q, of quaternions (…, 4): first q's turn, then p's."""
    return (p[..., :, None] * q[..., None, :]).reshape(*p.shape[:-1], 16) @ _PRODUCT


def _axis_angle(q: np.ndarray) -> np.ndarray:
    """(…, 4) unit quaternion → (…, 3) float32, angle in [0, π]."""
    v, w = q[..., :3], q[..., 3:]
    sine = np.maximum(np.sqrt(np.einsum("...i,...i->...", v, v))[..., None], _NOTHING)
    return (v * (2.0 * np.arctan2(sine, np.abs(w)) / np.copysign(sine, w))).astype(np.float32)
