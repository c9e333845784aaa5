"""Variety of poses, the bottleneck of a model trained on an hour of motion: windows of motion, mixed and bent.

A window is asked for at arbitrary times, so that one routine gives every frame rate, speed and look-ahead.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from realtime.body.rotations import axis_angle_to_matrix, matrix_to_rotation_6d, rotation_6d_to_matrix
from realtime.body.skeleton import JOINT_NAMES
from training.motion import Clip, clip_weights, held_near, mirror


def _indices(*names: str) -> np.ndarray:
    return np.array([i for i, joint in enumerate(JOINT_NAMES) if any(joint.endswith(name) for name in names)])


LEGS = _indices("hip", "knee", "ankle", "foot")
ARMS = _indices("collar", "shoulder", "elbow", "wrist", "hand")
TORSO = _indices("spine1", "spine2", "spine3", "neck", "head")

# How often each kind of change is made, and how strong it is.
P_AS_CAPTURED = 0.2  # windows that are none of what follows but mirrored or reversed
P_OTHER_ARMS, P_OTHER_TORSO, P_OTHER_LEGS = 0.6, 0.4, 0.35
P_POSE_PAIR = 0.2  # MVIPER: from one clip to another by the farthest pair of their poses
PAIR_CANDIDATES, PAIR_SPREAD_FRAMES = (
    24,
    150,
)  # poses of each clip that are compared, and over how many frames
PAIR_SPEED_RAD = 0.22  # per frame: rms over the joints that the way between the poses takes
P_STRAIGHT_LEGS = 0.12  # the capture hardly knows a person who just stands
P_ARMS_DOWN = 0.06
P_MIRROR, P_REVERSE = 0.5, 0.2
BEND_SD_RAD = np.radians(10.0)  # constant turn of every joint
TILT_SD_RAD = np.radians(7.0)  # of the whole body
_REST_ARM_RAD = np.radians(72.0)  # from the T-pose to arms that hang


@dataclass(frozen=True)
class Variety:
    """Which changes are made at all; for ablations."""

    mixing: bool = True  # arms, legs and torso of other clips
    interpolation: bool = True  # one clip joined to another by a pair of their poses
    bending: bool = True  # straight legs, hanging arms, constant turns, tilt


@dataclass(frozen=True)
class Window:
    """T frames of motion and the same motion a moment away. World axes (y up), metres."""

    rotations: np.ndarray  # (T, 24, 3, 3)
    ahead: np.ndarray  # (T, 24, 3, 3) at t + dt_ahead
    trans: np.ndarray  # (T, 3), about the origin
    name: str  # of the clip it began as


class MotionBank:
    """All training clips as 6-D rotations, to be sampled at any time."""

    def __init__(self, clips: list[Clip], variety: Variety | None = None) -> None:
        self._variety = variety or Variety()
        self._rows = [matrix_to_rotation_6d(clip.rotations).astype(np.float32) for clip in clips]
        self._trans = [clip.trans.astype(np.float32) for clip in clips]
        self._weights = clip_weights(clips)
        self._names = [clip.name for clip in clips]

    def _draw(self, rng: np.random.Generator, span: float) -> tuple[int, float]:
        """A clip, and a first time (frames) in it that leaves room for `span` frames where the clip is long enough."""
        index = int(rng.choice(len(self._rows), p=self._weights))
        room = len(self._rows[index]) - 1 - span
        return index, float(rng.uniform(0.0, room)) if room > 0 else 0.0

    def window(self, times: np.ndarray, ahead: np.ndarray, rng: np.random.Generator) -> Window:
        """times (T,) and ahead (any number, may be none) in frames of the capture (30 fps), from 0."""
        both = np.concatenate([times, ahead])
        span = float(both.max())
        if rng.uniform() < P_REVERSE:
            both = span - both
        index, first = self._draw(rng, span)
        rows = _sample(self._rows[index], first + both)
        trans = _sample(self._trans[index], first + both[: len(times)])
        as_captured = rng.uniform() < P_AS_CAPTURED
        if not as_captured:
            rows = self._mixed(rows, both, rng)
        rotations = rotation_6d_to_matrix(rows)
        if not as_captured and self._variety.bending:
            rotations = _bent(rotations, rng)
        if rng.uniform() < P_MIRROR:
            rotations = mirror(rotations)
            trans = trans * np.array([-1.0, 1.0, 1.0], np.float32)
        count = len(times)
        return Window(rotations[:count], rotations[count:], held_near(trans), self._names[index])

    def _mixed(self, rows: np.ndarray, times: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Limbs of other clips, or a clip that goes over into another; rows (T, 24, 6) at times (T,)."""
        span = float(times.max())
        for chance, joints in ((P_OTHER_ARMS, ARMS), (P_OTHER_TORSO, TORSO), (P_OTHER_LEGS, LEGS)):
            if self._variety.mixing and rng.uniform() < chance:
                other, start = self._draw(rng, span)
                rows[:, joints] = _sample(self._rows[other], start + times)[:, joints]
        joined = self._variety.interpolation and rng.uniform() < P_POSE_PAIR
        return self._pose_pair(rows, times, rng) if joined else rows

    def _pose_pair(self, rows: np.ndarray, times: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """One clip up to a pose A, the way to B, another clip from B on: A and B are the farthest pair of some poses
        of both (MVIPER §3); the longer the way, the more frames. The root stays as it moves. rows (T, 24, 6) at times
        (T,)."""
        clips, poses, places = [], [], []
        for _ in range(2):
            index, first = self._draw(rng, PAIR_SPREAD_FRAMES)
            at = first + np.sort(rng.uniform(0.0, PAIR_SPREAD_FRAMES, PAIR_CANDIDATES))
            clips.append(self._rows[index])
            places.append(at)
            poses.append(_sample(self._rows[index], at))
        apart = ((poses[0][:, None, 1:] - poses[1][None, :, 1:]) ** 2).sum(axis=-1).mean(axis=-1)
        a, b = np.unravel_index(int(apart.argmax()), apart.shape)
        # Half the squared distance of two rotations in 6-D is about the squared angle between them.
        frames = max(6.0, float(np.sqrt(apart[a, b] / 2.0)) / PAIR_SPEED_RAD * np.exp(rng.normal(0.0, 0.4)))
        start = rng.uniform(times.min() - 0.5 * frames, times.max())
        share = np.clip((times - start) / frames, 0.0, 1.0)[:, None, None]
        before = _sample(clips[0], places[0][a] + np.minimum(times - start, 0.0))
        after = _sample(clips[1], places[1][b] + np.maximum(times - start - frames, 0.0))
        joined = before + share * share * (3.0 - 2.0 * share) * (after - before)
        joined[:, 0] = rows[:, 0]
        return joined.astype(np.float32)


def _sample(rows: np.ndarray, times: np.ndarray) -> np.ndarray:
    """rows (N, …) at fractional times (T,), linear, reflected at both ends."""
    last = len(rows) - 1
    if last == 0:
        return np.repeat(rows, len(times), axis=0).copy()
    folded = np.abs((times + last) % (2 * last) - last)
    low = np.minimum(folded.astype(int), last - 1)
    share = (folded - low).reshape(-1, *[1] * (rows.ndim - 1)).astype(np.float32)
    return rows[low] * (1.0 - share) + rows[low + 1] * share


def _bent(rotations: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Straight legs, hanging arms, and a constant turn of every joint now and then. (T, 24, 3, 3)."""
    if rng.uniform() < P_STRAIGHT_LEGS:
        rotations = _toward_rest(rotations, LEGS, rng.uniform(0.0, 0.35))
    if rng.uniform() < P_ARMS_DOWN:
        rotations = _hang_arms(rotations, rng)
    bend = rng.normal(0.0, BEND_SD_RAD * rng.uniform(0.2, 1.2), (24, 3))
    bend[0] = rng.normal(0.0, TILT_SD_RAD, 3)
    bend[[10, 11, 22, 23]] *= 0.3  # toes and hands say little and bend little
    # The root is tilted in the world (the left side), the other joints in their own frames.
    turn = axis_angle_to_matrix(bend)
    rotations[:, 0] = turn[0] @ rotations[:, 0]
    rotations[:, 1:] = rotations[:, 1:] @ turn[1:]
    return rotations


def _toward_rest(rotations: np.ndarray, joints: np.ndarray, keep: float) -> np.ndarray:
    """Keep only a share of these joints' turns: at 0 they are as in the T-pose, legs straight."""
    identity = np.array([1, 0, 0, 0, 1, 0], np.float32)
    rows = identity + keep * (matrix_to_rotation_6d(rotations[:, joints]) - identity)
    rotations[:, joints] = rotation_6d_to_matrix(rows)
    return rotations


def _hang_arms(rotations: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Arms hanging at the sides, moving a little with what they did."""
    rotations = _toward_rest(rotations, ARMS, rng.uniform(0.0, 0.25))
    for name, sign in (("left_shoulder", -1.0), ("right_shoulder", 1.0)):
        angle = sign * (_REST_ARM_RAD + rng.normal(0.0, np.radians(8.0)))
        joint = JOINT_NAMES.index(name)
        rotations[:, joint] = axis_angle_to_matrix(np.array([0.0, 0.0, angle])) @ rotations[:, joint]
    return rotations
