"""`--record X.npz`: the motion of a run as one file, AMASS-style, safe against crashes and full disks.

While the stream runs, rows of fixed size are appended to `X.npz.part` about once a second; at the end the
rows become `X.npz` (written beside it, then moved into place). After a crash or a kill the rows are still
there:

    python -m realtime.record X.npz.part

A `.part` file is: MAGIC, the length of the header (u4, little-endian), the header (JSON: the fields of a row
with type and shape, and what is constant in the run), then rows. Each row ends in the CRC-32 of its other
bytes, so a file cut or damaged anywhere gives back every whole row. Neither file ever holds a pickle.

Keys of `X.npz` for N frames and what AMASS's readers make of them: README_TEXT, also stored in the file.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import struct
import sys
import time
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from realtime.body.rotations import axis_angle_to_matrix, matrix_to_axis_angle
from realtime.errors import ConfigError
from realtime.observation import Estimate, Frame

log = logging.getLogger(__name__)

MAGIC = b"HMMRREC1"
FLUSH_S = 1.0  # what a kill can cost
BATCH_ROWS = 256  # rows kept between two flushes at most; at 30 fps a flush comes long before
STATES = ("lost", "held", "warming", "tracking")  # state code in the file = index here

ROW = np.dtype(
    [
        ("frame_index", "<i8"),
        ("t_capture_ns", "<i8"),
        ("theta", "<f4", (85,)),
        ("joints", "<f4", (24, 3)),
        ("trans", "<f4", (3,)),
        ("score", "<f4"),
        ("person", "<i4"),
        ("state", "u1"),
        ("crc32", "<u4"),  # last: over all bytes before it
    ]
)
_CRC_BYTES = ROW["crc32"].itemsize

# Camera (x right, y down, z forward) → Z-up world (x right, y forward, z up), the camera at its origin.
ZUP_FROM_CAMERA = np.array([[1, 0, 0], [0, 0, 1], [0, -1, 0]], np.float32)

README_TEXT = """\
hmmr-live recording, one row per processed frame (N rows). Metres, radians.
frame_index (N,) source frame; t_capture_ns (N,) CLOCK_MONOTONIC, the true times: live capture is not uniform.
theta (N,85): camera [s, tx, ty], pose (24 axis-angle, global orientation first), betas.
joints (N,24,3) camera frame (x right, y down, z forward), relative to the pelvis. trans (N,3) pelvis, camera
frame. tracked (N,) true where the pose comes from this very frame (states tracking and warming).
state (N,) codes into states; person (N,) counts up with every new person; score (N,) 0-1.
AMASS keys: poses (N,156) is theta's pose of 22 joints and 90 zeros for the hands; betas (16,) mean of the
tracked frames; mocap_frame_rate nominal (median). poses and trans share the camera frame, so an AMASS reader
shows the right motion turned as a whole. For AMASS's own Z-up world set poses[:, :3] = root_orient_zup and
trans = trans_zup (camera at the origin, SMPL's transl: the offset of the rest pelvis taken off). Rows are not
resampled.
"""


class RecordError(Exception):
    """A .part file that holds no recording, or one that cannot be turned into .npz now."""


def check_record_path(path: Path) -> None:
    """Say before the camera starts whether `path` can be recorded to.

    Raises ConfigError: not .npz, folder missing or not writable, a recording (finished or not) already there.
    """
    if path.suffix.lower() != ".npz":
        raise ConfigError(f"--record {path}: only .npz is supported (an AMASS-style file)")
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
    if path.is_dir():
        raise ConfigError(f"{flag} {path}: is a folder; give the name of a file")
    if not path.parent.is_dir():
        raise ConfigError(f"{flag} {path}: there is no folder {path.parent}; make it first")
    probe = path.parent / f".{path.name}.{os.getpid()}.probe"
    try:
        probe.touch(exist_ok=False)
        probe.unlink()
    except OSError as error:
        raise ConfigError(f"{flag} {path}: cannot write into {path.parent} ({error.strerror})") from None


def part_path(path: Path) -> Path:
    """Where the rows of a recording are kept until it is finished: X.npz → X.npz.part."""
    return path.with_name(path.name + ".part")


class Recorder:
    """Appends one row per frame; never raises for the disk's sake: `error` says what happened.

    path: the .npz to be made, not existing. nominal_fps: used when fewer than two rows tell the rate.
    constants: strings about the run (body, model, source …), stored in the header and in the .npz.
    pelvis_rest_m: (3,) the body's rest pelvis, to give AMASS's readers SMPL's own `transl`.
    Raises ConfigError if the .part file cannot be made.
    """

    def __init__(
        self, path: Path, nominal_fps: float, constants: Mapping[str, str], pelvis_rest_m: np.ndarray
    ) -> None:
        self.path = path
        self.made: Path | None = None  # the .npz, once it is written
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
        }
        content = json.dumps(header).encode()
        part = part_path(path)
        self._file: BinaryIO | None = None
        try:
            self._file = part.open("x+b", buffering=0)
            _write_all(self._file, MAGIC + struct.pack("<I", len(content)) + content)
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
        row["crc32"] = zlib.crc32(row.tobytes()[:-_CRC_BYTES])
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
            _write_all(self._file, self._batch[: self._waiting].tobytes())
        except OSError as error:
            self._fail(
                f"{self.path}: recording stopped after {self.rows_written} frames ({error.strerror}); "
                "the stream goes on"
            )
        else:
            self.rows_written += self._waiting
        self._waiting = 0

    def close(self) -> None:
        """Finish: the rows become the .npz, named by `made`, and the .part goes. Where the .npz cannot be
        written the .part stays, and `error` says so. May be called twice."""
        if self._file is None:
            return
        self.flush()
        file, self._file = self._file, None
        part = part_path(self.path)
        with file:
            try:
                self.made = _write_npz(_read_rows(file), self.path)
            except (OSError, RecordError) as error:
                reason = error.strerror if isinstance(error, OSError) else error
                self._fail(
                    f"{self.path} could not be written ({reason}); its {self.rows_written} frames are in "
                    f"{part}\nmake room, then: python -m realtime.record {part}"
                )
                return
        part.unlink(missing_ok=True)

    def _fail(self, error: str) -> None:
        self.error = error
        log.error("%s", error)


def recover(part: Path) -> tuple[Path, int, int]:
    """Turn a .part file left by a crash into the .npz beside it and remove it.

    Returns the .npz (X.npz, or X-1.npz … where X.npz exists), frames recovered, frames damaged or cut.
    Raises RecordError: not a recording, still being written, or no room for the .npz.
    """
    try:
        if 0 <= time.time() - part.stat().st_mtime < 3 * FLUSH_S:
            raise RecordError(f"{part}: is being written, or was a moment ago; end that run, or wait 3 s")
        with part.open("rb") as file:
            rows = _read_rows(file)
        target = part.with_suffix("") if part.suffix == ".part" else part.with_name(part.name + ".npz")
        made = _write_npz(rows, target)
        part.unlink()
    except OSError as error:
        raise RecordError(f"{part}: {error.strerror}") from None
    return made, len(rows.rows), rows.damaged


class _Rows:
    def __init__(self, header: Mapping[str, Any], rows: np.ndarray, damaged: int) -> None:
        self.header, self.rows, self.damaged = header, rows, damaged


def _write_all(file: BinaryIO, data: bytes) -> None:
    view = memoryview(data)
    while view:  # an unbuffered write may take only a part, on a nearly full disk say
        view = view[file.write(view) :]


def _read_rows(file: BinaryIO) -> _Rows:
    file.seek(0)
    name = getattr(file, "name", "recording")
    start = file.read(len(MAGIC) + 4)
    if len(start) < len(MAGIC) + 4 or not start.startswith(MAGIC):
        raise RecordError(f"{name}: not a recording of hmmr-live, or cut before its first frame")
    (length,) = struct.unpack("<I", start[len(MAGIC) :])
    content = file.read(min(length, 1 << 20))
    try:
        header = json.loads(content)
        fields = [(str(name), str(kind), tuple(int(n) for n in shape)) for name, kind, shape in header["row"]]
        constants, fps = dict(header["constants"]), float(header["nominal_fps"])
        pelvis = np.array(header["pelvis_rest_m"], np.float32).reshape(3)
    except (ValueError, KeyError, TypeError):
        raise RecordError(f"{name}: its header is damaged or cut; nothing can be read") from None
    if np.dtype(fields) != ROW:
        raise RecordError(f"{name}: written by another version of hmmr-live; recover it with that version")
    data = file.read()
    rows = np.frombuffer(data, ROW, count=len(data) // ROW.itemsize)
    view, size = memoryview(data), ROW.itemsize
    sums = [zlib.crc32(view[i * size : (i + 1) * size - _CRC_BYTES]) for i in range(len(rows))]
    sound = rows["crc32"] == np.array(sums, np.uint32)
    damaged = int(len(rows) - sound.sum()) + (1 if len(data) % ROW.itemsize else 0)
    return _Rows({"constants": constants, "nominal_fps": fps, "pelvis_rest_m": pelvis}, rows[sound], damaged)


def _write_npz(recording: _Rows, target: Path) -> Path:
    """Write beside `target`, then move into place; an existing file is never replaced: X-1.npz, X-2.npz …"""
    arrays = npz_arrays(recording.header, recording.rows)
    temporary = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as file:
            # As np.savez does; its own archive complains on stderr when the disk is full.
            with zipfile.ZipFile(file, "w") as archive:
                for key, array in arrays.items():
                    with archive.open(f"{key}.npy", "w", force_zip64=True) as member:
                        np.lib.format.write_array(member, array, allow_pickle=False)
            file.flush()
            os.fsync(file.fileno())
        place, number = target, 0
        while place.exists():
            number += 1
            place = target.with_name(f"{target.stem}-{number}{target.suffix}")
        temporary.replace(place)
    finally:
        temporary.unlink(missing_ok=True)
    return place


def npz_arrays(header: Mapping[str, Any], rows: np.ndarray) -> dict[str, np.ndarray]:
    """The keys of the .npz (see README_TEXT) from rows (N,) of type ROW."""
    theta, trans = rows["theta"], rows["trans"]
    tracked = rows["state"] >= STATES.index("warming")
    poses = np.zeros((len(rows), 156), np.float32)
    poses[:, :66] = theta[:, 3:69]
    betas = np.zeros(16, np.float32)
    if tracked.any():
        betas[:10] = theta[tracked, 75:].mean(axis=0)
    root = matrix_to_axis_angle(ZUP_FROM_CAMERA @ axis_angle_to_matrix(theta[:, 3:6]))
    steps_s = np.diff(rows["t_capture_ns"]) / 1e9
    steps_s = steps_s[steps_s > 0]
    fps = 1.0 / float(np.median(steps_s)) if len(steps_s) else float(header["nominal_fps"])
    arrays = {
        "poses": poses,
        "betas": betas,
        "gender": np.array("neutral"),
        "mocap_framerate": np.array(fps),
        "mocap_frame_rate": np.array(fps),
        "root_orient_zup": root,
        "trans_zup": trans @ ZUP_FROM_CAMERA.T - header["pelvis_rest_m"],
        "tracked": tracked,
        "states": np.array(STATES),
        "readme": np.array(README_TEXT),
    }
    arrays.update({key: np.array(str(value)) for key, value in header["constants"].items()})
    for key in ("frame_index", "t_capture_ns", "theta", "joints", "trans", "score", "person", "state"):
        arrays[key] = np.ascontiguousarray(rows[key])
    return arrays


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m realtime.record", description="Recover recordings that a crash left as .npz.part."
    )
    parser.add_argument("part", type=Path, nargs="+", help="X.npz.part; becomes X.npz")
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
