""".npz in and out: our own recordings, with or without `.amass`, and AMASS's files of other people.

`X.npz` keeps what the camera saw, one row per frame, in the camera's frame: its `trans` is the pelvis in that frame.
AMASS gives the same key another meaning (steady rate, Z up, SMPL's `transl`), so a file that AMASS's readers show
upright and in time is one of its own, `X.amass.npz`; the rows are in it, too, with `trans` as `trans_camera`.

Sources: AMASS's documents and files; Meshcapade's add-on for Blender reads `poses`, `trans`, `betas`, `gender` and
the whole part of `mocap_frame_rate`, which must not be below its target (30).
"""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from realtime.body.kinematics import forward_kinematics
from realtime.body.rotations import axis_angle_to_matrix, matrix_to_axis_angle
from realtime.body.smpl import Body, load_body
from realtime.coordinates import AMASS, WorldPose, to_camera
from realtime.files.steady import MOST_FPS, Steady
from realtime.record_file import PART_ROWS, ROW, STATES, Pieces, RecordError, Rows, amass_poses

MAX_ROWS = 10_000_000  # three days at 30 fps
SMPL_VERTICES = 6890  # betas of another body would mean nothing to SMPL's readers
LARGEST = 1e6  # metres, radians
POSE_WIDTHS = (156, 165, 72, 66)  # SMPL-H, SMPL-X, SMPL, the body alone: the first 66 are alike
_RATES = ("mocap_frame_rate", "mocap_framerate")
CONSTANTS = ("body", "model", "perception", "source", "hmmr_live", "camera_pitch_deg", "camera_roll_deg")

AMASS_README = """\
hmmr-live recording in AMASS's form. Metres, radians, z up; T instants at a steady rate, N recorded frames.
poses (T,156): 22 joints and 90 zeros for the hands, axis-angle, global orientation first; trans (T,3) SMPL's transl
(the offset of the rest pelvis taken off); origin on the floor below the first pelvis unless asked for otherwise.
betas (16,), padded with zeros: all zero unless the body is SMPL's own, as those of another body mean nothing here.
gender; mocap_frame_rate and mocap_framerate, whole.
As recorded: frame_index (N,), t_capture_ns (N,) CLOCK_MONOTONIC, theta (N,85) camera [s, tx, ty], pose, betas of body;
joints (N,24,3) relative to the pelvis and trans_camera (N,3), camera frame (x right, y down, z forward);
tracked (N,), state (N,) codes into states, person (N,), score (N,).
"""


def amass_arrays(recording: Rows, motion: Steady, body: Body) -> dict[str, np.ndarray | Pieces]:
    """The keys of X.amass.npz (see AMASS_README). To be written once."""
    betas = np.zeros(16, np.float32)
    if len(body.v_template) == SMPL_VERTICES:
        betas[:10] = motion.betas
    rows = recording.rows
    return {
        "poses": amass_poses(len(motion.pelvis), (_amass_pose(motion, part) for part in motion.parts())),
        "trans": (AMASS.points(motion.pelvis) - body.rest_joints(motion.betas)[0]).astype(np.float32),
        "betas": betas,
        "gender": np.array("neutral"),
        "mocap_frame_rate": np.array(float(motion.fps)),
        "mocap_framerate": np.array(float(motion.fps)),
        "trans_camera": rows["trans"],
        "tracked": rows["state"] >= STATES.index("warming"),
        "states": np.array(STATES),
        "readme": np.array(AMASS_README),
        **{key: np.array(str(value)) for key, value in recording.header["constants"].items()},
        **{
            key: rows[key]
            for key in ("frame_index", "t_capture_ns", "theta", "joints", "score", "person", "state")
        },
    }


def _amass_pose(motion: Steady, part: slice) -> np.ndarray:
    """(N, 66) axis-angle of 22 joints."""
    turns = motion.rotations(part)[:, :22]
    turns[:, 0] = AMASS.orientation(turns[:, 0])
    return matrix_to_axis_angle(turns).reshape(-1, 66)


def read_npz(path: Path, body: Body | None = None) -> Rows:
    """Rows of our own .npz or .amass.npz, or made of an AMASS file of somebody else's.

    body: for the latter, whose betas are then taken to be of this body; without, it is our own body in its mean shape.
    Raises RecordError: not such a file, pickles in it, arrays that do not fit together, numbers that are not finite.
    """
    try:
        with path.open("rb") as file:
            zipped = file.read(2) == b"PK"
        if not zipped:  # np.load takes other kinds of files, too
            raise RecordError(f"{path}: not an .npz file; save named arrays with np.savez")
        with np.load(path, allow_pickle=False) as archive:
            if "theta" in archive.files:
                return _ours(path, archive)
            arrays = {key: _member(path, archive, key) for key in _AMASS if key in archive.files}
    except (
        ValueError,
        EOFError,
        OSError,
        RuntimeError,
        zipfile.BadZipFile,
        zlib.error,
        MemoryError,
    ) as error:
        if isinstance(error, OSError) and error.strerror:
            raise RecordError(f"{path}: cannot be read ({error.strerror})") from None
        if "pickle" in str(error):
            raise RecordError(
                f"{path}: holds pickles, which are never read; save it as plain arrays"
            ) from None
        raise RecordError(f"{path}: not a complete .npz file; record or copy it again") from None
    if "poses" in arrays and "trans" in arrays:
        return _of_amass(path, arrays, body)
    raise RecordError(
        f"{path}: neither a recording of hmmr-live (theta, …) nor an AMASS file (poses, trans, …)"
    )


_AMASS = ("poses", "trans", "betas", *_RATES)


def _member(path: Path, archive: Any, key: str) -> np.ndarray:
    value = archive[key]
    if not isinstance(value, np.ndarray) or value.dtype.kind not in "fiubUS":
        raise RecordError(f"{path}: {key} is not an array of numbers or text")
    return value


def _ours(path: Path, archive: Any) -> Rows:
    """Array by array: those of an hour take as much memory as the rows that they become."""
    stored = set(archive.files)
    missing = [key for key in ("t_capture_ns", "joints", "trans", "tracked") if key not in stored]
    if missing:
        raise RecordError(f"{path}: {', '.join(missing)} missing: not a whole recording of hmmr-live")
    theta = _member(path, archive, "theta")
    count = len(theta) if theta.ndim else 0
    rows = _empty_rows(path, count)
    rows["theta"] = _numbers(path, "theta", theta, (count, 85))
    del theta
    rows["frame_index"] = np.arange(count)
    for key in ("frame_index", "t_capture_ns"):
        if key in stored:
            value = _member(path, archive, key)
            if value.dtype.kind not in "iu" or (value < 0).any() or (value >= 2**63).any():
                raise RecordError(f"{path}: {key} holds {value.dtype}, expected whole numbers from 0 on")
            rows[key] = _numbers(path, key, value, (count,))
    rows["joints"] = _numbers(path, "joints", _member(path, archive, "joints"), (count, 24, 3))
    trans = _member(path, archive, "trans_camera" if "trans_camera" in stored else "trans")
    rows["trans"] = _numbers(path, "trans", trans, (count, 3))
    tracked = _numbers(path, "tracked", _member(path, archive, "tracked"), (count,)).astype(bool)
    rows["state"] = np.where(tracked, STATES.index("tracking"), STATES.index("held"))
    rows["person"] = 1
    rows["score"] = tracked
    for key in ("state", "person", "score"):
        if key in stored:
            rows[key] = _numbers(path, key, _member(path, archive, key), (count,))
    if rows["state"].max(initial=0) >= len(STATES) or rows["person"].min(initial=0) < 0:
        raise RecordError(f"{path}: state or person hold numbers that mean nothing")
    told = {key: _member(path, archive, key) for key in (*CONSTANTS, *_RATES) if key in stored}
    constants = {key: str(told[key]) for key in CONSTANTS if key in told and told[key].size == 1}
    header = {"constants": constants, "nominal_fps": _rate(path, told), "pelvis_rest_m": None}
    return Rows(header, rows, 0)


def _of_amass(path: Path, arrays: Mapping[str, np.ndarray], given: Body | None) -> Rows:
    """AMASS's world counts as seen by a level camera at its origin, which looks along its y."""
    poses = arrays["poses"]
    width = poses.shape[-1] if poses.ndim else 0
    if poses.ndim != 2 or width not in POSE_WIDTHS:
        raise RecordError(f"{path}: poses has shape {poses.shape}, expected (T, 156)")
    if "mocap_frame_rate" not in arrays and "mocap_framerate" not in arrays:
        raise RecordError(f"{path}: neither mocap_frame_rate nor mocap_framerate says how fast it is")
    rows = _empty_rows(path, len(poses))
    fps = _rate(path, arrays)
    poses = _numbers(path, "poses", poses, poses.shape)
    betas = np.zeros(10, np.float32)
    if given is not None and "betas" in arrays:
        first = _numbers(path, "betas", arrays["betas"], arrays["betas"].shape).reshape(-1)[:10]
        betas[: len(first)] = first
    body = given or load_body(None)
    trans = _numbers(path, "trans", arrays["trans"], (len(poses), 3))
    rows["theta"][:, 75:] = betas
    for first_row in range(0, len(poses), PART_ROWS):
        part = slice(first_row, first_row + PART_ROWS)
        _place_amass(rows[part], poses[part], trans[part], body, betas)
    rows["frame_index"] = np.arange(len(poses))
    rows["t_capture_ns"] = np.round(np.arange(len(poses)) * 1e9 / fps)
    rows["score"], rows["person"], rows["state"] = 1.0, 1, STATES.index("tracking")
    constants = {"body": body.id, "model": "AMASS", "source": path.name[:200]}
    header = {"constants": constants, "nominal_fps": fps, "pelvis_rest_m": None, "own_world": True}
    return Rows(header, rows, 0)


def _place_amass(
    rows: np.ndarray, poses: np.ndarray, trans: np.ndarray, body: Body, betas: np.ndarray
) -> None:
    turns = np.zeros((len(poses), 24, 3))
    turns.reshape(len(poses), 72)[:, :66] = poses[:, :66]
    rotations = axis_angle_to_matrix(turns).astype(np.float64)
    rotations[:, 0] = AMASS.matrix.T @ rotations[:, 0]
    pelvis = AMASS.points_back(trans + body.rest_joints(betas)[0])
    pose, rows["trans"] = to_camera(WorldPose(rotations, pelvis))
    rows["theta"][:, 3:75] = pose
    joints, _ = forward_kinematics(body, axis_angle_to_matrix(pose.reshape(-1, 24, 3)), betas)
    rows["joints"] = joints - joints[:, :1]


def _empty_rows(path: Path, count: int) -> np.ndarray:
    if count == 0:
        raise RecordError(f"{path}: holds no frames")
    if count > MAX_ROWS:
        raise RecordError(f"{path}: {count} frames; the limit is {MAX_ROWS}")
    return np.zeros(count, ROW)


def _numbers(path: Path, key: str, value: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    if value.dtype.kind not in "fiub" or value.shape != shape:
        raise RecordError(f"{path}: {key} is {value.dtype} {value.shape}, expected numbers {shape}")
    # NaN is neither above nor below; min and max of NaN are NaN, and make no copy of an hour.
    if value.dtype.kind == "f" and value.size and not (value.min() >= -LARGEST and value.max() <= LARGEST):
        raise RecordError(f"{path}: {key} holds NaN, infinity or numbers beyond {LARGEST:g}")
    return value


def _rate(path: Path, arrays: Mapping[str, np.ndarray]) -> float:
    for key in ("mocap_frame_rate", "mocap_framerate"):
        if key in arrays:
            value = arrays[key]
            fps = float(value.reshape(())) if value.size == 1 and value.dtype.kind in "fiu" else float("nan")
            if not 0 < fps <= 100 * MOST_FPS:
                raise RecordError(f"{path}: {key} is {value}: expected frames per second, above 0")
            return fps
    return 30.0
