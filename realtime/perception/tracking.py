"""Detections in time: whose they are, whether to believe them, and the smoothed crop.

          enter_frames × score ≥ enter_score
     lost ─────────────────────────────────► tracking      person + 1
       ▲                                      │    ▲
       │                  nobody, score <     │    │  score ≥ enter_score,
       │                  leave_score, or     ▼    │  where he was last seen:
       └───────────────────────────────────── held      the same person
                 longer than hold_ms

All times come from the stamps, so 5 and 60 frames per second behave alike.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from realtime.config import PerceptionConfig
from realtime.observation import Crop, Detection, Observation, State
from realtime.perception.box import keypoint_crop, smooth_crop, visible_landmarks
from realtime.perception.score import detection_score

TORSO = [11, 12, 23, 24]

# How far the same person's torso may be from where it was dt seconds ago, on the picture, in his own metres,
# and how much his size (pixels per metre) may have changed, as a logarithm. Measured on real clips, worst
# frames: 0.17 m and 0.18 at 30 fps, 0.35 m and 0.34 at 10 fps, 0.5 m at 5 fps; running is 4–8 m/s.
STEP_M, SPEED_M_S = 0.3, 4.0
RESIZE, RESIZE_PER_S = 0.35, 2.0


@dataclass(frozen=True, slots=True)
class Place:
    """Where a person is on the picture, and how large."""

    x: float  # middle of the torso, pixels
    y: float
    px_per_m: float  # scale of the weak-perspective camera that maps world landmarks to pixels
    t_ns: int


def place_of(detection: Detection, t_ns: int) -> Place | None:
    """Place of a detection; None where its landmarks give none.

    The torso moves less than the box, which jumps when a limb comes into view.
    """
    seen = visible_landmarks(detection.landmarks_px, detection.visibility)
    pixels = detection.landmarks_px[seen].astype(np.float64)
    world = detection.world[seen, :2].astype(np.float64)
    torso = detection.landmarks_px[TORSO].astype(np.float64).mean(axis=0)
    if len(pixels) < 2 or not (np.isfinite(world).all() and np.isfinite(torso).all()):
        return None
    world -= world.mean(axis=0)
    spread = float((world**2).sum())
    px_per_m = float((world * (pixels - pixels.mean(axis=0))).sum() / spread) if spread > 0.0 else 0.0
    if not 0.0 < px_per_m < math.inf:
        return None
    return Place(float(torso[0]), float(torso[1]), px_per_m, t_ns)


def reach_m(dt_s: float) -> float:
    """How far a torso may get in dt_s seconds, metres."""
    return STEP_M + SPEED_M_S * dt_s


def may_be_same(before: Place, now: Place, dt_s: float) -> bool:
    """Whether one person can have got from `before` to `now` in dt_s seconds."""
    distance_m = math.hypot(now.x - before.x, now.y - before.y) / max(now.px_per_m, before.px_per_m)
    resized = abs(math.log(now.px_per_m / before.px_per_m))
    return distance_m <= reach_m(dt_s) and resized <= RESIZE + RESIZE_PER_S * dt_s


class Tracker:
    """One person's way through the detections of one source.

    After each `update`, two answers steer the perception (`realtime.view.View` does it):
    `restart`: it follows somebody or something else, and should forget that (`Perception.reset`);
    `search`: square of the picture to look in, black out the rest; None: look everywhere.
    """

    def __init__(self, config: PerceptionConfig) -> None:
        self._config = config
        self._state: State = "lost"
        self._person = 0
        self._place: Place | None = None  # last believed, of this person or of the one about to enter
        self._crop: Crop | None = None  # smoothed
        self._crop_t_ns = 0
        self._good_frames = 0  # in a row, while lost
        self._poor_since_ns: int | None = None  # detections that are not worth following, while lost
        self.restart = False
        self.search: Crop | None = None

    def update(self, detection: Detection | None, t_ns: int, image_size: tuple[int, int]) -> Observation:
        """Take in one frame's detection. t_ns: the frame's stamp, growing; image_size: (W, H) pixels.

        Never raises for what a detection holds: landmarks that are not finite count as not seen.
        """
        place, measured, score = None, None, 0.0
        if detection is not None:
            place = place_of(detection, t_ns)
            measured = keypoint_crop(detection.landmarks_px, detection.visibility)
            score = 0.0 if place is None else detection_score(detection, measured, image_size)
        self.restart = False
        if self._state == "lost":
            self._look_for_somebody(place, score, t_ns)
        else:
            self._follow(place, score, t_ns)
        if measured is not None and self._state == "tracking":
            self._update_crop(measured, t_ns)
        self.search = self._search_square(t_ns) if self._state == "held" else None
        return Observation(
            detection=detection if self._state == "tracking" else None,
            crop=self._crop,
            state=self._state,
            score=score,
            person=self._person,
            image_size=image_size,
        )

    def _look_for_somebody(self, place: Place | None, score: float, t_ns: int) -> None:
        if place is None or score < self._config.enter_score:
            self._good_frames = 0
            self._leave_phantom(place, t_ns)
            return
        self._poor_since_ns = None
        goes_on = self._good_frames > 0 and self._is_same(place)
        self._good_frames = self._good_frames + 1 if goes_on else 1
        self._place = place
        if self._good_frames >= self._config.enter_frames:
            self._state = "tracking"
            self._person += 1
            self._crop = None

    def _leave_phantom(self, place: Place | None, t_ns: int) -> None:
        """MediaPipe goes on following what it found, say a table, while people walk in: cut it off."""
        if place is None:
            self._poor_since_ns = None
        elif self._poor_since_ns is None:
            self._poor_since_ns = t_ns
        elif t_ns - self._poor_since_ns >= self._config.hold_ms * 1e6:
            self.restart = True
            self._poor_since_ns = None

    def _follow(self, place: Place | None, score: float, t_ns: int) -> None:
        assert self._place is not None
        somebody_else = place is not None and not self._is_same(place)
        needed = self._config.leave_score if self._state == "tracking" else self._config.enter_score
        if place is not None and not somebody_else and score >= needed:
            self._state = "tracking"
            self._place = place
            return
        self._state = "held"
        self.restart = somebody_else
        if t_ns - self._place.t_ns > self._config.hold_ms * 1e6:
            self._state = "lost"
            self._good_frames = 0
            self._poor_since_ns = None

    def _is_same(self, place: Place) -> bool:
        return self._place is not None and may_be_same(self._place, place, self._unseen_s(place.t_ns))

    def _unseen_s(self, t_ns: int) -> float:
        """Seconds since somebody was last seen, at most hold_ms: a long gap does not put him anywhere."""
        assert self._place is not None
        return min(max(t_ns - self._place.t_ns, 0) / 1e9, self._config.hold_ms / 1e3)

    def _update_crop(self, measured: Crop, t_ns: int) -> None:
        dt_s = (t_ns - self._crop_t_ns) / 1e9
        self._crop = smooth_crop(self._crop, measured, dt_s, self._config.box_tau_ms / 1e3)
        self._crop_t_ns = t_ns

    def _search_square(self, t_ns: int) -> Crop | None:
        """The last crop, widened by how far the person may have got since."""
        if self._crop is None or self._place is None:
            return None
        margin_px = reach_m(self._unseen_s(t_ns)) * self._place.px_per_m
        return Crop(self._crop.cx, self._crop.cy, self._crop.side + 2 * margin_px)
