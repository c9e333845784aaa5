"""SMPL's 24 joints as the 22 bones that game engines call humanoid, standing in an ideal T-pose at rest.

Engines retarget by rotations against a T-pose: arms level, legs vertical, feet straight ahead. A body's own rest pose
is a few degrees off it, in its limbs; so what is 0 for the body is not 0 for an avatar. With D_j the turn that brings
the ideal direction of bone j to the one that it has on the body at rest,

    r_t = D_parentᵀ · r_s · D_j

points every limb of an avatar where the body's points. Head, neck, spine and collars are left alone (D = 1): their
rest directions are anatomy, not pose. All in the body's own frame, y up, facing z, left at +x, metres
(realtime/coordinates.py calls it the world): axes are changed afterwards, by `Axes`.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np

from realtime.body.skeleton import JOINT_NAMES
from realtime.body.skeleton import PARENTS as JOINT_PARENTS
from realtime.body.smpl import Body

# Unity's HumanBodyBones → SMPL's joint, in Unity's order; every parent comes before its children. The joints of the
# hands, 22 and 23, have no bone: they only tell which way a hand points.
HUMANOID = {
    "Hips": "pelvis",
    "LeftUpperLeg": "left_hip",
    "RightUpperLeg": "right_hip",
    "LeftLowerLeg": "left_knee",
    "RightLowerLeg": "right_knee",
    "LeftFoot": "left_ankle",
    "RightFoot": "right_ankle",
    "Spine": "spine1",
    "Chest": "spine2",
    "UpperChest": "spine3",
    "Neck": "neck",
    "Head": "head",
    "LeftShoulder": "left_collar",
    "RightShoulder": "right_collar",
    "LeftUpperArm": "left_shoulder",
    "RightUpperArm": "right_shoulder",
    "LeftLowerArm": "left_elbow",
    "RightLowerArm": "right_elbow",
    "LeftHand": "left_wrist",
    "RightHand": "right_wrist",
    "LeftToes": "left_foot",
    "RightToes": "right_foot",
}
BONES = tuple(HUMANOID)
JOINTS = tuple(JOINT_NAMES.index(name) for name in HUMANOID.values())
PARENTS = tuple(JOINTS.index(JOINT_PARENTS[joint]) if joint else -1 for joint in JOINTS)
_JOINTS = np.array(JOINTS)
_CARRIERS = np.maximum(PARENTS, 0)  # the Hips carry themselves: their offset and their correction are none

# Limb bone → the SMPL joint at its far end.
_ENDS = {
    "UpperLeg": "knee",
    "LowerLeg": "ankle",
    "Foot": "foot",
    "UpperArm": "elbow",
    "LowerArm": "wrist",
    "Hand": "hand",
}
LIMBS = tuple(BONES.index(side + bone) for bone in _ENDS for side in ("Left", "Right"))
LIMB_ENDS = tuple(JOINT_NAMES.index(f"{side}_{end}") for end in _ENDS.values() for side in ("left", "right"))
_SIDES = np.array([1.0 if BONES[limb].startswith("Left") else -1.0 for limb in LIMBS])
_TOES = tuple((BONES.index(f"{side}Toes"), BONES.index(f"{side}Foot")) for side in ("Left", "Right"))

# What an avatar may be without, and where the turn of such a bone goes: torso bones into the bone that carries them,
# the others into the one that they carry. In this order, so that one may hand on what it was given.
_FOLDED_UP = ("UpperChest", "Chest")
_FOLDED_DOWN = ("Neck", "LeftShoulder", "RightShoulder")
OPTIONAL = frozenset({*_FOLDED_UP, *_FOLDED_DOWN, "LeftToes", "RightToes"})

SHORTEST_LIMB_M = 0.01  # what is shorter has no direction
LARGEST_M = 100.0  # what is larger is no body


@dataclass(frozen=True, eq=False)
class Skeleton:
    """One body's bones: how its rest pose differs from the T-pose, and its measures in the T-pose."""

    corrections: np.ndarray  # (22, 3, 3) D
    offsets: (
        np.ndarray
    )  # (22, 3) each bone from its parent in the ideal T-pose, metres; Hips: from the floor below
    sole_m: float  # how high the lowest of the joints lies over the floor when standing at rest

    def pose(self, rotations: np.ndarray) -> np.ndarray:
        """SMPL's (…, 24, 3, 3) joint rotations against the parents → (…, 22, 3, 3) of the bones against theirs."""
        own = rotations[..., _JOINTS, :, :] @ self.corrections
        return np.swapaxes(self.corrections[_CARRIERS], -1, -2) @ own


def body_skeleton(body: Body, betas: np.ndarray) -> Skeleton:
    """The bones of a body with these betas (10,), standing on the lowest of its vertices. Raises ValueError, as
    `skeleton_of` does, where the betas make no body."""
    with np.errstate(over="ignore", invalid="ignore"):
        rest = body.rest_joints(betas).astype(np.float64)
        sole_m = float(rest[:, 1].min() - body.shaped(betas)[:, 1].min())
        return skeleton_of(rest - rest[0], sole_m if 0.0 <= sole_m < LARGEST_M else 0.0)


def skeleton_of(rest_joints: np.ndarray, sole_m: float) -> Skeleton:
    """The bones of a body whose joints (24, 3) stand so at rest: lengths are kept, limbs are put straight.

    Raises ValueError where that is no body: a limb without length, joints far away or not finite.
    """
    rest = np.asarray(rest_joints, np.float64)
    if not (np.abs(rest) < LARGEST_M).all():  # false for NaN too
        raise ValueError("joints that are no body's")
    along = rest[list(LIMB_ENDS)] - rest[[JOINTS[limb] for limb in LIMBS]]
    lengths = np.linalg.norm(along, axis=1)
    if lengths.min() < SHORTEST_LIMB_M:
        raise ValueError("a limb without length")
    ideal = _ideal_directions(along / lengths[:, None])
    corrections = np.tile(np.eye(3), (len(BONES), 1, 1))
    corrections[list(LIMBS)] = _turns(ideal, along / lengths[:, None])
    for toes, foot in _TOES:
        corrections[toes] = corrections[foot]

    joints = rest[_JOINTS]
    offsets = joints - joints[_CARRIERS]
    straight = dict(zip(LIMB_ENDS, ideal * lengths[:, None], strict=True))
    for bone, joint in enumerate(JOINTS):
        offsets[bone] = straight.get(joint, offsets[bone])
    offsets[0] = 0.0
    offsets[0, 1] = sole_m - bone_positions(np.tile(np.eye(3), (len(BONES), 1, 1)), offsets)[:, 1].min()
    return Skeleton(corrections, offsets, sole_m)


def rest_joints_of(rotations: np.ndarray, joints: np.ndarray) -> np.ndarray:
    """The rest joints (24, 3) of the body that stands so: rotations (24, 3, 3) against the parents, of a body whose
    joints (24, 3) are in the same frame as its global orientation. The pelvis comes to lie at the origin."""
    glob = np.empty((24, 3, 3))
    rest = np.zeros((24, 3))
    for joint, parent in enumerate(JOINT_PARENTS):
        if parent < 0:
            glob[joint] = rotations[joint]
        else:
            glob[joint] = glob[parent] @ rotations[joint]
            rest[joint] = rest[parent] + glob[parent].T @ (joints[joint] - joints[parent])
    return rest


def bone_positions(rotations: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    """Forward kinematics: bones' rotations (22, 3, 3) against their parents, offsets (22, 3) from them → (22, 3);
    the Hips stand at their offset."""
    glob = np.empty((len(BONES), 3, 3))
    places = np.empty((len(BONES), 3))
    for bone, parent in enumerate(PARENTS):
        if parent < 0:
            glob[bone], places[bone] = rotations[bone], offsets[bone]
        else:
            glob[bone] = glob[parent] @ rotations[bone]
            places[bone] = places[parent] + glob[parent] @ offsets[bone]
    return places


def fold(rotations: np.ndarray, bones: Collection[str]) -> np.ndarray:
    """For an avatar that has only these bones: the turns (…, 22, 3, 3) of those that it lacks go into others (an
    UpperChest's into the Chest), so that all it has stand as before; theirs become none."""
    folded = rotations.copy()
    for name in (*_FOLDED_UP, *_FOLDED_DOWN):
        if name in bones:
            continue
        bone = BONES.index(name)
        if name in _FOLDED_UP:
            parent = PARENTS[bone]
            folded[..., parent, :, :] = folded[..., parent, :, :] @ folded[..., bone, :, :]
        else:
            child = PARENTS.index(bone)
            folded[..., child, :, :] = folded[..., bone, :, :] @ folded[..., child, :, :]
        folded[..., bone, :, :] = np.eye(3)
    return folded


def fold_offsets(offsets: np.ndarray, bones: Collection[str]) -> np.ndarray:
    """The offsets (22, 3) that go with `fold`: what hung on a torso bone that is not there hangs on what carried it."""
    folded = offsets.copy()
    for name in _FOLDED_UP:
        if name not in bones:
            bone = BONES.index(name)
            folded[[child for child, parent in enumerate(PARENTS) if parent == bone]] += folded[bone]
            folded[bone] = 0.0
    return folded


def _ideal_directions(directions: np.ndarray) -> np.ndarray:
    """(12, 3) unit vectors, of LIMBS: legs down, arms to the side, feet ahead and as steep as they are."""
    ideal = np.zeros_like(directions)
    for row, limb in enumerate(LIMBS):
        name = BONES[limb]
        if name.endswith("Foot"):
            steep = directions[row, 1]
            ideal[row] = (0.0, steep, np.sqrt(max(0.0, 1.0 - steep * steep)))
        elif name.endswith("Leg"):
            ideal[row, 1] = -1.0
        else:
            ideal[row, 0] = _SIDES[row]
    return ideal


def _turns(start: np.ndarray, end: np.ndarray) -> np.ndarray:
    """(N, 3, 3): the smallest turns of unit vectors (N, 3) onto others."""
    turns = np.empty((len(start), 3, 3))
    for row, (a, b) in enumerate(zip(start, end, strict=True)):
        axis, cosine = np.cross(a, b), float(a @ b)
        if cosine < -0.999999:  # opposite: half a turn about anything across
            across = np.cross(a, [1.0, 0.0, 0.0] if abs(a[0]) < 0.9 else [0.0, 1.0, 0.0])
            across /= np.linalg.norm(across)
            turns[row] = 2.0 * np.outer(across, across) - np.eye(3)
            continue
        x, y, z = axis
        skew = np.array([[0.0, -z, y], [z, 0.0, -x], [-y, x, 0.0]])
        turns[row] = np.eye(3) + skew + skew @ skew / (1.0 + cosine)
    return turns
