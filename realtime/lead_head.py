"""Where the stream is going, told by what it said in the last quarter of a second (training/fit_lead.py).

f_Δt says where the person will be, and trembles with what is seen; how every joint turned until now says where the
stream's own pose goes next. A pose is led by so much of each, the same shares for every joint, which are fitted to be
nearest to the stream's own later poses without trembling much more than these do:

    turn until KNOT = Σ over ages  share · turn since then  +  share · f_Δt's turn
"""

from __future__ import annotations

import json
from bisect import bisect_left
from collections import deque
from pathlib import Path

import numpy as np

from realtime.body.rotations import axis_angle_to_matrix
from realtime.errors import LoadError

AGES_MS = (100.0 / 3.0, 200.0 / 3.0, 100.0, 400.0 / 3.0, 200.0, 800.0 / 3.0)  # of the past poses it is shown
KNOTS_MS = (200.0 / 3.0, 400.0 / 3.0, 200.0)  # what it foretells; between them everything goes on steadily
AHEAD_MS = 500.0 / 3.0  # the f_Δt that it is shown
JOINTS = 24
INPUTS = len(AGES_MS) + 1  # turns since each age, and f_Δt's
SPEED_MS = 100.0  # over which the person's speed is taken


class History:
    """The poses of one person up to now, as far back as the head looks."""

    def __init__(self) -> None:
        # Stamps, and of each its pose: rotations (24, 3, 3) and pelvis in one row, joints in another.
        self._stamps: deque[int] = deque()
        self._poses: deque[np.ndarray] = deque()
        self._joints: deque[np.ndarray] = deque()

    def __len__(self) -> int:
        return len(self._stamps)

    def reset(self) -> None:
        for own in (self._stamps, self._poses, self._joints):
            own.clear()

    def push(self, t_ns: int, rotations: np.ndarray, trans: np.ndarray, joints: np.ndarray) -> None:
        """The newest pose: (24, 3, 3), (3,) metres, (24, 3) metres about the pelvis. t_ns must grow."""
        self._stamps.append(t_ns)
        self._poses.append(np.concatenate((rotations.ravel(), trans)))
        self._joints.append(joints)
        oldest_ns = t_ns - round(AGES_MS[-1] * 1e6)
        while len(self._stamps) > 2 and self._stamps[1] <= oldest_ns:
            for own in (self._stamps, self._poses, self._joints):
                own.popleft()

    @property
    def speed_m_s(self) -> float:
        """How fast the joints move about the pelvis, in the mean, over the last SPEED_MS, or since the frame before;
        0 with the first pose."""
        if len(self._stamps) < 2:
            return 0.0
        now_ns = self._stamps[-1]
        since = bisect_left(self._stamps, now_ns - round(SPEED_MS * 1.1e6))
        since = min(
            since, len(self._stamps) - 2
        )  # the frame before, where frames are further apart than that
        way = np.linalg.norm(self._joints[-1] - self._joints[since], axis=-1).mean()
        return float(way) / ((now_ns - self._stamps[since]) / 1e9)

    def inputs(self, ahead: np.ndarray) -> np.ndarray:
        """(INPUTS, 25, 3) float32 of the newest pose: how every joint turned since each age, radians about its own
        axes, and the pelvis went, metres; last, f_Δt's turn from now. ahead: (24, 3, 3), f_Δt of it, AHEAD_MS later.

        Before the oldest pose the person counts as having stood still.
        """
        poses = np.array(self._poses, np.float32)
        now = poses[-1, :-3].reshape(JOINTS, 3, 3)
        # Between two poses not quite orthonormal: for so small turns it is the same.
        past = self._shares() @ poses
        others = np.concatenate((past[:, :-3].reshape(-1, JOINTS, 3, 3), ahead[None]))
        inputs = np.zeros((INPUTS, JOINTS + 1, 3), np.float32)
        inputs[:, :JOINTS] = vee(np.swapaxes(others, -1, -2) @ now)
        inputs[-1] *= -1.0
        inputs[:-1, JOINTS] = poses[-1, -3:] - past[:, -3:]
        return inputs

    def _shares(self) -> np.ndarray:
        """(ages, poses) how much each pose counts in the one at each age."""
        stamps = self._stamps
        shares = np.zeros((len(AGES_MS), len(stamps)), np.float32)
        for row, age in zip(shares, AGES_MS, strict=True):
            wanted = stamps[-1] - round(age * 1e6)
            after = bisect_left(stamps, wanted)
            if after == 0:
                row[0] = 1.0
                continue
            row[after] = (wanted - stamps[after - 1]) / (stamps[after] - stamps[after - 1])
            row[after - 1] = 1.0 - row[after]
        return shares


class Head:
    """The shares: pose (knots, INPUTS), pelvis (knots, ages)."""

    def __init__(self, pose: np.ndarray, pelvis: np.ndarray) -> None:
        """Raises ValueError for other shapes, or numbers that are not finite."""
        for name, found, width in (("pose", pose, INPUTS), ("pelvis", pelvis, len(AGES_MS))):
            if found.shape != (len(KNOTS_MS), width) or not np.isfinite(found).all():
                raise ValueError(f"{name}: expected {len(KNOTS_MS)} × {width} finite numbers")
        self._pose, self._pelvis = pose.astype(np.float32), pelvis.astype(np.float32)

    def __call__(self, inputs: np.ndarray) -> np.ndarray:
        """(INPUTS, 25, 3) → (knots, 25, 3) float32: turns of the joints from now, radians; the pelvis's way, metres."""
        moves = (self._pose @ inputs.reshape(INPUTS, -1)).reshape(-1, JOINTS + 1, 3)
        moves[:, JOINTS] = self._pelvis @ inputs[:-1, JOINTS]
        return moves


def load_head(path: Path) -> Head:
    """Raises LoadError for a file that is none."""
    try:
        with path.open(encoding="utf-8") as file:
            shares = json.load(file)
        if [shares["ages_ms"], shares["knots_ms"]] != [
            list(map(_tenths, ages)) for ages in (AGES_MS, KNOTS_MS)
        ]:
            raise ValueError("of other ages or knots")
        return Head(np.array(shares["pose"], float), np.array(shares["pelvis"], float))
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise LoadError(
            f"{path}: no head that leads poses ({error})\nmake it anew: python -m training.fit_lead"
        ) from None


def save_head(path: Path, pose: np.ndarray, pelvis: np.ndarray) -> None:
    """Shares as of Head, rounded to a thousandth, as JSON."""
    shares = {
        "ages_ms": [_tenths(ms) for ms in AGES_MS],
        "knots_ms": [_tenths(ms) for ms in KNOTS_MS],
        "pose": np.round(pose, 3).tolist(),
        "pelvis": np.round(pelvis, 3).tolist(),
    }
    lines = [f" {json.dumps(key)}: {json.dumps(value)}" for key, value in shares.items()]
    path.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")


def moves_at(knots: np.ndarray, ms: float) -> np.ndarray:
    """(knots, 25, 3) of a head → (25, 3) after `ms`: steadily from one knot to the next, after the last no further."""
    times = np.array((0.0, *KNOTS_MS))
    k = int(np.clip(np.searchsorted(times, ms), 1, len(KNOTS_MS)))
    share = np.float32(np.clip((ms - times[k - 1]) / (times[k] - times[k - 1]), 0.0, 1.0))
    before = knots[k - 2] if k > 1 else np.zeros_like(knots[0])
    return _mix(before, knots[k - 1], share)


def vee(rotations: np.ndarray) -> np.ndarray:
    """(…, 3, 3) → (…, 3): axis times the sine of the angle, for turns of less than a quarter nearly the angle."""
    m = rotations
    twice = np.stack(
        (m[..., 2, 1] - m[..., 1, 2], m[..., 0, 2] - m[..., 2, 0], m[..., 1, 0] - m[..., 0, 1]), axis=-1
    )
    return twice * np.float32(0.5)


def turned(rotations: np.ndarray, turns: np.ndarray) -> np.ndarray:
    """(24, 3, 3) and (24, 3) radians, each about the joint's own axes → (24, 3, 3) float32."""
    return rotations @ axis_angle_to_matrix(turns)


def _mix(before: np.ndarray, after: np.ndarray, share: np.ndarray | np.float32) -> np.ndarray:
    return before + (after - before) * share


def _tenths(ms: float) -> float:
    return round(ms, 1)
