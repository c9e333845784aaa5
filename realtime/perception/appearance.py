"""Appearance features: what the landmark network's map of the crop says besides the landmarks, in 128 numbers."""

from __future__ import annotations

import logging

import numpy as np

from engines.graph_file import APPEARANCE_FORMAT, DIGITS, MAP_SHAPE
from realtime.assets import APPEARANCE, is_shipped
from realtime.config import PerceptionConfig
from realtime.perception.graphs import load_graph

log = logging.getLogger(__name__)


class AppearanceNetwork:
    """The appearance encoder (engines/network/appearance.py) as a graph behind the landmark graph."""

    def __init__(self, engine: str, threads: int) -> None:
        """Raises LoadError as `load_graph`."""
        name = APPEARANCE.removesuffix(".onnx")
        self._runner = load_graph(name, engine, threads, 1, {"map": MAP_SHAPE}, {"z"}, APPEARANCE_FORMAT)

    def encode(self, map: np.ndarray) -> np.ndarray:
        """map (144, 8, 8) float32, the landmark graph's output of that name → z (128,) float32, the caller's own."""
        return self._runner.run(map=map[None])["z"][0].copy()

    @property
    def source(self) -> str:
        """Which encoder it is: the digest of its weights, shortened."""
        return self._runner.metadata.get("weights_sha256", "")[:DIGITS]

    def close(self) -> None:
        """May be called twice."""
        self._runner.close()


def appearance_network(config: PerceptionConfig, threads: int) -> AppearanceNetwork | None:
    """What `perception.map` asks for. Raises LoadError: on, and the encoder is not there; or it cannot be loaded."""
    if config.map == "off":
        return None
    if config.map == "auto" and not is_shipped(APPEARANCE):
        log.info("poses by landmarks alone: this checkout has no assets/%s", APPEARANCE)
        return None
    return AppearanceNetwork(config.engine, threads)
