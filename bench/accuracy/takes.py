"""Takes at any frame rate, and the truth of them.

Stamps are whole ticks of 1/120 s: pictures at 15, 24, 30 and 60 fps all fall on them, so one rendering serves all.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from realtime.body.kinematics import forward_kinematics, skin
from realtime.body.rotations import axis_angle_to_matrix, matrix_to_axis_angle
from realtime.body.smpl import Body
from training.metrics import POINT_JOINTS
from training.staging import Take

TICKS_PER_S = 120
START_NS = 1_000_000_000  # stamp of the first frame
UPRIGHT_DEG = 20.0  # of the trunk against gravity


@dataclass(frozen=True)
class Truth:
    """What really was in T frames; camera frame, metres."""

    body: Body
    take: Take

    @cached_property
    def joints(self) -> np.ndarray:
        """(T, 24, 3) about the pelvis."""
        joints, _ = forward_kinematics(self.body, self.take.rotations, self.take.betas)
        return joints - joints[:, :1]

    @property
    def points(self) -> np.ndarray:
        """(T, 14, 3) about the pelvis: training.metrics.POINTS."""
        return self.joints[:, POINT_JOINTS]

    @cached_property
    def points_px(self) -> np.ndarray:
        """(T, 14, 2) in the picture."""
        return self.take.camera.project(self.points + self.take.trans[:, None])

    @cached_property
    def in_picture(self) -> np.ndarray:
        """(T, 14) bool."""
        size = (self.take.camera.width, self.take.camera.height)
        return ((self.points_px >= 0) & (self.points_px < size)).all(axis=-1)

    @cached_property
    def vertices(self) -> np.ndarray:
        """(T, V, 3) about the pelvis."""
        betas = np.broadcast_to(self.take.betas, (len(self.take.trans), 10))
        return posed_vertices(self.body, self.take.rotations, betas)

    @property
    def view(self) -> str:
        """Which side of the person the camera sees in the middle of the take: front, side or back."""
        forward = self.take.rotations[len(self.take.rotations) // 2, 0] @ np.array([0.0, 0.0, 1.0])
        toward_camera = -forward[2]
        return "front" if toward_camera > 0.6 else "back" if toward_camera < -0.6 else "side"

    @property
    def subject(self) -> str:
        return self.take.clip.split("_")[0]

    @property
    def tilt_deg(self) -> tuple[float, float]:
        """(pitch, roll) of the camera as camera.pitch_deg and camera.roll_deg count them."""
        up = self.up
        return float(np.degrees(np.arctan2(-up[2], -up[1]))), float(
            np.degrees(np.arcsin(np.clip(up[0], -1, 1)))
        )

    @property
    def up(self) -> np.ndarray:
        """(3,) against gravity, in the camera frame."""
        return np.asarray(self.take.camera.R, np.float64)[:, 1]

    @cached_property
    def speed_m_s(self) -> np.ndarray:
        """(T,) mean speed of the 14 points about the pelvis, by the frames before and after; nan at both ends."""
        speed = np.full(len(self.take.trans), np.nan)
        way = np.linalg.norm(self.points[2:] - self.points[:-2], axis=-1).mean(axis=1)
        speed[1:-1] = way / (self.take.t_s[2:] - self.take.t_s[:-2])
        return speed

    @cached_property
    def upright(self) -> np.ndarray:
        """(T,) bool: pelvis to neck within 20° of the vertical."""
        trunk = self.points[:, -2] - self.joints[:, 0]
        cosine = trunk @ self.up / np.linalg.norm(trunk, axis=1)
        return cosine > np.cos(np.radians(UPRIGHT_DEG))

    def at(self, rows: np.ndarray) -> Truth:
        """Of these frames alone."""
        take = self.take
        part = replace(take, rotations=take.rotations[rows], trans=take.trans[rows], t_s=take.t_s[rows])
        return Truth(self.body, part)


def posed_vertices(body: Body, rotations: np.ndarray, betas: np.ndarray) -> np.ndarray:
    """(T, 24, 3, 3), (T, 10) → (T, V, 3) float32 metres about the pelvis."""
    joints, transforms = forward_kinematics(body, rotations, betas)
    vertices = np.empty((len(rotations), len(body.v_template), 3), np.float32)
    for t in range(len(rotations)):
        vertices[t] = skin(body, transforms[t], betas[t], rotations[t]) - joints[t, 0]
    return vertices


def at_times(take: Take, t_s: np.ndarray) -> Take:
    """The same motion at other moments (N,) seconds within the take: rotations along the shortest way between two
    frames, the path along a straight line. Exact where a moment is a frame's."""
    after = np.clip(np.searchsorted(take.t_s, t_s, side="right"), 1, len(take.t_s) - 1)
    before = after - 1
    share = np.clip((t_s - take.t_s[before]) / (take.t_s[after] - take.t_s[before]), 0.0, 1.0)
    share = np.where(share < 1e-6, 0.0, np.where(share > 1 - 1e-6, 1.0, share))
    first, last = take.rotations[before], take.rotations[after]
    way = matrix_to_axis_angle(np.swapaxes(first, -1, -2) @ last) * share[:, None, None]
    rotations = (first @ axis_angle_to_matrix(way)).astype(np.float32)
    rotations[share == 0.0], rotations[share == 1.0] = first[share == 0.0], last[share == 1.0]
    trans = take.trans[before] + share[:, None] * (take.trans[after] - take.trans[before])
    return replace(take, rotations=rotations, trans=trans.astype(np.float32), t_s=np.asarray(t_s, np.float64))


def rate_ticks(seconds: float, fps: float) -> np.ndarray:
    """Ticks of a camera's pictures in so many seconds, from 0. Raises ValueError for a rate that ticks do not hold."""
    step = TICKS_PER_S / fps
    if step != int(step):
        raise ValueError(f"{fps:g} fps: a picture must take whole ticks of 1/{TICKS_PER_S} s")
    return np.arange(0, int(np.floor(seconds * TICKS_PER_S + 1e-6)) + 1, int(step))


def with_drops(ticks: np.ndarray, share: float, rng: np.random.Generator) -> np.ndarray:
    """The same without this share of them, at random; the first stays."""
    keep = rng.uniform(size=len(ticks)) >= share
    keep[0] = True
    return ticks[keep]


def union_of(schedules: dict[str, np.ndarray]) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Name → ticks: all moments that any of them wants, and for each the places of its own in them."""
    union = np.unique(np.concatenate(list(schedules.values())))
    return union, {name: np.searchsorted(union, ticks) for name, ticks in schedules.items()}
