"""The viewer's window, drawn without a display: who is shown, where, in which colours, and who is not."""

import numpy as np
import pytest
from viewer_stream import BODY, TRANS_M, pose_message, posed

from realtime.lead import Led
from realtime.viewer.panel import Numbers, draw_panel
from realtime.viewer.window import ViewerWindow


@pytest.fixture(scope="module")
def window():
    window = ViewerWindow(BODY, 640, 320, visible=False)
    yield window
    window.close()


def drawn(window, t_s, state, pose=None, **changes):
    if pose is not None:
        assert window.set_pose(t_s, pose_message(pose, state=state, **changes))
    window.set_panel(None, Numbers(state, "", "", ""))
    assert window.draw(t_s, state)
    return window.capture()


def tinted(pane, side):
    """Pixels with the tint of a side: blue for the left, orange for the right."""
    r, _, b = np.moveaxis(pane.astype(int), 2, 0)
    return (b > r + 30) if side == "left" else (r > b + 30)


def test_window_shows_an_upright_unmirrored_person_in_the_left_pane(window):
    pane = drawn(window, 0.0, "tracking", posed(left_arm_up=True))[:, :320]
    left, right = tinted(pane, "left"), tinted(pane, "right")
    assert left.sum() > 800 and right.sum() > 800
    # The person faces us: its left is on the right of the picture, and its raised arm is the highest of all.
    assert np.nonzero(left)[1].mean() > np.nonzero(right)[1].mean() + 15
    assert np.nonzero(left)[0].min() < np.nonzero(right)[0].min() - 40
    # Upright, whole and in the middle of its pane.
    body = left | right
    assert 5 < np.nonzero(body)[0].min() < 80 and 270 < np.nonzero(body)[0].max() < 315
    assert abs(np.nonzero(body)[1].mean() - 160) < 40


def test_window_keeps_a_walking_person_in_view(window):
    for step in range(60):
        trans = TRANS_M + (0.05 * step, 0, 0.08 * step)
        pane = drawn(window, 1.0 + step / 10, "tracking", posed(), trans=trans.astype(np.float32))[:, :320]
        if step % 20 == 19:
            columns = np.nonzero(tinted(pane, "left") | tinted(pane, "right"))[1]
            assert len(columns) > 1500 and columns.min() > 3 and columns.max() < 316


def test_a_body_that_is_not_tracked_looks_it_and_goes(window):
    tracked = drawn(window, 20.0, "tracking", posed())[:, :320]
    held = drawn(window, 21.0, "held")[:, :320]
    assert tinted(tracked, "left").sum() > 800 and tinted(held, "left").sum() == 0
    assert np.abs(held.astype(int) - tracked).max(axis=2).astype(bool).sum() > 2000
    fading = drawn(window, 21.05, "lost", posed(True), trans=np.zeros(3, np.float32))[:, :320]
    silhouette = [(pane.max(axis=2) > 60) & (np.indices(pane.shape[:2])[0] < 140) for pane in (held, fading)]
    assert (silhouette[0] & silhouette[1]).sum() > 0.5 * silhouette[
        0
    ].sum()  # it fades where it was last seen
    gone = drawn(window, 23.0, "lost")[:, :320]
    assert gone.max() < 130  # nothing brighter than the grid: no frozen body
    back = drawn(window, 24.0, "tracking", posed())[:, :320]
    np.testing.assert_array_equal(tinted(back, "left"), tinted(tracked, "left"))  # at once, and the same


def test_the_lead_is_shown_and_the_key_l_puts_it_off_and_on(window):
    led = {"lead": Led(40.0, posed(left_arm_up=True).ravel(), TRANS_M, 1.0)}
    up, down = (drawn(window, 30.0, "tracking", posed(left_arm_up=is_up))[:, :320] for is_up in (True, False))
    for expected in (up, down, up):
        shown = drawn(window, 30.0, "tracking", posed(), **led)[:, :320]
        assert np.abs(shown.astype(int) - expected).max() <= 2
        window._on_lead(None)  # as the key does
    assert window.lead_ms == 0.0
    window._on_lead(None)


def test_absurd_numbers_are_not_drawn(window):
    huge = pose_message(posed(), trans=np.array([0, 0, 1e30], np.float32))
    assert not window.set_pose(30.0, huge)
    theta = pose_message(posed()).theta.copy()
    theta[75:] = 1e38
    assert not window.set_pose(30.0, pose_message(posed(), theta=theta))
    assert window.set_pose(30.0, pose_message(posed(), theta=theta, body="another"))  # betas of another body


def test_the_panel_covers_its_pane_pixel_by_pixel(window):
    picture = drawn(window, 40.0, "tracking", posed())
    window.set_panel(None, Numbers("lost", "detail", "30.0 fps", "tcp://127.0.0.1:1"))
    window.draw(40.0, "tracking")
    expected = draw_panel(320, 320, None, Numbers("lost", "detail", "30.0 fps", "tcp://127.0.0.1:1"))
    shown = window.capture()
    assert np.abs(shown[:, 321:-1].astype(int) - expected[:, 1:-1]).mean() < 1.0
    np.testing.assert_array_equal(shown[:, :310], picture[:, :310])
