"""How much each loss counts: one table, and how the command line changes it (`--loss dynamics=0`)."""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Iterable
from dataclasses import dataclass

from realtime.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class LossWeights:
    """0 switches a loss off. The units are those of the unweighted loss: with half crops of .03, metres of .08 and
    rotations of .15 left in a trained network, none of the terms is over half of the sum."""

    # f3D, this frame (HMMR's L_t)
    keypoints: float = 6.0  # reprojection of SMPL's joints, L1 in half crops, the network's own camera
    landmarks: float = 6.0  # the same of the 33 markers: all that a video without 3-D has
    points: float = 24.0  # 3-D joints and markers, mean distance in metres
    rotations: float = 3.0  # squared distance of rotation matrices
    betas: float = 0.05  # squared distance
    adversarial: float = 0.2  # (D − 1)², mean over the 24 scores
    shape_prior: float = 0.005  # β²
    # f3D, over time
    shape: float = 0.5  # HMMR's constant shape: (β_t − β_{t+1})²
    velocity: float = 48.0  # of the points, metres per 1/30 s: keeps the stream from dragging behind …
    acceleration: float = 42.0  # … metres per (1/30 s)²: and from trembling
    lag: float = 0.0  # the mean delay, 1/30 s: what is steadied comes late; that it does not costs more (docs)
    # fΔt, Δt in ±200 ms
    ahead_points: float = 16.0  # 3-D at t + Δt, metres
    ahead_change: float = 48.0  # 3-D at t + Δt less that at t, metres: the foretold motion alone
    ahead_rotations: float = 2.0
    ahead_keypoints: float = 2.0  # reprojection with the closed-form camera, L1 in half crops
    ahead_adversarial: float = 0.1
    # The hallucinator
    hallucination: float = 0.5  # share of the strip's mean square that it misses
    strip_size: float = 0.01  # log² of the strip's mean square
    # Groups: factors of their terms
    dynamics: float = 1.0  # all of fΔt
    hallucinated: float = 0.3  # the losses of f3D and fΔt on the hallucinated strip
    prior: float = 1.0  # both adversarial losses; at 0 there is no discriminator


def with_settings(weights: LossWeights, settings: Iterable[str]) -> LossWeights:
    """The table with `name=value` settings applied, later ones over earlier ones.

    Raises ConfigError for a missing `=`, an unknown name (naming the nearest), and what is no number of 0 or more.
    """
    known = {field.name for field in dataclasses.fields(weights)}
    changed: dict[str, float] = {}
    for setting in settings:
        name, equals, text = setting.partition("=")
        if not equals:
            raise ConfigError(f"--loss {setting}: expected name=weight, for example --loss dynamics=0")
        if name not in known:
            nearest = difflib.get_close_matches(name, known, n=1, cutoff=0.0)[0]
            raise ConfigError(f"--loss {name}: no such loss; did you mean {nearest}?")
        try:
            changed[name] = float(text)
        except ValueError:
            raise ConfigError(f"--loss {setting}: {text!r} is no number") from None
        if not 0.0 <= changed[name] < float("inf"):
            raise ConfigError(f"--loss {setting}: expected a weight of 0 or more")
    return dataclasses.replace(weights, **changed)
