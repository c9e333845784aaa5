"""Looks at a person and at his mirror picture, made one."""

import os

import numpy as np
import pytest
from people import STANDING

from realtime.perception.look import LANDMARKS, SIZE, SWAPPED, Look
from realtime.perception.mirror import (
    DOUBT,
    SHARE,
    Alternation,
    confused,
    merge,
    mode_here,
    threads_here,
)

rng = np.random.default_rng(0)
LEGS, ARMS = slice(23, 33), slice(11, 23)


def look(presence=0.9, noise=0.0, move=0.0):
    """Somebody who faces the camera, 1.7 m tall, 100 px per metre."""
    metres = STANDING + rng.normal(0.0, noise, STANDING.shape)
    world = np.concatenate([metres, rng.normal(0.0, noise, (LANDMARKS, 1))], axis=1).astype(np.float32) + move
    points = np.full((39, 2), SIZE / 2, np.float32)
    points[:LANDMARKS] += 100 * world[:, :2]
    return Look(presence, points, world.astype(np.float32), np.full(LANDMARKS, 0.8, np.float32))


def exchanged(one, limbs):
    """The same look with left and right exchanged in these limbs."""
    points, world = one.points.copy(), one.world.copy()
    points[:LANDMARKS][limbs] = one.points[SWAPPED][:LANDMARKS][limbs]
    world[limbs] = one.world[SWAPPED[:LANDMARKS]][limbs]
    return Look(one.presence, points, world, one.visibility)


@pytest.mark.parametrize(
    ("cores", "mode", "threads"),
    [
        (1, "off", (1, 1)),
        (2, "both", (2, 1)),
        (3, "both", (2, 1)),
        (16, "both", (2, 2)),
        (None, "off", (1, 1)),
    ],
)
@pytest.mark.parametrize("affinity", [True, False])
def test_auto_looks_twice_where_two_cores_may_be_used(monkeypatch, cores, mode, threads, affinity):
    """By what the process may use; where that is not told, by what the machine has; None: not even that."""
    if affinity and cores is not None:
        monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(cores)), raising=False)
        monkeypatch.setattr(os, "cpu_count", lambda: 64)
    else:
        monkeypatch.delattr(os, "sched_getaffinity", raising=False)
        monkeypatch.setattr(os, "cpu_count", lambda: cores)
    assert mode_here("auto") == mode
    assert (threads_here(0, "off"), threads_here(0, "both")) == threads
    assert threads_here(0, "alternate") == threads[0]
    assert threads_here(3, "off") == threads_here(3, "both") == 3
    assert [mode_here(asked) for asked in ("off", "alternate", "both")] == ["off", "alternate", "both"]


def test_left_and_right():
    assert (SWAPPED[SWAPPED] == np.arange(39)).all()
    assert (SWAPPED[[0, 33, 34, 35, 38]] == [0, 33, 34, 35, 38]).all()
    x = STANDING[:, 0]
    np.testing.assert_array_equal(x[SWAPPED[:LANDMARKS]], -x)  # STANDING is symmetrical


def test_turning_back_is_its_own_inverse_and_mirrors():
    one = look(noise=0.05)
    back = one.turned_back()
    np.testing.assert_allclose(back.points[11], [SIZE - one.points[12, 0], one.points[12, 1]])
    np.testing.assert_allclose(back.world[28], one.world[27] * [-1, 1, 1])
    sided = Look(0.9, one.points, one.world, np.linspace(0, 1, LANDMARKS, dtype=np.float32)).turned_back()
    np.testing.assert_array_equal(sided.visibility[[0, 11, 12]], np.array([0, 12, 11], np.float32) / 32)
    again = back.turned_back()
    np.testing.assert_allclose(again.points, one.points, atol=1e-4)
    np.testing.assert_array_equal(again.world, one.world)


def test_two_looks_that_agree_are_averaged():
    one, other = look(0.6, 0.02), look(0.9, 0.02)
    both = merge(one, other, None)
    np.testing.assert_allclose(both.world, (one.world + other.world) / 2)
    np.testing.assert_allclose(both.points, (one.points + other.points) / 2)
    np.testing.assert_allclose(both.visibility, 0.8)
    assert both.presence == 0.9


@pytest.mark.parametrize("limbs", [LEGS, ARMS])
def test_where_sides_are_confused_the_one_that_goes_on_is_taken(limbs):
    before, good = look(), look(noise=0.02)
    bad = exchanged(good, limbs)
    doubtful = np.zeros(LANDMARKS, bool)
    doubtful[limbs] = True
    np.testing.assert_array_equal(confused(good.world, bad.world), doubtful)
    for pair in ((good, bad), (bad, good)):
        both = merge(*pair, before)
        np.testing.assert_array_equal(both.world, good.world)
        np.testing.assert_array_equal(both.points, good.points)
        np.testing.assert_allclose(both.visibility, np.where(doubtful, DOUBT * 0.8, 0.8))
    np.testing.assert_array_equal(
        merge(bad, good, None).world, bad.world
    )  # nothing to go on from: the plain one


def test_by_turns_what_the_looks_differ_by_is_taken_off():
    one, difference = look(), 0.1
    other = Look(one.presence, one.points + 10, one.world + np.float32(difference), one.visibility)
    turns = Alternation()
    asked, seen = [], []
    for _ in range(6):
        asked.append(turns.mirrored)
        seen.append(turns.take(other if turns.mirrored else one))
    assert asked == [False, True] * 3
    np.testing.assert_array_equal(seen[0].world, one.world)
    for late in seen[1:]:
        np.testing.assert_allclose(late.world, one.world + difference / 2, atol=1e-6)
        np.testing.assert_allclose(late.points, one.points + 5, atol=1e-4)
    turns.reset()
    assert not turns.mirrored
    np.testing.assert_array_equal(turns.take(one).world, one.world)


def test_by_turns_one_who_moves_is_a_sixth_of_a_frame_late():
    turns, step = Alternation(), 0.05
    for frame in range(40):
        now = look(move=step * frame)
        late = (now.world - turns.take(now).world) / step
    assert late == pytest.approx(SHARE / (2 * (2 - SHARE)), abs=1e-3)


def test_by_turns_confusion_is_not_averaged():
    turns, good = Alternation(), look()
    bad = exchanged(good, LEGS)
    turns.take(good)
    taken = turns.take(bad)
    np.testing.assert_array_equal(taken.world, bad.world)
    np.testing.assert_allclose(taken.visibility[LEGS], DOUBT * 0.8)
    np.testing.assert_allclose(taken.visibility[ARMS], 0.8)
