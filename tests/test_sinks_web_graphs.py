"""What is plotted: the newest minute, in seconds before now."""

import numpy as np

from realtime.sinks.web.graphs import INTERVAL_S, SPAN_S, History


def test_the_newest_minute() -> None:
    history = History(2)
    for index in range(1000):
        history.add(100.0 + index * INTERVAL_S, index, -index)
    t_s, up, down = history.columns()
    np.testing.assert_allclose(t_s, np.arange(-SPAN_S, INTERVAL_S / 2, INTERVAL_S))
    np.testing.assert_array_equal(up, np.arange(1000 - len(t_s), 1000))
    np.testing.assert_array_equal(down, -up)
    history.add(2000.0, 7, 8)
    np.testing.assert_array_equal(history.columns(), [[0.0], [7.0], [8.0]])


def test_nothing_yet_is_one_finite_row() -> None:
    history = History(1)
    np.testing.assert_array_equal(history.columns(), [[0.0], [0.0]])
    history.add(5.0, 3.0)
    history.reset()
    np.testing.assert_array_equal(history.columns(), [[0.0], [0.0]])
