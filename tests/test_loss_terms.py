"""The parts of the losses, each against what can be worked out by hand."""

import numpy as np
import pytest
import torch

from realtime.features import NOMINAL_DT_S
from training.loss_terms import (
    SCALE_RANGE,
    SOFT_M,
    acceleration_error,
    closed_form_camera,
    hallucination_error,
    mean_delay,
    nearest_frames,
    project,
    reprojection,
    soft_distance,
    soft_size,
    strip_size,
    velocity_error,
)
from training.metrics import acceleration_error_mm, lag_ms


def test_closed_form_camera_is_least_squares():
    rng = np.random.default_rng(0)
    points, weights = rng.normal(0, 0.4, (5, 20, 3)), rng.uniform(0, 1, (5, 20))
    weights[:, :4] = 0.0
    target = 0.8 * points[..., :2] + rng.normal(0, 0.1, (5, 1, 2)) + rng.normal(0, 0.05, (5, 20, 2))
    target[:, :4] = np.nan  # what nobody saw says nothing
    scale, shift = closed_form_camera(*(torch.tensor(a) for a in (points, target, weights)))
    for b in range(5):
        # x: s·x + tx, y: s·y + ty, stacked; unknowns s, tx, ty
        A = np.zeros((32, 3))
        A[:16, 0], A[16:, 0] = points[b, 4:, 0], points[b, 4:, 1]
        A[:16, 1], A[16:, 2] = 1.0, 1.0
        y = np.concatenate([target[b, 4:, 0], target[b, 4:, 1]])
        root = np.sqrt(np.tile(weights[b, 4:], 2))
        expected = np.linalg.lstsq(A * root[:, None], y * root, rcond=None)[0]
        found = [float(scale[b, 0, 0]), float(shift[b, 0, 0]), float(shift[b, 0, 1])]
        assert found == pytest.approx(expected, abs=1e-9)


def test_closed_form_camera_keeps_its_scale_in_range_and_passes_no_gradient():
    points = torch.randn(2, 10, 3, requires_grad=True)
    scale, shift = closed_form_camera(points, -3.0 * points.detach()[..., :2] + 0.5, torch.ones(2, 10))
    assert torch.all(scale == SCALE_RANGE[0])  # a person is never turned around by the camera
    assert not scale.requires_grad and not shift.requires_grad
    left = scale * points.detach()[..., :2] + shift - (-3.0 * points.detach()[..., :2] + 0.5)
    assert left.mean(dim=1).abs().max() < 1e-5  # the shift is the best one for the scale that it got


def test_reprojection_weighs_points_and_never_reads_those_of_weight_zero():
    flat = torch.zeros(1, 3, 2, requires_grad=True)
    target = torch.tensor([[[0.1, 0.3], [1.0, 1.0], [float("nan"), 0.0]]])
    loss = reprojection(flat, target, torch.tensor([[3.0, 1.0, 0.0]]))
    assert float(loss.detach()) == pytest.approx((3 * 0.2 + 1.0) / 4)
    loss.backward()
    assert torch.isfinite(flat.grad).all() and torch.all(flat.grad[0, 2] == 0)


def test_projection_is_the_camera_of_theta():
    points = torch.tensor([[[0.5, -0.25, 9.0]]])
    assert torch.allclose(project(torch.tensor([[0.8, 0.1, 0.2]]), points), torch.tensor([[[0.48, -0.04]]]))


def test_even_frames_give_the_acceleration_error_of_the_metrics():
    rng = np.random.default_rng(1)
    predicted, true = rng.normal(0, 0.1, (2, 9, 12, 3)), rng.normal(0, 0.1, (2, 9, 12, 3))
    off = torch.tensor(predicted - true)
    found = acceleration_error(off, torch.full((2, 9), NOMINAL_DT_S, dtype=torch.float64))
    expected = np.mean([acceleration_error_mm(p, t, hips=None) for p, t in zip(predicted, true, strict=True)])
    assert float(found) * 1000.0 == pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize("stride", [1, 2])
def test_uneven_frames_see_the_same_velocity_and_no_acceleration_in_an_even_drift(stride):
    """An error that grows evenly in time has one velocity, however the frames fall, and no acceleration."""
    dt_s = torch.tensor([[1 / 30, 1 / 30, 1 / 60, 0.2, 1 / 15, 1 / 30, 0.09]], dtype=torch.float64)
    speed = torch.tensor([0.3, -0.4, 0.0], dtype=torch.float64)  # metres per second: .5 together
    off = (dt_s.cumsum(dim=1)[..., None, None] * speed).expand(1, 7, 4, 3)
    assert float(velocity_error(off, dt_s, stride)) == pytest.approx(0.5 / 30, rel=1e-3)
    assert float(acceleration_error(off, dt_s, stride)) < 2e-4  # what keeps the root from 0
    # And an even acceleration is found: off = a t²/2.
    off = (dt_s.cumsum(dim=1)[..., None, None] ** 2 / 2 * 10.0 * speed).expand(1, 7, 4, 3)
    assert float(acceleration_error(off, dt_s, stride)) == pytest.approx(5.0 / 900, rel=2e-3)


def test_hallucination_does_not_see_the_size_of_the_strip():
    torch.manual_seed(0)
    encoded, guess = torch.randn(3, 4, 8), torch.randn(3, 4, 8)
    plain = hallucination_error(guess, encoded)
    assert float(hallucination_error(64.0 * guess, 64.0 * encoded)) == pytest.approx(float(plain), rel=1e-6)
    assert float(hallucination_error(encoded, encoded)) == 0.0
    encoded.requires_grad_()
    guess.requires_grad_()
    hallucination_error(guess, encoded).backward()
    assert encoded.grad is None and guess.grad.abs().sum() > 0


def test_strip_size_pulls_from_both_sides():
    for size, sign in ((0.1, -1.0), (10.0, 1.0)):
        strip = torch.full((2, 3), size, requires_grad=True)
        strip_size(strip).backward()
        assert torch.all(torch.sign(strip.grad) == sign)
    assert float(strip_size(torch.ones(2, 3))) == 0.0


def test_nearest_frames_by_time_not_by_count():
    dt_s = torch.tensor([[1 / 30, 0.1, 0.1, 1 / 30]])  # at 33, 133, 233 and 267 ms
    index, dt_ms = nearest_frames(dt_s, torch.tensor([[190.0, -120.0, 200.0, -30.0]]))
    assert index.tolist() == [[2, 0, 3, 2]]
    assert dt_ms[0].tolist() == pytest.approx([200.0, -100.0, 1000 / 30, -1000 / 30], abs=1e-3)


def test_soft_distance_is_square_near_zero_and_length_far_off():
    near, far = torch.tensor([[0.001, 0.0, 0.0]]), torch.tensor([[0.0, 3.0, 4.0]])
    assert soft_distance(near).item() == pytest.approx(0.001**2 / (2 * SOFT_M), rel=1e-3)
    assert soft_distance(far).item() == pytest.approx(5.0 - SOFT_M, rel=1e-3)


def test_soft_size_is_square_near_zero_and_size_far_off_on_both_sides():
    near, far = soft_size(torch.tensor([-0.01, 0.01]), 0.5), soft_size(torch.tensor([-30.0, 30.0]), 0.5)
    assert near.tolist() == pytest.approx([1e-4, 1e-4], rel=1e-2)  # v² / (2 · 0.5)
    assert far.tolist() == pytest.approx([29.5, 29.5], rel=1e-3)


@pytest.mark.parametrize("late_frames", [-0.5, 0.0, 0.4, 1.0])
def test_the_delay_is_the_lag_of_the_metrics_however_damped_and_shifted(late_frames):
    """Slow waves, sampled late, on uneven frames; half as wide, and beside the truth."""
    generator = torch.Generator().manual_seed(3)
    dt_s = 0.015 + 0.03 * torch.rand(400, 60, generator=generator)
    t_s = dt_s.cumsum(dim=1)[..., None, None]
    phase, beside = 2.0 * torch.pi * torch.rand(2, 400, 1, 5, 3, generator=generator)

    def told(late_s: float) -> torch.Tensor:
        return torch.sin(3.0 * (t_s - late_s) + phase)

    found = mean_delay(0.5 * told(late_frames / 30.0) + beside, told(0.0), dt_s)
    assert float(found) == pytest.approx(late_frames, abs=0.06)
    even = np.arange(300)[:, None, None] / 30.0 + phase[0, 0].numpy()
    late = lag_ms(np.sin(3.0 * (even - late_frames / 30.0)), np.sin(3.0 * even), 30.0, hips=None)
    assert late == pytest.approx(late_frames * 1000.0 / 30.0, abs=2.0)


def test_a_network_that_tells_no_motion_yet_has_a_finite_delay():
    still, moving = torch.zeros(2, 8, 3, 3, requires_grad=True), torch.randn(2, 8, 3, 3)
    found = mean_delay(still, moving, torch.full((2, 8), NOMINAL_DT_S))
    found.square().backward()
    assert torch.isfinite(found) and still.grad is not None and torch.isfinite(still.grad).all()
