"""Windows of rendered takes, as the perception saw them (training/observe.py)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from realtime.features import APPEARANCE_DIM, NOMINAL_DT_S
from realtime.perception.look import LANDMARKS, SWAPPED
from training.batch import Batch, Windows, make_batch
from training.camera import project
from training.motion import FPS, SWAP_SIDES, mirror
from training.noise import Markers
from training.observe import LOOKS, ObservedTake, appearance_path, shares
from training.pace import MAX_AHEAD_FRAMES, frame_times, random_stride

LEAST_SEEN = 40  # frames of a take in which somebody was found
SPARE = 4  # times as many pictures are drawn as a window takes: some are the one before, some show nobody
P_REVERSE, P_MIRROR = 0.2, 0.5
APPEARANCE_SHARE = 0.8  # of the windows that could have them: the network must do without them as well
APPEARANCE_FACTOR = 3.0  # as often are takes drawn that have them: live, nearly every stream does
LOOK_CHANCES = {"both": 0.55, "plain": 0.3, "alternate": 0.15}  # both is what is usual live
_MIRRORED = SWAPPED[:LANDMARKS]
_PLAIN, _MIRROR_LOOK = LOOKS.index("plain"), LOOKS.index("mirrored")


@dataclass(frozen=True)
class Kept:
    """A take with what every window of it needs worked out once."""

    take: ObservedTake
    keypoints_px: np.ndarray  # (T, 24, 2)
    markers_px: np.ndarray  # (T, 33, 2)
    z: np.ndarray | None  # (T, 2, 128)
    marker_weight: np.ndarray | None = None  # (T, 33); None: all are true
    has_3d: bool = True  # or the markers alone are known, and all else is placeholders


class TakeTier:
    """Full 3-D, from pictures. frames: of each window; appearance: share of windows with appearance features.

    Takes whose appearance features lie beside them give windows with those; such features must come from an encoder
    that has not learned from the same take, or the network would trust them more than it may.
    """

    def __init__(
        self,
        takes: list[ObservedTake],
        markers: Markers,
        frames: int,
        rng: np.random.Generator,
        appearance: float = APPEARANCE_SHARE,
    ) -> None:
        self._frames, self._rng, self._appearance_share = frames, rng, appearance
        self._takes = [_keep(take, markers) for take in takes if take.detected.sum() >= LEAST_SEEN]
        chances = shares([kept.take for kept in self._takes])
        chances *= [1.0 if kept.z is None or not appearance else APPEARANCE_FACTOR for kept in self._takes]
        self._chances = chances / chances.sum()

    def windows(self, count: int) -> Batch:
        parts = [self._window() for _ in range(count)]
        return make_batch(
            Windows(**{name: np.stack([part[name] for part in parts]) for name in parts[0]}), self._rng
        )

    def _window(self) -> dict[str, np.ndarray]:
        rng, frames = self._rng, self._frames
        kept = self._takes[rng.choice(len(self._takes), p=self._chances)]
        take = kept.take
        rows = self._rows(take, max(random_stride(rng), take.stride))
        way = np.diff(take.t_s[rows])  # backward in time where it is negative
        dt_s = np.concatenate([[NOMINAL_DT_S], np.abs(way)])
        # The future is where the frame came from the one before; the first frame's, where the next one lies.
        direction = np.sign(np.concatenate([way[:1], way])) if frames > 1 else np.ones(1)
        reach = MAX_AHEAD_FRAMES - take.stride / 2.0  # the nearest picture then lies within MAX_AHEAD_FRAMES
        wanted = take.t_s[rows] * FPS + rng.uniform(-reach, reach, frames)
        ahead_rows = _nearest(take.t_s * FPS, wanted)
        look = str(rng.choice(list(LOOK_CHANCES), p=list(LOOK_CHANCES.values())))
        mirrored = rng.uniform() < P_MIRROR
        k = LOOKS.index(look)
        if mirrored and k == _PLAIN:
            k = _MIRROR_LOOK  # in a mirror the plain look is this one
        values = {
            "rotations": take.rotations[rows],
            "ahead": take.rotations[ahead_rows],
            "dt_ahead_ms": (take.t_s[ahead_rows] - take.t_s[rows]) * direction * 1000.0,
            "betas": take.betas,
            "keypoints_px": kept.keypoints_px[rows],
            "markers_px": kept.markers_px[rows],
            "marker_weight": _all_true(frames) if kept.marker_weight is None else kept.marker_weight[rows],
            "has_3d": np.float32(kept.has_3d),
            "landmarks_px": take.landmarks_px[rows, k],
            "world": take.world[rows, k],
            "visibility": take.visibility[rows, k],
            "sizes": np.repeat(take.image_size[None], frames, axis=0),
            "fovs": np.full(frames, take.fov_deg),
            "dt_s": dt_s,
            "up": take.R[:, 1].astype(np.float64),
            "z": self._appearance(kept, rows, look, mirrored),
        }
        return _mirror_window(values) if mirrored else values

    def _rows(self, take: ObservedTake, stride: float) -> np.ndarray:
        """(T,) frames of a take as another camera might have caught them, forward or backward, turning back at its
        ends: never the same one twice running and, as live, none in which nobody was found."""
        rng = self._rng
        end = take.t_s[-1] * FPS
        sign = -1.0 if rng.uniform() < P_REVERSE else 1.0
        rows = np.empty(0, int)
        while len(rows) < self._frames:
            times, _ = frame_times(SPARE * self._frames, stride, rng)
            met = _nearest(take.t_s * FPS, _fold(rng.uniform(0.0, end) + sign * times, end))
            met = met[take.detected[met]]
            rows = met[np.diff(met, prepend=-1) != 0]
        return rows[: self._frames]

    def _appearance(self, kept: Kept, rows: np.ndarray, look: str, mirrored: bool) -> np.ndarray:
        z = np.full((len(rows), APPEARANCE_DIM), np.nan, np.float32)
        if kept.z is not None and self._rng.uniform() < self._appearance_share:
            there = slice(int(self._rng.integers(2)), None, 2) if look == "alternate" else slice(None)
            z[there] = kept.z[rows[there], int(mirrored)]
        return z


def _keep(take: ObservedTake, markers: Markers) -> Kept:
    placed = markers.place(take.joints, take.transforms)
    z = None
    if take.path is not None and (path := appearance_path(take.path)).exists():
        z = np.load(path)
    return Kept(
        take,
        project(take.joints, take.image_size, take.fov_deg).astype(np.float32),
        project(placed, take.image_size, take.fov_deg).astype(np.float32),
        z,
    )


def _all_true(frames: int) -> np.ndarray:
    return np.ones((frames, LANDMARKS), np.float32)


def _nearest(stamps: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """For each wanted time (N,) the number of the stamp (T,) nearest to it."""
    return np.abs(stamps - wanted[:, None]).argmin(axis=1)


def _fold(times: np.ndarray, end: float) -> np.ndarray:
    """Times beyond [0, end] come back from its borders."""
    return np.abs((times + end) % (2.0 * end) - end)


def _mirror_window(values: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The same window as a mirror would show it: left and right change places everywhere."""
    flip = np.array([-1.0, 1.0, 1.0], np.float32)
    width = values["sizes"][0, 0]

    def flat(points: np.ndarray, order: np.ndarray) -> np.ndarray:
        points = points[:, order].copy()
        points[..., 0] = width - points[..., 0]
        return points

    return values | {
        "rotations": mirror(values["rotations"]),
        "ahead": mirror(values["ahead"]),
        "keypoints_px": flat(values["keypoints_px"], SWAP_SIDES),
        "markers_px": flat(values["markers_px"], _MIRRORED),
        "marker_weight": values["marker_weight"][:, _MIRRORED],
        "landmarks_px": flat(values["landmarks_px"], _MIRRORED),
        "world": values["world"][:, _MIRRORED] * flip,
        "visibility": values["visibility"][:, _MIRRORED],
        "up": values["up"] * flip,
    }
