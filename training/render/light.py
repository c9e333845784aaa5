"""Random lights: lamps, windows and sky, mostly from above."""

from __future__ import annotations

import numpy as np

from training.render.scene import MAX_LIGHTS, Lights


def random_lights(rng: np.random.Generator) -> Lights:
    """One to four lights and the light of the room; between flat and hard, between warm and cold."""
    count = int(rng.integers(1, MAX_LIGHTS + 1))
    toward = rng.normal(size=(count, 3)) + np.array([0.0, -0.9, -0.8])  # from above and the camera's side
    toward /= np.linalg.norm(toward, axis=1, keepdims=True)
    share = rng.dirichlet(np.ones(count))[:, None]
    tint = 1.0 + rng.uniform(0.0, 0.25) * rng.uniform(-1.0, 1.0, (count, 3))
    exposure = np.exp(rng.normal(0.0, 0.25))
    hardness = rng.uniform(0.25, 0.85)
    room = exposure * (1.0 - hardness) * (1.0 + rng.uniform(-0.1, 0.1, 3))
    return Lights(
        toward=toward,
        strength=exposure * hardness * 1.5 * share * tint,
        sky=room * rng.uniform(0.9, 1.3),
        ground=room * rng.uniform(0.35, 0.9),
        gloss=float(rng.uniform(0.0, 0.12) if rng.uniform() < 0.6 else 0.0),
    )
