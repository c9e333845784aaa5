"""Training the head that leads poses: samples at the right moments, and a file that the live path can load."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from bodies import figure_body

torch = pytest.importorskip("torch", reason="heads are trained with torch")

from realtime.body.kinematics import forward_kinematics  # noqa: E402
from realtime.body.rotations import axis_angle_to_matrix  # noqa: E402
from realtime.lead_head import AGES_MS, AHEAD_MS, JOINTS, load_head, moves_at  # noqa: E402
from realtime.observation import Estimate  # noqa: E402
from training import fit_lead  # noqa: E402
from training.lead_samples import HORIZONS_MS, LEAST_PAST, samples_of  # noqa: E402
from training.lead_streams import Replay  # noqa: E402
from training.motion import SWAP_SIDES  # noqa: E402

BODY = figure_body()
ELBOW, OTHER = 18, 19
FRAMES = 40


def replay(clip: str, rate_rad_s: float, lost: tuple[int, ...] = (), fps: float = 30.0) -> Replay:
    """The left elbow bends steadily while the pelvis goes to the right at 0.6 m/s; the truth is 50 mm beside that."""
    estimates, joints = [], np.empty((FRAMES, 24, 3), np.float32)
    for t in range(FRAMES):
        theta, then = np.zeros(85, np.float32), np.zeros(72, np.float32)
        theta[3 + 3 * ELBOW + 1] = rate_rad_s * t / fps
        then[3 * ELBOW + 1] = rate_rad_s * (t / fps + AHEAD_MS / 1e3)
        posed, _ = forward_kinematics(BODY, axis_angle_to_matrix(theta[3:75].reshape(24, 3)), theta[75:])
        joints[t] = posed + np.array((0.6 * t / fps, 0, 3))
        state = "held" if t in lost else "tracking"
        trans = np.array((0.6 * t / fps, 0, 3), np.float32)
        estimates.append(
            Estimate(theta, trans, posed - posed[0], ((AHEAD_MS, then),), state, 1.0, 1)  # type: ignore[arg-type]
        )
    joints[:, 1:, 2] += 0.05
    stamps = np.round(np.arange(FRAMES) * 1e9 / fps).astype(np.int64)
    return Replay(SimpleNamespace(clip=clip, joints=joints), "both", stamps, estimates)  # type: ignore[arg-type]


def test_samples_know_where_stream_and_truth_were_then():
    samples = samples_of([replay("01_01", 1.5)])
    ahead = round(HORIZONS_MS[-1] * 30 / 1000)
    count = FRAMES - (LEAST_PAST - 1) - ahead
    assert len(samples.inputs) == 2 * count and set(samples.subject) == {"01"}
    said = np.stack([estimate.joints for estimate in replay("01_01", 1.5).estimates])
    for row in (0, 7, count - 1):
        t = row + LEAST_PAST - 1
        np.testing.assert_allclose(samples.joints[row], said[t], atol=1e-6)
        for h in range(len(HORIZONS_MS)):
            np.testing.assert_allclose(samples.later[row, h], said[t + h + 1], atol=1e-5)
            np.testing.assert_allclose(
                samples.true[row, h, 1:] - said[t + h + 1, 1:], [[0, 0, 0.05]] * 23, atol=1e-5
            )
            assert samples.way[row, h, 0] == pytest.approx(0.6 * (h + 1) / 30, abs=1e-5)
    moves = samples.inputs[12, : len(AGES_MS) * 75].reshape(-1, 25, 3)
    np.testing.assert_allclose(moves[:, ELBOW, 1], np.sin(1.5 * np.array(AGES_MS) / 1e3), atol=2e-3)
    # In the mirror it is the other elbow, it bends the other way, and he goes to the left.
    other = samples.inputs[count + 12, : len(AGES_MS) * 75].reshape(-1, 25, 3)
    np.testing.assert_allclose(other[:, OTHER, 1], -moves[:, ELBOW, 1], atol=1e-6)
    np.testing.assert_allclose(other[:, JOINTS, 0], -moves[:, JOINTS, 0], atol=1e-6)
    flip = np.array([-1, 1, 1], np.float32)
    np.testing.assert_allclose(samples.later[count + 3], samples.later[3][:, SWAP_SIDES] * flip, atol=1e-6)
    follows = samples.follows[:count]
    assert follows[:-2].all() and not follows[-2:].any()


def test_no_sample_reaches_over_a_loss_or_a_slow_stream():
    samples = samples_of([replay("01_01", 1.5, lost=(20,))])
    t = np.array([*range(LEAST_PAST - 1, 20 - 6), *range(20 + LEAST_PAST, FRAMES - 6)])
    assert len(samples.inputs) == 2 * len(t)
    gap = np.flatnonzero(np.diff(t) > 1)[0]
    assert not samples.follows[[gap - 1, gap]].any() and samples.follows[gap + 1]
    slow = samples_of([replay("01_01", 1.5), replay("01_02", 1.5, fps=8.0)])
    assert len(slow.inputs) == len(samples_of([replay("01_01", 1.5)]).inputs)


def test_it_learns_to_go_on_and_writes_what_the_stream_loads(tmp_path, monkeypatch, capsys):
    rates = np.linspace(-2, 2, 8)
    samples = samples_of([replay(f"{s:02d}_01", rate) for s, rate in enumerate((*rates, *rates[::-1]))])
    monkeypatch.setattr(fit_lead, "load_body", lambda _: BODY)
    np.savez(tmp_path / "samples.npz", **vars(samples))
    out = tmp_path / "lead.npz"
    arguments = ["--samples", tmp_path / "samples.npz", "--epochs", 40, "--out", out]
    assert fit_lead.main([str(argument) for argument in arguments]) == 0
    assert "16 subjects" in capsys.readouterr().out
    head = load_head(out)
    row = int(np.flatnonzero(samples.subject == "07")[10])  # 2 rad/s
    turns = moves_at(head(samples.inputs[row]), 100.0)
    assert turns[ELBOW, 1] == pytest.approx(0.2, abs=0.06) and turns[JOINTS, 0] == pytest.approx(
        0.06, abs=0.02
    )


def test_nothing_to_learn_from_is_said(tmp_path, capsys):
    assert fit_lead.main(["--observed", str(tmp_path / "none")]) != 0
    assert "none: no takes here" in capsys.readouterr().err
    np.savez(tmp_path / "samples.npz", **vars(samples_of([replay("01_01", 1.0)])))
    assert fit_lead.main(["--samples", str(tmp_path / "samples.npz"), "--out", str(tmp_path / "x.npz")]) != 0
    assert "one subject only" in capsys.readouterr().err and not (tmp_path / "x.npz").exists()
