"""Where an avatar stands, and what it does when nobody is seen: hold, then ease to rest, and back when somebody comes.

Unity's axes, metres. The avatar stands on y = 0 with its lowest bone as high above it as it is made to be.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from realtime.coordinates import UNITY
from realtime.floor import Floor
from realtime.humanoid import BONES, Skeleton, fold, fold_offsets
from realtime.messages import PoseMessage
from realtime.sinks.bones import BonePose
from realtime.vrm import Avatar

HOLD_S = 0.5  # after the person was lost, or the stream broke off, the pose is held this long …
EASE_S = 1.0  # … and then goes to rest within this time
RETURN_S = 0.25  # who comes back is followed within this time, without a jump
LONGEST_TURN_S = 0.1  # a pause between two frames moves nothing by more than this
_REST = np.tile([0.0, 0.0, 0.0, 1.0], (len(BONES), 1))


@dataclass(frozen=True, eq=False)
class StageFrame:
    positions: np.ndarray  # (22, 3) of the bones against their parents
    quaternions: np.ndarray  # (22, 4) xyzw
    root: np.ndarray  # (7,) position and quaternion of what carries the avatar
    tracking: bool


class Stage:
    """avatar: where it is known, its bones, measures and step length are used instead of the person's.

    floor: stand on y = 0 (else the Hips are as high above or below it as the person's pelvis is to the camera).
    start: a person begins at the origin of the ground (else where the camera sees him). on_root: movement over
    the ground goes to the root instead of the Hips.
    """

    def __init__(
        self,
        neutral: Skeleton,
        avatar: Avatar | None = None,
        floor: bool = True,
        start: bool = True,
        on_root: bool = False,
        upper_chest: bool = True,
    ) -> None:
        self._avatar = avatar
        self._bones = avatar.bones if avatar else {*BONES} - (set() if upper_chest else {"UpperChest"})
        self._has_floor, self._from_start, self._on_root = floor, start, on_root
        self._floor = Floor()
        self._person: int | None = None
        self._seq = 0
        self._origin = np.zeros(2)  # x, z in the world
        self._skeleton = neutral
        self._quaternions = _REST
        self._hips = np.array([0.0, self._hips_m(), 0.0]) if floor else np.zeros(3)
        self._share = 0.0  # of the pose, against rest
        self._seen_s = -math.inf
        self._at_s = -math.inf

    @property
    def at_rest(self) -> bool:
        """Nobody is there, and nothing moves."""
        return self._share <= 0.0

    def moves(self, now_s: float) -> bool:
        """Whether it goes on by itself, without another message."""
        return self._share > 0.0 if now_s - self._seen_s > HOLD_S else self._share < 1.0

    def see(self, now_s: float, message: PoseMessage, pose: BonePose) -> None:
        """Take in a message. Who is out of sight for a moment is held on; nothing is taken from a lost one."""
        if message.seq < self._seq:  # the stream was started anew, and counts its people anew
            self._person = None
        self._seq = message.seq
        if message.state == "held" and message.person == self._person:
            self._seen_s = now_s
        if message.state not in ("tracking", "warming"):
            return
        if message.person != self._person:
            self._person = message.person
            self._floor.reset()
            self._origin = pose.hips[[0, 2]] if self._from_start else np.zeros(2)
        self._seen_s = now_s
        self._skeleton = pose.skeleton
        self._quaternions = UNITY.quaternions(fold(pose.rotations, self._bones))
        self._hips = self._place(now_s, pose)

    def frame(self, now_s: float) -> StageFrame:
        """What to show now. Always finite, quaternions of length 1."""
        self._advance(now_s)
        share = self._share * self._share * (3.0 - 2.0 * self._share)  # begins and ends gently
        hips, quaternions = self._hips, self._quaternions
        if share < 1.0:
            quaternions = slerp(_REST, quaternions, share)
            if self._has_floor:
                hips = hips.copy()
                hips[1] += (1.0 - share) * (self._hips_m() - hips[1])
        offsets = self._avatar.offsets if self._avatar else fold_offsets(self._skeleton.offsets, self._bones)
        positions = UNITY.points(offsets)
        root = np.array([0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0])
        if self._on_root:
            root[[0, 2]] = hips[[0, 2]]
            hips = np.array([0.0, hips[1], 0.0])
        # Against what carries the Hips: in most avatars a node at the origin.
        carrier = UNITY.points(self._avatar.places[0] - self._avatar.offsets[0]) if self._avatar else 0.0
        positions[0] = hips - carrier
        return StageFrame(positions, quaternions, root, tracking=share > 0.0)

    def _advance(self, now_s: float) -> None:
        passed_s = min(max(0.0, now_s - self._at_s), LONGEST_TURN_S)
        self._at_s = now_s
        if now_s - self._seen_s <= HOLD_S:
            self._share = min(1.0, self._share + passed_s / RETURN_S)
        else:
            self._share = max(0.0, self._share - passed_s / EASE_S)

    def _hips_m(self) -> float:
        """Height of the Hips when it stands at rest."""
        return self._avatar.hips_m if self._avatar else float(self._skeleton.offsets[0, 1])

    def _place(self, now_s: float, pose: BonePose) -> np.ndarray:
        """(3,) where the Hips are in Unity's axes. A person's steps are as long as his legs; an avatar's as its own."""
        skeleton, scale = pose.skeleton, 1.0
        sole_m = skeleton.sole_m
        if self._avatar:
            scale = self._avatar.leg_m / (skeleton.offsets[0, 1] - skeleton.sole_m)
            sole_m = self._avatar.hips_m - self._avatar.leg_m
        x, z = scale * (pose.hips[[0, 2]] - self._origin)
        y = scale * pose.hips[1]
        if self._has_floor:
            ground_m = -self._floor.update(now_s, -pose.lowest_m)  # the lowest joint of one who stands
            y = scale * (pose.hips[1] - ground_m) + sole_m
        return UNITY.points(np.array([x, y, z]))


def slerp(start: np.ndarray, end: np.ndarray, share: float) -> np.ndarray:
    """(N, 4) unit quaternions, `share` of the way from one to the other, the shorter way round."""
    cosine = np.einsum("ni,ni->n", start, end)
    end = np.where(cosine[:, None] < 0.0, -end, end)
    angle = np.arccos(np.minimum(np.abs(cosine), 1.0))
    sine = np.sin(angle)
    near = sine < 1e-6  # a straight line is as good, and divides by nothing
    safe = np.where(near, 1.0, sine)
    a = np.where(near, 1.0 - share, np.sin((1.0 - share) * angle) / safe)
    b = np.where(near, share, np.sin(share * angle) / safe)
    between = a[:, None] * start + b[:, None] * end
    return between / np.linalg.norm(between, axis=1, keepdims=True)
