"""`--record X.mcap`: what was sent is in the file, whatever ends the program, and the loop never waits for the disk."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from faults.publish import pose, status
from programs import ROOT, environment, until

from realtime.bus.publisher import Publisher
from realtime.config import BusConfig
from realtime.errors import ConfigError
from realtime.files import bus_recorder
from realtime.files.bus_recorder import BusRecorder
from realtime.files.mcap_file import CLIP, LIVE, BusRecording
from realtime.messages import decode
from realtime.record import check_record_path, main, recover
from realtime.record_file import RecordError, part_path


@pytest.fixture(autouse=True)
def quickly(monkeypatch):
    monkeypatch.setattr(bus_recorder, "FLUSH_S", 0.02)


def old(part):
    os.utime(part, (time.time() - 60, time.time() - 60))
    return part


def seqs(path):
    return [decode(data).seq for data in BusRecording(path) if data.startswith(b"pose ")]


@pytest.mark.parametrize("clip_time", [False, True])
def test_all_that_the_publisher_sends_and_nothing_else(tmp_path, clip_time):
    path = tmp_path / "a.mcap"
    one = BusRecorder(path, {"source": "test"}, clip_time)
    with Publisher("tcp://127.0.0.1:0", BusConfig()) as publisher:
        publisher.listeners.append(one.offer)
        sent = [pose(0), status(0), *map(pose, range(1, 200)), status(1)]
        for data in sent:
            publisher.publish(data)
            publisher.poll()
    one.close()
    one.close()
    one.offer(pose(999))
    assert (one.made, one.error, one.rows_written) == (path, None, 200)
    recording = BusRecording(path)
    assert list(recording) == sent and recording.whole
    assert recording.constants == {"source": "test"}
    assert recording.time_line == (CLIP if clip_time else LIVE)
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_that_is_there_is_never_replaced(tmp_path):
    path = tmp_path / "a.mcap"
    one = BusRecorder(path, {})
    with pytest.raises(ConfigError, match="cannot write"):
        BusRecorder(path, {})  # two copies at once
    one.offer(pose(0))
    path.write_bytes(b"came meanwhile")
    one.close()
    assert one.made == tmp_path / "a-1.mcap" and seqs(one.made) == [0]
    assert path.read_bytes() == b"came meanwhile"
    with pytest.raises(ConfigError, match="not overwritten"):
        check_record_path(path)
    part_path(tmp_path / "b.mcap").touch()
    with pytest.raises(ConfigError, match="python -m realtime.record"):
        check_record_path(tmp_path / "b.mcap")


def test_while_it_is_recorded_it_can_be_read(tmp_path):
    one = BusRecorder(tmp_path / "a.mcap", {})
    for seq in range(20):
        one.offer(pose(seq))
    assert until(lambda: one.rows_written == 20)
    assert seqs(part_path(one.path)) == list(range(20))
    with pytest.raises(RecordError, match="being written"):
        recover(part_path(one.path))
    one.close()


def test_a_disk_that_hangs_does_not_hold_up_who_offers(tmp_path, monkeypatch):
    """The disk takes nothing for as long as we like; the loop goes on, and memory is bounded."""
    free, write_all = threading.Event(), bus_recorder.write_all
    one = BusRecorder(tmp_path / "a.mcap", {})

    def stuck(file, data):
        free.wait(60)
        write_all(file, data)

    monkeypatch.setattr(bus_recorder, "write_all", stuck)
    for seq in range(300):
        one.offer(pose(seq))
    assert one.rows_written == 0 and one.error is None
    free.set()
    one.close()
    assert seqs(one.made) == list(range(300))

    monkeypatch.setattr(bus_recorder, "MAX_WAITING_BYTES", 20_000)
    monkeypatch.setattr(bus_recorder, "CLOSE_S", 0.1)
    two = BusRecorder(tmp_path / "b.mcap", {})  # its beginning is written at once
    free.clear()
    for seq in range(300):
        two.offer(pose(seq))
    assert two.error is not None and "the disk does not take it in" in two.error
    two.close()
    free.set()
    assert two.made is None and part_path(two.path).exists()


def test_two_recordings_of_one_bus(tmp_path):
    recorders = [BusRecorder(tmp_path / f"{name}.mcap", {}) for name in "ab"]
    for seq in range(10):
        for one in recorders:
            one.offer(pose(seq))
    for one in recorders:
        one.close()
        assert seqs(one.made) == list(range(10))


CHILD = """
import sys, time
sys.path[:0] = [sys.argv[2], sys.argv[3]]
from pathlib import Path
from faults.publish import pose
from realtime.files import bus_recorder
bus_recorder.FLUSH_S = 0.05
one = bus_recorder.BusRecorder(Path(sys.argv[1]), {"source": "child"})
print("ready", flush=True)
for seq in range(100000):
    one.offer(pose(seq))
    if one.error:
        break
    time.sleep(0.0005)
one.close()
"""


def child(path, prefix=()):
    command = [*prefix, sys.executable, "-c", CHILD, str(path), str(ROOT / "tests"), str(ROOT)]
    return subprocess.Popen(
        command, cwd=ROOT, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def test_after_a_kill_what_was_recorded_is_there(tmp_path, capsys):
    path = tmp_path / "a.mcap"
    process = child(path)
    process.stdout.readline()
    assert until(lambda: part_path(path).stat().st_size > 100_000, 60)
    process.kill()
    process.communicate()
    recorded = seqs(part_path(path))  # as it is
    assert recorded == list(range(len(recorded))) and len(recorded) > 90
    assert main([str(old(part_path(path)))]) == 0
    assert f"{path}: {len(recorded)} frames recovered" in capsys.readouterr().out
    whole = BusRecording(path)
    assert [decode(data).seq for data in whole] == recorded and whole.whole
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.skipif(sys.platform == "win32", reason="ulimit is a POSIX shell's")
def test_a_full_disk_is_told_and_what_was_written_stays_readable(tmp_path):
    """The kernel refuses to let the file grow beyond 256 kB, as a full disk would."""
    path = tmp_path / "a.mcap"
    process = child(path, ("sh", "-c", 'ulimit -f 512; exec "$@"', "sh"))
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors  # whoever records goes on
    assert "recording stopped after" in errors and "make room" in errors and "Traceback" not in errors
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.mcap.part"]
    recording = BusRecording(part_path(path))
    recorded = seqs(part_path(path))
    assert recorded == list(range(len(recorded))) and len(recorded) > 100
    list(recording)
    assert not recording.torn  # it ends with a whole message
    made, poses, damaged = recover(old(part_path(path)))
    assert (made, poses, damaged) == (path, len(recorded), 0)


def test_a_folder_that_is_not_there():
    with pytest.raises(ConfigError, match="cannot write"):
        BusRecorder(Path("/nowhere/at/all/a.mcap"), {})
