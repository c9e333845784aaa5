"""Whose motion is in which take."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from realtime.errors import LoadError
from tests.motions import swinging_clip
from training.observe import of_stranger
from training.synthesis import MANIFEST, check_manifest, make_takes, strangers_apart


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


def test_a_folder_of_another_kind_is_refused(tmp_path):
    manifest = {"motion": "a.npz", "seed": 0, "strangers_every": 3}
    check_manifest(tmp_path, manifest)  # nothing there yet
    (tmp_path / MANIFEST).write_text(json.dumps(manifest | {"perception": "blazepose"}))
    check_manifest(tmp_path, manifest)
    with pytest.raises(LoadError, match=r"seed: 0, not 1.*\n.*new folder"):
        check_manifest(tmp_path, manifest | {"seed": 1})
    (tmp_path / MANIFEST).write_text('{"motion": "a.npz", "seed": 0}')  # from before the split by subject
    with pytest.raises(LoadError, match="strangers_every: None, not 3"):
        check_manifest(tmp_path, manifest)


@pytest.mark.parametrize("text", ["", "{", "[]", "\xff"])
def test_a_damaged_manifest_is_told(tmp_path, text):
    (tmp_path / MANIFEST).write_text(text)
    with pytest.raises(LoadError, match="manifest.json: damaged"):
        make_takes(Path("a.npz"), tmp_path, 1)
