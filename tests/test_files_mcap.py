""".mcap: the bytes of the bus, whole up to wherever the file was cut."""

import io
import os
import tracemalloc

import numpy as np
import pytest
from example_messages import damaged, examples, image_message
from mcap.reader import make_reader
from mcap.stream_reader import StreamReader
from mcap.writer import CompressionType, Writer
from takes import bus_messages, take, write_bus

from realtime.files import mcap_file
from realtime.files.mcap_file import CLIP, BusRecording, BusWriter, recover_bus, topic_of
from realtime.files.rows_file import read_file
from realtime.messages import MessageError, decode, encode_image
from realtime.record_file import RecordError

MESSAGES = bus_messages(take(30))


def test_what_comes_out_is_what_went_in_byte_for_byte(tmp_path):
    path = write_bus(tmp_path / "a.mcap", [*MESSAGES, *examples()], CLIP)
    recording = BusRecording(path)
    assert (recording.constants, recording.time_line) == ({"source": "test"}, CLIP)
    for _ in range(2):
        assert list(recording) == [*MESSAGES, *examples()]
        assert recording.whole and not recording.torn


def test_other_programs_read_it_with_their_own_library(tmp_path):
    path = write_bus(tmp_path / "a.mcap", MESSAGES)
    with path.open("rb") as file:
        reader = make_reader(file)
        summary = reader.get_summary()
        assert summary.statistics.message_count == len(MESSAGES)
        assert {channel.topic for channel in summary.channels.values()} == {"pose", "status", "image"}
        assert next(reader.iter_metadata()).metadata["source"] == "test"
        for (_, channel, message), data in zip(
            reader.iter_messages(log_time_order=False), MESSAGES, strict=True
        ):
            told = decode(data)
            assert message.data == data and channel.topic == topic_of(data)
            assert (message.sequence, message.publish_time) == (told.seq, told.t_publish_ns)
            assert message.log_time == told.t_publish_ns  # none was given
    with path.open("rb") as file:
        assert len(list(StreamReader(file, validate_crcs=True).records)) > len(MESSAGES)


def test_cut_at_any_byte_every_whole_message_comes_back(tmp_path):
    """Every byte of a small file."""
    messages = [MESSAGES[0], MESSAGES[10], MESSAGES[1]]  # a pose, a status, a pose
    cut = write_bus(tmp_path / "cut.mcap", messages)
    content = cut.read_bytes()
    ends = [content.index(data) + len(data) for data in messages]
    for length in reversed(range(len(content))):
        os.truncate(cut, length)
        if length < 8:
            with pytest.raises(RecordError, match="not an MCAP file, or cut"):
                BusRecording(cut)
            continue
        recording = BusRecording(cut)
        assert list(recording) == messages[: sum(end <= length for end in ends)], length
        assert not recording.whole
    assert len(content) > 3000


def test_cut_anywhere_it_is_made_whole_again(tmp_path):
    content = write_bus(tmp_path / "a.mcap", MESSAGES).read_bytes()
    rng = np.random.default_rng(0)
    for length in rng.integers(500, len(content), 25):
        part = tmp_path / "b.mcap.part"
        part.write_bytes(content[:length])
        expected = [data for data in MESSAGES if content.index(data) + len(data) <= length]
        made, poses, bad = recover_bus(part, tmp_path / "b.mcap")
        recording = BusRecording(made)
        assert list(recording) == expected and recording.whole
        assert poses == sum(topic_of(data) == "pose" for data in expected)
        assert bad in (0, 1) and recording.constants == {"source": "test"}
        made.unlink()


def test_no_change_of_a_byte_makes_the_reader_crash(tmp_path):
    content = write_bus(tmp_path / "a.mcap", MESSAGES[:4]).read_bytes()
    path, rng = tmp_path / "bad.mcap", np.random.default_rng(1)
    for place in rng.integers(8, len(content), 400):
        bad = bytearray(content)
        bad[place] ^= 1 << int(rng.integers(8))
        path.write_bytes(bad)
        recording = BusRecording(path)
        for data in recording:
            assert topic_of(data)
            try:
                decode(data)
            except MessageError:
                continue


def test_a_damaged_message_is_left_out_and_counted(tmp_path):
    bad = damaged(theta=b"\0" * 12)
    path = write_bus(tmp_path / "a.mcap", [*MESSAGES[:3], bad, *MESSAGES[3:5]])
    recording = read_file(path)
    assert len(recording.rows) == 5 and recording.damaged == 1


@pytest.mark.parametrize("compression", [CompressionType.ZSTD, CompressionType.LZ4, CompressionType.NONE])
def test_packed_anew_by_another_tool_it_still_reads(tmp_path, compression):
    path = tmp_path / "packed.mcap"
    with path.open("wb") as file:
        writer = Writer(file, chunk_size=4000, compression=compression)
        writer.start("another tool")
        pose, other = (writer.register_channel(name, "x", 0) for name in ("/hmmr/pose", "/imu"))
        for i, data in enumerate(MESSAGES):
            writer.add_message(pose, i, data, i)
            writer.add_message(other, i, b"no message of ours", i)
        writer.finish()
    assert list(BusRecording(path)) == MESSAGES
    content = bytearray(path.read_bytes())
    content[len(content) // 3] ^= 0x10
    path.write_bytes(content)
    left = list(BusRecording(path))
    assert 0 < len(left) < len(MESSAGES) and set(left) < set(MESSAGES)  # without the damaged chunk


@pytest.mark.parametrize("compression", [CompressionType.ZSTD, CompressionType.LZ4])
def test_a_chunk_that_unpacks_to_more_than_it_claims_is_left_out(tmp_path, monkeypatch, compression):
    """30 MB of zeros in some kilobytes, said to be a thousand bytes."""
    monkeypatch.setattr(mcap_file, "MAX_RECORD_BYTES", 1 << 20)
    path = tmp_path / "bomb.mcap"
    with path.open("wb") as file:
        writer = Writer(file, chunk_size=1 << 30, compression=compression)
        writer.start("another tool")
        pose = writer.register_channel("/hmmr/pose", "x", 0)
        for i in range(10):
            writer.add_message(pose, i, bytes(3 << 20), i)
        writer.finish()
    with path.open("rb") as file:
        claimed = make_reader(file).get_summary().chunk_indexes[0].uncompressed_size
    content = path.read_bytes()
    assert len(content) < 1 << 20 and claimed > 30 << 20
    path.write_bytes(content.replace(claimed.to_bytes(8, "little"), (1000).to_bytes(8, "little")))
    tracemalloc.start()
    assert list(BusRecording(path)) == []
    assert tracemalloc.get_traced_memory()[1] < 8 << 20
    tracemalloc.stop()


def test_what_is_no_recording_is_refused_in_one_line(tmp_path):
    for name, content in {
        "empty": b"",
        "text": b"not a recording, only text",
        "zip": b"PK\3\4" + b"x" * 90,
    }.items():
        path = tmp_path / f"{name}.mcap"
        path.write_bytes(content)
        with pytest.raises(RecordError, match=rf"{name}\.mcap: not an MCAP file") as told:
            BusRecording(path)
        assert "\n" not in str(told.value)
    with pytest.raises(RecordError, match="cannot be read"):
        BusRecording(tmp_path / "absent.mcap")


def test_only_messages_of_the_bus_go_in():
    writer = BusWriter(io.BytesIO(), {})
    writer.add(encode_image(image_message()), log_time_ns=9)
    with pytest.raises(MessageError, match="not a message of this bus"):
        writer.add(b"imu \x80")


def test_rows_of_the_bus_are_those_of_the_npz(tmp_path):
    recording = take(30)
    rows = read_file(write_bus(tmp_path / "a.mcap", bus_messages(recording))).rows
    for key in recording.rows.dtype.names:
        if key != "crc32":
            np.testing.assert_array_equal(rows[key], recording.rows[key])
