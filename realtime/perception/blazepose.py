"""BlazePose, MediaPipe's two pose networks (Apache-2.0), on our own engines: its landmarks without mediapipe.

    nobody followed:   picture ─► detector ─► square around the person
    then, per frame:   square ─► crop ─► landmark network ─► landmarks ─► next frame's square

The order of things is that of MediaPipe's pose graph (pose_landmark_cpu of 0.10.21, smooth_landmarks off), and so
are the landmarks (python -m bench.perception). Where it differs: the stamps are the frames' own (MediaPipe counts
33 ms per picture, whatever they were), and who is lost is looked for in the same picture, not in the next. World
landmarks come in metres, x right, y down, z away from the camera, origin between the hips: the axes of our camera
frame.
"""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from realtime.config import MAP_MODES, MIRROR_MODES, PERCEPTION_ENGINES, PerceptionConfig
from realtime.errors import ConfigError
from realtime.observation import Detection
from realtime.perception.appearance import appearance_network
from realtime.perception.detector import Detector
from realtime.perception.look import FOLLOWED, LANDMARKS, SIZE, LandmarkNetwork, Look
from realtime.perception.mirror import Alternation, merge, mode_here, threads_here, too_slow
from realtime.perception.outline import OutlineNetwork
from realtime.perception.region import Region, SteadyPoints, region_around

MIN_PRESENCE = 0.5


class BlazePose:
    """See `realtime.perception.Perception`. One person, found by the detector and followed by his own landmarks.

    Raises ConfigError for a bad setting, LoadError if a graph cannot be loaded or the engine asked for cannot run.
    """

    name = "blazepose"

    def __init__(self, config: PerceptionConfig, fps: float | None = None) -> None:
        """fps: of the source, where it does not wait; None where it does. Of the two, only a source that does not wait
        makes `mirror=auto` ask whether there is time for two looks.
        """
        words = {"mirror": MIRROR_MODES, "map": MAP_MODES, "engine": PERCEPTION_ENGINES}
        for key, known in words.items():
            if getattr(config, key) not in known:
                raise ConfigError(
                    f"--set perception.{key}={getattr(config, key)}: expected one of {', '.join(known)}"
                )
        self.own_time_ns = 0  # of the last `process`, all of it
        self._mirror = mode_here(config.mirror)
        self._chosen = ""  # why, where `auto` did not come to what the cores alone would say
        alone = threads_here(config.threads, "off")  # of what never runs beside a second look
        self._network = self._landmark_network(config)
        if config.mirror == "auto" and self._mirror == "both" and fps is not None:
            self._chosen = too_slow(self._network.quickest_s(), fps)
            if self._chosen:
                self._network.close()
                self._mirror = "off"
                self._network = self._landmark_network(config)
        self._detector = Detector(config.engine, alone)
        self._appearance = appearance_network(config, alone)
        self._outline = OutlineNetwork(config.engine, alone) if config.mask else None
        self._steady = SteadyPoints()
        self._alternation = Alternation()
        self._region: Region | None = None  # where the person followed is expected in the next picture
        self._before: Look | None = None  # what the picture before came to

    def _landmark_network(self, config: PerceptionConfig) -> LandmarkNetwork:
        per_look = threads_here(config.threads, self._mirror)
        return LandmarkNetwork(config.engine, per_look, twice=self._mirror == "both")

    def process(self, image: np.ndarray, t_ns: int) -> Detection | None:
        """image: (H, W, 3) uint8 BGR, or (H, W) grey. t_ns: its stamp; steadies the square."""
        started_ns = time.monotonic_ns()
        found = self._find(image, t_ns) if image.size else None
        self.own_time_ns = time.monotonic_ns() - started_ns
        return found

    def _find(self, image: np.ndarray, t_ns: int) -> Detection | None:
        if self._region is not None:
            found = self._look_at(image, self._region, t_ns)
            if found is not None:
                return found
        self.reset()
        points = self._detector.find(image)
        region = None if points is None else region_around(points)
        found = None if region is None else self._look_at(image, region, t_ns)
        if found is None:
            self.reset()
        return found

    def _look_at(self, image: np.ndarray, region: Region, t_ns: int) -> Detection | None:
        """The person in the square, whom the square follows from now on; None: nobody is there."""
        crop = region.crop(image, SIZE)
        mirrored = self._mirror == "alternate" and self._alternation.mirrored
        look = self._look(crop, mirrored)
        if not (look.presence > MIN_PRESENCE and look.finite()):
            return None
        self._before = look
        points = region.to_image(look.points, SIZE)
        self._region = region_around(self._steady.filter(points[FOLLOWED], t_ns))
        appearance = mask = None
        # The map of a mirrored crop is another one, and not that of the crop flipped.
        if self._appearance is not None and not mirrored:
            appearance = self._appearance.encode(self._network.map("map"))
        if self._outline is not None:
            outline = self._outline.find(
                crop[:, :: -1 if mirrored else 1], self._network.map("mask_features")
            )
            height, width = image.shape[:2]
            mask = region.spread(outline[:, :: -1 if mirrored else 1], width, height)
        return Detection(
            points[:LANDMARKS],
            region.turn_back(look.world),
            look.visibility,
            appearance=appearance,
            mask=mask,
        )

    def _look(self, crop: np.ndarray, mirrored: bool) -> Look:
        if self._mirror == "both":
            return merge(*self._network.both(crop), self._before)
        look = self._network.look(crop, mirrored)
        return self._alternation.take(look) if self._mirror == "alternate" else look

    def reset(self) -> None:
        """Costs nothing: the next picture goes to the detector."""
        self._region = self._before = None
        self._steady.reset()
        self._alternation.reset()

    def close(self) -> None:
        for part in (self._detector, self._network, self._appearance, self._outline):
            if part is not None:
                part.close()

    def describe(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "version": self._network.source,
            "mirror": self._mirror,
            **({"chosen": self._chosen} if self._chosen else {}),
            "map": self._appearance is not None,
            "appearance": None if self._appearance is None else self._appearance.source,
            "mask": self._outline is not None,
            "engine": self._network.describe(),
        }
