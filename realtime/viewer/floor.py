"""The floor as it is drawn: its grid, and the shadow on it. World: the camera frame, y down, metres."""

from __future__ import annotations

import numpy as np

GRID_M = 8.0
CELL_M = 0.5
SHADOW_CELL_M = 0.025
_LIGHT = np.array([0.35, 1.0, 0.25])  # the way the light falls, for the shadow


def grid_lines(colour: np.ndarray, background: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A square grid about the origin of the floor, fading into the background with distance.

    Returns points (P, 3) with y = 0, lines (L, 2) and line colours (L, 3).
    """
    half = int(GRID_M / CELL_M)
    ticks = np.arange(-half, half + 1) * CELL_M
    a, b = np.meshgrid(ticks, ticks, indexing="ij")
    points = np.stack((a.ravel(), np.zeros(a.size), b.ravel()), axis=1)
    index = np.arange(a.size).reshape(a.shape)
    lines = np.concatenate(
        (
            np.stack((index[:-1].ravel(), index[1:].ravel()), axis=1),
            np.stack((index[:, :-1].ravel(), index[:, 1:].ravel()), axis=1),
        )
    )
    middle = points[lines].mean(axis=1)
    share = np.clip(1.0 - np.linalg.norm(middle, axis=1) / GRID_M, 0.0, 1.0)[:, None]
    return points, lines, background + share * (colour - background)


def coarse_mesh(vertices: np.ndarray, faces: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A body good enough for its shadow, a fifth of the triangles: of all vertices in a cell one is kept.

    vertices (V, 3), faces (F, 3) → the vertices kept (C,), and faces (G, 3) over them.
    """
    cells = np.floor(vertices / SHADOW_CELL_M).astype(np.int64)
    _, kept, cell_of = np.unique(cells, axis=0, return_index=True, return_inverse=True)
    coarse = cell_of.reshape(-1)[faces]
    a, b, c = coarse.T
    return kept, coarse[(a != b) & (b != c) & (a != c)]


def shadow(vertices: np.ndarray, floor_y: float) -> np.ndarray:
    """(V, 3) vertices thrown along the light onto the floor, a little above it."""
    fall = (floor_y - 0.004 - vertices[:, 1])[:, None]
    return vertices + fall * _LIGHT / _LIGHT[1]
