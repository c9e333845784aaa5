"""Rows of a recording ⇄ files of every kind: what `--record` ends with, and what `realtime.convert` does."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import BinaryIO

import numpy as np

from realtime.body.smpl import Body, load_body
from realtime.errors import LoadError
from realtime.files import kind_of
from realtime.files.bvh import write_bvh
from realtime.files.glb import write_glb
from realtime.files.npz import amass_arrays, read_npz
from realtime.files.steady import steady
from realtime.files.whole import write_whole
from realtime.messages import MessageError, PoseMessage, decode_pose, encode_pose
from realtime.record_file import (
    ROW,
    STATES,
    RecordError,
    Rows,
    read_rows,
    write_arrays,
    write_npz,
)

READABLE = (".mcap", ".npz", ".amass.npz")
ROWS_AT_FIRST = 4096
CLOCK_OF_A_FILE = "file"  # whose clock the stamps are: nobody's any more


def read_file(path: Path, body: Body | None = None) -> Rows:
    """Rows of a recording: .mcap, .npz, .amass.npz, an AMASS file of somebody else's (read_npz: body), or a .part.

    Raises RecordError, one line that names the file.
    """
    kind = kind_of(path)
    if kind == ".mcap":
        return _rows_of_bus(path)
    if path.name.lower().endswith(".part") and kind:
        try:
            with path.open("rb") as file:
                return read_rows(file)
        except OSError as error:
            raise RecordError(f"{path}: cannot be read ({error.strerror})") from None
    return read_npz(path, body)


def write_file(
    recording: Rows, target: Path, body: Body | None = None, on_floor: bool = True, number: bool = False
) -> Path:
    """Write the file that target's name asks for, as `write_whole` does; returns where it is.

    body: whose recording it is, by default found by `body_of`. on_floor: where the origin of a world is (`steady`).
    Raises RecordError: nobody in it; LoadError: its body is not at hand; OSError; FileExistsError without `number`.
    """
    kind = kind_of(target)
    if kind == ".mcap":
        return write_whole(target, lambda file: _write_bus(file, recording), number)
    if kind == ".npz" and recording.header.get("pelvis_rest_m") is not None:
        return write_npz(recording, target, number)
    body = body or body_of(recording)
    if kind == ".npz":
        header = {**recording.header, "pelvis_rest_m": body.J_template[0]}
        return write_npz(Rows(header, recording.rows, recording.damaged), target, number)
    motion = steady(recording, body, on_floor)
    write: dict[str, Callable[[BinaryIO], None]] = {
        ".amass.npz": lambda file: write_arrays(file, amass_arrays(recording, motion, body)),
        ".bvh": lambda file: write_bvh(file, motion, body),
        ".glb": lambda file: write_glb(file, motion, body),
    }
    return write_whole(target, write[kind], number)


def body_of(recording: Rows, given: str = "") -> Body:
    """The body that a recording was made with: the file `given`, or the one it names, or the shipped one.

    Raises LoadError where it is another one.
    """
    wanted = recording.header["constants"].get("body", "")
    body = load_body(given or recording.header.get("body_file", ""))
    if wanted and body.id != wanted:
        raise LoadError(
            f"it was recorded with the body {wanted}, and this is {body.id}: give that one, --body FILE"
        )
    return body


def _rows_of_bus(path: Path) -> Rows:
    from realtime.files.mcap_file import BusRecording  # only here: nothing else wants the package

    recording = BusRecording(path)
    rows, count, damaged, bodies = np.zeros(ROWS_AT_FIRST, ROW), 0, 0, set()
    for data in recording:
        if not data.startswith(b"pose "):
            continue
        try:
            message = decode_pose(data)
        except MessageError:
            damaged += 1
            continue
        bodies.add(message.body)
        if count == len(rows):  # in place, by a quarter: an hour is never there twice
            rows.resize(count + count // 4, refcheck=False)
        _fill(rows[count], message)
        count += 1
    if not count:
        raise RecordError(
            f"{path}: holds no pose of hmmr-live" + (f", but {damaged} damaged ones" if damaged else "")
        )
    if len(bodies) > 1:
        raise RecordError(
            f"{path}: holds poses of several bodies ({', '.join(sorted(bodies))}), not one recording"
        )
    constants = {**recording.constants, "body": bodies.pop()}
    header = {"constants": constants, "nominal_fps": 30.0, "pelvis_rest_m": None}
    return Rows(header, rows[:count], damaged + recording.torn)


def _fill(row: np.ndarray, message: PoseMessage) -> None:
    row["frame_index"], row["t_capture_ns"] = message.frame, message.t_capture_ns
    row["theta"], row["joints"], row["trans"] = message.theta, message.joints, message.trans
    row["score"], row["person"] = message.score, min(message.person, 2**31 - 1)
    row["state"] = STATES.index(message.state)


def message_of(row: np.ndarray, seq: int, constants: Mapping[str, str]) -> PoseMessage:
    """A row as the message that it would have been: it carries no look ahead, and was published when captured. Raises
    MessageError."""
    return PoseMessage(
        seq=seq,
        t_publish_ns=int(row["t_capture_ns"]),
        clock=CLOCK_OF_A_FILE,
        frame=int(row["frame_index"]),
        t_capture_ns=int(row["t_capture_ns"]),
        person=int(row["person"]),
        state=STATES[row["state"]],  # type: ignore[arg-type]
        score=float(row["score"]),
        body=constants.get("body", ""),
        model=constants.get("model", ""),
        theta=row["theta"],
        trans=row["trans"],
        joints=row["joints"],
    )


def _write_bus(file: BinaryIO, recording: Rows) -> None:
    from realtime.files.mcap_file import BusWriter

    constants = dict(recording.header["constants"])
    writer = BusWriter(file, constants)
    for seq, row in enumerate(recording.rows):
        try:
            message = message_of(row, seq, constants)
        except MessageError as error:
            raise RecordError(f"frame {seq} cannot go into an .mcap: {error}") from None
        writer.add(encode_pose(message))
    writer.finish()
