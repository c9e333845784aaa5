"""The humanoid skeleton: its limbs point where the body's do, whatever the pose; nothing is lost by folding."""

from __future__ import annotations

import numpy as np
import pytest
from bodies import figure_body, random_body
from scipy.spatial.transform import Rotation

from realtime.body.kinematics import forward_kinematics
from realtime.body.skeleton import JOINT_NAMES
from realtime.body.skeleton import PARENTS as JOINT_PARENTS
from realtime.body.smpl import load_body
from realtime.humanoid import (
    BONES,
    HUMANOID,
    JOINTS,
    LIMB_ENDS,
    LIMBS,
    OPTIONAL,
    PARENTS,
    body_skeleton,
    bone_positions,
    fold,
    fold_offsets,
    rest_joints_of,
    skeleton_of,
)

ORDER = [
    "Hips",
    "LeftUpperLeg",
    "RightUpperLeg",
    "LeftLowerLeg",
    "RightLowerLeg",
    "LeftFoot",
    "RightFoot",
    "Spine",
    "Chest",
    "UpperChest",
    "Neck",
    "Head",
    "LeftShoulder",
    "RightShoulder",
    "LeftUpperArm",
    "RightUpperArm",
    "LeftLowerArm",
    "RightLowerArm",
    "LeftHand",
    "RightHand",
    "LeftToes",
    "RightToes",
]
BODIES = {"shipped": lambda: load_body(None), "figure": figure_body}


def poses(count: int, seed: int = 0) -> np.ndarray:
    """(count, 24, 3, 3) any rotations of every joint."""
    return Rotation.random(count * 24, random_state=seed).as_matrix().reshape(count, 24, 3, 3)


def slanted_rest(seed: int) -> np.ndarray:
    """Rest joints of a body in no T-pose at all: arms hanging 40°, legs apart, feet out; every bone another length."""
    rest = figure_body().rest_joints(np.zeros(10)).astype(np.float64)
    return rest + np.random.default_rng(seed).normal(0, 0.03, rest.shape) + _hanging(rest)


def _hanging(rest: np.ndarray) -> np.ndarray:
    down = np.zeros_like(rest)
    for name in ("elbow", "wrist", "hand"):
        for side in ("left", "right"):
            joint = JOINT_NAMES.index(f"{side}_{name}")
            down[joint, 1] = -0.8 * (abs(rest[joint, 0]) - 0.18)
    return down


def angles_deg(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.degrees(np.arctan2(np.linalg.norm(np.cross(a, b), axis=-1), (a * b).sum(-1)))


def limb_error_deg(rest: np.ndarray, rotations: np.ndarray) -> float:
    """The largest angle between the limbs of the body and of its humanoid skeleton, by two forward kinematics that
    have nothing in common; the hand's direction, which has no bone at its end, by its turn."""
    skeleton = skeleton_of(rest, 0.0)
    turned = skeleton.pose(rotations)
    places = bone_positions(turned, skeleton.offsets)
    glob, joints = np.empty((24, 3, 3)), np.zeros((24, 3))
    for joint, parent in enumerate(JOINT_PARENTS):
        glob[joint] = rotations[joint] if parent < 0 else glob[parent] @ rotations[joint]
        if parent >= 0:
            joints[joint] = joints[parent] + glob[parent] @ (rest[joint] - rest[parent])
    worst = 0.0
    for limb, end in zip(LIMBS, LIMB_ENDS, strict=True):
        theirs = joints[end] - joints[JOINTS[limb]]
        if end in JOINTS:
            ours = places[JOINTS.index(end)] - places[limb]
        else:
            chain = [limb]
            while PARENTS[chain[0]] >= 0:
                chain.insert(0, PARENTS[chain[0]])
            side = 1.0 if BONES[limb].startswith("Left") else -1.0
            ours = np.linalg.multi_dot(turned[chain]) @ (side, 0, 0)
        worst = max(worst, float(angles_deg(ours, theirs)))
    return worst


def test_the_bones_are_unitys():
    assert list(BONES) == ORDER  # docs/game-engines.md relies on it
    assert sorted(JOINTS) == list(range(22))
    assert all(parent < bone for bone, parent in enumerate(PARENTS))
    assert {(BONES[b], BONES[p]) for b, p in enumerate(PARENTS) if p >= 0} >= {
        ("LeftShoulder", "UpperChest"),
        ("Neck", "UpperChest"),
        ("LeftHand", "LeftLowerArm"),
        ("RightToes", "RightFoot"),
    }
    assert HUMANOID["LeftUpperArm"] == "left_shoulder" and HUMANOID["LeftShoulder"] == "left_collar"


@pytest.mark.parametrize("seed", range(20))
def test_limbs_point_where_the_bodys_do(seed: int):
    """To 0.1°, on random poses, of bodies that stand far from a T-pose."""
    rest = slanted_rest(seed)
    for rotations in poses(10, seed):
        assert limb_error_deg(rest, rotations) < 0.1


def test_copied_rotations_would_not_do():
    """What the correction is for: without it, the same test fails by degrees."""
    rest = slanted_rest(0)
    skeleton = skeleton_of(rest, 0.0)
    assert angles_deg(rest[18] - rest[16], np.array([1.0, 0, 0])) > 20
    plain = bone_positions(poses(1)[0][list(JOINTS)], skeleton.offsets)
    right = bone_positions(skeleton.pose(poses(1)[0]), skeleton.offsets)
    arm, elbow = BONES.index("LeftUpperArm"), BONES.index("LeftLowerArm")
    assert angles_deg(plain[elbow] - plain[arm], right[elbow] - right[arm]) > 20


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
def test_joints_of_a_real_body(body):
    """On the shipped body, whose T-pose is nearly the ideal one, also the joints are where they were."""
    body, betas = body(), np.linspace(-1, 1, 10).astype(np.float32)
    rest = body.rest_joints(betas).astype(np.float64)
    skeleton = body_skeleton(body, betas)
    for rotations in poses(20, 5):
        assert limb_error_deg(rest, rotations) < 0.1
        joints, _ = forward_kinematics(body, rotations, betas)
        places = bone_positions(skeleton.pose(rotations), skeleton.offsets)
        moved = places - places[0] - (joints - joints[0])[list(JOINTS)]
        assert np.abs(moved).max() < 1e-4


def test_at_rest_it_stands_in_a_t_pose_on_the_floor():
    skeleton = skeleton_of(slanted_rest(3), 0.02)
    places = dict(zip(BONES, bone_positions(np.tile(np.eye(3), (22, 1, 1)), skeleton.offsets), strict=True))
    for side, sign in (("Left", 1), ("Right", -1)):
        arm = places[f"{side}Hand"] - places[f"{side}UpperArm"]
        leg = places[f"{side}Foot"] - places[f"{side}UpperLeg"]
        np.testing.assert_allclose(arm / np.linalg.norm(arm), [sign, 0, 0], atol=1e-12)
        np.testing.assert_allclose(leg / np.linalg.norm(leg), [0, -1, 0], atol=1e-12)
        foot = places[f"{side}Toes"] - places[f"{side}Foot"]
        assert foot[0] == 0 and foot[2] > 0
    assert min(place[1] for place in places.values()) == pytest.approx(0.02)
    assert places["Hips"][0] == places["Hips"][2] == 0


def test_head_spine_and_collars_are_left_alone():
    skeleton, rotations = skeleton_of(slanted_rest(1), 0.0), poses(1)[0]
    turned = skeleton.pose(rotations)
    for name in ("Hips", "Spine", "Chest", "UpperChest", "Neck", "Head", "LeftShoulder", "RightShoulder"):
        bone = BONES.index(name)
        np.testing.assert_array_equal(turned[bone], rotations[JOINTS[bone]])


def test_the_rest_pose_is_told_by_any_pose():
    """From rotations and joints alone, as a message carries them: also of a body that we do not have."""
    body, betas = random_body(3), np.linspace(-1, 1, 10)
    for rotations in poses(5, 7):
        joints, _ = forward_kinematics(body, rotations, betas)
        rest = body.rest_joints(betas)
        np.testing.assert_allclose(rest_joints_of(rotations, joints), rest - rest[0], atol=1e-5)


@pytest.mark.parametrize(
    "missing",
    [{"UpperChest"}, {"UpperChest", "Chest"}, {"Neck"}, {"LeftShoulder", "RightShoulder"}, OPTIONAL],
    ids=lambda missing: "+".join(sorted(missing)),
)
def test_folding_keeps_what_is_there_where_it_stands(missing: set[str]):
    kept = [bone for bone in BONES if bone not in missing]
    turned = skeleton_of(slanted_rest(2), 0.0).pose(poses(1, 9)[0])
    folded = fold(turned, kept)
    for name in kept:
        whole, without, bone = np.eye(3), np.eye(3), BONES.index(name)
        while bone >= 0:
            whole = turned[bone] @ whole
            if BONES[bone] in kept:
                without = folded[bone] @ without
            bone = PARENTS[bone]
        if name not in ("Spine", "Chest"):  # these take up what the ones above them turned
            np.testing.assert_allclose(without, whole, atol=1e-12, err_msg=name)
    for name in set(missing) - {"LeftToes", "RightToes"}:
        np.testing.assert_array_equal(folded[BONES.index(name)], np.eye(3))
    np.testing.assert_array_equal(fold(turned, BONES), turned)


@pytest.mark.parametrize("value", [0.0, np.nan, np.inf, 1e30], ids=str)
def test_what_is_no_skeleton_is_refused(value: float):
    with pytest.raises(ValueError, match="without length|no body's"):
        skeleton_of(np.full((24, 3), value), 0.0)


def test_opposite_directions_have_a_turn():
    rest = figure_body().rest_joints(np.zeros(10)).astype(np.float64)
    rest[[18, 20, 22], 0] = rest[16, 0] - np.array([0.3, 0.5, 0.6])
    rest[[18, 20, 22], 1:] = rest[16, 1:]
    assert limb_error_deg(rest, poses(1)[0]) < 0.1


def test_without_an_upper_chest_neck_and_shoulders_stay_where_they_are():
    skeleton = body_skeleton(load_body(None), np.zeros(10, np.float32))
    bones = {*BONES} - {"UpperChest"}
    folded = fold_offsets(skeleton.offsets, bones)
    chest, gone = BONES.index("Chest"), BONES.index("UpperChest")
    rest = np.tile(np.eye(3), (len(BONES), 1, 1))
    as_before, now = bone_positions(rest, skeleton.offsets), bone_positions(rest, folded)
    kept = [bone for bone in range(len(BONES)) if bone != gone]
    np.testing.assert_allclose(now[kept], as_before[kept], atol=1e-12)
    np.testing.assert_array_equal(
        now[gone], now[chest]
    )  # so it may as well hang on the Chest, as in the avatar
    np.testing.assert_array_equal(fold_offsets(skeleton.offsets, BONES), skeleton.offsets)
