"""Everything about a film but the motion: who is in it, in which light, before and behind what, by which camera."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from realtime.body.smpl import Body
from training.render.background import random_background
from training.render.clothes import dress
from training.render.degrade import Degradation, random_degradation
from training.render.figure import Figure
from training.render.light import random_lights
from training.render.occluders import Occluder, random_occluders
from training.render.scene import Lights
from training.render.shadow import Shadow

_SHADOW_SHARE = 0.6  # of the looks
_BLUR_SHARE = 0.2
_SHUTTER = (0.2, 0.7)  # open, as a share of the time between two frames


@dataclass
class Look:
    figure: Figure
    lights: Lights
    background: np.ndarray  # (H, W, 3) uint8 BGR
    degradation: Degradation
    shadow: Shadow | None = None
    occluders: list[Occluder] = field(default_factory=list)
    shutter: float = 0.0  # share of the time between two frames; 0: no motion blur


def random_look(
    body: Body, rng: np.random.Generator, width: int, height: int, grain: float | None = None
) -> Look:
    """For pictures of width × height. grain: see PersonRenderer.new_look."""
    figure, worn = dress(body, rng)
    lights = random_lights(rng)
    background = random_background(rng, width, height, worn)
    look = Look(figure, lights, background, random_degradation(rng, width, height, grain))
    if rng.uniform() < _SHADOW_SHARE:
        soft_px = rng.uniform(0.008, 0.04) * height
        look.shadow = Shadow(lights.toward[0], rng.uniform(0.15, 0.65), soft_px)
    if grain is None:
        look.occluders = random_occluders(rng, width, height)
        look.shutter = float(rng.uniform(*_SHUTTER)) if rng.uniform() < _BLUR_SHARE else 0.0
    return look
