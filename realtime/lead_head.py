"""Where the stream is going: a small network on what it said in the last quarter of a second (training/fit_lead.py).

f_Δt says where the person will be, and is modest about it, since it must be right in the mean; this head also sees how
every joint turned until now, and says by how much the stream's own pose will have turned on.

past poses ─► turns until now ─┐
present pose ──────────────────┼─► hidden layer ─► turns from now, pelvis: at KNOTS_MS
f_Δt's turn from now ──────────┘
"""

from __future__ import annotations

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
MOVES = 3 * (JOINTS + 1)  # of every joint and of the pelvis
INPUTS = len(AGES_MS) * MOVES + 3 * JOINTS + 6 * JOINTS
OUTPUTS = len(KNOTS_MS) * MOVES
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
        """How fast the joints move about the pelvis, in the mean, over the last SPEED_MS; 0 with the first pose."""
        now_ns = self._stamps[-1]
        since = bisect_left(self._stamps, now_ns - round(SPEED_MS * 1.1e6))
        if self._stamps[since] == now_ns:
            return 0.0
        way = np.linalg.norm(self._joints[-1] - self._joints[since], axis=-1).mean()
        return float(way) / ((now_ns - self._stamps[since]) / 1e9)

    def inputs(self, ahead: np.ndarray) -> np.ndarray:
        """(INPUTS,) float32 of the newest pose. ahead: (24, 3, 3), f_Δt of it, AHEAD_MS later.

        Before the oldest pose the person counts as having stood still.
        """
        poses = np.array(self._poses, np.float32)
        rotations = poses[-1, :-3].reshape(JOINTS, 3, 3)
        # Between two poses not quite orthonormal: for so small turns it is the same.
        past = self._shares() @ poses
        back = np.empty((len(AGES_MS) + 1, JOINTS, 3, 3), np.float32)
        back[:-1] = past[:, :-3].reshape(-1, JOINTS, 3, 3)
        back[-1] = ahead
        turns = vee(np.swapaxes(back, -1, -2) @ rotations)
        until_now = np.concatenate(
            (turns[:-1].reshape(len(AGES_MS), -1), poses[-1, -3:] - past[:, -3:]), axis=1
        )
        return np.concatenate((until_now.ravel(), -turns[-1].ravel(), rotations[:, :, :2].ravel()))

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
    """The weights. Arrays of the file: mean, scale (INPUTS,); w0, b0, w1, b1; moves (OUTPUTS,) units of the output."""

    def __init__(self, arrays: dict[str, np.ndarray], name: str = "head") -> None:
        """Raises LoadError for arrays of other shapes."""
        hidden = len(arrays.get("b0", ()))
        shapes = {
            "mean": (INPUTS,),
            "scale": (INPUTS,),
            "w0": (INPUTS, hidden),
            "b0": (hidden,),
            "w1": (hidden, OUTPUTS),
            "skip": (INPUTS, OUTPUTS),
            "b1": (OUTPUTS,),
        }
        for key, shape in shapes.items():
            found = arrays.get(key)
            if found is None or found.shape != shape or not np.isfinite(found).all():
                raise LoadError(f"{name}: no head that leads poses: {key} should be {shape}\nmake it anew: "
                                "python -m training.fit_lead")  # fmt: skip
        own = {key: arrays[key].astype(np.float32) for key in shapes}
        # Standardising is linear: it goes into the first layers.
        into = 1.0 / own["scale"]
        self._first = np.concatenate((own["w0"], own["skip"]), axis=1) * into[:, None]
        self._first_bias = np.concatenate((own["b0"], own["b1"])) - (own["mean"] @ self._first)
        self._second, self._hidden = own["w1"], hidden

    def __call__(self, inputs: np.ndarray) -> np.ndarray:
        """(INPUTS,) → (knots, 25, 3) float32: turns of the joints from now, radians, and the pelvis's way, metres."""
        first = inputs @ self._first + self._first_bias
        hidden, straight = first[: self._hidden], first[self._hidden :]
        out = straight + np.maximum(hidden, 0.0) @ self._second
        return np.asarray(out.reshape(len(KNOTS_MS), JOINTS + 1, 3), np.float32)


def load_head(path: Path) -> Head:
    """Raises LoadError for a file that is none."""
    try:
        with np.load(path, allow_pickle=False) as data:
            arrays = {key: data[key] for key in data.files}
    except (OSError, ValueError) as error:
        raise LoadError(f"{path}: cannot be read ({error})") from None
    return Head(arrays, path.name)


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
