"""Whose motion is in which take."""

from dataclasses import replace
from pathlib import Path

from tests.motions import swinging_clip
from training.observe import of_stranger
from training.synthesis import strangers_apart


def _clips(*names: str):
    return [replace(swinging_clip(frames=4), name=name) for name in names]


def test_no_subject_is_among_the_strangers_and_the_others():
    clips = _clips("01_01", "02_01", "02_02", "03_01", "03_02", "04_01", "05_01", "06_09")
    apart = strangers_apart(clips)
    assert {clip.name for clip in apart[True]} == {"03_01", "03_02", "06_09"}
    assert {clip.subject for clip in apart[False]} == {"01", "02", "04", "05"}
    assert len(apart[True]) + len(apart[False]) == len(clips)


def test_with_too_few_people_all_are_in_all_takes():
    clips = _clips("01_01", "02_01")
    assert strangers_apart(clips) == {True: clips, False: clips}


def test_every_third_take_is_a_strangers():
    takes = [Path(f"there/take_{number:05d}.npz") for number in range(7)]
    assert [of_stranger(take) for take in takes] == [False, False, True, False, False, True, False]
