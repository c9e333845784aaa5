"""What hangs onto a body as a mesh of its own: skirts, long hair, brims, packs, things in the hand."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from realtime.body.skeleton import JOINT_NAMES
from realtime.body.smpl import Body

SKIRT, HAIR, THING, BRIM = (
    (0.0, 0.0),
    (0.5, 0.0),
    (0.0, 0.5),
    (0.5, 0.5),
)  # corner of each one's quarter of its layer
_QUARTER = 0.48  # of the layer, and a rim that mipmaps may smear


@dataclass(frozen=True)
class Attachment:
    """A mesh that moves with the body."""

    vertices: np.ndarray  # (N, 3) metres, rest pose
    faces: np.ndarray  # (F, 3)
    weights: np.ndarray  # (N, 24) rows sum to 1
    uv: np.ndarray  # (N, 2) in [0, 1] of the layer EXTRA
    nearest: np.ndarray  # (N,) the body's vertex whose shape it follows


def _joint(name: str) -> int:
    return JOINT_NAMES.index(name)


def _ramp(value: np.ndarray, low: float, high: float) -> np.ndarray:
    """0 below low, 1 above high, smooth between."""
    t = np.clip((value - low) / (high - low), 0.0, 1.0)
    return t * t * (3.0 - 2.0 * t)


def _grid_faces(rows: int, columns: int) -> np.ndarray:
    """(F, 3) triangles of a grid of rows × columns vertices."""
    index = np.arange(rows * columns).reshape(rows, columns)
    a, b, c, d = index[:-1, :-1], index[:-1, 1:], index[1:, :-1], index[1:, 1:]
    return np.concatenate([np.stack([a, c, b], -1).reshape(-1, 3), np.stack([b, c, d], -1).reshape(-1, 3)])


def _grid_uv(rows: int, columns: int, corner: tuple[float, float]) -> np.ndarray:
    v, u = np.meshgrid(np.linspace(0.01, _QUARTER, rows), np.linspace(0.01, _QUARTER, columns), indexing="ij")
    return np.stack([u + corner[0], v + corner[1]], axis=-1).reshape(-1, 2)


def _nearest(body: Body, vertices: np.ndarray) -> np.ndarray:
    """(N,) the body's vertex nearest to each, of every third."""
    some = body.v_template[::3]
    squared = (vertices**2).sum(1)[:, None] - 2.0 * vertices @ some.T + (some**2).sum(1)[None]
    return squared.argmin(axis=1) * 3


def _reach(points: np.ndarray, directions: np.ndarray) -> np.ndarray:
    """How far points (N, 2) reach along directions (D, 2): (D,), 0 where there are none."""
    return (points @ directions.T).max(axis=0) if len(points) else np.zeros(len(directions))


def skirt(body: Body, waist_y: float, hem_y: float, flare: float, stand_off_m: float) -> Attachment:
    """A cone about hips and legs from waist_y to hem_y, metres of the rest pose; flare: metres out per metre down.

    Its sides go with the thighs, and what is below the knees half with the shanks.
    """
    rows, columns = max(6, int((waist_y - hem_y) / 0.035)), 41
    angle = np.linspace(0.0, 2.0 * np.pi, columns)
    out = np.stack([np.cos(angle), np.sin(angle)], axis=1)  # x, z
    rest = body.v_template[np.abs(body.v_template[:, 0]) < 0.3]
    widest = np.zeros(columns)
    vertices = np.empty((rows, columns, 3))
    for row, y in enumerate(np.linspace(waist_y, hem_y, rows)):
        if y > -0.25:  # below the hips it hangs
            widest = np.maximum(widest, _reach(rest[np.abs(rest[:, 1] - y) < 0.03][:, [0, 2]], out))
        radius = widest + stand_off_m + flare * (waist_y - y)
        vertices[row] = np.stack([radius * out[:, 0], np.full(columns, y), radius * out[:, 1]], axis=1)
    vertices = vertices.reshape(-1, 3)
    left = _ramp(vertices[:, 0], -0.14, 0.14)
    thighs = 0.92 * _ramp(-vertices[:, 1], -0.02, 0.3)
    shanks = 0.5 * _ramp(-vertices[:, 1], 0.40, 0.65)
    weights = np.zeros((len(vertices), 24))
    weights[:, _joint("pelvis")] = 1.0 - thighs
    for side, share in (("left", left), ("right", 1.0 - left)):
        weights[:, _joint(f"{side}_hip")] = share * thighs * (1.0 - shanks)
        weights[:, _joint(f"{side}_knee")] = share * thighs * shanks
    nearest = _nearest(body, vertices)
    return Attachment(vertices, _grid_faces(rows, columns), weights, _grid_uv(rows, columns, SKIRT), nearest)


def long_hair(body: Body, end_y: float, stand_off_m: float, cover_rad: float) -> Attachment:
    """A curtain about the back of the head down to end_y; cover_rad: how far it comes forward on both sides."""
    rows, columns = max(8, int((0.795 - end_y) / 0.02)), 25
    angle = np.linspace(-cover_rad, cover_rad, columns)
    out = np.stack([np.sin(angle), -np.cos(angle)], axis=1)  # x, z: 0 is straight back
    rest = body.v_template[np.abs(body.v_template[:, 0]) < 0.16]
    middle_z = 0.03
    radius = np.zeros(columns)
    vertices = np.empty((rows, columns, 3))
    for row, y in enumerate(np.linspace(0.795, end_y, rows)):
        level = rest[np.abs(rest[:, 1] - y) < 0.012][:, [0, 2]] - (0.0, middle_z)
        found = np.maximum(_reach(level, out), 0.0)
        radius = np.maximum(found, radius - 0.004)  # it does not fall back into the neck
        bulk = stand_off_m * min(1.0, (0.83 - y) / 0.06)
        away = radius + bulk
        vertices[row] = np.stack([away * out[:, 0], np.full(columns, y), middle_z + away * out[:, 1]], axis=1)
    vertices = vertices.reshape(-1, 3)
    down = _ramp(-vertices[:, 1], -0.60, -0.45)
    weights = np.zeros((len(vertices), 24))
    weights[:, _joint("head")] = 1.0 - 0.75 * down
    weights[:, _joint("spine3")] = 0.75 * down
    nearest = _nearest(body, vertices)
    return Attachment(vertices, _grid_faces(rows, columns), weights, _grid_uv(rows, columns, HAIR), nearest)


def brim(body: Body, y: float, reach_m: float, all_round: bool) -> Attachment:
    """The brim of a cap (to the front) or of a hat (all round) at height y of the head."""
    half = np.pi if all_round else 1.1
    angle = np.linspace(-half, half, 25)
    out = np.stack([np.sin(angle), np.cos(angle)], axis=1)  # x, z: 0 is straight ahead
    rest = body.v_template[
        (np.abs(body.v_template[:, 0]) < 0.16) & (np.abs(body.v_template[:, 1] - y) < 0.015)
    ]
    middle = np.array([0.0, 0.04])
    inner = _reach(rest[:, [0, 2]] - middle, out)
    edge = reach_m * (
        np.ones_like(angle) if all_round else np.sqrt(np.maximum(np.cos(angle / half * 1.5), 0.0))
    )
    rows = []
    for share in (0.0, 0.5, 1.0):
        away = inner + share * edge
        rows.append(
            np.stack([away * out[:, 0], np.full(25, y - 0.02 * share), middle[1] + away * out[:, 1]], axis=1)
        )
    vertices = np.concatenate(rows)
    weights = np.zeros((len(vertices), 24))
    weights[:, _joint("head")] = 1.0
    return Attachment(vertices, _grid_faces(3, 25), weights, _grid_uv(3, 25, BRIM), _nearest(body, vertices))


def solid(
    body: Body, joint: str, centre: np.ndarray, half_size: np.ndarray, roundness: float, turn: np.ndarray
) -> Attachment:
    """A thing fixed to a joint: between a box (roundness 0) and an ellipsoid (1). centre (3,) metres from the joint,
    half_size (3,), turn (3, 3), all in the rest pose."""
    rows, columns = 13, 25
    polar, around = np.meshgrid(
        np.linspace(0.0, np.pi, rows), np.linspace(0.0, 2.0 * np.pi, columns), indexing="ij"
    )
    ball = np.stack([np.sin(polar) * np.cos(around), np.cos(polar), np.sin(polar) * np.sin(around)], axis=-1)
    ball = ball.reshape(-1, 3)
    shape = ball / np.linalg.norm(ball, ord=2.0 + 10.0 * (1.0 - roundness), axis=1, keepdims=True)
    place = body.J_template[_joint(joint)] + centre
    vertices = (shape * half_size) @ np.asarray(turn).T + place
    weights = np.zeros((len(vertices), 24))
    weights[:, _joint(joint)] = 1.0
    nearest = np.full(len(vertices), _nearest(body, place[None])[0])
    return Attachment(vertices, _grid_faces(rows, columns), weights, _grid_uv(rows, columns, THING), nearest)
