"""A dressed body: the surface that is posed and drawn.

Everything is laid out on the T-pose: a place on the front or the back of the body is (x, y) there, so that clothes,
faces and patterns are painted as two flat pictures of the standing body, and a third one for what is hung onto it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from realtime.body.smpl import Body
from training.render.attachments import Attachment

ATLAS_PX = 1024  # one layer of the texture, square
ATLAS_M = 1.8
ATLAS_LEFT_M, ATLAS_TOP_M = -0.9, 0.84  # x and y of the layer's corner; y falls with the rows
FRONT, BACK, EXTRA = 0, 1, 2  # layers


@dataclass
class Figure:
    """N vertices: the body's own, moved outward by the clothes, then those of the attachments."""

    template: np.ndarray  # (N, 3) float32 rest pose, mean shape
    shapedirs: np.ndarray  # (N·3, 10)
    weights: np.ndarray  # (24, N) float32
    faces: np.ndarray  # (F, 3) closed surface
    two_sided: np.ndarray  # (G, 3)
    uvl: np.ndarray  # (N, 3) float32
    texture: np.ndarray  # (3, S, S, 3) uint8 BGR

    def __post_init__(self) -> None:
        self._betas: np.ndarray | None = None

    def posed(self, body: Body, transforms: np.ndarray, betas: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(3, N) vertices and (3, N) normals, float32; transforms (24, 4, 4) of forward_kinematics."""
        self._shape(betas)
        from_rest = transforms[:, :3, :].copy()
        from_rest[:, :, 3] -= (transforms[:, :3, :3] @ body.rest_joints(betas)[:, :, None])[:, :, 0]
        # One row per entry of the 3 × 4 matrices: whole-array products are several times faster than einsum.
        m = (from_rest.reshape(24, 12).T @ self.weights).reshape(3, 4, -1)
        turn, move = m[:, :3], m[:, 3]
        x, y, z = self._rest
        vertices = turn[:, 0] * x + turn[:, 1] * y + turn[:, 2] * z + move
        x, y, z = self._normals
        return vertices, turn[:, 0] * x + turn[:, 1] * y + turn[:, 2] * z

    def _shape(self, betas: np.ndarray) -> None:
        """The rest pose of this shape and its normals."""
        betas = np.asarray(betas, np.float32)
        if self._betas is not None and np.array_equal(betas, self._betas):
            return
        rest = self.template + (self.shapedirs @ betas).reshape(-1, 3)
        faces = np.concatenate([self.faces, self.two_sided]) if len(self.two_sided) else self.faces
        self._rest = np.ascontiguousarray(rest.T)
        self._normals = np.ascontiguousarray(vertex_normals(rest, faces).T)
        self._betas = betas.copy()


def vertex_normals(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """(N, 3) float32 unit normals of vertices (N, 3): the mean of their faces (F, 3), weighted by area."""
    a, b, c = vertices[faces[:, 0]], vertices[faces[:, 1]], vertices[faces[:, 2]]
    across = np.cross(b - a, c - a)
    corners = faces.ravel()
    normals = np.stack(
        [
            np.bincount(corners, weights=np.repeat(across[:, axis], 3), minlength=len(vertices))
            for axis in range(3)
        ],
        axis=1,
    )
    length = np.linalg.norm(normals, axis=1, keepdims=True)
    return (normals / np.maximum(length, 1e-12)).astype(np.float32)


def _outward(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """The faces, turned so that their normals look away from the mesh's middle."""
    away = vertices - vertices.mean(axis=0)
    return faces if (vertex_normals(vertices, faces) * away).sum() > 0 else faces[:, ::-1]


def place_on_atlas(points: np.ndarray) -> np.ndarray:
    """(…, 2 or 3) x, y of the rest pose, metres → (…, 2) in [0, 1] of a layer."""
    return np.stack(
        [(points[..., 0] - ATLAS_LEFT_M) / ATLAS_M, (ATLAS_TOP_M - points[..., 1]) / ATLAS_M], axis=-1
    )


def assemble(body: Body, offset_m: np.ndarray, texture: np.ndarray, attachments: list[Attachment]) -> Figure:
    """The figure of a body with its vertices moved by offset_m (V, 3) in the rest pose."""
    rest = body.v_template
    side = vertex_normals(rest, body.faces)[:, 2] < 0.0
    uvl = [np.concatenate([place_on_atlas(rest), np.where(side, BACK, FRONT)[:, None]], axis=1)]
    template, weights, two_sided = [rest + offset_m], [body.weights], []
    sources = [np.arange(len(rest))]
    first = len(rest)
    for item in attachments:
        template.append(item.vertices)
        weights.append(item.weights)
        two_sided.append(_outward(item.vertices, item.faces) + first)
        uvl.append(np.concatenate([item.uv, np.full((len(item.uv), 1), EXTRA)], axis=1))
        sources.append(item.nearest)
        first += len(item.vertices)
    return Figure(
        template=np.concatenate(template).astype(np.float32),
        shapedirs=np.ascontiguousarray(body.shapedirs[np.concatenate(sources)].reshape(-1, 10)),
        weights=np.ascontiguousarray(np.concatenate(weights).T, np.float32),
        faces=body.faces,
        two_sided=np.concatenate(two_sided) if two_sided else np.empty((0, 3), np.int32),
        uvl=np.concatenate(uvl).astype(np.float32),
        texture=texture,
    )
