"""`--record X.npz`, `.amass.npz`, `.bvh`, `.glb`: the motion of a run as one file, safe against crashes and full disks.

While the stream runs, rows of fixed size are appended to `X.npz.part` about once a second; at the end the
rows become `X.npz` (written beside it, then moved into place). After a crash or a kill the rows are still
there:

    python -m realtime.record X.npz.part

What is in the files: docs/recording.md, realtime/record_file.py, realtime/files/. `--record X.mcap` is
realtime/files/bus_recorder.py.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import struct
import sys
import time
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO

import numpy as np

from realtime.errors import ConfigError, HmmrLiveError
from realtime.files import KINDS, kind_of
from realtime.files.whole import is_being_written, unfinished_beside
from realtime.observation import Estimate, Frame
from realtime.record_file import (
    CRC_BYTES,
    MAGIC,
    ROW,
    STATES,
    RecordError,
    Rows,
    part_path,
    read_rows,
    write_all,
    write_npz,
)
from realtime.terminal import print_anything

log = logging.getLogger(__name__)

FLUSH_S = 1.0  # what a kill can cost
TRACE_KINDS = (".csv", ".json")
BATCH_ROWS = 256  # rows kept between two flushes at most; at 30 fps a flush comes long before


def check_record_path(path: Path) -> None:
    """Say before the camera starts whether `path` can be recorded to.

    Raises ConfigError: none of KINDS, folder missing or not writable, a recording (finished or not) already there.
    """
    if not kind_of(path) or path.name.lower().endswith(".part"):
        raise ConfigError(f"--record {path}: what kind of file is that? known: {', '.join(sorted(KINDS))}")
    check_writable_folder("--record", path)
    if path.exists():
        raise ConfigError(f"--record {path}: exists and is not overwritten; give another name or move it")
    part = part_path(path)
    if part.exists():
        raise ConfigError(
            f"--record {path}: {part} holds a recording that was not finished;\n"
            f"recover it first: python -m realtime.record {part}"
        )


def check_writable_folder(flag: str, path: Path) -> None:
    """Raises ConfigError when no file can be made at `path`: its folder is missing or refuses, or it is a
    folder."""
    probe = path.parent / f".{path.name}.{os.getpid()}.probe"
    try:
        if path.is_dir():
            raise ConfigError(f"{flag} {path}: is a folder; give the name of a file")
        if path.exists() and not path.is_file():
            return  # a device such as /dev/stdout: nothing is made beside it
        if not path.parent.is_dir():
            raise ConfigError(f"{flag} {path}: there is no folder {path.parent}; make it first")
        probe.touch(exist_ok=False)
        probe.unlink()
    except OSError as error:
        raise ConfigError(f"{flag} {path}: cannot write into {path.parent} ({error.strerror})") from None


def check_trace_path(path: Path) -> None:
    """Of --trace. Raises ConfigError where no trace can be written."""
    if path.suffix not in TRACE_KINDS:
        raise ConfigError(f"--trace {path}: expected a name that ends in {' or '.join(TRACE_KINDS)}")
    check_writable_folder("--trace", path)


class Recorder:
    """Appends one row per frame; never raises for the disk's sake: `error` says what happened.

    path: the file to be made, not existing; its name says of which kind. nominal_fps: used when fewer than two
    rows tell the rate. constants: strings about the run (body, model, source …), stored in the header and in the .npz.
    pelvis_rest_m: (3,) the body's rest pelvis, to give AMASS's readers SMPL's own `transl`. body_file: where the body
    is, "" for the shipped one; it is loaded at the end.
    Raises ConfigError if the .part file cannot be made.
    """

    def __init__(
        self,
        path: Path,
        nominal_fps: float,
        constants: Mapping[str, str],
        pelvis_rest_m: np.ndarray,
        body_file: str = "",
    ) -> None:
        self.path = path
        self.made: Path | None = None  # the file, once it is written
        self.error: str | None = None
        self.rows_written = 0
        self._batch = np.zeros(BATCH_ROWS, ROW)
        self._waiting = 0
        self._flushed_at_s = time.monotonic()
        header = {
            "row": [[name, ROW[name].base.str, list(ROW[name].shape)] for name in ROW.names or ()],
            "nominal_fps": nominal_fps,
            "pelvis_rest_m": [float(x) for x in pelvis_rest_m],
            "constants": dict(constants),
            "body_file": body_file and str(Path(body_file).expanduser().resolve()),
        }
        content = json.dumps(header).encode()
        part = part_path(path)
        self._file: BinaryIO | None = None
        try:
            self._file = part.open("x+b", buffering=0)
            write_all(self._file, MAGIC + struct.pack("<I", len(content)) + content)
        except OSError as error:
            if self._file is not None:
                self._file.close()
                part.unlink()
            raise ConfigError(f"--record {path}: cannot write {part} ({error.strerror})") from None

    def append(self, frame: Frame, estimate: Estimate) -> None:
        """Keep one frame; goes to the disk with the next flush, at most about a second later."""
        if self.error is not None:
            return
        row = self._batch[self._waiting]
        row["frame_index"] = frame.index
        row["t_capture_ns"] = frame.t_capture_ns
        row["theta"] = estimate.theta
        row["joints"] = estimate.joints
        row["trans"] = estimate.trans
        row["score"] = estimate.score
        row["person"] = estimate.person
        row["state"] = STATES.index(estimate.state)
        row["crc32"] = zlib.crc32(row.tobytes()[:-CRC_BYTES])
        self._waiting += 1
        if self._waiting == BATCH_ROWS or time.monotonic() - self._flushed_at_s >= FLUSH_S:
            self.flush()

    def flush(self) -> None:
        """Hand what is kept to the operating system; on a full disk the recording stops here, the stream does
        not."""
        self._flushed_at_s = time.monotonic()
        if self._file is None or self.error is not None:
            return
        try:
            write_all(self._file, self._batch[: self._waiting].tobytes())
        except OSError as error:
            self._fail(
                f"{self.path}: recording stopped after {self.rows_written} frames ({error.strerror}); "
                "the stream goes on"
            )
        else:
            self.rows_written += self._waiting
        self._waiting = 0

    def close(self) -> None:
        """Finish: the rows become the file, named by `made`, and the .part goes. Where the file cannot be
        written the .part stays, and `error` says so. May be called twice."""
        if self._file is None:
            return
        self.flush()
        file, self._file = self._file, None
        part = part_path(self.path)
        with file:
            try:
                self.made = _write(read_rows(file), self.path)
            except (OSError, MemoryError, RecordError, HmmrLiveError) as error:
                reason, first = str(error) or "out of memory", "again"
                if isinstance(error, OSError):
                    reason, first = str(error.strerror), "make room, then"
                self._fail(
                    f"{self.path} could not be written ({reason}); its {self.rows_written} frames are in "
                    f"{part}\n{first}: python -m realtime.record {part}"
                )
                return
        part.unlink(missing_ok=True)

    def _fail(self, error: str) -> None:
        self.error = error
        log.error("%s", error)


def recover(part: Path) -> tuple[Path, int, int]:
    """Turn a .part file left by a crash into the file beside it and remove it.

    Returns the file (X.npz, or X-1.npz … where X.npz exists), frames recovered, frames damaged or cut.
    Raises RecordError: not a recording, still being written, nobody in it, its body not at hand, or no room.
    """
    try:
        if 0 <= time.time() - part.stat().st_mtime < 3 * FLUSH_S:
            raise RecordError(f"{part}: is being written, or was a moment ago; end that run, or wait 3 s")
        target = part.with_suffix("") if part.suffix == ".part" else part.with_name(part.name + ".npz")
        if any(map(is_being_written, unfinished_beside(target))):
            raise RecordError(
                f"{part}: {target.name} is being made of it, or was a moment ago; wait half a minute"
            )
        if kind_of(target) == ".mcap":  # the package is wanted for that alone
            from realtime.files.mcap_file import (
                recover_bus,
            )

            made, frames, damaged = recover_bus(part, target)
        else:
            with part.open("rb") as file:
                rows = read_rows(file)
            made, frames, damaged = _write(rows, target), len(rows.rows), rows.damaged
        part.unlink()
        for unfinished in unfinished_beside(target):  # of the end of that run, which was killed at it
            unfinished.unlink(missing_ok=True)
    except OSError as error:
        raise RecordError(f"{part}: {error.strerror}") from None
    except (RecordError, HmmrLiveError) as error:
        raise RecordError(str(error) if str(part) in str(error) else f"{part}: {error}") from None
    return made, frames, damaged


def _write(rows: Rows, target: Path) -> Path:
    if kind_of(target) in ("", ".npz"):
        return write_npz(rows, target)
    from realtime.files.rows_file import write_file  # only here: .npz wants none of the rest

    return write_file(rows, target, number=True)


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m realtime.record", description="Recover recordings that a crash left as .part."
    )
    parser.add_argument(
        "part", type=Path, nargs="+", help="X.npz.part, X.mcap.part …; becomes X.npz, X.mcap …"
    )
    print_anything()
    status = 0
    for part in parser.parse_args(argv).part:
        try:
            made, frames, damaged = recover(part)
        except RecordError as error:
            print(error, file=sys.stderr)
            status = 1
        else:
            print(f"{made}: {frames} frames recovered" + (f", {damaged} damaged or cut" if damaged else ""))
    return status


if __name__ == "__main__":
    sys.exit(main())
