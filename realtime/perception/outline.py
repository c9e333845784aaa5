"""The outline of the person: BlazePose's segmentation decoder, a graph of its own behind the landmark graph."""

from __future__ import annotations

import numpy as np

from realtime.perception.graphs import load_graph
from realtime.perception.look import SIZE

TAKES = {"image": (SIZE, SIZE, 3), "mask_features": (48, 64, 64)}


class OutlineNetwork:
    """Which pixels of a crop are the person's."""

    def __init__(self, engine: str, threads: int) -> None:
        """Raises LoadError as `load_graph`."""
        self._runner = load_graph("blazepose_mask", engine, threads, 1, TAKES, {"mask"})

    def find(self, crop: np.ndarray, features: np.ndarray) -> np.ndarray:
        """crop: (256, 256, 3) uint8 BGR. features: (48, 64, 64) float32, the landmark graph's `mask_features` of it.

        Returns (256, 256) float32 in [0, 1].
        """
        logits = self._runner.run(image=crop[None], mask_features=features[None])["mask"][0, 0]
        with np.errstate(over="ignore"):
            return 1.0 / (1.0 + np.exp(-logits))

    def close(self) -> None:
        """May be called twice."""
        self._runner.close()
