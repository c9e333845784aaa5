"""Two looks at one person, plain and mirrored, made one.

BlazePose errs differently on the mirror picture, so the mean of both looks is nearer to the truth and steadier,
above all in depth. Where they do not agree which arm or leg is the left one, a mean would lie between the limbs: then
the look that goes on from the frame before is taken alone, and those limbs count as badly seen. Visibility does not
tell by itself: in a clip of people seen from behind it is 0.69 on such frames, 0.75 on the others.
"""

from __future__ import annotations

import os
from dataclasses import replace

import numpy as np

from realtime.perception.look import LANDMARKS, SWAPPED, Look

LIMBS = (slice(11, 23), slice(23, LANDMARKS))  # arms with hands; hips, legs and feet
DOUBT = 0.5  # what the visibility of limbs is worth of which left and right are in doubt
SHARE = 0.5  # of the newest difference between looks of two frames in the running one
TWO_LOOKS_SHARE = (
    0.6  # of the time between two pictures: the rest is for all that comes after, and for other programs
)
MOST_THREADS = 2  # of one look, unless more are asked for: more than two have not been measured


def mode_here(asked: str) -> str:
    """What `perception.mirror` comes to in this process: of `auto`, `both` where it may use two cores, else `off`.

    On one core the second look would come after the first: nearly twice the time of one.
    """
    if asked != "auto":
        return asked
    return "both" if _usable_cores() >= 2 else "off"


def too_slow(two_looks_s: float, fps: float) -> str:
    """Why `auto` comes to `off` all the same at so many pictures a second; empty where there is time for two looks."""
    fit_s = TWO_LOOKS_SHARE / fps
    if two_looks_s <= fit_s:
        return ""
    return f"two looks at a picture take {two_looks_s * 1e3:.0f} ms here, {fit_s * 1e3:.0f} would do at {fps:.0f} fps"


def threads_here(asked: int, mirror: str) -> int:
    """What `perception.threads` comes to: of 0, as many as there are cores for each look of `mirror` (off | alternate
    | both), MOST_THREADS at the most. With a second one a look takes two thirds of the time (docs/benchmarks.md)."""
    looks = 2 if mirror == "both" else 1
    return asked or max(1, min(MOST_THREADS, _usable_cores() // looks))


def _usable_cores() -> int:
    # Windows and macOS do not have it; os.process_cpu_count came with Python 3.13.
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def confused(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """World landmarks (33, 3) of two looks → (33,) bool: arms, or legs, that fit better with sides exchanged."""
    same = np.linalg.norm(one - other, axis=1)
    crossed = np.linalg.norm(one - other[SWAPPED[:LANDMARKS]], axis=1)
    doubtful = np.zeros(LANDMARKS, bool)
    for limbs in LIMBS:
        doubtful[limbs] = crossed[limbs].sum() < same[limbs].sum()
    return doubtful


def merge(plain: Look, mirrored: Look, before: Look | None) -> Look:
    """One look of two at the same crop. before: what the frame before came to; None with a person newly found."""
    presence = max(plain.presence, mirrored.presence)
    visibility = (plain.visibility + mirrored.visibility) / 2
    doubtful = confused(plain.world, mirrored.world)
    if not doubtful.any():
        points, world = (plain.points + mirrored.points) / 2, (plain.world + mirrored.world) / 2
        return Look(presence, points, world, visibility)
    chosen = plain
    if before is not None:
        way = [np.linalg.norm(look.world - before.world, axis=1).sum() for look in (plain, mirrored)]
        chosen = mirrored if way[1] < way[0] else plain
    return Look(presence, chosen.points, chosen.world, _doubted(visibility, doubtful))


class Alternation:
    """Plain and mirrored looks in turn, one per frame: half of what they differ by is tracked and taken off each.

    The difference of two frames also holds the motion between them, with a sign that alternates: averaged over SHARE it
    leaves a lag of a sixth of a frame.
    """

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """A new person, or one found anew: the next look stands alone."""
        self.mirrored = False  # whether the next frame is to be looked at mirrored
        self._last: Look | None = None
        self._half: tuple[np.ndarray, np.ndarray] | None = None  # of the difference: points, world

    def take(self, look: Look) -> Look:
        """The look of this frame, at the picture that `mirrored` asked for → what it comes to."""
        sign = -1.0 if self.mirrored else 1.0
        last, self._last = self._last, look
        self.mirrored = not self.mirrored
        if last is None:
            return look
        doubtful = confused(look.world, last.world)
        if doubtful.any():
            self._half = None
            return replace(look, visibility=_doubted(look.visibility, doubtful))
        half = (sign / 2 * (look.points - last.points), sign / 2 * (look.world - last.world))
        if self._half is not None:
            half = (_towards(self._half[0], half[0]), _towards(self._half[1], half[1]))
        self._half = half
        return replace(look, points=look.points - sign * half[0], world=look.world - sign * half[1])


def _towards(running: np.ndarray, newest: np.ndarray) -> np.ndarray:
    return running + np.float32(SHARE) * (newest - running)


def _doubted(visibility: np.ndarray, doubtful: np.ndarray) -> np.ndarray:
    return np.where(doubtful, np.float32(DOUBT), np.float32(1.0)) * visibility
