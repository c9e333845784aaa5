"""Where the avatar stands, and what it does when nobody is seen; by a clock of the test's own."""

from __future__ import annotations

import numpy as np
import pytest
from avatars import PLACES_M, write_avatar
from bone_poses import angles_deg, bone, limbs_of_bones, limbs_of_message, shipped_body, standing
from scipy.spatial.transform import Rotation

from realtime.coordinates import UNITY
from realtime.sinks.bones import BoneReader
from realtime.sinks.stage import EASE_S, HOLD_S, RETURN_S, Stage, StageFrame, slerp
from realtime.vrm import load_avatar

STEP_S = 1 / 60
REST = np.tile([0.0, 0.0, 0.0, 1.0], (22, 1))


class Scene:
    """A stage with its clock."""

    def __init__(self, **options: object) -> None:
        self.reader = BoneReader(shipped_body())
        self.stage = Stage(self.reader.neutral, **options)
        self.now_s = 100.0

    def play(self, seconds: float, **changes: object) -> list[StageFrame]:
        """The same pose, or (seed=None) nothing, for so long."""
        frames = []
        for _ in range(round(seconds / STEP_S)):
            self.now_s += STEP_S
            if changes.get("seed", 0) is not None:
                message = standing(**{"seed": 1, **changes})
                self.stage.see(self.now_s, message, self.reader.read(message))
            frames.append(self.stage.frame(self.now_s))
        for frame in frames:
            assert np.isfinite(frame.positions).all()
            np.testing.assert_allclose(np.linalg.norm(frame.quaternions, axis=1), 1, atol=1e-6)
        return frames


def turns_deg(frames: list[StageFrame]) -> np.ndarray:
    """How far each bone turned from one frame to the next, degrees, the largest."""
    turns = [Rotation.from_quat(frame.quaternions) for frame in frames]
    return np.array(
        [np.degrees((b * a.inv()).magnitude().max()) for a, b in zip(turns, turns[1:], strict=False)]
    )


def same_turn(a: np.ndarray, b: np.ndarray) -> bool:
    return bool((np.abs(np.einsum("ni,ni->n", a, b)) > 1 - 1e-9).all())


def test_before_anybody_came_it_stands_at_rest():
    frame = Scene().play(0.1, seed=None)[-1]
    assert not frame.tracking and np.array_equal(frame.quaternions, REST)
    assert frame.positions[0][1] == pytest.approx(0.93, abs=0.03)  # the Hips of somebody of 1.73 m
    assert np.linalg.norm(frame.positions[1:], axis=1).min() > 0.02  # no bone falls onto another


def test_a_pose_is_shown_as_it_is():
    scene = Scene()
    frame = scene.play(2 * RETURN_S)[-1]
    message = standing(1)
    assert frame.tracking
    assert np.array_equal(frame.quaternions, UNITY.quaternions(scene.reader.read(message).rotations))
    found = limbs_of_bones(frame.quaternions, frame.positions, UNITY)
    assert angles_deg(found, limbs_of_message(message)).max() < 0.1


@pytest.mark.parametrize("how", ["lost", "silent"])
def test_hold_then_ease_to_rest(how: str):
    scene = Scene()
    shown = scene.play(1.0)[-1]
    gone = {"state": "lost", "score": 0.0} if how == "lost" else {"seed": None}
    held = scene.play(HOLD_S - STEP_S, **gone)
    assert all(frame.tracking and same_turn(frame.quaternions, shown.quaternions) for frame in held)
    eased = scene.play(EASE_S + 3 * STEP_S, **gone)
    assert eased[len(eased) // 2].tracking and not eased[-1].tracking
    assert not same_turn(eased[len(eased) // 2].quaternions, shown.quaternions)
    assert np.array_equal(eased[-1].quaternions, REST)
    whole = np.degrees(Rotation.from_quat(shown.quaternions).magnitude().max())
    assert turns_deg([held[-1], *eased]).max() < whole * 2 * STEP_S / EASE_S  # no jump anywhere
    assert scene.stage.at_rest and eased[-1].positions[0][1] == pytest.approx(0.93, abs=0.05)
    np.testing.assert_array_equal(eased[-1].positions[0][[0, 2]], shown.positions[0][[0, 2]])
    assert not scene.play(1.0, **gone)[-1].tracking


def test_when_it_moves_by_itself():
    """The sink sends without a message only then."""
    scene = Scene()
    assert not scene.stage.moves(scene.now_s)
    scene.play(RETURN_S / 2)
    assert scene.stage.moves(scene.now_s)
    scene.play(1.0)
    assert not scene.stage.moves(scene.now_s) and not scene.stage.moves(scene.now_s + HOLD_S - STEP_S)
    assert scene.stage.moves(scene.now_s + HOLD_S + STEP_S)
    scene.play(HOLD_S + EASE_S + 3 * STEP_S, seed=None)
    assert not scene.stage.moves(scene.now_s)


def test_who_is_held_is_held_on():
    scene = Scene()
    shown = scene.play(1.0)[-1]
    held = scene.play(HOLD_S + EASE_S + 1.0, state="held")[-1]
    assert held.tracking and same_turn(held.quaternions, shown.quaternions)
    scene.play(HOLD_S + EASE_S + 0.2, state="lost")
    assert not scene.play(1.0, state="held", person=5)[-1].tracking  # of whom nothing was ever seen


def test_who_comes_back_is_followed_without_a_jump():
    scene = Scene()
    scene.play(1.0)
    scene.play(3.0, state="lost")
    scene.now_s += 100.0  # an idle sink wakes seldom
    back = scene.play(2 * RETURN_S, person=2)
    assert back[-1].tracking
    assert turns_deg(back).max() < 60 and turns_deg(back)[:2].max() < 10
    assert same_turn(back[-1].quaternions, scene.play(0.1, person=2)[-1].quaternions)


def test_the_feet_are_on_the_floor():
    """The lowest joint is as high as it is on one who stands at rest, wherever the camera is."""
    for y in (-1.0, 0.0, 2.0):
        scene = Scene()
        frame = scene.play(1.0, trans=np.array([0, y, 3], np.float32))[-1]
        places = [frame.positions[0]]
        message = standing(1)
        low_m = message.joints[:, 1].max()
        sole_m = scene.reader.read(message).skeleton.sole_m
        assert places[0][1] - low_m == pytest.approx(sole_m, abs=1e-4)
        assert 0.0 < sole_m < 0.06


def test_without_a_floor_height_is_seen_from_the_camera():
    frame = Scene(floor=False).play(1.0)[-1]
    assert frame.positions[0][1] == pytest.approx(-0.25)


def at(x: float, z: float) -> np.ndarray:
    return np.array([x, 0, z], np.float32)


def test_a_person_begins_at_the_origin_and_moves_from_there():
    scene = Scene()
    scene.play(0.5, trans=at(0.5, 3.0))
    moved = scene.play(0.5, trans=at(0.75, 2.0))[-1]
    # To the right in the picture, which is his left when he faces the camera; and toward it.
    np.testing.assert_allclose(moved.positions[0][[0, 2]], [-0.25, 1.0], atol=1e-6)
    assert np.array_equal(moved.root, [0, 0, 0, 0, 0, 0, 1])
    other = scene.play(0.5, trans=at(0.75, 2.0), person=2)[-1]
    np.testing.assert_allclose(other.positions[0][[0, 2]], 0, atol=1e-6)


def test_where_the_camera_sees_him():
    frame = Scene(start=False).play(0.5, trans=at(0.5, 3.0))[-1]
    np.testing.assert_allclose(frame.positions[0][[0, 2]], [-0.5, -3.0], atol=1e-6)


def test_movement_on_the_root():
    on_hips, on_root = (Scene(start=False, on_root=on).play(0.5)[-1] for on in (False, True))
    np.testing.assert_allclose(on_root.root[:3] + on_root.positions[0], on_hips.positions[0])
    assert on_root.positions[0][0] == on_root.positions[0][2] == on_root.root[1] == 0
    assert on_root.positions[0][1] == on_hips.positions[0][1]


@pytest.mark.parametrize("version", ["0.x", "1.0"])
def test_a_given_avatar(version: str, tmp_path):
    """Its own bones; on its own feet; its steps as long as its legs."""
    avatar = load_avatar(write_avatar(tmp_path / "a.vrm", version, without=("UpperChest",)))
    scene = Scene(avatar=avatar)
    resting = scene.play(0.1, seed=None)[-1]
    assert resting.positions[0][1] == pytest.approx(0.6)
    np.testing.assert_allclose(
        resting.positions[bone("LeftHand")],
        UNITY.points(np.subtract(PLACES_M["LeftHand"], PLACES_M["LeftLowerArm"])),
    )
    scene.play(0.5, trans=at(0.0, 3.0))
    frame = scene.play(0.5, trans=at(0.0, 2.0))[-1]
    skeleton = scene.reader.read(standing(1)).skeleton
    scale = 0.58 / (skeleton.offsets[0, 1] - skeleton.sole_m)
    assert frame.positions[0][2] == pytest.approx(scale)
    low_m = standing(1).joints[:, 1].max()
    assert frame.positions[0][1] - scale * low_m == pytest.approx(0.02, abs=1e-4)
    np.testing.assert_allclose(frame.quaternions[bone("UpperChest")], [0, 0, 0, 1])


def test_without_upper_chest_nothing_above_it_turns_another_way():
    whole, folded = (Scene(upper_chest=has).play(1.0)[-1].quaternions for has in (True, False))
    chest, upper, neck = (Rotation.from_quat(whole[bone(name)]) for name in ("Chest", "UpperChest", "Neck"))
    np.testing.assert_allclose(
        (Rotation.from_quat(folded[bone("Chest")]) * Rotation.from_quat(folded[bone("Neck")])).as_matrix(),
        (chest * upper * neck).as_matrix(),
        atol=1e-9,
    )


def test_slerp():
    turns = Rotation.random(50, random_state=0).as_quat()
    for share in (0.0, 0.3, 1.0):
        between = Rotation.from_quat(slerp(REST[:1].repeat(50, 0), turns, share))
        expected = Rotation.from_rotvec(share * Rotation.from_quat(turns).as_rotvec())
        assert np.degrees((between * expected.inv()).magnitude()).max() < 1e-5
    for near in (REST, -REST, np.array([[1e-9, 0, 0, 1.0]])):
        assert np.isfinite(slerp(REST[: len(near)], near, 0.5)).all()
