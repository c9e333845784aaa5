"""What the page shows of a pose: led, smoothed, skinned, put on the floor, mirrored.

World of the page: y up, metres, x the camera's right, z from what the camera sees toward it; the floor at y = 0, the
origin on it near the person, so that who walks stays in view and the grid passes under him.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from realtime.body.kinematics import forward_kinematics, skin
from realtime.body.smpl import Body
from realtime.coordinates import R_WORLD_CAM, pose_to_world
from realtime.floor import Floor
from realtime.messages import PoseMessage
from realtime.smoothing import GAP_NS, RotationFilter
from realtime.translation import OneEuro
from realtime.viewer.orbit import OrbitCamera

ROTATION_BETA = 0.4  # Hz per 1/s of an element of a rotation matrix: fast movements pass the smoothing
TRANS_BETA = 4.0  # Hz per m/s
MAX_EXTENT_M = 1000.0  # a valid message may still hold absurd numbers: they are not drawn


@dataclass
class Settings:
    """The page's controls, for all of its windows."""

    smoothing_ms: float = 0.0  # time constant of someone who stands still; 0: off
    own_lead: bool = False  # else: as the stream leads
    lead_ms: float = 0.0  # our own; 0: off
    mirror: bool = False


@dataclass(frozen=True, eq=False)
class Figure:
    vertices: np.ndarray  # (V, 3) float32, the page's world
    joints: np.ndarray  # (24, 3) float32, the page's world
    grid: np.ndarray  # (3,) where a point that stands still in the room now is
    mirrored: bool


class Shown:
    """Poses, one after the other → figures. Keeps the floor, the filters and where the person stood."""

    def __init__(self, body: Body) -> None:
        self.settings = Settings()
        self._body = body
        self._floor = Floor()
        self._follow = OrbitCamera()
        self._person: int | None = None
        self._t_ns = 0
        self._filtered_ms = 0.0  # the smoothing that the filters were made for
        self._rotations, self._trans = _filters(0.0)

    def reset(self) -> None:
        """Forget the floor, the filters, and where the person was."""
        self._person = None

    def figure(self, message: PoseMessage) -> Figure | None:
        """None, and nothing changed, where the pose cannot be drawn."""
        with np.errstate(over="ignore", invalid="ignore"):
            betas = message.betas if message.body == self._body.id else np.zeros(10, np.float32)
            rotations, trans = led(message, self.settings.lead_ms if self.settings.own_lead else None)
            if not (np.abs(self._body.shaped(betas) + trans) < MAX_EXTENT_M).all():
                return None
            self._start_over_where_due(message)
            if self.settings.smoothing_ms > 0:
                rotations, trans = self._smooth(message.t_capture_ns, rotations, trans)
            joints, transforms = forward_kinematics(self._body, rotations, betas)
            shift = trans - joints[0]
            joints = joints + shift
            vertices = skin(self._body, transforms, betas, rotations) + shift
        t_s = message.t_capture_ns / 1e9
        floor_y = self._floor.update(t_s, -float(vertices[:, 1].min()))
        self._follow.follow(t_s, trans @ R_WORLD_CAM, floor_y)
        origin = R_WORLD_CAM @ self._follow.target
        origin[1] = -floor_y
        mirrored = self.settings.mirror
        flip = np.array([-1.0 if mirrored else 1.0, 1.0, 1.0])
        return Figure(
            ((vertices - origin) * flip).astype(np.float32),
            ((joints - origin) * flip).astype(np.float32),
            -origin * flip * (1.0, 0.0, 1.0),
            mirrored,
        )

    def _start_over_where_due(self, message: PoseMessage) -> None:
        """With a new person, a restarted stream, after a pause."""
        since_ns = message.t_capture_ns - self._t_ns
        if self._person != message.person or not 0 <= since_ns <= GAP_NS:
            self._rotations, self._trans = _filters(self.settings.smoothing_ms)
            self._filtered_ms = self.settings.smoothing_ms
        if self._person != message.person or since_ns < 0:
            self._floor.reset()
            self._follow.forget_person()
        self._person, self._t_ns = message.person, message.t_capture_ns

    def _smooth(self, t_ns: int, rotations: np.ndarray, trans: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        if self._filtered_ms != self.settings.smoothing_ms:
            self._filtered_ms = self.settings.smoothing_ms
            self._rotations, self._trans = _filters(self._filtered_ms)
        return self._rotations.filter(t_ns, rotations), self._trans.filter(t_ns, trans)


def led(message: PoseMessage, lead_ms: float | None) -> tuple[np.ndarray, np.ndarray]:
    """Rotations (24, 3, 3) and pelvis (3,) in the world, led as `PoseMessage.shown` says."""
    world = pose_to_world(*message.shown(lead_ms))
    return world.rotations, world.trans


def _filters(smoothing_ms: float) -> tuple[RotationFilter, OneEuro]:
    """Of the rotations and of the pelvis, for a time constant in ms (0: they are not used)."""
    cutoff_hz = 1000.0 / (2.0 * math.pi * max(smoothing_ms, 1.0))
    return RotationFilter(cutoff_hz, ROTATION_BETA), OneEuro(cutoff_hz, TRANS_BETA)
