"""Getting dressed: garments are parts of the T-pose, their cloth painted there and their bulk pushed outward."""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np

from realtime.body.smpl import Body
from training.render.attachments import Attachment
from training.render.figure import (
    ATLAS_LEFT_M,
    ATLAS_M,
    ATLAS_PX,
    ATLAS_TOP_M,
    BACK,
    EXTRA,
    FRONT,
    Figure,
    assemble,
    vertex_normals,
)
from training.render.head import paint_face, random_hair, random_skin
from training.render.wardrobe import Garment, Outfit, random_outfit

_SPANNED_EDGES = 6  # of the body's mesh, about a centimetre each


@lru_cache(maxsize=1)
def _texel_grid() -> tuple[np.ndarray, np.ndarray]:
    """x (1, S) and y (S, 1) of the layers' texels, rest pose, metres."""
    along = (np.arange(ATLAS_PX, dtype=np.float32) + 0.5) * (ATLAS_M / ATLAS_PX)
    return (ATLAS_LEFT_M + along)[None], (ATLAS_TOP_M - along)[:, None]


@lru_cache(maxsize=2)
def _outward(body: Body) -> tuple[np.ndarray, np.ndarray]:
    """(V, 3) where cloth is pushed to: normals without ears, toes and folds of the skin, which it spans; and (V,)
    bool, whether the skin looks backward."""
    normals = vertex_normals(body.v_template, body.faces)
    smooth = normals
    for _ in range(_SPANNED_EDGES):
        smooth = _spread(smooth, body.faces)
        smooth = smooth / np.maximum(np.linalg.norm(smooth, axis=1, keepdims=True), 1e-12)
    return smooth.astype(np.float32), normals[:, 2] < 0


def _spread(values: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """(V, n) → the means over the faces about each vertex."""
    corners = faces.ravel()
    count = np.maximum(np.bincount(corners, minlength=len(values)), 1)
    means = values[faces].mean(axis=1)
    columns = [
        np.bincount(corners, np.repeat(means[:, k], 3), len(values)) / count for k in range(values.shape[1])
    ]
    return np.stack(columns, axis=1)


def dress(body: Body, rng: np.random.Generator) -> tuple[Figure, np.ndarray]:
    """The body in random clothes, skin and hair; and the colour of one of its garments, (3,) BGR in [0, 255]."""
    skin, hair = random_skin(rng), random_hair(rng)
    outfit = random_outfit(body, hair, rng)
    layers = np.empty((3, ATLAS_PX, ATLAS_PX, 3), np.uint8)
    layers[:] = skin.astype(np.uint8)
    paint_face(layers[FRONT], skin, hair, rng)
    for garment in outfit.garments:
        _paint(layers, garment)
    for item, fabric in outfit.attachments:
        _paint_extra(layers[EXTRA], item, fabric)
    offset = _outward(body)[0] * _bulk(body, outfit, rng)[:, None]
    worn = outfit.garments[int(rng.integers(len(outfit.garments)))].fabric
    figure = assemble(body, offset, layers, [item for item, _ in outfit.attachments])
    return figure, cv2.resize(worn, (1, 1), interpolation=cv2.INTER_AREA)[0, 0].astype(np.float64)


def _paint(layers: np.ndarray, garment: Garment) -> None:
    x, y = _texel_grid()
    fabric = garment.fabric
    if fabric.shape[0] != ATLAS_PX:
        fabric = cv2.resize(fabric, (ATLAS_PX, ATLAS_PX))
    for layer in (FRONT, BACK):
        mask = np.broadcast_to(garment.region(x, y, layer == BACK), fabric.shape[:2]).astype(np.uint8)
        cv2.copyTo(fabric, mask, layers[layer])


def _paint_extra(layer: np.ndarray, item: Attachment, fabric: np.ndarray) -> None:
    """The attachment's cloth into its quarter of the layer."""
    half = ATLAS_PX // 2
    left, top = ((np.floor(item.uv.min(axis=0) * 2.0)) * half).astype(int)
    layer[top : top + half, left : left + half] = cv2.resize(
        fabric, (half, half), interpolation=cv2.INTER_AREA
    )


def _bulk(body: Body, outfit: Outfit, rng: np.random.Generator) -> np.ndarray:
    """(V,) metres outward."""
    rest = body.v_template
    x, y = rest[:, 0], rest[:, 1]
    behind = _outward(body)[1]
    bulk = np.zeros(len(rest), np.float32)
    for garment in outfit.garments:
        worn = np.where(behind, garment.region(x, y, True), garment.region(x, y, False))
        # Folds are as long as cloth is stiff: a sum of few waves in all directions.
        waves = rng.normal(0.0, 2.0 * np.pi / garment.wave_length_m / 1.7, (4, 3))
        folds = 2.0 * np.sin(rest[worn] @ waves.T + rng.uniform(0, 2 * np.pi, 4)).mean(axis=1)
        out = garment.loose_m + garment.waves_m * folds
        if garment.along is not None:
            out = out + garment.flare_m * np.clip(garment.along(x[worn], y[worn]), 0.0, 1.0)
        bulk[worn] = np.maximum(bulk[worn], np.maximum(out, 0.002))
    return _spread(bulk[:, None], body.faces)[
        :, 0
    ]  # hems are round, and their edge less jagged than the mesh
