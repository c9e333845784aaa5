"""The record button without its page: poses from a real bus into an .npz."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from programs import until
from viewer_stream import BODY, pose_message, posed

from realtime import key_files
from realtime.bus.publisher import Publisher
from realtime.config import BusConfig
from realtime.messages import encode_pose
from realtime.record import recover
from realtime.sinks.web import recording as module
from realtime.sinks.web.recording import BusRecording


@pytest.fixture
def publisher() -> Iterator[Publisher]:
    with Publisher("tcp://127.0.0.1:0", BusConfig()) as one:
        yield one


def started(publisher: Publisher, recording: BusRecording) -> None:
    recording.start()
    assert recording.active
    assert until(lambda: publisher.poll() or publisher.wants("pose"))


def publish(publisher: Publisher, seq: int, **changes) -> None:
    publisher.publish(encode_pose(pose_message(posed(left_arm_up=bool(seq % 2)), seq, **changes)))


def recorded(recording: BusRecording, frames: int) -> bool:
    return until(lambda: recording.poll() or recording.frames >= frames)


def test_every_pose_from_start_to_stop(publisher: Publisher, tmp_path: Path) -> None:
    publish(publisher, 6)  # sent again to whoever joins: it is from before
    time.sleep(0.01)
    recording = BusRecording(publisher.address, tmp_path, BODY)
    assert not recording.active
    started(publisher, recording)
    publisher.poll()
    states = ("tracking", "held", "lost", "warming")
    for seq in range(7, 107):
        publish(publisher, seq, state=states[seq % 4])
    assert recorded(recording, 100)
    recording.stop()
    recording.stop()
    publish(publisher, 107)
    recording.poll()
    (path,) = tmp_path.iterdir()
    assert recording.text == f"{path}: 100 frames" and not recording.active
    with np.load(path, allow_pickle=False) as arrays:
        np.testing.assert_array_equal(arrays["frame_index"], np.arange(7, 107))
        assert arrays["states"][arrays["state"][:4]].tolist() == ["warming", "tracking", "held", "lost"]
        np.testing.assert_array_equal(arrays["theta"][1, 3:75], posed().ravel())
        assert str(arrays["body"]) == BODY.id and str(arrays["model"]) == "test"
        assert arrays["joints"].shape == (100, 24, 3) and arrays["trans"].shape == (100, 3)
        assert np.all(np.diff(arrays["t_capture_ns"]) > 0)


def test_nothing_is_overwritten(
    publisher: Publisher, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Four recordings within one second; of an earlier one a .part is left."""
    monkeypatch.setattr(module.time, "strftime", lambda _: "hmmr-now")
    (tmp_path / "hmmr-now-1.npz.part").write_bytes(b"from a crash")
    for seq in range(3):
        recording = BusRecording(publisher.address, tmp_path, BODY)
        started(publisher, recording)
        publish(publisher, seq)
        assert recorded(recording, 1)
        recording.stop()
        assert until(lambda: publisher.poll() or not publisher.wants("pose"))
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "hmmr-now-1.npz.part", "hmmr-now-2.npz", "hmmr-now-3.npz", "hmmr-now.npz",
    ]  # fmt: skip
    assert (tmp_path / "hmmr-now-1.npz.part").read_bytes() == b"from a crash"


def test_what_a_killed_program_leaves(
    publisher: Publisher, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("realtime.record.FLUSH_S", 0.0)
    recording = BusRecording(publisher.address, tmp_path, BODY)
    started(publisher, recording)
    for seq in range(5):
        publish(publisher, seq)
    assert recorded(recording, 5)
    (part,) = tmp_path.iterdir()
    assert part.name.endswith(".npz.part")
    made, frames, damaged = recover(part)
    assert (frames, damaged) == (5, 0) and made.suffix == ".npz"


@pytest.mark.parametrize("what", ["body", "model"])
def test_one_file_is_of_one_body_and_model(what: str, publisher: Publisher, tmp_path: Path) -> None:
    recording = BusRecording(publisher.address, tmp_path, BODY)
    started(publisher, recording)
    publish(publisher, 0)
    publish(publisher, 1, **{what: "another"})
    assert until(lambda: recording.poll() or not recording.active)
    (path,) = tmp_path.iterdir()
    assert recording.text == f"{path}: 1 frame; it ended there: the stream went on with another body or model"


def test_another_body_than_the_pages_is_refused(publisher: Publisher, tmp_path: Path) -> None:
    recording = BusRecording(publisher.address, tmp_path, BODY)
    started(publisher, recording)
    publish(publisher, 0, body="another")
    assert until(lambda: recording.poll() or not recording.active)
    assert "the stream's body is another" in recording.text and "body=FILE" in recording.text
    assert list(tmp_path.iterdir()) == []


def test_the_end_of_the_live_program_waits_while_there_is_something_to_be_made_whole(
    publisher: Publisher, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    allowed: list[tuple[float, str]] = []

    def take_longer(seconds: float, finishing: Path | None = None) -> None:
        allowed.append((seconds, finishing.suffix if finishing else ""))

    monkeypatch.setattr(module, "take_longer", take_longer)
    recording = BusRecording(publisher.address, tmp_path, BODY)
    started(publisher, recording)
    assert allowed == []
    publish(publisher, 0)
    assert recorded(recording, 1)
    assert allowed == [(20.0, ".npz")]
    recording.stop()
    assert allowed == [(20.0, ".npz"), (0.0, "")]


def test_nobody_there(tmp_path: Path) -> None:
    recording = BusRecording("tcp://127.0.0.1:9", tmp_path, BODY)
    recording.start()
    recording.stop()
    assert recording.text == "nothing recorded: no pose came" and list(tmp_path.iterdir()) == []


def test_a_folder_that_has_gone(tmp_path: Path) -> None:
    recording = BusRecording("tcp://127.0.0.1:9", tmp_path / "gone", BODY)
    recording.start()
    assert not recording.active and "there is no folder" in recording.text


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    """A folder with a stream's keys, and the key of its own viewer and sinks."""
    folder = tmp_path / "keys"
    key_files.make_server(folder)
    key_files.make_client(folder, "local")
    return folder


def recorded_until_new_keys(folder: Path, keys: Path, frames: int) -> tuple[BusRecording, str]:
    """A recording of `frames` poses whose stream then comes again, at the same address, with other keys."""
    with Publisher("tcp://127.0.0.1:0", BusConfig(keys=str(keys))) as publisher:
        address = publisher.address
        recording = BusRecording(address, folder, BODY, str(key_files.make_client(keys, "page")))
        started(publisher, recording)
        for seq in range(frames):
            publish(publisher, seq)
        assert recorded(recording, frames)
    new = keys.with_name("new")
    key_files.make_server(new)
    key_files.make_client(new, "local")
    with Publisher(address, BusConfig(keys=str(new))) as publisher:
        assert until(lambda: publisher.poll() or recording.poll() or not recording.active, 30)
    return (
        recording,
        f"{address}: {keys / 'page.key'} is the key to another stream, or this one has new keys;",
    )


def test_a_stream_that_comes_again_with_new_keys(keys: Path, tmp_path: Path) -> None:
    folder = tmp_path / "recordings"
    folder.mkdir()
    recording, reason = recorded_until_new_keys(folder, keys, 7)
    recording.stop()
    (path,) = folder.iterdir()
    assert recording.text.startswith(f"{path}: 7 frames; it ended there: {reason}")
    with np.load(path, allow_pickle=False) as arrays:
        np.testing.assert_array_equal(arrays["frame_index"], np.arange(7))


def test_new_keys_before_any_pose(keys: Path, tmp_path: Path) -> None:
    folder = tmp_path / "recordings"
    folder.mkdir()
    recording, reason = recorded_until_new_keys(folder, keys, 0)
    assert recording.text.startswith(f"nothing recorded: {reason}") and list(folder.iterdir()) == []


def test_a_key_file_that_has_gone(tmp_path: Path) -> None:
    recording = BusRecording("tcp://127.0.0.1:9", tmp_path, BODY, str(tmp_path / "gone.key"))
    recording.start()
    recording.poll()
    recording.stop()
    assert not recording.active and "gone.key" in recording.text and list(tmp_path.iterdir()) == []
