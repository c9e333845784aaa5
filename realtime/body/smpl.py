"""SMPL-format bodies: the shipped one, and a user's own .npz or .pkl."""

from __future__ import annotations

import hashlib
import io
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from realtime.assets import asset
from realtime.body.pickles import read_pickle
from realtime.body.skeleton import PARENTS
from realtime.errors import LoadError

NUM_BETAS = 10  # Θ carries ten; a file may hold up to 300 shape directions, the first ten are the largest
REQUIRED_KEYS = ("v_template", "shapedirs", "posedirs", "J_regressor", "weights", "kintree_table", "f")
READ_KEYS = (*REQUIRED_KEYS, "id", "licence")


@dataclass(frozen=True, eq=False)
class Body:
    """V vertices and SMPL's 24 joints, metres, in the body's own frame: y up, facing +z, left at +x."""

    id: str  # betas mean something only for the body of this id
    licence: str  # "" where the file does not say
    v_template: np.ndarray  # (V, 3) float32, rest pose, mean shape
    shapedirs: np.ndarray  # (V, 3, 10) float32; missing directions are zero
    posedirs: np.ndarray | None  # (207, V·3) float32, or None: a body without pose blend shapes
    J_regressor: np.ndarray  # (24, V) float32
    weights: np.ndarray  # (V, 24) float32, rows sum to 1
    parents: np.ndarray  # (24,) int64, -1 for the pelvis
    faces: np.ndarray  # (F, 3) int32
    J_template: np.ndarray  # (24, 3) float32: J_regressor @ v_template
    J_shapedirs: np.ndarray  # (24, 3, 10) float32

    def rest_joints(self, betas: np.ndarray) -> np.ndarray:
        """(…, 10) betas → (…, 24, 3) float32 joints of the unposed, shaped body, metres."""
        return self.J_template + _along(self.J_shapedirs, betas)

    def shaped(self, betas: np.ndarray) -> np.ndarray:
        """(…, 10) betas → (…, V, 3) float32 vertices of the unposed, shaped body, metres."""
        return self.v_template + _along(self.shapedirs, betas)


def _along(directions: np.ndarray, betas: np.ndarray) -> np.ndarray:
    """directions (N, 3, 10), betas (…, 10) → (…, N, 3)."""
    b = np.asarray(betas, np.float32)
    flat = directions.reshape(-1, NUM_BETAS)
    moved = flat @ b if b.ndim == 1 else b @ flat.T
    return moved.reshape(*b.shape[:-1], len(directions), 3)


def load_body(path: str | Path | None) -> Body:
    """Load a body; None or "" is the one in assets/.

    Accepts .npz (never unpickled) and .pkl (read by an unpickler that builds arrays and nothing else).
    Raises LoadError: no such file, not a body file, missing keys (each named), wrong shapes, chumpy arrays.
    """
    own = path is None or str(path) == ""
    file = asset("body.npz") if own else Path(str(path)).expanduser()
    try:
        content = file.read_bytes()
    except OSError as error:
        what = error.strerror or str(error)
        raise LoadError(f"body {file}: cannot be read ({what}); give an SMPL .npz or .pkl") from None
    stem = file.stem.encode("utf-8", "replace").decode()[:64]  # goes into every message, as text
    stamp = f"{stem}-{hashlib.sha256(content).hexdigest()[:8]}"
    try:
        arrays = _read_npz(content) if content[:2] == b"PK" else read_pickle(content, READ_KEYS)
        return body_from_arrays(arrays, stamp)
    except LoadError as error:
        raise LoadError(f"body {file}: {error}") from None


def _read_npz(content: bytes) -> dict[str, Any]:
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as archive:
            return {key: _npz_member(archive, key) for key in READ_KEYS if key in archive.files}
    except (ValueError, EOFError, OSError, RuntimeError, zipfile.BadZipFile, zlib.error) as error:
        raise LoadError(f"not a complete .npz file ({error}); copy or convert it again") from None
    except MemoryError:
        raise LoadError("not a body: its arrays do not fit into memory") from None


def _npz_member(archive: Any, key: str) -> Any:
    try:
        return archive[key]
    except ValueError as error:
        if "allow_pickle" not in str(error):
            raise
        # An object array (np.savez of a scipy.sparse matrix, say) would have to be unpickled: that runs code.
        raise LoadError(
            f"{key} is not a plain array; save it with np.array(…), a sparse matrix with .toarray()"
        ) from None


def body_from_arrays(arrays: Mapping[str, Any], stamp: str) -> Body:
    """Check and prepare SMPL's seven arrays (REQUIRED_KEYS, shapes as in Body, posedirs (V, 3, 207)).

    A file that names itself by a string `id` (this project's own format) may leave out posedirs and store
    arrays as float16 or integers; otherwise the body's id is `stamp`. Raises LoadError.
    """
    named = _text(arrays, "id")
    optional = {"posedirs"} if named else set()
    missing = [key for key in REQUIRED_KEYS if arrays.get(key) is None and key not in optional]
    if missing:
        raise LoadError(f"not an SMPL body: {', '.join(missing)} missing")
    v_template = _floats(arrays, "v_template")
    if v_template.ndim != 2 or v_template.shape[1] != 3 or len(v_template) == 0:
        raise LoadError(f"v_template has shape {v_template.shape}, expected (V, 3)")
    count = len(v_template)

    weights = _floats(arrays, "weights", (count, 24))
    sums = weights.sum(axis=1, keepdims=True)
    if np.asarray(arrays["weights"]).dtype not in (np.float32, np.float64) and (sums > 0).all():
        # Stored coarsely to save space: make the rows sum to 1 again.
        weights, sums = weights / sums, np.ones_like(sums)
    if np.abs(sums - 1).max() > 1e-3:
        raise LoadError("weights: the rows do not sum to 1; this is not a skinning matrix of SMPL")

    shapedirs = _floats(arrays, "shapedirs", (count, 3, None))[:, :, :NUM_BETAS]
    if shapedirs.shape[2] < NUM_BETAS:
        shapedirs = np.pad(shapedirs, ((0, 0), (0, 0), (0, NUM_BETAS - shapedirs.shape[2])))
    posedirs = None
    if arrays.get("posedirs") is not None:
        posedirs = _floats(arrays, "posedirs", (count, 3, 207)).reshape(count * 3, 207).T
    J_regressor = _floats(arrays, "J_regressor", (24, count))

    return Body(
        id=named or stamp,
        licence=_text(arrays, "licence"),
        v_template=v_template,
        shapedirs=np.ascontiguousarray(shapedirs),
        posedirs=None if posedirs is None else np.ascontiguousarray(posedirs),
        J_regressor=J_regressor,
        weights=weights,
        parents=_parents(arrays["kintree_table"]),
        faces=_faces(arrays["f"], count),
        # In float64: sums over thousands of vertices.
        J_template=(J_regressor.astype(np.float64) @ v_template).astype(np.float32),
        J_shapedirs=np.einsum(
            "jv,vcb->jcb", J_regressor.astype(np.float64), shapedirs.astype(np.float64), optimize=True
        ).astype(np.float32),
    )


def _text(arrays: Mapping[str, Any], key: str) -> str:
    value = arrays.get(key)
    if isinstance(value, np.ndarray) and value.dtype.kind == "U" and value.size == 1:
        return str(value.reshape(())[()])
    return value if isinstance(value, str) else ""


def _floats(arrays: Mapping[str, Any], key: str, shape: tuple[int | None, ...] | None = None) -> np.ndarray:
    value = arrays[key]
    if not isinstance(value, np.ndarray) or value.dtype.kind not in "fiu":
        raise LoadError(f"{key} is not an array of numbers")
    if shape is not None and (
        value.ndim != len(shape) or any(n not in (None, m) for n, m in zip(shape, value.shape, strict=True))
    ):
        expected = ", ".join("any" if n is None else str(n) for n in shape)
        hint = ""
        if key in ("weights", "J_regressor") and value.ndim == 2 and 24 not in value.shape:
            hint = "; SMPL has 24 joints: is this SMPL-H, SMPL-X or another model?"
        raise LoadError(f"{key} has shape {value.shape}, expected ({expected}){hint}")
    array = np.ascontiguousarray(value, dtype=np.float32)
    if not np.isfinite(array).all():
        raise LoadError(f"{key} holds numbers that are not finite")
    return array


def _parents(table: Any) -> np.ndarray:
    if not isinstance(table, np.ndarray) or table.dtype.kind not in "fiu" or table.shape != (2, 24):
        raise LoadError(f"kintree_table has shape {np.shape(table)}, expected (2, 24): parents, joints")
    parents = table[0].astype(np.int64)
    if tuple(parents[1:]) != PARENTS[1:]:
        raise LoadError("kintree_table is not SMPL's tree of 24 joints; another model's body cannot be used")
    parents[0] = -1  # files write it as -1 or 2³² - 1
    return parents


def _faces(value: Any, count: int) -> np.ndarray:
    integers = isinstance(value, np.ndarray) and value.dtype.kind in "iu"
    if not integers or value.ndim != 2 or value.shape[1] != 3:
        raise LoadError(f"f has shape {np.shape(value)}, expected (F, 3) vertex numbers")
    if value.size and (value.min() < 0 or value.max() >= count):
        raise LoadError(f"f names vertices outside 0 … {count - 1}")
    return np.ascontiguousarray(value, dtype=np.int32)
