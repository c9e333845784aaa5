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
    OUTPUTS,
    Head,
    History,
    load_head,
    moves_at,
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


def parts_of(inputs: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Moves until now (ages, 25, 3), foretold turns (24, 3), the pose's first two columns (24, 3, 2)."""
    moves, foretold, pose = np.split(inputs, [len(AGES_MS) * 75, len(AGES_MS) * 75 + 72])
    return moves.reshape(-1, JOINTS + 1, 3), foretold.reshape(JOINTS, 3), pose.reshape(JOINTS, 3, 2)


@pytest.mark.parametrize("fps", [15.0, 24.0, 30.0, 60.0])
def test_it_is_shown_the_turns_until_now_whatever_the_rate(fps: float) -> None:
    inputs = watched(fps).inputs(pose_of(1.0 + 1.0 / 6.0))
    assert inputs.shape == (INPUTS,) and inputs.dtype == np.float32
    moves, foretold, pose = parts_of(inputs)
    ages_s = np.array(AGES_MS) / 1e3
    np.testing.assert_allclose(moves[:, KNEE, 0], np.sin(RATE_RAD_S * ages_s), atol=2e-3)
    np.testing.assert_allclose(moves[:, JOINTS, 0], 0.9 * ages_s, atol=1e-5)
    np.testing.assert_allclose(foretold[KNEE], (np.sin(RATE_RAD_S / 6.0), 0, 0), atol=1e-5)
    np.testing.assert_allclose(pose, pose_of(1.0)[:, :, :2], atol=1e-6)
    rest = np.delete(moves, [KNEE, JOINTS], axis=1)
    np.testing.assert_allclose(rest, 0.0, atol=1e-6)


def test_before_the_first_pose_he_counts_as_still() -> None:
    history = watched(30.0, 2 / 30.0)  # three poses
    moves, _, _ = parts_of(history.inputs(pose_of(0.0)))
    np.testing.assert_allclose(moves[1:, JOINTS, 0], 0.06, atol=1e-5)
    history.reset()
    history.push(0, pose_of(0.0), np.zeros(3, np.float32), np.zeros((JOINTS, 3), np.float32))
    moves, _, _ = parts_of(history.inputs(pose_of(0.0)))
    np.testing.assert_allclose(moves, 0.0, atol=1e-6)
    assert history.speed_m_s == 0.0


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


def test_live_it_is_what_was_trained(tmp_path) -> None:
    torch = pytest.importorskip("torch", reason="heads are trained with torch")
    from training.fit_lead import HeadNetwork, at_horizons, led_joints, rotations_of
    from training.lead_samples import HORIZONS_MS

    rng = np.random.default_rng(0)
    torch.manual_seed(0)
    network = HeadNetwork(
        rng.normal(size=INPUTS).astype(np.float32), rng.uniform(0.5, 2, INPUTS).astype(np.float32), 24
    )
    for layer in (network.first, network.second, network.skip):
        torch.nn.init.normal_(layer.weight, 0, 0.1)
    network.eval()
    file = tmp_path / "lead.npz"
    np.savez_compressed(file, **network.arrays())
    head, shown = load_head(file), rng.normal(size=(5, INPUTS)).astype(np.float32)
    knots = network(torch.from_numpy(shown))
    for row, one in zip(knots.detach().numpy(), shown, strict=True):
        np.testing.assert_allclose(head(one), row, atol=4e-3)  # weights of the file are float16
    moves = at_horizons(knots).detach().numpy()
    for h, ms in enumerate(HORIZONS_MS):
        np.testing.assert_allclose(moves[2, h], moves_at(knots[2].detach().numpy(), ms), atol=1e-5)
    turns = rng.normal(0, 0.5, (JOINTS, 3)).astype(np.float32)
    np.testing.assert_allclose(rotations_of(torch.from_numpy(turns)), axis_angle_to_matrix(turns), atol=1e-6)

    from bodies import figure_body

    from realtime.body.kinematics import forward_kinematics
    from training.body_torch import TorchBody

    body, betas = figure_body(), np.zeros((1, 10), np.float32)
    now = axis_angle_to_matrix(rng.normal(0, 0.5, (1, JOINTS, 3)))
    tensors = (torch.from_numpy(value) for value in (now, betas))
    joints, way = led_joints(TorchBody(body, [0]), knots[2:3], *tensors)
    there, _ = forward_kinematics(body, turned(now[0], moves[2, 3, :JOINTS]), betas[0])
    np.testing.assert_allclose(joints[0, 3].detach().numpy(), there - there[0], atol=1e-5)
    np.testing.assert_allclose(way[0, 3].detach().numpy(), moves[2, 3, JOINTS], atol=1e-6)


def test_a_file_that_is_no_head_is_refused(tmp_path) -> None:
    with pytest.raises(LoadError, match="none.npz: cannot be read"):
        load_head(tmp_path / "none.npz")
    arrays = {
        "mean": np.zeros(INPUTS),
        "scale": np.ones(INPUTS),
        "w0": np.zeros((INPUTS, 2)),
        "b0": np.zeros(2),
    }
    arrays |= {"w1": np.zeros((2, OUTPUTS)), "skip": np.zeros((INPUTS, OUTPUTS)), "b1": np.zeros(OUTPUTS)}
    assert Head(arrays)(np.zeros(INPUTS, np.float32)).shape == (len(KNOTS_MS), JOINTS + 1, 3)
    for key, wrong in (("w1", np.zeros((3, OUTPUTS))), ("mean", np.full(INPUTS, np.nan))):
        np.savez(tmp_path / "wrong.npz", **(arrays | {key: wrong}))
        with pytest.raises(LoadError, match=rf"wrong.npz: .*{key} should be.*\n.*training.fit_lead"):
            load_head(tmp_path / "wrong.npz")
