""".bvh: a skeleton of 24 joints with the body's own bones, and its rotations frame by frame.

Metres, y up, the figure at rest looks along z with its left toward x; degrees. The root has six channels, position
first; every rotation is R = Rz·Rx·Ry. In the rest pose of the file all joints are SMPL's rest pose (a T), the pelvis
at the origin. Biovision's format has no document of its own; read as in Meredith and Maddock, "Motion capture file
formats explained" (2001), and by Blender's importer.
"""

from __future__ import annotations

from typing import BinaryIO

import numpy as np

from realtime.body.skeleton import JOINT_NAMES
from realtime.body.smpl import Body
from realtime.files.steady import Steady

ROTATIONS = "Zrotation Xrotation Yrotation"
END_SHARE = 0.05  # of a leaf joint's vertices: the outermost, whose centre ends the bone
SHORTEST_END_M = 0.01


def write_bvh(file: BinaryIO, motion: Steady, body: Body) -> None:
    """Raises OSError."""
    file.write(("HIERARCHY\n" + _joint(body, motion.betas, 0, "")).encode())
    file.write(f"MOTION\nFrames: {len(motion.pelvis)}\nFrame Time: {1 / motion.fps:.8f}\n".encode())
    order = _in_file_order(body)
    line = " ".join(["%.6f"] * (3 + 3 * len(order))) + "\n"
    before: np.ndarray | None = None
    for part in motion.parts():
        angles = np.degrees(euler_zxy(motion.rotations(part)[:, order]))  # (N, 24, 3) about z, x, y
        _unwind(angles, angles[0] if before is None else before)
        before = angles[-1]
        numbers = np.concatenate((motion.pelvis[part], angles.reshape(len(angles), -1)), axis=1)
        file.write("".join(line % tuple(row) for row in numbers.tolist()).encode())


def euler_zxy(rotations: np.ndarray) -> np.ndarray:
    """R = Rz·Rx·Ry (…, 3, 3) → (…, 3) radians about z, x, y. Where x is ±90° and z and y turn alike, y is 0."""
    r = np.asarray(rotations, np.float64)
    x = np.arctan2(r[..., 2, 1], np.hypot(r[..., 2, 0], r[..., 2, 2]))
    locked = np.hypot(r[..., 2, 0], r[..., 2, 2]) < 1e-9
    z = np.where(locked, np.arctan2(r[..., 1, 0], r[..., 0, 0]), np.arctan2(-r[..., 0, 1], r[..., 1, 1]))
    y = np.where(locked, 0.0, np.arctan2(-r[..., 2, 0], r[..., 2, 2]))
    return np.stack((z, x, y), axis=-1)


def _unwind(angles: np.ndarray, before: np.ndarray) -> None:
    """(N, J, 3) degrees about z, x, y, in place: of all that mean the same turn, those nearest to the frame before, so
    that who interpolates the angles does not spin the bone. before (J, 3): ahead of the first."""
    joints = np.arange(angles.shape[1])
    for frame in angles:
        same = np.stack((frame, frame * (1.0, -1.0, 1.0) + 180.0))
        same -= 360.0 * np.round((same - before) / 360.0)
        frame[:] = same[np.abs(same - before).sum(axis=2).argmin(axis=0), joints]
        before = frame


def _children(body: Body, joint: int) -> list[int]:
    return [int(child) for child in np.flatnonzero(body.parents == joint)]


def _in_file_order(body: Body, joint: int = 0) -> list[int]:
    """Depth first: as the hierarchy lists them, so the frames must."""
    return [joint, *(below for child in _children(body, joint) for below in _in_file_order(body, child))]


def _joint(body: Body, betas: np.ndarray, joint: int, indent: str) -> str:
    rest = body.rest_joints(betas).astype(np.float64)
    children = _children(body, joint)
    offset = rest[joint] - rest[body.parents[joint]] if joint else np.zeros(3)
    channels = f"3 {ROTATIONS}" if joint else f"6 Xposition Yposition Zposition {ROTATIONS}"
    below = "".join(_joint(body, betas, child, indent + "  ") for child in children)
    if not children:
        end = _offset(_end(body, betas, joint, rest))
        below = f"{indent}  End Site\n{indent}  {{\n{indent}    {end}\n{indent}  }}\n"
    kind = "JOINT" if joint else "ROOT"
    return (
        f"{indent}{kind} {JOINT_NAMES[joint]}\n{indent}{{\n{indent}  {_offset(offset)}\n"
        f"{indent}  CHANNELS {channels}\n{below}{indent}}}\n"
    )


def _offset(xyz: np.ndarray) -> str:
    return "OFFSET " + " ".join(f"{x:.6f}" for x in xyz)


def _end(body: Body, betas: np.ndarray, joint: int, rest: np.ndarray) -> np.ndarray:
    """(3,) from a joint without children to the end of its bone: the tip of what hangs on it, seen from its parent."""
    bone = rest[joint] - rest[body.parents[joint]]
    along = bone / max(np.linalg.norm(bone), 1e-9)
    its = body.weights.argmax(axis=1) == joint
    from_joint = body.shaped(betas)[its] - rest[joint]
    if len(from_joint):
        reach = from_joint @ along
        tip = from_joint[reach >= np.quantile(reach, 1.0 - END_SHARE)].mean(axis=0)
        if tip @ along > SHORTEST_END_M:
            return tip
    return bone
