"""Two looks at one person, plain and mirrored, made one.

BlazePose errs differently on the mirror picture, so the mean of both looks is nearer to the truth and steadier,
above all in depth. Where they do not agree which arm or leg is the left one, a mean would lie between the limbs: then
the look that goes on from the frame before is taken alone, and those limbs count as badly seen. Visibility does not
tell by itself: in a clip of people seen from behind it is 0.69 on such frames, 0.75 on the others.
"""

from __future__ import annotations

import numpy as np

from realtime.perception.look import LANDMARKS, SWAPPED, Look

MODES = ("off", "alternate", "both")
LIMBS = (slice(11, 23), slice(23, LANDMARKS))  # arms with hands; hips, legs and feet
DOUBT = 0.5  # what the visibility of limbs is worth of which left and right are in doubt
SHARE = 0.5  # of the newest difference between looks of two frames in the running one


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
    return Look(
        presence, chosen.points, chosen.world, np.where(doubtful, DOUBT, 1.0).astype(np.float32) * visibility
    )


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
        self._count = 0

    def take(self, look: Look) -> Look:
        """The look of this frame, at the picture that `mirrored` asked for → what it comes to."""
        sign = -1.0 if self.mirrored else 1.0
        last, self._last = self._last, look
        self.mirrored = not self.mirrored
        if last is None:
            return look
        doubtful = confused(look.world, last.world)
        if doubtful.any():
            self._count = 0
            visibility = np.where(doubtful, DOUBT, 1.0).astype(np.float32) * look.visibility
            return Look(look.presence, look.points, look.world, visibility)
        now = tuple(sign / 2 * (a - b) for a, b in ((look.points, last.points), (look.world, last.world)))
        self._count += 1
        share = max(SHARE, 1.0 / self._count)
        half = (
            now
            if self._count == 1
            else tuple(h + share * (n - h) for h, n in zip(self._half, now, strict=True))
        )
        self._half = half
        return Look(look.presence, look.points - sign * half[0], look.world - sign * half[1], look.visibility)
