"""Training the head that leads poses: samples at the right moments, and a file that the live path can load."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from bodies import figure_body

from realtime.body.kinematics import forward_kinematics
from realtime.body.rotations import axis_angle_to_matrix
from realtime.errors import LoadError
from realtime.lead_head import AGES_MS, AHEAD_MS, JOINTS, KNOTS_MS, load_head, moves_at
from realtime.observation import Estimate
from training import fit_lead
from training.lead_samples import HORIZONS_MS, LEAST_PAST, samples_of
from training.lead_streams import Replay
from training.motion import SWAP_SIDES

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
    moves = samples.inputs[12, :-1]
    np.testing.assert_allclose(moves[:, ELBOW, 1], np.sin(1.5 * np.array(AGES_MS) / 1e3), atol=2e-3)
    # In the mirror it is the other elbow, it bends the other way, and he goes to the left.
    other = samples.inputs[count + 12, :-1]
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


def shaken(clip: str, rate_rad_s: float, seed: int) -> Replay:
    """The same, but the stream trembles: the elbow by 0.03 rad."""
    told, rng = replay(clip, rate_rad_s), np.random.default_rng(seed)
    estimates = []
    for estimate in told.estimates:
        theta = estimate.theta.copy()
        theta[3 + 3 * ELBOW + 1] += rng.normal(0, 0.03)
        posed, _ = forward_kinematics(BODY, axis_angle_to_matrix(theta[3:75].reshape(24, 3)), theta[75:])
        estimates.append(replace(estimate, theta=theta, joints=posed - posed[0]))
    return replace(told, estimates=estimates)


def test_it_goes_on_and_trembles_no_more_than_it_may(tmp_path, monkeypatch, capsys):
    rates = np.linspace(-2, 2, 8)
    samples = samples_of([shaken(f"{s:02d}_01", rate, s) for s, rate in enumerate((*rates, *rates[::-1]))])
    monkeypatch.setattr(fit_lead, "load_body", lambda _: BODY)
    np.savez(tmp_path / "samples.npz", **vars(samples))
    out = tmp_path / "lead.json"
    pose, _, _ = fit_lead.problems_of(samples, BODY)
    found = {}
    for most in (0.08, 100.0):
        arguments = ["--samples", tmp_path / "samples.npz", "--jitter", most, "--out", out]
        assert fit_lead.main([str(argument) for argument in arguments]) == 0
        assert "16 subjects" in capsys.readouterr().out
        head = load_head(out)
        errors = [fit_lead.error(pose, head._pose[k], k) for k in range(len(KNOTS_MS))]
        found[most] = errors, [fit_lead.jitter(pose, head._pose[k]) for k in range(len(KNOTS_MS))]
    (careful, steady), (bold, shaking) = found[0.08], found[100.0]
    # Steady motion and trembling: the mean of many frames is nearer to what comes, and steadier, than the last one.
    assert max(steady) < 0.12 < max(shaking) and np.all(np.array(bold) < np.array(careful) + 1e-3)
    assert max(bold[1:]) < 0.4  # of holding
    # The path is straight: nothing trembles, and the pelvis goes on.
    row = int(np.flatnonzero(samples.subject == "07")[10])
    assert moves_at(head(samples.inputs[row]), 100.0)[JOINTS, 0] == pytest.approx(0.06, abs=0.01)


def test_a_bound_that_no_weight_reaches_is_said(capsys):
    pose, _, _ = fit_lead.problems_of(samples_of([shaken(f"{s:02d}_01", 1.0, s) for s in range(4)]), BODY)
    fit_lead.solve(pose, 0, 100.0)
    assert not capsys.readouterr().out
    shares = fit_lead.solve(pose, 0, 1e-4)
    told = capsys.readouterr().out
    assert "no weight up to 100 brings the jitter down to 0.0001" in told
    assert f"with that one it is {fit_lead.jitter(pose, shares):.2f}" in told


def test_samples_are_kept_under_the_name_that_was_given(tmp_path, monkeypatch):
    observed = tmp_path / "observed"
    observed.mkdir()
    (observed / "take_0.npz").touch()
    engine = SimpleNamespace(close=lambda: None)
    monkeypatch.setattr(fit_lead.engines, "load", lambda _: engine)
    monkeypatch.setattr(fit_lead, "replays", lambda *_: [replay("01_01", 1.0)])
    options = SimpleNamespace(samples=tmp_path / "kept", observed=observed, model="default", takes=0)
    made = fit_lead._samples(options, BODY)
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["kept"]
    monkeypatch.setattr(fit_lead, "replays", lambda *_: [])  # from the file now
    np.testing.assert_array_equal(fit_lead._samples(options, BODY).inputs, made.inputs)


def test_nothing_to_learn_from_is_said(tmp_path, capsys):
    with pytest.raises(LoadError, match="nobody is tracked"):
        samples_of([replay("01_01", 1.0, lost=tuple(range(FRAMES)))])
    assert fit_lead.main(["--observed", str(tmp_path / "none")]) != 0
    assert "none: no takes here" in capsys.readouterr().err
    np.savez(tmp_path / "samples.npz", **vars(samples_of([replay("01_01", 1.0)])))
    assert fit_lead.main(["--samples", str(tmp_path / "samples.npz"), "--out", str(tmp_path / "x.json")]) != 0
    assert "fewer than 4 subjects" in capsys.readouterr().err and not (tmp_path / "x.json").exists()
