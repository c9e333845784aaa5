"""The feature ring: window in order, stamps that only go forward, gaps reported."""

import numpy as np
import pytest

from realtime.ring import Ring


def phi(value: float, dim: int = 4) -> np.ndarray:
    return np.full(dim, value, np.float32)


def test_the_window_is_the_newest_frames_oldest_first():
    ring = Ring(13, 4)
    assert ring.window().shape == (0, 4)
    for n in range(1, 60):
        ring.push(n * 10, phi(n))
        expected = list(range(max(1, n - 12), n + 1))
        assert ring.window()[:, 2].tolist() == expected
        assert ring.stamps().tolist() == [10 * value for value in expected]
        assert len(ring) == len(expected)
        assert ring.full == (n >= 13)


def test_window_is_one_contiguous_view_that_cannot_be_written():
    ring = Ring(3, 4)
    for n in range(5):
        ring.push(n, phi(n))
        window = ring.window()
        assert window.flags.c_contiguous
        assert window.base is not None
        with pytest.raises(ValueError, match="read-only"):
            window[0, 0] = 1
    assert ring.window().dtype == np.float32
    assert ring.stamps().dtype == np.int64


def test_push_copies_and_reports_the_gap():
    ring = Ring(2, 4)
    features = phi(1)
    assert ring.push(100, features) == 0
    features[:] = 9
    assert ring.window()[0, 0] == 1
    assert ring.push(133, features) == 33
    assert ring.push(5_000_000_133, features) == 5_000_000_000


def test_stamps_of_a_long_running_clock_are_kept_exactly():
    ring = Ring(2, 4)
    start = 2**62 + 1
    ring.push(start, phi(0))
    assert ring.push(start + 1, phi(1)) == 1
    assert ring.stamps().tolist() == [start, start + 1]


@pytest.mark.parametrize("stamp", [0, 99, 100])
@pytest.mark.parametrize("filled", [1, 3, 4])
def test_stamps_that_do_not_go_forward_are_refused(filled, stamp):
    ring = Ring(3, 4)
    for n in range(filled):
        ring.push(100 - (filled - 1 - n), phi(n))
    before = ring.window().tolist()
    with pytest.raises(ValueError, match="not newer"):
        ring.push(stamp, phi(7))
    assert ring.window().tolist() == before
    assert ring.push(101, phi(7)) == 1


def test_features_of_another_shape_are_refused():
    ring = Ring(3, 4)
    for bad in (phi(1, 5), np.zeros((1, 4), np.float32), np.float32(1)):
        with pytest.raises(ValueError, match="the ring takes"):
            ring.push(1, np.asarray(bad))
    assert len(ring) == 0


def test_reset_forgets_frames_and_stamps():
    ring = Ring(3, 4)
    for n in range(5):
        ring.push(1000 + n, phi(n))
    ring.reset()
    assert (len(ring), ring.full, ring.window().shape) == (0, False, (0, 4))
    assert ring.push(5, phi(8)) == 0  # an older clock may begin anew
    assert ring.window().tolist() == [[8.0] * 4]


@pytest.mark.parametrize(("length", "dim"), [(0, 4), (3, 0), (-1, 4)])
def test_empty_rings_are_refused(length, dim):
    with pytest.raises(ValueError, match="at least 1"):
        Ring(length, dim)
