"""The head that leads poses: what it is shown, and that live and in training it is the same."""

from __future__ import annotations

import numpy as np
import pytest

from realtime.body.rotations import axis_angle_to_matrix
from realtime.errors import LoadError
from realtime.lead_head import (
    AGES_MS,
    INPUTS,
    JOINTS,
    KNOTS_MS,
    History,
    load_head,
    moves_at,
    save_head,
    turned,
    vee,
)

RATE_RAD_S = 1.2  # of the knee
KNEE = 4


def pose_of(seconds: float) -> np.ndarray:
    turns = np.zeros((JOINTS, 3), np.float32)
    turns[KNEE, 0] = RATE_RAD_S * seconds
    turns[0, 1] = 0.4
    return axis_angle_to_matrix(turns)


def watched(fps: float, seconds: float = 1.0) -> History:
    """Somebody whose knee bends steadily while he walks along x at 0.9 m/s and his joints drift at 0.3 m/s."""
    history = History()
    for i in range(round(seconds * fps) + 1):
        t = i / fps
        joints = np.full((JOINTS, 3), (0.0, 0.3 * t, 0.0), np.float32)
        history.push(round(t * 1e9), pose_of(t), np.array((0.9 * t, 0, 3), np.float32), joints)
    return history


@pytest.mark.parametrize("fps", [15.0, 24.0, 30.0, 60.0])
def test_it_is_shown_the_turns_until_now_whatever_the_rate(fps: float) -> None:
    inputs = watched(fps).inputs(pose_of(1.0 + 1.0 / 6.0))
    assert inputs.shape == (INPUTS, JOINTS + 1, 3) and inputs.dtype == np.float32
    ages_s = np.array(AGES_MS) / 1e3
    np.testing.assert_allclose(inputs[:-1, KNEE, 0], np.sin(RATE_RAD_S * ages_s), atol=2e-3)
    np.testing.assert_allclose(inputs[:-1, JOINTS, 0], 0.9 * ages_s, atol=1e-5)
    np.testing.assert_allclose(inputs[-1, KNEE], (np.sin(RATE_RAD_S / 6.0), 0, 0), atol=1e-5)
    np.testing.assert_allclose(inputs[-1, JOINTS], 0.0)
    np.testing.assert_allclose(np.delete(inputs, [KNEE, JOINTS], axis=1), 0.0, atol=1e-6)


def test_before_the_first_pose_he_counts_as_still() -> None:
    history = watched(30.0, 2 / 30.0)  # three poses
    np.testing.assert_allclose(history.inputs(pose_of(0.0))[1:-1, JOINTS, 0], 0.06, atol=1e-5)
    history.reset()
    history.push(0, pose_of(0.0), np.zeros(3, np.float32), np.zeros((JOINTS, 3), np.float32))
    np.testing.assert_allclose(history.inputs(pose_of(0.0)), 0.0, atol=1e-6)
    assert history.speed_m_s == 0.0 and len(history) == 1


def test_speed_is_of_the_joints() -> None:
    for fps in (15.0, 30.0, 60.0):
        assert watched(fps).speed_m_s == pytest.approx(0.3, rel=1e-3)


def test_turns_there_and_back() -> None:
    turns = np.random.default_rng(0).normal(0, 0.2, (JOINTS, 3)).astype(np.float32)
    now = axis_angle_to_matrix(np.random.default_rng(1).normal(0, 1, (JOINTS, 3)))
    then = turned(now, turns)
    angle = np.linalg.norm(turns, axis=1, keepdims=True)
    np.testing.assert_allclose(vee(np.swapaxes(now, 1, 2) @ then), turns * np.sin(angle) / angle, atol=1e-6)


def test_between_the_knots_it_goes_steadily() -> None:
    knots = np.zeros((len(KNOTS_MS), JOINTS + 1, 3), np.float32)
    knots[:, 3, 1] = (1.0, 3.0, 4.0)
    for ms, there in ((0, 0), (100 / 3, 0.5), (200 / 3, 1), (100, 2), (400 / 3, 3), (200, 4), (500, 4)):
        assert moves_at(knots, ms)[3, 1] == pytest.approx(there, abs=1e-5)


def test_shares_are_of_every_joint_alike_and_the_pelvis_has_its_own(tmp_path) -> None:
    rng = np.random.default_rng(0)
    pose, pelvis = rng.normal(size=(len(KNOTS_MS), INPUTS)), rng.normal(size=(len(KNOTS_MS), len(AGES_MS)))
    save_head(tmp_path / "lead.json", pose, pelvis)
    shown = rng.normal(size=(INPUTS, JOINTS + 1, 3)).astype(np.float32)
    moves = load_head(tmp_path / "lead.json")(shown)
    assert moves.shape == (len(KNOTS_MS), JOINTS + 1, 3) and moves.dtype == np.float32
    for k in range(len(KNOTS_MS)):
        for joint in (0, 5, 23):
            there = sum(share * turn for share, turn in zip(pose[k], shown[:, joint], strict=True))
            np.testing.assert_allclose(moves[k, joint], there, atol=5e-3)  # thousandths in the file
        there = sum(share * way for share, way in zip(pelvis[k], shown[:-1, JOINTS], strict=True))
        np.testing.assert_allclose(moves[k, JOINTS], there, atol=5e-3)


def test_a_file_that_is_no_head_is_refused(tmp_path) -> None:
    with pytest.raises(LoadError, match="none.json: no head that leads poses"):
        load_head(tmp_path / "none.json")
    pose, pelvis = np.zeros((len(KNOTS_MS), INPUTS)), np.zeros((len(KNOTS_MS), len(AGES_MS)))
    file = tmp_path / "lead.json"
    for wrong, said in (
        ((pose[:, :-1], pelvis), "pose: expected 3 × 7"),
        ((pose, pelvis + np.nan), "pelvis: expected 3 × 6"),
    ):
        save_head(file, *wrong)
        with pytest.raises(LoadError, match=rf"lead.json: .*{said}.*\n.*training.fit_lead"):
            load_head(file)
    save_head(file, pose, pelvis)
    assert not load_head(file)(np.ones((INPUTS, JOINTS + 1, 3), np.float32)).any()
    text = file.read_text()
    for broken in ("[]", "{", "{}", text.replace("66.7", "60.0")):
        file.write_text(broken)
        with pytest.raises(LoadError, match="lead.json: no head"):
            load_head(file)
