"""Bodies for tests: random ones in SMPL's format, and a simple figure that looks like a person."""

from __future__ import annotations

from typing import Any

import numpy as np

from realtime.body.skeleton import PARENTS
from realtime.body.smpl import Body, body_from_arrays

# A person of 1.7 m in SMPL's rest pose, its pelvis at the origin: y up, facing +z, its left at +x.
REST_JOINTS_M = np.array(
    [
        [0.00, 0.00, 0.00],
        [0.09, -0.08, 0.00],
        [-0.09, -0.08, 0.00],
        [0.00, 0.11, -0.02],
        [0.10, -0.47, 0.00],
        [-0.10, -0.47, 0.00],
        [0.00, 0.25, -0.02],
        [0.09, -0.87, -0.03],
        [-0.09, -0.87, -0.03],
        [0.00, 0.31, 0.00],
        [0.11, -0.93, 0.09],
        [-0.11, -0.93, 0.09],
        [0.00, 0.50, -0.02],
        [0.08, 0.42, -0.01],
        [-0.08, 0.42, -0.01],
        [0.00, 0.58, 0.02],
        [0.18, 0.45, -0.02],
        [-0.18, 0.45, -0.02],
        [0.44, 0.45, -0.03],
        [-0.44, 0.45, -0.03],
        [0.70, 0.45, -0.03],
        [-0.70, 0.45, -0.03],
        [0.78, 0.45, -0.03],
        [-0.78, 0.45, -0.03],
    ]
)


def random_smpl_arrays(seed: int = 0, vertices: int = 200, shape_directions: int = 10) -> dict[str, Any]:
    """SMPL's seven arrays with random contents: every term of the model counts, nothing looks human."""
    rng = np.random.default_rng(seed)
    weights = rng.random((vertices, 24)) ** 4
    regressor = rng.random((24, vertices)) ** 8
    return {
        "v_template": rng.normal(0, 0.5, (vertices, 3)),
        "shapedirs": rng.normal(0, 0.03, (vertices, 3, shape_directions)),
        "posedirs": rng.normal(0, 0.01, (vertices, 3, 207)),
        "J_regressor": regressor / regressor.sum(axis=1, keepdims=True),
        "weights": weights / weights.sum(axis=1, keepdims=True),
        # 2³² - 1 for the root, as in SMPL's files
        "kintree_table": np.array([PARENTS, range(24)], np.int64) % 2**32,
        "f": rng.integers(0, vertices, (2 * vertices, 3)).astype(np.uint32),
    }


def random_body(seed: int = 0, **sizes: int) -> Body:
    return body_from_arrays(random_smpl_arrays(seed, **sizes), f"random-{seed}")


def figure_body() -> Body:
    """One ellipsoid per bone, stiffly bound to it, in SMPL's format: upright, with a head and feet."""
    vertices, faces, bones = [], [], []
    radii = {3: 0.13, 6: 0.13, 9: 0.14, 1: 0.11, 2: 0.11, 4: 0.08, 5: 0.08, 12: 0.08, 13: 0.09, 14: 0.09}
    for child, parent in enumerate(PARENTS[1:], start=1):
        start, end = REST_JOINTS_M[parent], REST_JOINTS_M[child]
        _ellipsoid(start, end, radii.get(child, 0.05), parent, vertices, faces, bones)
    top, nose = REST_JOINTS_M[15] + (0, 0.20, 0), REST_JOINTS_M[15] + (0, 0.06, 0.16)
    _ellipsoid(REST_JOINTS_M[15] - (0, 0.06, 0), top, 0.10, 15, vertices, faces, bones)
    _ellipsoid(REST_JOINTS_M[15] + (0, 0.06, 0.0), nose, 0.03, 15, vertices, faces, bones)
    points, bone_of = np.concatenate(vertices), np.concatenate(bones)
    weights = np.zeros((len(points), 24))
    weights[np.arange(len(points)), bone_of] = 1
    # Least squares: a joint regressor that gives exactly the joints above.
    homogeneous = np.concatenate((points, np.ones((len(points), 1))), axis=1)
    regressor = np.concatenate((REST_JOINTS_M, np.ones((24, 1))), axis=1) @ np.linalg.pinv(homogeneous)
    shapedirs = np.zeros((len(points), 3, 10))
    shapedirs[:, :, 0] = 0.05 * points
    arrays = {
        "id": "figure",
        "v_template": points,
        "shapedirs": shapedirs,
        "J_regressor": regressor,
        "weights": weights,
        "kintree_table": np.array([PARENTS, range(24)], np.int64),
        "f": np.concatenate(faces),
    }
    return body_from_arrays(arrays, "figure")


def _ellipsoid(
    start: np.ndarray, end: np.ndarray, radius: float, bone: int, vertices: list, faces: list, bones: list
) -> None:
    rings, sides = 8, 12
    axis = end - start
    length = np.linalg.norm(axis)
    axis = axis / length
    across = np.cross(axis, [0.3, 0.5, 0.8])
    across /= np.linalg.norm(across)
    other = np.cross(axis, across)
    polar = np.linspace(0.02, np.pi - 0.02, rings)
    around = np.linspace(0, 2 * np.pi, sides, endpoint=False)
    along = -np.cos(polar)[:, None, None] * (length / 2 + radius * 0.4) * axis
    out = np.cos(around)[None, :, None] * across + np.sin(around)[None, :, None] * other
    points = (start + end) / 2 + along + np.sin(polar)[:, None, None] * radius * out
    first = sum(len(part) for part in vertices)
    index = first + np.arange(rings * sides).reshape(rings, sides)
    a, b = index[:-1], index[1:]
    c, d = np.roll(b, -1, axis=1), np.roll(a, -1, axis=1)
    quads = np.stack((a, d, c, b), axis=-1).reshape(-1, 4)
    vertices.append(points.reshape(-1, 3))
    faces.append(np.concatenate((quads[:, [0, 1, 2]], quads[:, [0, 2, 3]])))
    bones.append(np.full(rings * sides, bone))
