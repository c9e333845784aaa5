"""The pose a moment from now: what makes up for the time that a pose is under way to whoever sees it.

The network foretells poses (f_Δt, HMMR §3.3); a head beside it (realtime/lead_head.py), which also sees how the person
moved until now, says where the stream's own pose will be. How much of that is dared is the confidence: it grows
while somebody is tracked, falls to nothing where he moves no more than the stream trembles, and where he is lost what
was led falls back to the last pose seen: nothing is led through a loss.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from functools import cache

import numpy as np

from realtime.assets import ASSETS
from realtime.body.rotations import (
    axis_angle_to_matrix,
    between_axis_angles,
    matrix_to_axis_angle,
    turned_axis_angles,
)
from realtime.errors import LoadError
from realtime.lead_head import AHEAD_MS, JOINTS, Head, History, load_head, moves_at
from realtime.observation import Estimate

HEAD = "lead.json"  # in assets/, made by training/fit_lead.py
EASE_S = 0.3  # from no lead to all of it, after somebody was found
FALL_S = 0.1  # from what was led back to the last pose seen, where he is lost
STILL_M_S, MOVING_M_S = 0.18, 0.45  # speed of the joints up to which nothing is led; from which on all of it
MAX_TURN, MAX_WAY_M = 1.0, 0.5  # radians of a joint and metres of the pelvis that are led at most
GAP_S = 0.5  # what was before a longer pause says nothing of the motion now

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Led:
    """The body `ms` after its frame, as far as it can be told."""

    ms: float
    pose: np.ndarray  # (72,) float32, as Θ's
    trans: np.ndarray  # (3,) float32, pelvis in the camera frame, metres
    confidence: float  # 0: this is the present pose … 1: all that is foretold


class Leader:
    """Leads the estimates of one stream; remembers how its person moved, and for how long he has been tracked."""

    def __init__(self, head: Head | None = None) -> None:
        """head: None takes the one in assets/; where there is none, f_Δt alone leads."""
        self._head = shipped_head() if head is None else head
        self._history = History()
        self._person = 0
        self._t_ns = 0
        self._found = 0.0  # 0 … 1: how far he counts as tracked
        self._confidence = 0.0
        self._moves = np.zeros((JOINTS + 1, 3), np.float32)  # what was led last

    @property
    def confidence(self) -> float:
        """Of the last frame: above 0 where something was led."""
        return self._confidence

    def lead(self, t_ns: int, estimate: Estimate, lead_ms: float) -> Led:
        """Call it once for every frame, in order. t_ns: when the frame was taken; lead_ms ≥ 0."""
        since_s = (t_ns - self._t_ns) / 1e9
        same = estimate.person == self._person and 0.0 < since_s <= GAP_S
        self._person, self._t_ns = estimate.person, t_ns
        if estimate.state not in ("tracking", "warming"):
            led = self._fall_back(estimate, lead_ms, since_s if same else GAP_S)
            if not self._found:  # a frame or two in which he was missed: his motion goes on
                self._history.reset()
            return led
        if not same:
            self._history.reset()
            self._found = 0.0
        # Both in one call: what it costs is the calls, not the joints.
        poses = np.stack((estimate.theta[3:75], ahead_of(estimate))).reshape(2, JOINTS, 3)
        rotations, ahead = axis_angle_to_matrix(poses)
        if self._history:
            self._found = min(1.0, self._found + since_s / EASE_S)
        self._history.push(t_ns, rotations, estimate.trans, estimate.joints)
        wanted = self._found * _dared(self._history.speed_m_s) if estimate.ahead else 0.0
        most = since_s / FALL_S if same else 1.0
        self._confidence += min(
            most, max(-most, wanted - self._confidence)
        )  # no faster: a jump would be jitter
        self._moves = np.zeros((JOINTS + 1, 3), np.float32)
        if self._confidence:  # who keeps still costs little
            moves = self._foretold(estimate, rotations, ahead, lead_ms)
            self._moves = moves * np.float32(self._confidence)
        return self._led(estimate, lead_ms)

    def _foretold(
        self, estimate: Estimate, rotations: np.ndarray, ahead: np.ndarray, lead_ms: float
    ) -> np.ndarray:
        """(25, 3): turns of the joints and the pelvis's way in lead_ms, kept within what people do. Rotations
        (24, 3, 3): now, and as the head is shown them ahead."""
        if not estimate.ahead or lead_ms <= 0:
            return np.zeros((JOINTS + 1, 3), np.float32)
        if self._head is None:
            there = axis_angle_to_matrix(pose_at(estimate, lead_ms).reshape(JOINTS, 3))
            turns = matrix_to_axis_angle(np.swapaxes(rotations, -1, -2) @ there)
            moves = np.concatenate((turns, np.zeros((1, 3), np.float32)))
        else:
            moves = moves_at(self._head(self._history.inputs(ahead)), lead_ms)
        length = np.linalg.norm(moves, axis=-1, keepdims=True)
        most = np.full((JOINTS + 1, 1), MAX_TURN, np.float32)
        most[JOINTS] = MAX_WAY_M
        return moves * np.minimum(1.0, most / np.maximum(length, 1e-9)).astype(np.float32)

    def _fall_back(self, estimate: Estimate, lead_ms: float, since_s: float) -> Led:
        """Lost: less and less of what was led until then, and nothing of anybody else."""
        left = max(0.0, self._found - since_s / FALL_S) if estimate.state == "held" else 0.0
        share = left / self._found if left else 0.0
        self._found, self._confidence = left, self._confidence * share
        self._moves = self._moves * np.float32(share)
        return self._led(estimate, lead_ms)

    def _led(self, estimate: Estimate, lead_ms: float) -> Led:
        pose, trans = np.array(estimate.theta[3:75]), estimate.trans
        if self._moves.any():
            pose = turned_axis_angles(pose.reshape(JOINTS, 3), self._moves[:JOINTS]).reshape(72)
            trans = trans + self._moves[JOINTS]
        return Led(lead_ms, pose, trans, self._confidence)


def pose_at(estimate: Estimate, ms: float) -> np.ndarray:
    """(72,) float32: the pose `ms` after the frame by f_Δt alone; beyond the furthest foretold one it stays there."""
    before_ms, before = 0.0, estimate.theta[3:75]
    for dt_ms, pose in sorted(estimate.ahead, key=lambda one: one[0]):
        if ms <= before_ms:
            break
        if dt_ms > before_ms:
            share = min(1.0, (ms - before_ms) / (dt_ms - before_ms))
            now = between_axis_angles(before.reshape(24, 3), pose.reshape(24, 3), share)
            before_ms, before = dt_ms, now.reshape(72)
    return np.asarray(before, np.float32)


def ahead_of(estimate: Estimate) -> np.ndarray:
    """(72,) the foretold pose that the head is shown: AHEAD_MS later, or what comes nearest to it."""
    for dt_ms, pose in estimate.ahead:
        if abs(dt_ms - AHEAD_MS) < 1.0:
            return pose
    return pose_at(estimate, AHEAD_MS)


@cache
def shipped_head() -> Head | None:
    """The head in assets/; None, and a line in the log, where there is none that can be used."""
    path = ASSETS / HEAD
    try:
        return load_head(path) if path.is_file() else None
    except LoadError as error:
        log.warning("poses are led by the network alone: %s", error)
        return None


def _dared(speed_m_s: float) -> float:
    """0 … 1, smooth: the stream of a still person trembles, and is not to be led into that."""
    share = min(1.0, max(0.0, (speed_m_s - STILL_M_S) / (MOVING_M_S - STILL_M_S)))
    return share * share * (3.0 - 2.0 * share)
