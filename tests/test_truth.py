"""What is true a little later, as the stream's pose is held against it (training/truth.py)."""

import pytest
import torch

from training.truth import Truth

FRAMES, LEAD_S = 6, 0.03


def _points_of(rotations: torch.Tensor, betas: torch.Tensor) -> torch.Tensor:
    """Anything linear in the rotations will do."""
    return rotations[..., :1, :, 0].expand(*rotations.shape[:-3], 57, 3)


def _steady(known: tuple[float, ...] = (1.0, 1.0)) -> tuple[Truth, torch.Tensor]:
    """Two windows, everything moving evenly with time while frames come unevenly; and the time (2, T) of each frame."""
    dt_s = 0.02 + 0.06 * torch.rand(2, FRAMES)
    t_s = dt_s.cumsum(dim=1)

    def line(*shape: int) -> torch.Tensor:
        return t_s.reshape(2, FRAMES, *[1] * len(shape)) * torch.randn(2, 1, *shape) * 0.1

    batch = {
        "has_3d": torch.tensor(known),
        "dt_s": dt_s,
        "dt_ahead_ms": torch.zeros(2, FRAMES),
        "landmarks": line(33, 2),
        "landmark_weight": torch.ones(2, FRAMES, 33),
        "rotations": line(24, 3, 3),
        "ahead": line(24, 3, 3),
        "keypoints": line(24, 2),
        "betas": torch.zeros(2, 10),
    }
    return Truth(_points_of, batch, FRAMES), t_s


@pytest.mark.parametrize("name", ["landmarks", "rotations", "points", "keypoints"])
def test_what_moves_evenly_is_met_where_it_will_be(name):
    torch.manual_seed(0)
    truth, t_s = _steady()
    values, later = getattr(truth, name), getattr(truth.led(LEAD_S), name)
    ratio = ((t_s + LEAD_S) / t_s).reshape(2, FRAMES, *[1] * (values.dim() - 2))
    assert torch.allclose(later, values * ratio, atol=1e-6)
    assert not torch.allclose(later, values, atol=1e-3)


def test_what_is_foretold_and_what_is_true_now_stay():
    truth, _ = _steady()
    later = truth.led(LEAD_S)
    assert later.ahead is truth.ahead and later.dt_s is truth.dt_s
    assert truth.led(0.0) is truth
    assert later.rotations is not truth.rotations


def test_a_point_counts_as_the_less_certain_of_the_frames_it_is_led_between():
    truth, _ = _steady()
    truth.landmark_weight[0, 3] = 0.25
    truth.landmarks[0, 3] = torch.nan  # as of a landmark that nobody saw
    later = truth.led(LEAD_S)
    assert (later.landmark_weight[0, [2, 3]] == 0.25).all()
    assert (later.landmark_weight[0, [0, 1, 4, 5]] == 1.0).all()
    assert not later.landmarks[0, [0, 1, 4, 5]].isnan().any()


def test_windows_without_3d_are_led_in_2d():
    truth, _ = _steady(known=(0.0, 1.0))
    later = truth.led(LEAD_S)
    assert later.landmarks.shape == (2, FRAMES, 33, 2)
    assert later.points.shape == (1, FRAMES, 57, 3)
