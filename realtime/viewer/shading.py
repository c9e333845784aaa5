"""Light and colour of the body, baked into its vertex colours.

World: the camera frame, x right, y down, z forward. Colours: RGB in [0, 1].
"""

from __future__ import annotations

import numpy as np

from realtime.body.skeleton import JOINT_NAMES
from realtime.body.smpl import Body

SKIN = np.array([0.80, 0.78, 0.76])
LEFT = np.array([0.25, 0.62, 0.95])  # the person's left and right, in the body and in the drawn skeleton
RIGHT = np.array([0.98, 0.60, 0.22])
TINT = 0.55  # how far a limb takes on the colour of its side
BACKGROUND = np.array([0.13, 0.14, 0.16])
GREY = np.array([0.46, 0.47, 0.48])

_KEY = np.array([-0.45, -0.70, -0.55])  # towards the light: above, from the camera's left shoulder
_KEY = _KEY / np.linalg.norm(_KEY)
_AMBIENT, _SKY, _DIFFUSE, _RIM = 0.30, 0.16, 0.52, 0.16


def side_colours(body: Body) -> np.ndarray:
    """(V, 3) colours of the unlit body: neutral, with its left and right limbs tinted by their side."""
    colours = np.tile(SKIN, (len(body.v_template), 1))
    limbs = ("hip", "knee", "ankle", "foot", "shoulder", "elbow", "wrist", "hand")
    for side, tint in (("left", LEFT), ("right", RIGHT)):
        joints = [JOINT_NAMES.index(f"{side}_{limb}") for limb in limbs]
        share = TINT * body.weights[:, joints].sum(axis=1, keepdims=True)
        colours += share * (tint - SKIN)
    return colours


def lit(colours: np.ndarray, normals: np.ndarray) -> np.ndarray:
    """(V, 3) colours under a key light, a sky and a rim light; normals (V, 3) unit, world."""
    key = np.maximum(normals @ _KEY, 0.0)
    sky = 0.5 - 0.5 * normals[:, 1]
    rim = (1.0 - np.abs(normals[:, 2])) ** 3
    light = _AMBIENT + _SKY * sky + _DIFFUSE * key + _RIM * rim
    return np.clip(colours * light[:, None], 0.0, 1.0)


def faded(colours: np.ndarray, life: float) -> np.ndarray:
    """(V, 3) unlit colours of a body that is not being seen now: life 1 as it is, 0.5 plain grey, 0 nearly
    the background."""
    grey = min(1.0, 2.0 * (1.0 - life))
    gone = min(1.0, max(0.0, 1.0 - 2.0 * life))
    towards = GREY + 0.75 * gone * (BACKGROUND - GREY)
    return colours + grey * (towards - colours)
