"""Gauss–Newton steps on the 2-D landmarks after the network, whose pose is their prior (--set refine.steps=1).

A network that was trained to be right on average draws limbs toward the body: raised hands come out short. The picture
says better where they are. What is looked for is a correction δ of the network's answer: a shift of the pelvis, and
small turns of trunk and limbs about the axes of the ray frame; it makes least

    Σᵢ wᵢ ‖project(markerᵢ) − landmarkᵢ‖² / LANDMARK²  +  ‖δ‖² / PRIOR²  +  ‖δ − δ of the frame before‖² / WALK²

wᵢ falls with the landmark's visibility and, for those far off (left and right confused), with its distance. Limbs turn
more easily in the picture than across it: their depth is the network's. And δ follows slowly, so that the landmarks'
jitter, which the network took away, does not come back.
"""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np

from engines.runtime import EngineOutput
from realtime.body.rotations import axis_angle_to_matrix
from realtime.body.skeleton import BLAZEPOSE_NAMES, JOINT_NAMES, PARENTS
from realtime.body.smpl import Body
from realtime.features import IMAGE, NOMINAL_DT_S, VISIBILITY

# All standard deviations; tuned on 120 takes of the training split with the weights of hmmr-live-1.
LANDMARK = 0.03  # half crops
FAR_OFF = 0.12  # half crops: a landmark at this distance counts a quarter
PRIOR_IN_PICTURE, PRIOR_ACROSS = 0.25, 0.12  # radians: turns about the view axis, and about the other two
PRIOR_SHIFT = (0.05, 0.05, 0.1)  # of the pelvis's distance: to the side, down, away
WALK, WALK_SHIFT = 0.2, 0.5  # of the prior's, per frame at 30 fps

# What is turned, and how freely.
TURNED = {"pelvis": 1.0, "spine2": 0.5, "collar": 0.5, "hip": 1.0, "knee": 1.5, "shoulder": 1.5, "elbow": 1.5}
# Landmark → joint that it sits at, bone that it turns with, place on it in metres, left side (x points to the left).
# As training/noise.py fits them: what BlazePose calls a hip lies lower, and further out, than the joint.
MARKERS = {
    "shoulder": ("shoulder", "collar", (-0.020, 0.022, 0.0)),
    "elbow": ("elbow", "shoulder", (0.0, 0.0, 0.011)),
    "wrist": ("wrist", "elbow", (0.0, -0.005, 0.008)),
    "index": ("hand", "wrist", (-0.021, -0.010, 0.024)),
    "pinky": ("hand", "wrist", (-0.024, -0.009, 0.0)),
    "hip": ("hip", "pelvis", (-0.026, -0.014, 0.024)),
    "knee": ("knee", "hip", (-0.010, -0.004, 0.003)),
    "ankle": ("ankle", "knee", (-0.003, 0.031, 0.004)),
}
SIDES = ("left", "right")
NEAREST_M = 0.1  # before the camera
NOBODY = len(PARENTS)  # stands above the pelvis


class Refined(NamedTuple):
    """Ray frame; float32."""

    pose: np.ndarray  # (24, 3, 3)
    joints: np.ndarray  # (24, 3) metres, relative to the pelvis, with the person's own shape
    pelvis: np.ndarray  # (3,) metres
    ahead: np.ndarray  # (K, 24, 3, 3), turned as the pose was


class Refiner:
    """Remembers the correction of the frame before. steps: Gauss–Newton steps per frame, 1 or more."""

    def __init__(self, body: Body, steps: int) -> None:
        self._body, self._steps = body, steps
        freedom = {joint: share for name, share in TURNED.items() for joint in _sides(name)}
        turned = list(freedom)
        self._turned = np.array(turned)
        self._landmarks = np.array([BLAZEPOSE_NAMES.index(f"{s}_{name}") for name in MARKERS for s in SIDES])
        self._seat = np.array([joint for seat, _, _ in MARKERS.values() for joint in _sides(seat)])
        self._carrier = np.array([joint for _, bone, _ in MARKERS.values() for joint in _sides(bone)])
        self._offset = np.array(
            [(sign * x, y, z) for _, _, (x, y, z) in MARKERS.values() for sign in (1.0, -1.0)]
        )
        # Which turns move which marker: those of the bone it is on, and of all above.
        self._moves = np.array(
            [[joint in _way_up(bone) for joint in turned] for bone in self._carrier], float
        )
        self._parents = np.array([_above(joint, 1) for joint in range(NOBODY)])
        # With those 1, 2, 4 and 8 steps up, the products of all rotations above a joint take four rounds.
        self._jumps = [
            np.array([_above(joint, steps) for joint in range(NOBODY)] + [NOBODY]) for steps in (1, 2, 4, 8)
        ]
        # (24, 24): bones → joints, the sums along the way from the pelvis
        self._path = np.array(
            [[bone in _way_up(end)[:-1] for bone in range(NOBODY)] for end in range(NOBODY)], float
        )
        turns_sd = np.outer(list(freedom.values()), (PRIOR_ACROSS, PRIOR_ACROSS, PRIOR_IN_PICTURE))
        self._prior_sd = np.concatenate((PRIOR_SHIFT, turns_sd.reshape(-1)))
        self._walk = np.concatenate((np.full(3, WALK_SHIFT), np.full(turns_sd.size, WALK)))
        self._correction = np.zeros(len(self._prior_sd))
        self._t_ns: int | None = None

    def reset(self) -> None:
        """Forget the correction: the next frame is the first."""
        self._t_ns = None

    def refine(
        self, t_ns: int, features: np.ndarray, half: float, output: EngineOutput, pelvis: np.ndarray
    ) -> Refined | None:
        """The network's answer for the frame taken at t_ns, brought nearer to its landmarks.

        features (F,): φ of that frame. half: half side of its crop as a tangent. pelvis (3,): where the network's
        camera puts it, ray frame, metres. None where that is not before the camera, or no number comes of it;
        what was remembered is then forgotten.
        """
        refined = None
        if NEAREST_M < pelvis[2] < np.inf:
            with np.errstate(all="ignore"):
                refined = self._refine(t_ns, features, half, output, pelvis)
        if refined is None or not all(np.isfinite(part).all() for part in refined):
            self.reset()
            return None
        return refined

    def _refine(
        self, t_ns: int, features: np.ndarray, half: float, output: EngineOutput, pelvis: np.ndarray
    ) -> Refined:
        landmarks = features[IMAGE].reshape(-1, 2)[self._landmarks].astype(np.float64)
        weight = features[VISIBILITY][self._landmarks] / LANDMARK**2
        local = output.pose_matrix.astype(np.float64)
        rest = self._body.rest_joints(output.shape).astype(np.float64)
        bones = (
            rest - rest[np.minimum(self._parents, NOBODY - 1)]
        )  # the pelvis's is none: no way goes along it
        # Turns are about the ray frame's axes, and put on in the frame of the parent, as the network has it.
        into_parent = self._globals(local)[self._parents[self._turned]].transpose(0, 2, 1)

        scale = np.ones(len(self._prior_sd))
        scale[:3] = pelvis[2]
        pull = 1.0 / (self._prior_sd * scale) ** 2
        before = self._correction if self._t_ns is not None else np.zeros_like(self._correction)
        hold = np.zeros_like(pull)
        if self._t_ns is not None:
            hold = pull / (self._walk**2 * max(t_ns - self._t_ns, 1) / 1e9 / NOMINAL_DT_S)
        now = before
        for _ in range(self._steps):
            _, _, turned, joints = self._turn(local, into_parent, bones, now)
            jacobian, apart, weights = self._project(
                turned, joints, pelvis + now[:3], half, landmarks, weight
            )
            weighted = jacobian * weights[:, None]
            normal = weighted.T @ jacobian
            normal.flat[:: len(now) + 1] += pull + hold
            downhill = weighted.T @ apart - pull * now - hold * (now - before)
            # Not numpy's solve: for 39 unknowns its OpenBLAS wakes a thread per core, and where other work keeps
            # the cores, they wait for each other 40 ms and more.
            # A column: OpenCV 5 takes one dimension for a row.
            solved, step = cv2.solve(normal, downhill[:, None], flags=cv2.DECOMP_CHOLESKY)
            now = now + step[:, 0] if solved else now * np.nan
        turns, pose, _, joints = self._turn(local, into_parent, bones, now)
        self._correction, self._t_ns = now, t_ns
        ahead = output.ahead.copy()
        ahead[:, self._turned] = turns.astype(np.float32) @ ahead[:, self._turned]
        return Refined(pose.astype(np.float32), joints.astype(np.float32), pelvis + now[:3], ahead)

    def _turn(
        self, local: np.ndarray, into_parent: np.ndarray, bones: np.ndarray, correction: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """→ the turns (12, 3, 3) in the parents' frames, the corrected pose (24, 3, 3), the rotation of every joint's
        frame (25, 3, 3; the last is the identity), joints (24, 3) relative to the pelvis."""
        vectors = (into_parent @ correction[3:].reshape(-1, 3, 1))[..., 0]
        turns = axis_angle_to_matrix(vectors).astype(np.float64)
        pose = local.copy()
        pose[self._turned] = turns @ local[self._turned]
        turned = self._globals(pose)
        joints = self._path @ (turned[self._parents] @ bones[:, :, None])[..., 0]
        return turns, pose, turned, joints

    def _globals(self, local: np.ndarray) -> np.ndarray:
        """(24, 3, 3) → (25, 3, 3): products of all rotations from the pelvis down; the last is the identity."""
        turned = np.concatenate((local, np.eye(3)[None]))
        for jump in self._jumps:
            turned = turned[jump] @ turned
        return turned

    def _project(
        self,
        turned: np.ndarray,
        joints: np.ndarray,
        pelvis: np.ndarray,
        half: float,
        landmarks: np.ndarray,
        weight: np.ndarray,
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """→ Jacobian (2·16, 3 + 36) of the projected markers, x and y of one after the other, what is left to the
        landmarks (2·16,), and weights (2·16,)."""
        about = joints[self._seat] + (turned[self._carrier] @ self._offset[:, :, None])[..., 0]
        x, y, z = (about + pelvis).T
        z = np.maximum(z, NEAREST_M)
        a = 1.0 / (z * half)
        projected = np.stack((x * a, y * a), axis=1)
        apart = landmarks - projected
        near = 1.0 + (apart * apart).sum(axis=1) / FAR_OFF**2
        weights = weight / (near * near)

        # d(projected) = a·(dx, dy) + b·dz, and a turn ω about a joint moves a marker by ω × (its way from there).
        b = -projected / z[:, None]
        count = len(about)
        shift = np.zeros((count, 2, 3))
        shift[:, 0, 0] = shift[:, 1, 1] = a
        shift[:, :, 2] = b
        way = (about[:, None] - joints[self._turned]) * self._moves[:, :, None]
        dx, dy, dz = way[..., 0], way[..., 1], way[..., 2]
        a, bx, by = a[:, None], b[:, :1], b[:, 1:]
        turn = np.empty((count, 2, len(self._turned), 3))
        turn[:, 0, :, 0] = dy * bx
        turn[:, 0, :, 1] = dz * a - dx * bx
        turn[:, 0, :, 2] = -dy * a
        turn[:, 1, :, 0] = dy * by - dz * a
        turn[:, 1, :, 1] = -dx * by
        turn[:, 1, :, 2] = dx * a
        jacobian = np.concatenate((shift, turn.reshape(count, 2, -1)), axis=2)
        return jacobian.reshape(2 * count, -1), apart.reshape(-1), np.repeat(weights, 2)


def _sides(name: str) -> list[int]:
    """Where a joint stands in JOINT_NAMES, left and right; one of the middle twice."""
    return [JOINT_NAMES.index(name if name in JOINT_NAMES else f"{side}_{name}") for side in SIDES]


def _way_up(joint: int) -> list[int]:
    """The joint and all above it, up to the pelvis."""
    way = [joint]
    while PARENTS[way[-1]] >= 0:
        way.append(PARENTS[way[-1]])
    return way


def _above(joint: int, steps: int) -> int:
    """The joint so many steps up the tree; where that ends before, NOBODY, which stands for no rotation."""
    way = _way_up(joint)
    return way[steps] if steps < len(way) else NOBODY
