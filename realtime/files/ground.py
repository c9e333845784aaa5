"""Where the ground is under a recorded motion, instant by instant: told from the lowest point of the skin.

What one camera tells of height is a few centimetres off, now this way and now that, and where the camera is tilted by
an angle that nobody has told, the ground rises or falls along the way that somebody walks. So it is no plane, but a
height for each instant: under the lowest point of who stands, sits or lies, whatever that height does, and where it was
before and after under who jumps. In the language of morphology: the lowest points, opened.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from realtime.body.kinematics import forward_kinematics
from realtime.body.smpl import Body
from realtime.files.steady import Steady

FLIGHT_S = 1.0  # nobody jumps for longer: what stays higher than that stands there
DIP_S = 0.15  # and what goes lower for less than half of this is a wrong frame
SMOOTH_S = 0.2  # standard deviation: the body is put up and down by it, and must not tremble
STANDING_M = 0.03  # lower than this over the ground, somebody stands on it
DIRECTIONS = 64


def ground_height(motion: Steady, body: Body) -> np.ndarray:
    """(T,) float64: y of the ground in the motion's world, metres."""
    lowest = lowest_points(motion, body)
    ground = opened(lowest, motion.fps)
    above = lowest - ground
    standing = above < STANDING_M
    # What trembles lies above an opened curve by half of its trembling: stand in it, not on its lowest points.
    return ground + (np.median(above[standing]) if standing.any() else 0.0)


def lowest_points(motion: Steady, body: Body) -> np.ndarray:
    """(T,) float64: y of the body's lowest vertex, posed by skinning alone (posedirs are left out, as in .glb)."""
    outer = outer_vertices(body, motion.betas)
    weights, rest = body.weights[outer], body.rest_joints(motion.betas)
    places = body.shaped(motion.betas)[outer]
    lowest = np.empty(len(motion.pelvis))
    for part in motion.parts():
        joints, transforms = forward_kinematics(body, motion.rotations(part), motion.betas)
        row = transforms[:, :, 1].copy()  # (N, 24, 4): what makes y of a point at rest
        row[..., 3] -= (row[..., :3] * rest).sum(axis=-1)
        blended = weights @ row  # (N, V, 4)
        y = (blended[..., :3] * places).sum(axis=-1) + blended[..., 3]
        lowest[part] = y.min(axis=1) - joints[:, 0, 1] + motion.pelvis[part, 1]
    return lowest


def outer_vertices(body: Body, betas: np.ndarray) -> np.ndarray:
    """Indices of the vertices that are the farthest out of what moves with a joint, in one of DIRECTIONS: one of these
    few is, within millimetres, the lowest of all, whatever the pose."""
    shaped, mover = body.shaped(betas), body.weights.argmax(axis=1)
    turn = (
        np.arange(DIRECTIONS) * np.pi * (3.0 - np.sqrt(5.0))
    )  # a spiral from pole to pole, even on the sphere
    height = 1.0 - 2.0 * (np.arange(DIRECTIONS) + 0.5) / DIRECTIONS
    across = np.sqrt(1.0 - height**2)
    directions = np.stack((across * np.cos(turn), height, across * np.sin(turn)))
    found = []
    for joint in np.unique(mover):
        its = np.flatnonzero(mover == joint)
        found.append(its[(shaped[its] @ directions).argmax(axis=0)])
    return np.unique(np.concatenate(found))


def opened(heights: np.ndarray, fps: int) -> np.ndarray:
    """(T,) → (T,): without dips shorter than DIP_S / 2 and hills shorter than FLIGHT_S, and smooth."""
    low = _over(heights, DIP_S * fps, lambda window: np.median(window, axis=1))
    low = _over(low, FLIGHT_S * fps, lambda window: window.min(axis=1))
    low = _over(low, FLIGHT_S * fps, lambda window: window.max(axis=1))
    reach = 3.0 * SMOOTH_S * fps
    bell = np.exp(-0.5 * (np.arange(-int(reach), int(reach) + 1) / (SMOOTH_S * fps)) ** 2)
    return _over(low, 2 * reach, lambda window: window @ (bell / bell.sum()))


def _over(values: np.ndarray, frames: float, what: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """what: windows (T, odd number of frames) about each value → (T,). Before the start and after the end it goes on as
    it came: turned about its end, so that what rises goes on rising."""
    half = int(frames / 2)
    padded = np.pad(values, half, mode="reflect", reflect_type="odd")
    return what(np.lib.stride_tricks.sliding_window_view(padded, 2 * half + 1))
