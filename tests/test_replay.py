"""`python -m realtime.replay`: what was seen comes back as it was, with stamps of now."""

from __future__ import annotations

import queue
import subprocess
import sys
import threading
import time
from dataclasses import replace

import numpy as np
import pytest
from example_messages import damaged, image_message
from programs import ROOT, environment, until
from takes import FRAME_NS, bus_messages, take, write_bus

from realtime import Subscriber
from realtime.bus.publisher import Publisher
from realtime.clock import clock_id
from realtime.config import BusConfig
from realtime.errors import ConfigError
from realtime.files.mcap_file import CLIP
from realtime.messages import PoseMessage, StatusMessage, decode, encode_image, encode_pose
from realtime.replay import Replay, main
from realtime.wire import unpack

MESSAGES = bus_messages(take(30))
POSES = [decode(data) for data in MESSAGES if data.startswith(b"pose ")]


class Heard:
    """Stands for a Publisher: keeps what is sent, and when."""

    def __init__(self):
        self.data, self.at_ns = [], []
        self.subscribers = {"pose": 0}
        self.keys, self.refused = None, 0

    def publish(self, data):
        self.data.append(data)
        self.at_ns.append(time.monotonic_ns())

    def poll(self):
        pass

    def of(self, topic):
        return [decode(data) for data in self.data if data.startswith(topic)]


def played(path, speed=50.0, **how):
    heard = Heard()
    replay = Replay(path, heard, speed, **how)
    assert replay.play()
    return heard, replay


def same_content(sent, stored):
    for key in ("frame", "person", "state", "score", "body", "model"):
        assert getattr(sent, key) == getattr(stored, key)
    for key in ("theta", "trans", "joints"):
        assert getattr(sent, key).tobytes() == getattr(stored, key).tobytes()
    for (dt_ms, pose), (stored_dt_ms, stored_pose) in zip(sent.ahead, stored.ahead, strict=True):
        assert dt_ms == stored_dt_ms and pose.tobytes() == stored_pose.tobytes()
    assert (sent.lead.ms, sent.lead.confidence) == (stored.lead.ms, stored.lead.confidence) == (40.0, 1.0)
    assert sent.lead.pose.tobytes() == stored.lead.pose.tobytes() != sent.theta[3:75].tobytes()


def test_what_was_seen_is_as_it_was_and_the_stamps_are_of_now(tmp_path):
    path = write_bus(tmp_path / "a.mcap", MESSAGES)
    begun_ns = time.monotonic_ns()
    heard, replay = played(path, speed=10.0)
    poses = heard.of(b"pose ")
    assert replay.sent == replay.poses == len(poses) == 30
    for sent, stored in zip(poses, POSES, strict=True):
        same_content(sent, stored)
        assert sent.clock == clock_id() != stored.clock
        assert sent.replay and not stored.replay
        assert begun_ns - 20_000_000 <= sent.t_capture_ns <= sent.t_publish_ns <= time.monotonic_ns()
    assert [pose.seq for pose in poses] == list(range(30))
    captured = np.array([pose.t_capture_ns for pose in poses])
    np.testing.assert_allclose(np.diff(captured), FRAME_NS / 10, atol=2)  # intervals kept, ten times as fast
    # It was 20 ms old when it was published, and is again: 2 ms at this speed, and what the turn of the loop adds.
    ages_ms = [(pose.t_publish_ns - pose.t_capture_ns) / 1e6 for pose in poses]
    assert min(ages_ms) >= 2.0
    stored = unpack(b"pose ", heard.data[0])["replay"]
    first = POSES[0]
    assert stored == {
        "seq": first.seq,
        "t_capture_ns": first.t_capture_ns,
        "t_publish_ns": first.t_publish_ns,
        "clock": first.clock,
    }


def test_nothing_is_sent_before_its_time(tmp_path):
    heard, _ = played(write_bus(tmp_path / "a.mcap", MESSAGES), speed=4.0)
    at_ns = [t for t, data in zip(heard.at_ns, heard.data, strict=True) if data.startswith(b"pose ")]
    assert at_ns[-1] - at_ns[0] >= 29 * FRAME_NS / 4 - 1e6
    assert (np.diff(at_ns) > 0).all()


def test_a_clip_that_was_worked_off_fast_plays_at_the_clips_own_pace(tmp_path):
    """--every-frame: pictures every 33 ms of the clip, published every 5 ms."""
    recording = take(20)
    captured_ns = recording.rows["t_capture_ns"].copy()
    recording.rows["t_capture_ns"] = captured_ns[0] + np.arange(20) * 5_000_000
    fast = [decode(data) for data in bus_messages(recording, statuses=False)]
    messages = [encode_pose(replace(m, t_capture_ns=int(t))) for m, t in zip(fast, captured_ns, strict=True)]
    heard, _ = played(write_bus(tmp_path / "a.mcap", messages, CLIP), speed=5.0)
    poses = heard.of(b"pose ")
    assert heard.at_ns[-1] - heard.at_ns[0] >= 19 * FRAME_NS / 5 - 1e6
    assert all(pose.t_publish_ns >= pose.t_capture_ns for pose in poses)


def test_the_status_tells_what_it_was_and_that_it_is_a_replay(tmp_path):
    heard, replay = played(write_bus(tmp_path / "a.mcap", MESSAGES), speed=3.0)
    replay.finish()
    told = heard.of(b"status ")
    assert all(status.camera["name"] == "replay of a.mcap" for status in told)
    assert all("replay of a.mcap, at 3 times its pace" in status.notes for status in told)
    assert [status.seq for status in told] == list(range(len(told)))
    assert told[-1].camera["state"] == "ended" and told[-1].state == "tracking"
    assert told[0].subscribers == {"pose": 0}


def test_pictures_come_back_too(tmp_path):
    image = image_message(t_capture_ns=POSES[0].t_capture_ns, t_publish_ns=POSES[0].t_publish_ns)
    heard, _ = played(write_bus(tmp_path / "a.mcap", [encode_image(image), *MESSAGES]))
    (sent,) = heard.of(b"image ")
    assert (sent.jpeg, sent.width, sent.seq) == (image.jpeg, image.width, 0)
    assert sent.landmarks.tobytes() == image.landmarks.tobytes()
    assert sent.t_publish_ns - sent.t_capture_ns < 1e9 and sent.clock == clock_id()


def test_a_file_that_was_cut_plays_its_whole_messages(tmp_path):
    path = write_bus(tmp_path / "a.mcap", MESSAGES)
    content = path.read_bytes()
    part = tmp_path / "b.mcap.part"
    for length in np.random.default_rng(0).integers(2000, len(content), 6):
        part.write_bytes(content[:length])
        whole = [data for data in MESSAGES if content.index(data) + len(data) <= length]
        expected = [decode(data) for data in whole if data.startswith(b"pose ")]
        heard, replay = played(part, speed=1000.0)
        poses = heard.of(b"pose ")
        assert len(poses) == len(expected) and not replay.whole
        for sent, stored in zip(poses, expected, strict=True):
            same_content(sent, stored)


def test_what_is_damaged_is_left_out_and_counted(tmp_path):
    bad = damaged(theta=b"\0" * 4)
    heard, replay = played(write_bus(tmp_path / "a.mcap", [MESSAGES[0], bad, MESSAGES[1]]))
    assert (len(heard.of(b"pose ")), replay.damaged) == (2, 1)


def test_a_silence_of_hours_does_not_take_hours(tmp_path, monkeypatch):
    monkeypatch.setattr("realtime.replay.LONGEST_GAP_S", 0.05)
    recording = take(4)
    recording.rows["t_capture_ns"][2:] += 7_200_000_000_000
    heard, _ = played(write_bus(tmp_path / "a.mcap", bus_messages(recording)), speed=1.0)
    assert 0.1 < (heard.at_ns[-1] - heard.at_ns[0]) / 1e9 < 30
    assert all(0 <= p.t_publish_ns - p.t_capture_ns < 10e9 for p in heard.of(b"pose "))


def test_stepwise_one_pose_for_each_enter(tmp_path):
    path, heard, step = write_bus(tmp_path / "a.mcap", MESSAGES), Heard(), queue.SimpleQueue()
    replay = Replay(path, heard, step=step)
    ended = []
    thread = threading.Thread(target=lambda: ended.append(replay.play()))
    thread.start()
    for count in (1, 2, 3):
        time.sleep(0.1)
        assert len(heard.of(b"pose ")) == count - 1
        step.put("\n")
        assert until(lambda: len(heard.of(b"pose ")) == count)  # noqa: B023
        age_ms = (time.monotonic_ns() - heard.of(b"pose ")[-1].t_capture_ns) / 1e6
        assert 20 <= age_ms < 10_000  # as old as it was when it was published, not as the wait was long
    step.put(None)
    thread.join(10)
    assert ended == [False]


@pytest.fixture
def recording(tmp_path):
    return write_bus(tmp_path / "a.mcap", MESSAGES)


def program(*arguments, **more):
    return subprocess.Popen(
        [sys.executable, "-m", "realtime.replay", *map(str, arguments)],
        cwd=ROOT,
        env=environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **more,
    )


def test_as_a_program_it_plays_to_a_subscriber(recording):
    process = program(recording, "--bus", "tcp://127.0.0.1:0", "--speed", "2", "--wait")
    address = process.stdout.readline().split()[-1]
    with Subscriber(address, ("pose", "status"), every=True, timeout_s=30) as subscriber:
        messages = []
        while sum(isinstance(message, PoseMessage) for message in messages) < 30:
            messages.append(subscriber.receive())
        ages_ms = [message.age_ms() for message in messages if isinstance(message, PoseMessage)]
        assert subscriber.bad == subscriber.missed == subscriber.restarts == 0
    output, errors = process.communicate(timeout=30)
    assert (process.returncode, errors) == (0, "")
    assert output == "30 poses sent\n"
    for sent, stored in zip([m for m in messages if isinstance(m, PoseMessage)], POSES, strict=True):
        same_content(sent, stored)
    assert all(0 < age_ms < 30_000 for age_ms in ages_ms)
    assert any(isinstance(message, StatusMessage) for message in messages)


def test_over_and_over_until_ctrl_c(recording):
    process = program(recording, "--bus", "tcp://127.0.0.1:0", "--speed", "20", "--loop")
    address = process.stdout.readline().split()[-1]
    with Subscriber(address, every=True, timeout_s=30) as subscriber:
        seen = [subscriber.receive() for _ in range(75)]
        assert subscriber.restarts == 0  # seq goes on over the beginning
    frames = [message.frame for message in seen]
    assert frames.count(0) >= 2 and (np.diff([message.t_capture_ns for message in seen]) > 0).all()
    process.terminate()
    output, errors = process.communicate(timeout=30)
    assert errors == "" and (process.returncode == 0 or sys.platform == "win32")


def test_enter_by_enter_as_a_program(recording):
    process = program(recording, "--bus", "tcp://127.0.0.1:0", "--step")
    address = process.stdout.readline().split()[-1]
    with Subscriber(address, every=True, timeout_s=30) as subscriber:
        for frame in range(3):
            process.stdin.write("\n")
            process.stdin.flush()
            assert subscriber.receive().frame == frame  # the last is sent again to who joins late
        assert subscriber.receive(0.3) is None
    output, errors = process.communicate(timeout=30)  # the end of the input ends it
    assert (process.returncode, errors) == (0, "") and output == "3 poses sent\n"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["absent.mcap"], "absent.mcap: there is no such file"),
        (["text.mcap"], "text.mcap: not an MCAP file"),
        (["empty.mcap"], "no pose is in it"),
        (["a.npz"], "python -m realtime.convert"),
        (["a.mcap", "--speed", "0"], "--speed"),
        (["a.mcap", "--speed", "nan"], "--speed"),
        (["a.mcap", "--speed", "2", "--step"], "--step"),
        (["a.mcap", "--bus", "tcp://0.0.0.0:5555"], "--bus tcp://0.0.0.0:5555"),
    ],
)
def test_what_cannot_be_played_is_told_in_two_lines_at_most(
    recording, arguments, words, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "text.mcap").write_text("these are words")
    write_bus(tmp_path / "empty.mcap", [])
    with pytest.raises(ConfigError) as told:
        main(arguments if "--bus" in arguments else [*arguments, "--bus", "tcp://127.0.0.1:0"])
    assert words in str(told.value) and len(str(told.value).splitlines()) <= 2


def test_an_address_in_use(recording):
    with Publisher("tcp://127.0.0.1:0", BusConfig()) as taken, pytest.raises(ConfigError, match="--bus"):
        main([str(recording), "--bus", taken.address])
    with pytest.raises(ConfigError, match="absent.mcap: there is no such file"):  # that first
        main(["absent.mcap", "--bus", taken.address])
