import dataclasses

import numpy as np
import pytest
from people import IMAGE_SIZE, at_desk, standing

from realtime.config import PerceptionConfig
from realtime.observation import Detection
from realtime.perception.box import keypoint_crop
from realtime.perception.score import detection_score
from realtime.perception.tracking import Tracker

RATES = pytest.mark.parametrize("fps", [5, 30, 60])
CONFIG = PerceptionConfig(enter_score=0.65, leave_score=0.40, enter_frames=2, hold_ms=500, box_tau_ms=100)


class Run:
    """A tracker fed at a steady rate."""

    def __init__(self, fps, config=CONFIG):
        self.tracker = Tracker(config)
        self.step_ns = round(1e9 / fps)
        self.t_ns = 10**15

    def see(self, detection, frames=1):
        for _ in range(frames):
            self.t_ns += self.step_ns
            observation = self.tracker.update(detection, self.t_ns, IMAGE_SIZE)
            assert (observation.detection is None) == (observation.state != "tracking")
        return observation

    def see_for(self, detection, seconds):
        return self.see(detection, max(1, round(seconds * 1e9 / self.step_ns)))


def score_of(detection):
    return detection_score(detection, keypoint_crop(detection.landmarks_px, detection.visibility), IMAGE_SIZE)


def tracking(fps, **person):
    run = Run(fps)
    assert run.see(standing(**person), 2).state == "tracking"
    return run


@RATES
def test_a_person_enters_after_enter_frames(fps):
    run = Run(fps)
    before = run.see(None, 3)
    assert (before.state, before.person, before.crop, before.score) == ("lost", 0, None, 0.0)
    assert run.see(standing()).state == "lost"
    entered = run.see(standing())
    assert (entered.state, entered.person, entered.image_size) == ("tracking", 1, IMAGE_SIZE)
    assert entered.score == pytest.approx(0.95)
    assert entered.crop == keypoint_crop(standing().landmarks_px, standing().visibility)


def test_what_is_now_here_now_there_does_not_enter():
    run = Run(30)
    for frame in range(20):
        assert run.see(standing(x=100.0 if frame % 2 else 540.0)).state == "lost"
    run.see(None)
    for frame in range(20):
        assert run.see(standing() if frame % 2 else None).state == "lost"


@RATES
def test_hysteresis_between_the_two_scores(fps):
    run = Run(fps)
    middling, poor = standing(visibility=0.55), standing(visibility=0.35)
    assert run.see_for(middling, 2).state == "lost"
    assert run.see(standing(), 2).state == "tracking"
    assert run.see_for(middling, 2).state == "tracking"
    assert run.see(poor).state == "held"
    assert run.see(middling).state == "held"  # to come back takes what it takes to enter
    assert run.see(standing()).state == "tracking"


@RATES
@pytest.mark.parametrize("absence", [None, standing(visibility=0.35)], ids=["nobody", "poor"])
def test_held_for_hold_ms_then_lost(fps, absence):
    run = tracking(fps)
    last_seen_ns = run.t_ns
    crop = run.see(absence).crop
    while run.t_ns - last_seen_ns < 500e6 - run.step_ns:
        held = run.see(absence)
        assert (held.state, held.person, held.crop) == ("held", 1, crop)
    lost = run.see(absence, 2)
    assert (lost.state, lost.person) == ("lost", 1)
    assert (run.see(standing(), 2).state, run.see(standing()).person) == ("tracking", 2)


@RATES
def test_back_in_time_is_the_same_person(fps):
    run = tracking(fps)
    run.see_for(None, 0.3)
    back = run.see(standing(x=340.0))
    assert (back.state, back.person) == ("tracking", 1)


@RATES
def test_a_walking_person_is_followed(fps):
    run = tracking(fps, x=100.0)
    for metres in np.arange(0, 2.2, 1.5 / fps):  # 1.5 m/s across the picture, towards the camera as well
        seen = run.see(standing(x=100.0 + 200.0 * metres, px_per_m=200.0 * 1.25**metres))
        assert (seen.state, seen.person, run.tracker.restart) == ("tracking", 1, False)


@pytest.mark.parametrize(
    "other", [standing(x=560.0), standing(px_per_m=110.0)], ids=["elsewhere", "far behind"]
)
@pytest.mark.parametrize("fps", [30, 60])
def test_somebody_else_is_not_the_same_person(fps, other):
    run = tracking(fps)
    crop = run.see(standing()).crop
    jumped = run.see(other)
    assert (jumped.state, jumped.person, jumped.crop) == ("held", 1, crop)
    assert run.tracker.restart
    search = run.tracker.search
    assert (search.cx, search.cy) == (crop.cx, crop.cy)
    assert crop.side < search.side < 2 * crop.side
    later = run.see(None)
    assert run.tracker.search.side > search.side  # he may have gone on
    assert (later.state, run.tracker.restart) == ("held", False)
    assert run.see_for(None, 0.6).state == "lost"
    assert run.tracker.search is None
    entered = run.see(other, 2)
    assert (entered.state, entered.person) == ("tracking", 2)
    assert entered.crop == keypoint_crop(
        other.landmarks_px, other.visibility
    )  # not blended with the first one's


def test_after_a_long_gap_nobody_comes_from_anywhere():
    gap = dataclasses.replace(CONFIG, hold_ms=200)
    for x, person in ((330.0, 1), (640.0, 2)):
        run = Run(30, gap)
        run.see(standing(), 2)
        run.t_ns += 60 * 10**9
        assert run.see(standing(x=x), 4).person == person


def test_a_phantom_is_cut_off():
    run = Run(30)
    restarts = []
    for _ in range(40):
        run.see(standing(px_per_m=30.0))
        restarts.append(run.tracker.restart)
    assert 1 <= sum(restarts) <= 3


@pytest.mark.parametrize("fps", [5, 60])
def test_crop_follows_at_the_same_pace_at_every_rate(fps):
    run = tracking(fps, x=320.0)
    seen = run.see_for(standing(x=350.0), 0.2)
    assert seen.crop.cx == pytest.approx(350.0 - 30.0 * np.exp(-2.0), abs=0.1)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 1e30])
@pytest.mark.parametrize("part", ["landmarks_px", "world", "visibility"])
def test_landmarks_that_are_not_numbers(bad, part):
    run = tracking(30)
    for count in (1, 33):
        arrays = {key: getattr(standing(), key).copy() for key in ("landmarks_px", "world", "visibility")}
        arrays[part][:count] = bad
        seen = run.see(Detection(**arrays))
        assert 0.0 <= seen.score <= 1.0
        assert np.isfinite([seen.crop.cx, seen.crop.cy, seen.crop.side]).all()


def test_score_knows_people_at_a_desk_from_specks():
    assert score_of(standing()) == pytest.approx(0.95)
    assert score_of(at_desk()) > CONFIG.enter_score
    assert score_of(standing(px_per_m=60.0)) < CONFIG.enter_score  # 94 px tall
    assert score_of(standing(px_per_m=30.0)) < 0.05
    assert score_of(standing(visibility=0.2)) == 0.0
