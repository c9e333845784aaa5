"""One look of the landmark network at a crop: what it says, read out; plain, mirrored, or both at once."""

from __future__ import annotations

import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np

from engines.runner import Runner
from realtime.perception.graphs import load_graph
from realtime.perception.heatmap import refine

SIZE = 256  # pixels of the crop's side
LANDMARKS = 33
TRIES = 5  # the first of which is slower
FOLLOWED = [
    33,
    34,
]  # of the network's 39 points: middle of the hips, circle point (realtime/perception/region.py)
OUTPUTS = {"landmarks", "heatmaps", "pose_flag", "world", "map", "mask_features"}

_PAIRS = [(1, 4), (2, 5), (3, 6), (7, 8), (9, 10), *((left, left + 1) for left in range(11, LANDMARKS, 2))]


def _swapped() -> np.ndarray:
    order = np.arange(39)
    for left, right in _PAIRS:
        order[[left, right]] = right, left
    return order


SWAPPED = _swapped()  # (39,): the same points with left and right exchanged


@dataclass(frozen=True, slots=True)
class Look:
    """What one pass says. Pixels of the crop; metres in the crop's axes."""

    presence: float  # how sure it is that there is a person, in [0, 1]
    points: np.ndarray  # (39, 2) float32 pixels
    world: np.ndarray  # (33, 3) float32 metres from between the hips
    visibility: np.ndarray  # (33,) float32 in [0, 1]

    def finite(self) -> bool:
        """Whether everything in it is a number."""
        parts = (self.presence, self.points, self.world, self.visibility)
        return all(bool(np.isfinite(part).all()) for part in parts)

    def turned_back(self) -> Look:
        """A look at the mirrored crop, told of the crop as it is.

        The network counts from the crop's edge (pixel i lies at i + 0.5): measured, x of both looks add up to 256.
        """
        points, world = self.points[SWAPPED], self.world[SWAPPED[:LANDMARKS]]
        points[:, 0] = SIZE - points[:, 0]
        world[:, 0] *= -1.0
        return Look(self.presence, points, world, self.visibility[SWAPPED[:LANDMARKS]])


def read_look(outputs: Mapping[str, np.ndarray], row: int = 0) -> Look:
    """Row `row` of the landmark graph's batch, copied."""
    raw = outputs["landmarks"][row]
    points = refine(raw[:, :2] / np.float32(SIZE), outputs["heatmaps"][row]) * np.float32(SIZE)
    with np.errstate(over="ignore"):
        visibility = 1.0 / (1.0 + np.exp(-raw[:LANDMARKS, 3]))
    return Look(
        float(outputs["pose_flag"][row, 0]), points, outputs["world"][row, :LANDMARKS].copy(), visibility
    )


class LandmarkNetwork:
    """The landmark graph, once; or twice, to look at a crop and its mirror picture at the same time.

    On a GPU the two looks are one batch; on the CPU the second has a graph and a thread of its own.
    """

    def __init__(self, engine: str, threads: int, twice: bool) -> None:
        """Raises LoadError as `load_graph`."""
        self._threads = threads
        self._mirror: Runner | None = None
        self._beside: ThreadPoolExecutor | None = None
        self._runner = self._load(engine, 1)
        if not twice:
            return
        if self._runner.device.startswith("cuda"):
            self._runner.close()
            self._runner = self._load(engine, 2)
        else:
            self._mirror = self._load(engine, 1)
            self._beside = ThreadPoolExecutor(1, thread_name_prefix="mirrored look")

    def _load(self, engine: str, batch: int) -> Runner:
        takes = {"image": (SIZE, SIZE, 3)}
        return load_graph("blazepose_landmarks", engine, self._threads, batch, takes, OUTPUTS)

    def look(self, crop: np.ndarray, mirrored: bool = False) -> Look:
        """crop: (256, 256, 3) uint8 BGR. mirrored: look at its mirror picture; what is told is of the crop itself."""
        self._outputs = self._runner.run(image=(crop[:, ::-1] if mirrored else crop)[None])
        look = read_look(self._outputs)
        return look.turned_back() if mirrored else look

    def both(self, crop: np.ndarray) -> tuple[Look, Look]:
        """The plain look and the mirrored one. Needs twice=True."""
        if self._mirror is None or self._beside is None:
            self._outputs = self._runner.run(image=np.stack([crop, crop[:, ::-1]]))
            return read_look(self._outputs, 0), read_look(self._outputs, 1).turned_back()
        mirror = self._mirror
        other = self._beside.submit(lambda: read_look(mirror.run(image=crop[None, :, ::-1])).turned_back())
        try:
            plain = self.look(crop)
        finally:
            mirrored = other.result()
        return plain, mirrored

    def quickest_s(self) -> float:
        """How long `both` takes where nothing is in its way. Needs twice=True."""
        crop, took_s = np.zeros((SIZE, SIZE, 3), np.uint8), []
        for _ in range(TRIES):
            started_s = time.perf_counter()
            self.both(crop)
            took_s.append(time.perf_counter() - started_s)
        return min(took_s)

    def map(self, name: str) -> np.ndarray:
        """An output of the last look (of two: of the plain one) as the runner keeps it: (channels, h, w) float32."""
        return self._outputs[name][0]

    @property
    def source(self) -> str:
        """Where the network comes from, with its version."""
        return self._runner.metadata.get("source", "").partition(",")[0]

    def describe(self) -> dict[str, Any]:
        """What runs it, for status and summary."""
        return self._runner.describe()

    def close(self) -> None:
        """May be called twice."""
        if self._beside is not None:
            self._beside.shutdown()
        for runner in (self._runner, self._mirror):
            if runner is not None:
                runner.close()
