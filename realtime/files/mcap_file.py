""".mcap: the bus as it was, message by message. The format is MCAP 0 (its own specification), written by the `mcap`
package.

Messages stand in the file one after the other, not in chunks: what was written before a kill, a cut or a full disk is
whole up to the last message. The data of each is exactly what went over the bus (docs/wire-format.md), topic included;
`log_time` is when it was recorded and `publish_time` its `t_publish_ns`, both CLOCK_MONOTONIC of the host that the
message's `clock` names. The metadata record "hmmr-live" tells of the run.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

from lz4.frame import LZ4FrameDecompressor
from mcap.data_stream import ReadDataStream
from mcap.exceptions import McapError, UnsupportedCompressionError
from mcap.opcode import Opcode
from mcap.records import Chunk, Message, Metadata
from mcap.stream_reader import breakup_chunk
from mcap.writer import MCAP0_MAGIC, CompressionType, IndexType, Writer
from zstandard import ZstdDecompressor, ZstdError

from realtime.files.whole import write_whole
from realtime.messages import TOPICS
from realtime.record_file import RecordError
from realtime.version import VERSION
from realtime.wire import MAX_MESSAGE_BYTES, MessageError, integer, unpack

METADATA = "hmmr-live"
PROFILE = ENCODING = "x-hmmr-live"  # topic and msgpack: none of the encodings that MCAP names
MAX_RECORD_BYTES = 64 << 20  # of other people's chunks; a message of ours has 4 MiB at most
_RECORD = struct.Struct("<BQ")
_MESSAGE = struct.Struct("<HIQQ")  # channel, sequence, log time, publish time
_TIME_LINE = "time_line"
LIVE, CLIP = "live", "clip"  # what the stamps of the pictures follow: the clock, or a clip's own time line


def topic_of(data: bytes) -> str:
    """ "pose", "status" or "image"; "" for what is no message of ours."""
    return next((topic for topic, prefix in TOPICS.items() if data.startswith(prefix)), "")


class BusWriter:
    """Writes messages to an open file. constants: strings about the run. Raises OSError."""

    def __init__(self, file: BinaryIO, constants: Mapping[str, str], time_line: str = LIVE) -> None:
        self._writer = Writer(
            file,
            use_chunking=False,
            compression=CompressionType.NONE,
            index_types=IndexType.METADATA,
            enable_data_crcs=True,
        )
        self._writer.start(PROFILE, f"hmmr-live {VERSION}")
        self._channels = {topic: self._writer.register_channel(topic, ENCODING, 0) for topic in TOPICS}
        self._writer.add_metadata(METADATA, {**constants, _TIME_LINE: time_line})

    def add(self, data: bytes, log_time_ns: int | None = None) -> None:
        """One encoded message; log_time_ns: when it was recorded, by default when it was published. Raises
        MessageError for bytes of no topic of ours."""
        topic = topic_of(data)
        if not topic:
            raise MessageError(f"not a message of this bus: it starts with {data[:12]!r}")
        fields = unpack(TOPICS[topic], data)
        published_ns = integer(fields, "t_publish_ns")
        self._writer.add_message(
            self._channels[topic],
            published_ns if log_time_ns is None else log_time_ns,
            data,
            published_ns,
            integer(fields, "seq") % 2**32,
        )

    def finish(self) -> None:
        """The summary and the footer; the file stays open."""
        self._writer.finish()


class BusRecording:
    """Reads a recording of the bus, whole or cut, by us or packed anew by another tool.

    Iterating gives the data of each whole message of ours, in the order of the file; it may be done again. Afterwards
    `whole` tells whether the file ended as it should, `torn` whether in the middle of a record. constants: strings
    about the run, empty where they are absent.
    Raises RecordError where the file cannot be read or is no MCAP.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.whole = self.torn = False
        self.constants: dict[str, str] = {}
        for opcode, content in self._records():
            if opcode == Opcode.METADATA and (told := _metadata(content)) is not None:
                self.constants = told
            if opcode in (Opcode.METADATA, Opcode.MESSAGE, Opcode.CHUNK):
                break
        self.time_line = self.constants.pop(_TIME_LINE, LIVE)

    def __iter__(self) -> Iterator[bytes]:
        for opcode, content in self._records():
            for data in _messages(opcode, content, self.path):
                if topic_of(data):
                    yield data

    def _records(self) -> Iterator[tuple[int, bytes]]:
        """Whole records, up to the end, a cut, or a length that no record has."""
        self.whole = self.torn = False
        try:
            with self.path.open("rb") as file:
                if file.read(len(MCAP0_MAGIC)) != MCAP0_MAGIC:
                    raise RecordError(f"{self.path}: not an MCAP file, or cut before its first record")
                while len(start := file.read(_RECORD.size)) == _RECORD.size:
                    opcode, length = _RECORD.unpack(start)
                    content = file.read(length) if length <= MAX_RECORD_BYTES else b""
                    if len(content) < length:
                        self.torn = True
                        return
                    yield opcode, content
                    if opcode == Opcode.FOOTER:
                        self.whole = file.read() == MCAP0_MAGIC
                        return
                self.torn = bool(start)
        except OSError as error:
            raise RecordError(f"{self.path}: cannot be read ({error.strerror})") from None


def recover_bus(part: Path, target: Path) -> tuple[Path, int, int]:
    """Make an .mcap of all whole messages of `part`. Returns it, its poses, and how many messages were damaged or cut.

    Where `target` exists, target-1.mcap … is made. Raises RecordError for what is no MCAP; OSError.
    """
    recording = BusRecording(part)
    poses = damaged = 0

    def write(file: BinaryIO) -> None:
        nonlocal poses, damaged
        writer = BusWriter(file, recording.constants, recording.time_line)
        for data in recording:
            try:
                writer.add(data)
            except MessageError:
                damaged += 1
            else:
                poses += data.startswith(TOPICS["pose"])
        damaged += recording.torn
        writer.finish()

    return write_whole(target, write, number=True), poses, damaged


def _messages(opcode: int, content: bytes, path: Path) -> Iterator[bytes]:
    if opcode == Opcode.MESSAGE and _MESSAGE.size <= len(content) <= _MESSAGE.size + MAX_MESSAGE_BYTES:
        yield content[_MESSAGE.size :]
    elif opcode == Opcode.CHUNK:  # packed by another tool
        try:
            chunk = _unpacked(Chunk.read(ReadDataStream(io.BytesIO(content))))
            if len(chunk.data) > MAX_RECORD_BYTES:
                return
            records = breakup_chunk(chunk, validate_crc=True)
        except UnsupportedCompressionError as error:
            raise RecordError(f"{path}: {error}") from None
        except (McapError, ValueError, RuntimeError, MemoryError, struct.error, ZstdError):
            return  # a damaged chunk is left out, as a damaged row is
        for record in records:
            if isinstance(record, Message) and len(record.data) <= MAX_MESSAGE_BYTES:
                yield record.data


def _unpacked(chunk: Chunk) -> Chunk:
    """Its data as they were, but no more than a byte over MAX_RECORD_BYTES of them, whatever the chunk claims."""
    if chunk.compression == "zstd":
        data = ZstdDecompressor().stream_reader(chunk.data).read(MAX_RECORD_BYTES + 1)
    elif chunk.compression == "lz4":
        data = LZ4FrameDecompressor().decompress(chunk.data, max_length=MAX_RECORD_BYTES + 1)
    else:
        return chunk
    return replace(chunk, compression="", data=data)


def _metadata(content: bytes) -> dict[str, str] | None:
    try:
        record = Metadata.read(ReadDataStream(io.BytesIO(content)))
    except (McapError, ValueError, struct.error):
        return None
    return dict(record.metadata) if record.name == METADATA else None
