"""bench.perception: MediaPipe, and blazepose once for every way to look."""

import os

import pytest
from streams import ScriptedPerception

from bench import perception
from realtime.perception.mirror import mode_here


@pytest.mark.parametrize(("cores", "default"), [(1, "off"), (2, "both")])
def test_every_way_to_look_is_measured_once(monkeypatch, cores, default):
    made = []

    def make(config):
        made.append((config.perception.name, mode_here(config.perception.mirror), config.perception.map))
        return ScriptedPerception()

    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(cores)), raising=False)
    monkeypatch.setattr(perception, "make_perception", make)
    names = [row.name for row in perception.make_rows()]
    assert names[:2] == [perception.REFERENCE, perception.NOISY]
    looks = [f"blazepose, mirror={mode}" for mode in ("off", "alternate", "both")]
    assert [name.removesuffix(" (default)") for name in names[2:]] == [*looks, "blazepose, map=off"]
    marked = [name for name in names if name.endswith(" (default)")]
    assert marked == [f"blazepose, mirror={default} (default)"]
    ours = [row[1:] for row in made if row[0] == "blazepose"]
    assert ours == [("off", "auto"), ("alternate", "auto"), ("both", "auto"), (default, "off")]
