"""`--record X.mcap`: everything that goes over the bus, into a file, by a thread of its own.

The live loop only puts the bytes aside; about once a second the thread hands them to the operating system, and every
SYNC_S it waits until they are on the disk. A kill costs the last second, a power failure the last SYNC_S and a second.
Until it is finished the file is `X.mcap.part`, which replays as it is (realtime/replay.py).
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections import deque
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO

from realtime.errors import ConfigError
from realtime.files.mcap_file import CLIP, LIVE, BusWriter
from realtime.files.whole import move_into_place
from realtime.messages import TOPICS, MessageError
from realtime.record_file import part_path, write_all

log = logging.getLogger(__name__)

FLUSH_S = 1.0
SYNC_S = 5.0
MAX_WAITING_BYTES = 64 << 20  # what a disk that does not answer may cost of memory: an hour of poses
CLOSE_S = 30.0  # how long the end waits for such a disk


class BusRecorder:
    """Takes the bus's messages; never raises for the disk's sake: `error` says what happened.

    path: the .mcap to be made, not existing. constants: strings about the run. clip_time: the pictures' stamps follow
    a clip's own time line (--every-frame), not the clock. Raises ConfigError if the .part file cannot be made.
    """

    def __init__(self, path: Path, constants: Mapping[str, str], clip_time: bool = False) -> None:
        self.path = path
        self.made: Path | None = None  # the .mcap, once it is complete
        self.error: str | None = None
        self.rows_written = 0  # poses
        part = part_path(path)
        self._raw: BinaryIO | None = None
        try:
            self._raw = part.open("x+b", buffering=0)
            self._file = _InWholes(self._raw)
            self._writer = BusWriter(self._file, constants, CLIP if clip_time else LIVE)  # type: ignore[arg-type]
            self._file.commit()
        except OSError as error:
            if self._raw is not None:
                self._raw.close()
                part.unlink(missing_ok=True)
            raise ConfigError(f"--record {path}: cannot write {part} ({error.strerror})") from None
        self._waiting: deque[tuple[int, bytes]] = deque()
        self._waiting_bytes = 0
        self._lock = threading.Lock()
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"record {path.name}", daemon=True)
        self._thread.start()

    def offer(self, data: bytes) -> None:
        """Keep one message that was just sent. Microseconds; never waits for the disk."""
        if self.error is not None or self._end.is_set():
            return
        with self._lock:
            self._waiting.append((time.monotonic_ns(), data))
            self._waiting_bytes += len(data)
        if self._waiting_bytes > MAX_WAITING_BYTES:
            self._fail("the disk does not take it in")

    def close(self) -> None:
        """Finish the file, named by `made`; where that fails the .part stays, and `error` says so.

        May be called twice."""
        self._end.set()
        self._thread.join(CLOSE_S)
        if self._thread.is_alive() and self.error is None:
            self._fail("the disk does not take it in")

    def _run(self) -> None:
        synced_s = time.monotonic()
        assert self._raw is not None
        with self._raw:
            ended = False
            while not ended and self.error is None:
                ended = self._end.wait(FLUSH_S)
                try:
                    self._write()
                    if ended:
                        self._writer.finish()
                        self._file.commit()
                    if ended or time.monotonic() - synced_s >= SYNC_S:
                        os.fsync(self._raw.fileno())
                        synced_s = time.monotonic()
                except (OSError, MessageError) as error:
                    self._fail(getattr(error, "strerror", None) or str(error))
        if self.error is None:
            self._place()

    def _write(self) -> None:
        with self._lock:
            taken, self._waiting, self._waiting_bytes = self._waiting, deque(), 0
        poses = 0
        for log_time_ns, data in taken:
            self._writer.add(data, log_time_ns)
            poses += data.startswith(TOPICS["pose"])
        self._file.commit()
        self.rows_written += poses

    def _place(self) -> None:
        try:
            self.made = move_into_place(part_path(self.path), self.path, number=True)
        except OSError as error:
            self._fail(error.strerror or str(error))

    def _fail(self, reason: str) -> None:
        part = part_path(self.path)
        self.error = (
            f"{self.path}: recording stopped after {self.rows_written} frames ({reason}); the stream goes on\n"
            f"they are in {part}; make room, then: python -m realtime.record {part}"
        )
        log.error("%s", self.error)


class _InWholes:
    """What a Writer writes to: bytes go to the file together, or, where the disk is full, not at all."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._kept = bytearray()
        self._written = 0

    def write(self, data: bytes) -> int:
        self._kept += data
        return len(data)

    def tell(self) -> int:
        return self._written + len(self._kept)

    def flush(self) -> None:
        """Nothing goes to the disk before `commit`."""

    def commit(self) -> None:
        """Raises OSError; the file then ends where it ended before."""
        try:
            write_all(self._file, self._kept)
        except OSError:
            self._file.truncate(self._written)
            raise
        self._written += len(self._kept)
        self._kept.clear()
