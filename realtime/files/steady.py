"""A recording as the motion of one body at a steady rate, in the world: what AMASS, BVH and glTF hold.

Live capture is not uniform. Rotations are interpolated on the sphere (slerp), the pelvis along a line, between the
rows before and after each instant; where nobody was seen, or nothing came, for longer than LONGEST_BRIDGE_S, the
last pose stands until somebody is there again.

An hour is 108 000 instants of 24 rotations: they are made part by part, as often as somebody asks for them, and never
held together.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np

from realtime.body.kinematics import forward_kinematics
from realtime.body.rotations import matrix_to_quaternion, quaternion_to_matrix
from realtime.body.smpl import Body
from realtime.coordinates import R_WORLD_CAM, to_world, world_of_camera
from realtime.record_file import STATES, RecordError, Rows

LEAST_FPS = 30  # Meshcapade's add-on refuses less than its target, by default 30
MOST_FPS = 240
LONGEST_BRIDGE_S = 0.5
LONGEST_S = 24 * 3600  # a stamp that is wrong must not ask for a petabyte
MOST_INSTANTS = 1_000_000  # nine hours at 30 a second; a .glb of them would be half a gigabyte
PART = 2048  # instants that are in memory at a time


@dataclass(frozen=True, eq=False)
class Steady:
    """One body of fixed shape over T instants, world (y up), metres."""

    fps: int
    turns: Callable[[slice], np.ndarray]  # part of the T instants → what `rotations` gives
    pelvis: np.ndarray  # (T, 3) float64
    betas: np.ndarray  # (10,) float32

    def parts(self) -> Iterator[slice]:
        """All instants, PART of them at a time."""
        for first in range(0, len(self.pelvis), PART):
            yield slice(first, min(first + PART, len(self.pelvis)))

    def rotations(self, part: slice = slice(None)) -> np.ndarray:
        """(N, 24, 3, 3) float64, each joint against its parent; [:, 0]: pelvis → world."""
        return self.turns(part)

    def joints(self, body: Body, part: slice = slice(None)) -> np.ndarray:
        """(N, 24, 3) float64, world."""
        joints, _ = forward_kinematics(body, self.rotations(part), self.betas)
        return joints - joints[:, :1] + self.pelvis[part, None]


def steady(recording: Rows, body: Body, on_floor: bool = True) -> Steady:
    """The motion from the first to the last row that shows somebody.

    on_floor: y is the height over the ground under the feet (realtime/files/ground.py), and the world's origin is below
    the pelvis of the first instant; else at the camera, and y as it was seen.
    Raises RecordError: nobody was seen in it, or its stamps do not tell times.
    """
    rows = recording.rows
    shown = _with_somebody(rows)
    stamps_ns = rows["t_capture_ns"][shown]
    t_s = (stamps_ns - stamps_ns[0]) / 1e9
    if t_s[-1] > LONGEST_S:
        raise RecordError(f"its stamps span {t_s[-1] / 3600:.0f} hours: it is damaged, or not one recording")
    fps = steady_fps(t_s, float(recording.header["nominal_fps"]))
    if t_s[-1] * fps > MOST_INSTANTS:
        raise RecordError(
            f"its stamps make {t_s[-1] / 3600:.1f} hours at {fps} per second: more than one file takes"
        )
    R = R_world_cam(recording)
    before, share = _between(t_s, np.arange(int(np.floor(t_s[-1] * fps + 1e-3)) + 1) / fps)
    after = np.minimum(before + 1, len(shown) - 1)

    def turns(part: slice) -> np.ndarray:
        first, last = before[part], after[part]
        needed = slice(int(first[0]), int(last[-1]) + 1)
        pose = to_world(rows["theta"][shown[needed]], np.zeros(3), R)
        known = matrix_to_quaternion(pose.rotations)
        a, b = known[first - needed.start], known[last - needed.start]
        return quaternion_to_matrix(slerp(a, b, share[part, None, None]))

    places = (rows["trans"] @ R.T)[shown]
    pelvis = places[before] + share[:, None] * (places[after] - places[before])
    motion = Steady(fps, turns, pelvis, shape_of_most(rows, shown))
    return _on_floor(motion, body) if on_floor else motion


def steady_fps(t_s: np.ndarray, nominal_fps: float) -> int:
    """Whole frames per second, near the median rate of the stamps (N,), seconds."""
    steps_s = np.diff(t_s)
    fps = 1.0 / float(np.median(steps_s)) if len(steps_s) else nominal_fps
    return min(max(round(fps), LEAST_FPS), MOST_FPS)


def R_world_cam(recording: Rows) -> np.ndarray:
    """(3, 3) from how the camera was put up, where that is known; else it counts as level."""
    told = [recording.header["constants"].get(key) for key in ("camera_pitch_deg", "camera_roll_deg")]
    if told == [None, None]:
        return R_WORLD_CAM
    try:
        return world_of_camera(*(float(text or 0) for text in told))
    except ValueError:
        raise RecordError(f"camera_pitch_deg, camera_roll_deg: {told} are no angles") from None


def shape_of_most(rows: np.ndarray, shown: np.ndarray) -> np.ndarray:
    """(10,) float32: mean betas of the person who was tracked longest in the rows `shown`; of everybody where nobody
    was."""
    tracked = shown[rows["state"][shown] >= STATES.index("warming")]
    if len(tracked):
        people, counts = np.unique(rows["person"][tracked], return_counts=True)
        shown = tracked[rows["person"][tracked] == people[counts.argmax()]]
    return rows["theta"][:, 75:][shown].astype(np.float64).mean(axis=0).astype(np.float32)


def slerp(start: np.ndarray, end: np.ndarray, share: np.ndarray) -> np.ndarray:
    """Unit quaternions (…, 4) → (…, 4), the shorter way round; share (…, 1) in [0, 1]."""
    cosine = (start * end).sum(axis=-1, keepdims=True)
    end, cosine = np.where(cosine < 0, -end, end), np.abs(cosine)
    angle = np.arccos(np.minimum(cosine, 1.0))
    sine = np.sin(angle)
    near = sine < 1e-6  # there the two weights are the line's
    safe = np.where(near, 1.0, sine)
    first = np.where(near, 1.0 - share, np.sin((1.0 - share) * angle) / safe)
    second = np.where(near, share, np.sin(share * angle) / safe)
    turned = first * start + second * end
    return turned / np.linalg.norm(turned, axis=-1, keepdims=True)


def _with_somebody(rows: np.ndarray) -> np.ndarray:
    """Indices (N,) of the rows that show somebody, each later than the one before."""
    shown = np.flatnonzero(rows["state"] != STATES.index("lost"))
    if not len(shown):
        raise RecordError("nobody was seen in it: there is no motion to write")
    stamps = rows["t_capture_ns"][shown]
    later = np.ones(len(shown), bool)
    later[1:] = stamps[1:] > np.maximum.accumulate(stamps)[:-1]
    return shown[later]


def _between(t_s: np.ndarray, instants_s: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """For each instant the index of the row before it, and how far toward the next one it is, 0 to 1."""
    before = np.clip(np.searchsorted(t_s, instants_s + 1e-9, side="right") - 1, 0, len(t_s) - 1)
    if len(t_s) == 1:
        return before, np.zeros(len(instants_s))
    step = np.append(np.diff(t_s), 1.0)[before]
    share = np.clip((instants_s - t_s[before]) / step, 0.0, 1.0)
    share[(step > LONGEST_BRIDGE_S) | (before == len(t_s) - 1)] = 0.0
    return before, share


def _on_floor(motion: Steady, body: Body) -> Steady:
    from realtime.files.ground import ground_height  # which is about a Steady

    x, _, z = motion.pelvis[0]
    origin = np.tile((x, 0.0, z), (len(motion.pelvis), 1))
    origin[:, 1] = ground_height(motion, body)
    return replace(motion, pelvis=motion.pelvis - origin)
