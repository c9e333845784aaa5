"""Samples that the head which leads poses learns from: what it is shown, and where stream and truth were then.

Of every take also what a mirror would show: left and right changed, everything else as likely.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from realtime.body.rotations import axis_angle_to_matrix
from realtime.errors import LoadError
from realtime.lead import ahead_of
from realtime.lead_head import History
from training.lead_streams import Replay
from training.motion import SWAP_SIDES, mirror

HORIZONS_MS = tuple(100.0 / 3.0 * k for k in range(1, 7))  # 33 … 200
LEAST_PAST = 4  # poses that the head has seen before it is asked
SLOWEST_S = 0.1  # from one frame to the next: takes of fewer than 10 pictures a second are left out


@dataclass(frozen=True)
class Samples:
    """N moments. `follows`: the two samples after this one are of the two frames after its own."""

    inputs: np.ndarray  # (N, INPUTS, 25, 3)
    rotations: np.ndarray  # (N, 24, 3, 3) the stream's now
    betas: np.ndarray  # (N, 10)
    joints: np.ndarray  # (N, 24, 3) the stream's now, metres about the pelvis
    later: np.ndarray  # (N, H, 24, 3) the stream's own, at each of HORIZONS_MS
    true: np.ndarray  # (N, H, 24, 3) the truth's
    true_now: np.ndarray  # (N, 24, 3)
    way: np.ndarray  # (N, H, 3) of the stream's pelvis until then
    follows: np.ndarray  # (N,) bool
    subject: np.ndarray  # (N,) text
    dt_s: np.ndarray  # (N,) since the frame before


@dataclass(frozen=True)
class _Said:
    """A take as the stream saw it, or in a mirror."""

    rotations: np.ndarray  # (T, 24, 3, 3)
    ahead: np.ndarray  # (T, 24, 3, 3)
    trans: np.ndarray  # (T, 3)
    joints: np.ndarray  # (T, 24, 3)
    true: np.ndarray  # (T, 24, 3)


def samples_of(replays: Iterable[Replay]) -> Samples:
    """All moments of all replays at which the person was tracked from before until 200 ms after.

    Raises LoadError where there is none.
    """
    parts: list[dict[str, np.ndarray]] = []
    for replay in replays:
        said = _said(replay)
        for own in (said, _mirrored(said)):
            if part := _samples(replay, own):
                parts.append(part)
    if not parts:
        raise LoadError("nobody is tracked for long enough in these takes; give more of them (--observed)")
    return Samples(**{key: np.concatenate([part[key] for part in parts]) for key in parts[0]})


def _said(replay: Replay) -> _Said:
    estimates = replay.estimates
    pose = np.stack([estimate.theta[3:75] for estimate in estimates])
    ahead = np.stack([ahead_of(estimate) for estimate in estimates])
    joints = replay.take.joints
    return _Said(
        axis_angle_to_matrix(pose.reshape(-1, 24, 3)),
        axis_angle_to_matrix(ahead.reshape(-1, 24, 3)),
        np.stack([estimate.trans for estimate in estimates]),
        np.stack([estimate.joints for estimate in estimates]),
        (joints - joints[:, :1]).astype(np.float32),
    )


def _mirrored(said: _Said) -> _Said:
    flip = np.array([-1.0, 1.0, 1.0], np.float32)
    return _Said(
        mirror(said.rotations),
        mirror(said.ahead),
        said.trans * flip,
        said.joints[:, SWAP_SIDES] * flip,
        said.true[:, SWAP_SIDES] * flip,
    )


def _samples(replay: Replay, said: _Said) -> dict[str, np.ndarray]:
    estimates, t_ns = replay.estimates, replay.t_ns
    tracked = np.array([estimate.state == "tracking" for estimate in estimates])
    horizons_ns = np.round(np.array(HORIZONS_MS) * 1e6).astype(np.int64)
    history, past = History(), 0
    rows, inputs = [], []
    for t, is_tracked in enumerate(tracked):
        if not is_tracked:
            history.reset()
            past = 0
            continue
        history.push(int(t_ns[t]), said.rotations[t], said.trans[t], said.joints[t])
        past += 1
        then = np.searchsorted(t_ns, t_ns[t] + horizons_ns[-1])
        if past < LEAST_PAST or then >= len(t_ns) or not tracked[t : then + 1].all():
            continue
        if np.diff(t_ns[t - LEAST_PAST + 1 : then + 1]).max() > SLOWEST_S * 1e9:
            continue
        rows.append(t)
        inputs.append(history.inputs(said.ahead[t]))
    if not rows:
        return {}
    at = np.array(rows)
    wanted = t_ns[at][:, None] + horizons_ns
    later, true, trans = (_at(t_ns, values, wanted) for values in (said.joints, said.true, said.trans))
    follows = np.zeros(len(at), bool)
    follows[:-2] = at[2:] - at[:-2] == 2
    betas = np.stack([estimate.theta[75:] for estimate in estimates])
    return {
        "inputs": np.stack(inputs),
        "rotations": said.rotations[at],
        "betas": betas[at],
        "joints": said.joints[at],
        "later": later,
        "true": true,
        "true_now": said.true[at],
        "way": trans - said.trans[at][:, None],
        "follows": follows,
        "subject": np.full(len(at), replay.take.clip.split("_")[0]),
        "dt_s": np.diff(t_ns)[at - 1] / 1e9,
    }


def _at(t_ns: np.ndarray, values: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Values (T, …) at t_ns (T,) → at `wanted` (N, H), on a straight line between two frames: (N, H, …) float32."""
    after = np.clip(np.searchsorted(t_ns, wanted), 1, len(t_ns) - 1)
    share = ((wanted - t_ns[after - 1]) / (t_ns[after] - t_ns[after - 1])).astype(np.float32)
    share = share.reshape(share.shape + (1,) * (values.ndim - 1))
    return (values[after - 1] + (values[after] - values[after - 1]) * share).astype(np.float32)
