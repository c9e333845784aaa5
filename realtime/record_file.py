"""The rows of a recording: the `.part` that grows while the stream runs, and the `.npz` it becomes.

A `.part` file is: MAGIC, the length of the header (u4, little-endian), the header (JSON: the fields of a row
with type and shape, and what is constant in the run), then rows. Each row ends in the CRC-32 of its other
bytes, so a file cut or damaged anywhere gives back every whole row. Neither file ever holds a pickle.

Keys of the `.npz` for N frames and what AMASS's readers make of them: README_TEXT, also stored in the file.
"""

from __future__ import annotations

import json
import struct
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from realtime.body.rotations import axis_angle_to_matrix, matrix_to_axis_angle
from realtime.coordinates import AMASS, R_WORLD_CAM
from realtime.files.whole import write_whole

MAGIC = b"HMMRREC1"
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
CRC_BYTES = ROW["crc32"].itemsize
NEARLY_WHOLE = 0.005  # of a rate
PART_ROWS = 4096  # of what is worked out row by row, so many are in memory at a time

# Camera, taken as level → Z-up world (x right, y forward, z up), the camera at its origin.
ZUP_FROM_CAMERA = (AMASS.matrix @ R_WORLD_CAM).astype(np.float32)

README_TEXT = """\
hmmr-live recording, one row per processed frame (N rows). Metres, radians.
frame_index (N,) source frame; t_capture_ns (N,) CLOCK_MONOTONIC, the true times: live capture is not uniform.
theta (N,85): camera [s, tx, ty], pose (24 axis-angle, global orientation first), betas.
joints (N,24,3) camera frame (x right, y down, z forward), relative to the pelvis. trans (N,3) pelvis, camera
frame. tracked (N,) true where the pose comes from this very frame (states tracking and warming).
state (N,) codes into states; person (N,) counts up with every new person; score (N,) 0-1.
camera_pitch_deg, camera_roll_deg, where they were set: how the camera was put up.
AMASS keys: poses (N,156) is theta's pose of 22 joints and 90 zeros for the hands; betas (16,) mean of the
tracked frames; mocap_frame_rate nominal (median). poses and trans share the camera frame, so an AMASS reader
shows the right motion turned as a whole. For AMASS's own Z-up world set poses[:, :3] = root_orient_zup and
trans = trans_zup (camera at the origin, SMPL's transl: the offset of the rest pelvis taken off). Rows are not
resampled. For a file in AMASS's world at a steady rate: python -m realtime.convert THIS.npz THIS.amass.npz
"""


class RecordError(Exception):
    """A .part file that holds no recording, or one that cannot be turned into .npz now."""


class Rows:
    """A recording in memory: its header, its sound rows (N,) of type ROW, and how many of a file were not.

    header: nominal_fps; pelvis_rest_m (3,) or None; constants, strings about the run: body (its id), model, source, …;
    where they are known, body_file, "" for the shipped one; own_world, true where the camera stands for the origin of a
    world that others have chosen.
    """

    def __init__(self, header: Mapping[str, Any], rows: np.ndarray, damaged: int) -> None:
        self.header, self.rows, self.damaged = header, rows, damaged


@dataclass(frozen=True)
class Pieces:
    """An array (shape, dtype) that is written piece by piece, along its first axis, and never held whole."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    pieces: Iterator[np.ndarray]


def part_path(path: Path) -> Path:
    """Where a recording is kept until it is finished: X.npz → X.npz.part."""
    return path.with_name(path.name + ".part")


def write_all(file: BinaryIO, data: bytes | bytearray) -> None:
    view = memoryview(data)
    while view:  # an unbuffered write may take only a part, on a nearly full disk say
        view = view[file.write(view) :]


def read_rows(file: BinaryIO) -> Rows:
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
        body_file = str(header.get("body_file", ""))
    except (ValueError, KeyError, TypeError):
        raise RecordError(f"{name}: its header is damaged or cut; nothing can be read") from None
    if np.dtype(fields) != ROW:
        raise RecordError(f"{name}: written by another version of hmmr-live; recover it with that version")
    data = bytearray(file.read())
    rows = np.frombuffer(data, ROW, count=len(data) // ROW.itemsize)
    view, size = memoryview(data), ROW.itemsize
    sums = [zlib.crc32(view[i * size : (i + 1) * size - CRC_BYTES]) for i in range(len(rows))]
    sound = rows["crc32"] == np.array(sums, np.uint32)
    damaged = int(len(rows) - sound.sum()) + (1 if len(data) % ROW.itemsize else 0)
    known = {"constants": constants, "nominal_fps": fps, "pelvis_rest_m": pelvis, "body_file": body_file}
    return Rows(known, rows if sound.all() else rows[sound], damaged)


def write_npz(recording: Rows, target: Path, number: bool = True) -> Path:
    """As `write_whole` writes: an existing file is never replaced."""
    arrays = npz_arrays(recording.header, recording.rows)
    return write_whole(target, lambda file: write_arrays(file, arrays), number)


def write_arrays(file: BinaryIO, arrays: Mapping[str, np.ndarray | Pieces]) -> None:
    """As np.savez does; its own archive complains on stderr when the disk is full. Never a pickle."""
    with zipfile.ZipFile(file, "w") as archive:
        for key, array in arrays.items():
            with archive.open(f"{key}.npy", "w", force_zip64=True) as member:
                if isinstance(array, np.ndarray):
                    np.lib.format.write_array(member, array, allow_pickle=False)
                    continue
                kind = np.lib.format.dtype_to_descr(array.dtype)
                header = {"descr": kind, "fortran_order": False, "shape": array.shape}
                np.lib.format.write_array_header_1_0(member, header)
                for piece in array.pieces:
                    member.write(np.ascontiguousarray(piece, array.dtype).data)


def amass_poses(count: int, body_poses: Iterator[np.ndarray]) -> Pieces:
    """AMASS's `poses` (count, 156) of pieces (N, 66): 22 joints as they are, and zeros for the hands."""
    pieces = (np.pad(piece, ((0, 0), (0, 90))) for piece in body_poses)
    return Pieces((count, 156), np.dtype(np.float32), pieces)


def npz_arrays(header: Mapping[str, Any], rows: np.ndarray) -> dict[str, np.ndarray | Pieces]:
    """The keys of the .npz (see README_TEXT) from rows (N,) of type ROW. To be written once."""
    theta, trans = rows["theta"], rows["trans"]
    tracked = rows["state"] >= STATES.index("warming")
    betas = np.zeros(16, np.float32)
    if tracked.any():
        betas[:10] = theta[:, 75:][tracked].mean(axis=0)
    root = matrix_to_axis_angle(ZUP_FROM_CAMERA @ axis_angle_to_matrix(theta[:, 3:6]))
    steps_s = np.diff(rows["t_capture_ns"]) / 1e9
    steps_s = steps_s[steps_s > 0]
    fps = 1.0 / float(np.median(steps_s)) if len(steps_s) else float(header["nominal_fps"])
    if abs(round(fps) - fps) < NEARLY_WHOLE * fps:
        fps = float(round(fps))  # readers that cut off what is behind the point would take 29.99 for 29
    parts = (theta[first : first + PART_ROWS, 3:69] for first in range(0, len(rows), PART_ROWS))
    arrays: dict[str, np.ndarray | Pieces] = {
        "poses": amass_poses(len(rows), parts),
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
        arrays[key] = rows[key]
    return arrays
