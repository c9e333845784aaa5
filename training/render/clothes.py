"""What a person wears: every garment is a part of the T-pose, its cloth painted there and its bulk pushed outward."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np

from realtime.body.smpl import Body
from training.render.figure import (
    ATLAS_LEFT_M,
    ATLAS_M,
    ATLAS_PX,
    ATLAS_TOP_M,
    BACK,
    FRONT,
    Figure,
    assemble,
    vertex_normals,
)
from training.render.head import paint_head, random_hair, random_skin
from training.render.patterns import cloth

# The T-pose of the shipped body, metres: arms along x at the shoulders' height, feet at the bottom.
SHOULDER_Y_M, NECK_Y_M, WRIST_X_M = 0.453, 0.55, 0.672
ANKLE_Y_M, KNEE_Y_M, CROTCH_Y_M = -0.85, -0.412, -0.10

Region = Callable[[np.ndarray, np.ndarray, bool], np.ndarray]  # x, y (metres), back → bool


@dataclass(frozen=True)
class Garment:
    region: Region
    loose_m: float  # how far it stands off the skin
    waves_m: float  # how much that varies
    wave_length_m: float


@lru_cache(maxsize=1)
def texel_grid() -> tuple[np.ndarray, np.ndarray]:
    """x (1, S) and y (S, 1) of the layers' texels, rest pose, metres."""
    along = (np.arange(ATLAS_PX, dtype=np.float32) + 0.5) * (ATLAS_M / ATLAS_PX)
    return (ATLAS_LEFT_M + along)[None], (ATLAS_TOP_M - along)[:, None]


def random_garments(rng: np.random.Generator) -> list[Garment]:
    """From the skin outward: shoes, legs, torso, hands."""
    garments = []
    if rng.uniform() < 0.9:
        high = ANKLE_Y_M + rng.choice([-0.01, 0.03, 0.15], p=[0.5, 0.4, 0.1])
        garments.append(Garment(lambda x, y, back: y < high + 0 * x, rng.uniform(0.003, 0.012), 0.0, 1.0))
    waist = rng.uniform(-0.02, 0.09)
    hem = rng.choice(
        [ANKLE_Y_M + rng.uniform(-0.01, 0.06), KNEE_Y_M + rng.uniform(-0.15, 0.12), -0.2], p=[0.7, 0.24, 0.06]
    )
    wide = abs(rng.normal(0.0, 0.016))
    garments.append(
        Garment(
            lambda x, y, back: (y < waist) & (y > hem) & (np.abs(x) < 0.4),
            0.003 + wide,
            0.3 * wide + rng.uniform(0.0, 0.006),
            rng.uniform(0.08, 0.3),
        )
    )
    if rng.uniform() < 0.94:
        garments.append(_shirt(rng, waist))
    if rng.uniform() < 0.07:
        garments.append(Garment(lambda x, y, back: np.abs(x) > WRIST_X_M - 0.03 + 0 * y, 0.004, 0.0, 1.0))
    return garments


def _shirt(rng: np.random.Generator, waist: float) -> Garment:
    sleeve = rng.choice([0.19, rng.uniform(0.28, 0.42), rng.uniform(0.6, 0.69)], p=[0.12, 0.4, 0.48])
    bottom = waist - rng.choice([-0.02, rng.uniform(0.0, 0.12), rng.uniform(0.15, 0.55)], p=[0.25, 0.6, 0.15])
    neck_half, neck_drop, vee = rng.uniform(0.06, 0.10), rng.uniform(0.0, 0.09), rng.uniform() < 0.25
    wide = abs(rng.normal(0.0, 0.016))

    def region(x: np.ndarray, y: np.ndarray, back: bool) -> np.ndarray:
        aside = np.abs(x)
        drop = 0.02 if back else neck_drop
        edge = NECK_Y_M - drop * np.clip(1.0 - (aside / neck_half) ** (1 if vee else 2), 0.0, None) - 0.035
        return (aside < sleeve) & (y > bottom) & ((y < edge) | (aside > 0.16)) & ((aside < 0.4) | (y > 0.2))

    return Garment(region, 0.003 + wide, 0.3 * wide + rng.uniform(0.0, 0.006), rng.uniform(0.08, 0.3))


def dress(body: Body, rng: np.random.Generator) -> Figure:
    """The body in random clothes, skin and hair."""
    skin, hair = random_skin(rng), random_hair(rng)
    garments = random_garments(rng)
    picture = np.empty((3, ATLAS_PX, ATLAS_PX, 3), np.uint8)
    picture[:] = skin.astype(np.uint8)
    paint_head(picture, skin, hair, rng)
    x, y = texel_grid()
    rest = body.v_template
    normals = vertex_normals(rest, body.faces)
    behind = normals[:, 2] < 0
    stand_off = np.zeros(len(rest), np.float32)
    for garment in garments:
        fabric = cloth(rng, ATLAS_PX, ATLAS_M / garment.wave_length_m)
        for layer in (FRONT, BACK):
            mask = np.broadcast_to(garment.region(x, y, layer == BACK), fabric.shape[:2]).astype(np.uint8)
            cv2.copyTo(fabric, mask, picture[layer])
        worn = np.where(
            behind,
            garment.region(rest[:, 0], rest[:, 1], True),
            garment.region(rest[:, 0], rest[:, 1], False),
        )
        waves = rng.normal(0.0, 2 * np.pi / garment.wave_length_m / 1.7, (4, 3))
        phase = rng.uniform(0, 2 * np.pi, 4)
        noise = np.sin(rest @ waves.T + phase).mean(axis=1) * 2.0
        bulk = np.maximum(garment.loose_m + garment.waves_m * noise, 0.002)
        stand_off = np.maximum(stand_off, np.where(worn, bulk, 0.0))
    return assemble(body, normals * stand_off[:, None], picture, [])
