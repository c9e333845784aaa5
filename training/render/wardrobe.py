"""What a person may wear, drawn at random: shoes, legs, torso, hair, headgear, gloves, skirts, things."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from realtime.body.rotations import axis_angle_to_matrix
from realtime.body.smpl import Body
from training.render.attachments import Attachment, brim, long_hair, skirt, solid
from training.render.head import EYE_Y_M, HAIRLINE_Y_M
from training.render.patterns import cloth, strands

# The T-pose of the shipped body, metres: arms along x at the shoulders' height, feet at the bottom.
NECK_Y_M, WRIST_X_M = 0.55, 0.672
ANKLE_Y_M, KNEE_Y_M = -0.85, -0.412
_FABRIC_PX = 1024

Region = Callable[[np.ndarray, np.ndarray, bool], np.ndarray]


@dataclass(frozen=True)
class Garment:
    """A part of the body's surface, its cloth, and how far it stands off the skin, metres."""

    region: Region  # x, y of the rest pose (metres, any shapes that broadcast), whether behind → bool
    fabric: np.ndarray  # (S, S, 3) uint8 BGR
    loose_m: float = 0.003
    waves_m: float = 0.0
    wave_length_m: float = 0.3
    flare_m: float = 0.0  # more where `along` (x, y) comes to 1: toward a hem
    along: Callable[[np.ndarray, np.ndarray], np.ndarray] | None = None


@dataclass
class Outfit:
    """From the skin outward; what is hung on comes with its cloth."""

    garments: list[Garment] = field(default_factory=list)
    attachments: list[tuple[Attachment, np.ndarray]] = field(default_factory=list)


def random_outfit(body: Body, hair: np.ndarray, rng: np.random.Generator) -> Outfit:
    """hair (3,) BGR: the colour of the hair."""
    outfit = Outfit()
    waist = float(rng.uniform(-0.02, 0.09))
    _shoes(outfit, rng)
    _legs(outfit, waist, body, rng)
    _torso(outfit, waist, rng)
    _head(outfit, hair, body, rng)
    if rng.uniform() < 0.07:
        start = WRIST_X_M - rng.uniform(0.0, 0.06)
        outfit.garments.append(Garment(lambda x, y, back: (np.abs(x) > start) & (y > 0), _cloth(rng), 0.004))
    _things(outfit, body, rng)
    return outfit


def _cloth(rng: np.random.Generator, wave_length_m: float = 0.3) -> np.ndarray:
    return cloth(rng, _FABRIC_PX, 1.8 / wave_length_m)


def _looseness(rng: np.random.Generator) -> dict[str, float]:
    """Tight for most, wide for some; wide cloth folds more."""
    wide = abs(rng.normal(0.0, 0.014))
    length = float(rng.uniform(0.08, 0.3))
    waves = 0.3 * wide + rng.uniform(0.0, 0.006)
    return {"loose_m": 0.003 + wide, "waves_m": waves, "wave_length_m": length}


def _shoes(outfit: Outfit, rng: np.random.Generator) -> None:
    if rng.uniform() < 0.12:
        return
    high = ANKLE_Y_M + float(rng.choice([-0.01, 0.03, 0.15, 0.3], p=[0.5, 0.35, 0.1, 0.05]))
    sole = float(rng.uniform(-0.92, -0.9))
    outfit.garments.append(
        Garment(lambda x, y, back: y < high + 0 * x, _cloth(rng), rng.uniform(0.003, 0.014))
    )
    if rng.uniform() < 0.4:
        outfit.garments.append(Garment(lambda x, y, back: y < sole + 0 * x, _cloth(rng), 0.008))


def _legs(outfit: Outfit, waist: float, body: Body, rng: np.random.Generator) -> None:
    kind = rng.choice(["long", "shorts", "briefs", "skirt"], p=[0.62, 0.2, 0.05, 0.13])
    hem = {
        "long": ANKLE_Y_M + rng.uniform(-0.01, 0.08),
        "shorts": KNEE_Y_M + rng.uniform(-0.2, 0.22),
        "briefs": -0.15,
        "skirt": rng.choice([-0.15, ANKLE_Y_M], p=[0.7, 0.3]),  # bare legs, or tights
    }[str(kind)]
    fit = _looseness(rng) if kind in ("long", "shorts") else {}
    flare = rng.uniform(0.0, 0.05) if rng.uniform() < 0.3 and kind in ("long", "shorts") else 0.0
    outfit.garments.append(
        Garment(
            lambda x, y, back: (y < waist) & (y > hem) & (np.abs(x) < 0.4),
            _cloth(rng, fit.get("wave_length_m", 0.3)),
            **fit,
            flare_m=flare,
            along=lambda x, y: (-0.1 - y) / (-0.1 - hem),
        )
    )
    if kind == "skirt":
        length = rng.uniform(0.3, 0.95)
        cone = skirt(
            body, waist, max(waist - length, -0.9), rng.uniform(0.05, 0.45), rng.uniform(0.008, 0.025)
        )
        outfit.attachments.append((cone, _cloth(rng)))


def _torso(outfit: Outfit, waist: float, rng: np.random.Generator) -> None:
    if rng.uniform() < 0.05:
        return  # bare
    sleeve = float(rng.choice([0.19, rng.uniform(0.28, 0.42), rng.uniform(0.6, 0.69)], p=[0.12, 0.4, 0.48]))
    low = rng.choice([-0.02, rng.uniform(0.0, 0.12), rng.uniform(0.15, 0.55)], p=[0.25, 0.6, 0.15])
    bottom = waist - float(low)
    shirt = _top(sleeve, bottom, _neckline(rng), rng)
    outfit.garments.append(shirt)
    if rng.uniform() < 0.15:  # something open over it, or a vest
        inner = float(rng.uniform(0.03, 0.12))
        whole = _top(float(rng.choice([0.2, 0.66])), bottom - 0.05, _neckline(rng), rng)
        outfit.garments.append(
            Garment(
                lambda x, y, back: whole.region(x, y, back) & (back | (np.abs(x) > inner)),
                whole.fabric,
                shirt.loose_m + 0.012,
                whole.waves_m,
                whole.wave_length_m,
            )
        )


def _neckline(rng: np.random.Generator) -> Callable[[np.ndarray, bool], np.ndarray]:
    """x → y of its edge, metres."""
    half, drop = rng.uniform(0.06, 0.10), rng.uniform(0.0, 0.09)
    power = 1.0 if rng.uniform() < 0.25 else 2.0
    rise = 0.03 if rng.uniform() < 0.15 else -0.035  # a roll-neck

    def edge(x: np.ndarray, back: bool) -> np.ndarray:
        depth = 0.02 if back else drop
        return NECK_Y_M + rise - depth * np.clip(1.0 - (np.abs(x) / half) ** power, 0.0, None)

    return edge


def _top(
    sleeve: float, bottom: float, edge: Callable[[np.ndarray, bool], np.ndarray], rng: np.random.Generator
) -> Garment:
    fit = _looseness(rng)

    def region(x: np.ndarray, y: np.ndarray, back: bool) -> np.ndarray:
        aside = np.abs(x)
        # Outside the shoulders only what is as high as the arms: the T-pose's legs are not sleeves.
        return (
            (aside < sleeve)
            & (y > bottom)
            & ((y < edge(x, back)) | (aside > 0.16))
            & ((aside < 0.4) | (y > 0.2))
        )

    flare = rng.uniform(0.0, 0.04) if rng.uniform() < 0.3 else 0.0
    return Garment(
        region,
        _cloth(rng, fit["wave_length_m"]),
        **fit,
        flare_m=flare,
        along=lambda x, y: np.maximum(
            (np.abs(x) - 0.2) / max(sleeve - 0.2, 0.01), (0.2 - y) / (0.2 - bottom)
        ),
    )


def _head(outfit: Outfit, hair: np.ndarray, body: Body, rng: np.random.Generator) -> None:
    length = rng.choice(["bald", "short", "long"], p=[0.1, 0.6, 0.3])
    line = HAIRLINE_Y_M + rng.normal(0.0, 0.008)
    curve = rng.uniform(0.0, 3.0)
    temple = 0.060 + rng.normal(0.0, 0.003)
    nape = float(rng.uniform(0.60, 0.67))
    sides = max(nape + 0.03, EYE_Y_M - 0.04)

    def scalp(x: np.ndarray, y: np.ndarray, back: bool) -> np.ndarray:
        aside = np.abs(x)
        if back:
            return (y > nape) & (aside < 0.14)
        return ((y > line - curve * aside**2) | ((aside > temple) & (y > sides))) & (aside < 0.14)

    wild = strands(rng, _FABRIC_PX, hair)
    if length != "bald":
        bulk = rng.choice([rng.uniform(0.002, 0.015), rng.uniform(0.015, 0.05)], p=[0.8, 0.2])
        outfit.garments.append(Garment(scalp, wild, float(bulk), 0.3 * float(bulk), rng.uniform(0.04, 0.12)))
    if length == "long":
        end = rng.choice([rng.uniform(0.5, 0.6), rng.uniform(0.22, 0.5)])
        fall = long_hair(body, float(end), rng.uniform(0.008, 0.03), rng.uniform(1.3, 2.0))
        outfit.attachments.append((fall, wild))
    kind = rng.choice(["none", "cap", "hat", "beanie", "hood"], p=[0.8, 0.07, 0.03, 0.05, 0.05])
    if kind == "none":
        return
    fabric = outfit.garments[-1].fabric if kind == "hood" and length == "bald" else _cloth(rng)
    low = float(rng.uniform(0.715, 0.745))
    if kind == "hood":
        outfit.garments.append(
            Garment(
                lambda x, y, back: (
                    (y > 0.53) & (np.abs(x) < 0.15) & (back | (np.abs(x) > 0.058) | (y > 0.765))
                ),
                fabric,
                rng.uniform(0.012, 0.035),
                0.005,
                0.15,
            )
        )
        return
    outfit.garments.append(
        Garment(
            lambda x, y, back: (y > low - (0.02 if back else 0.0)) & (np.abs(x) < 0.15),
            fabric,
            rng.uniform(0.01, 0.03),
        )
    )
    if kind in ("cap", "hat"):
        edge = brim(body, low + 0.005, rng.uniform(0.05, 0.09), kind == "hat")
        outfit.attachments.append((edge, fabric))


def _things(outfit: Outfit, body: Body, rng: np.random.Generator) -> None:
    """Something in a hand, or a pack on the back."""
    kind = rng.choice(["none", "hand", "back"], p=[0.86, 0.1, 0.04])
    turn = axis_angle_to_matrix(rng.normal(0.0, 0.6, 3))
    if kind == "hand":
        side = str(rng.choice(["left", "right"]))
        size = np.exp(rng.uniform(np.log(0.02), np.log(0.16), 3))
        centre = np.array([0.0, -0.02 - size[1], 0.0])  # the palm looks down
        thing = solid(body, f"{side}_hand", centre, size, float(rng.uniform(0, 1)), turn)
    elif kind == "back":
        size = np.array([rng.uniform(0.1, 0.18), rng.uniform(0.15, 0.27), rng.uniform(0.05, 0.12)])
        thing = solid(body, "spine3", np.array([0.0, 0.0, -0.07 - size[2]]), size, 0.6, np.eye(3))
    else:
        return
    outfit.attachments.append((thing, _cloth(rng)))
