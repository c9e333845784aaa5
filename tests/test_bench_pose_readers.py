"""Readers beside a measured stream: what they show is what was newest."""

import threading
import time

from viewer_stream import Stage, posed

from bench.pose_readers import ReaderProcess, read_at_ticks


def test_each_tick_shows_the_newest_pose_and_its_age():
    ended = threading.Event()
    with Stage(pose=posed()) as stage:
        threading.Timer(3.0, ended.set).start()
        ticks = read_at_ticks(stage.address, 50.0, ended)
    assert len(ticks) > 20
    assert [frame for _, frame, _ in ticks] == sorted(frame for _, frame, _ in ticks)
    assert all(age_ms >= 20.0 for _, _, age_ms in ticks)  # the stage's pictures are that old when sent


def test_a_crowd_joins_and_leaves():
    with Stage() as stage:
        with ReaderProcess("crowd", stage.address, "3") as crowd:
            until = time.monotonic() + 20
            while not stage.poses_wanted and time.monotonic() < until:
                time.sleep(0.05)
            assert stage.poses_wanted
        assert crowd.ticks() == []


def test_a_process_tells_its_ticks_at_its_end():
    with Stage() as stage, ReaderProcess("ticks", stage.address) as reader:
        until = time.monotonic() + 20
        while not stage.poses_wanted and time.monotonic() < until:
            time.sleep(0.05)
        time.sleep(1.0)
    assert len(reader.ticks()) > 5
