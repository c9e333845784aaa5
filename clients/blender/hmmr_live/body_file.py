"""SMPL-format bodies from .npz files: the free one that comes with the add-on, or the user's own. Never unpickles.

What is given back is in Blender's axes: z up, looking along −y, left at +x, metres.
"""

from __future__ import annotations

import hashlib
import io
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .axes import BLENDER_WORLD, PARENTS

HERE = Path(__file__).resolve().parent
# In the packed add-on, and in a checkout of the repository.
OWN = (HERE / "body.npz", HERE.parent.parent.parent / "assets" / "body.npz")
KEYS = ("v_template", "shapedirs", "J_regressor", "weights", "kintree_table", "f")


class BodyError(ValueError):
    """The file is not a body that can be used; says which, why, and what to do."""


@dataclass(frozen=True)
class BodyShape:
    """A body at rest, in one shape."""

    id: str
    vertices: np.ndarray  # (V, 3)
    joints: np.ndarray  # (24, 3)
    weights: np.ndarray  # (V, 24), rows sum to 1
    faces: np.ndarray  # (F, 3)
    shaped: bool  # False: the mean shape, as the betas given were another body's


def load_body(path: str, betas: np.ndarray | None = None, betas_body: str = "") -> BodyShape:
    """path "": the add-on's own. betas (10,) are applied if they are for this body (`betas_body` is its id).
    Raises BodyError."""
    if path:
        file = Path(path).expanduser()
    else:
        file = next((own for own in OWN if own.is_file()), None)
        if file is None:
            raise BodyError(
                "body.npz is not beside the add-on: choose a body file in the panel, or install the packed add-on"
            )
    if file.suffix.lower() == ".pkl":
        raise BodyError(
            f"{file.name}: pickles are not read here; make an .npz of it with clients/blender/smpl_to_npz.py"
        )
    try:
        content = file.read_bytes()
        if content[:2] != b"PK":
            raise ValueError("no archive")
        with np.load(io.BytesIO(content), allow_pickle=False) as archive:
            arrays = {key: archive[key] for key in (*KEYS, "id") if key in archive.files}
    except (
        OSError,
        ValueError,
        EOFError,
        RuntimeError,
        MemoryError,
        zipfile.BadZipFile,
        zlib.error,
    ) as error:
        why = getattr(error, "strerror", None) or error
        raise BodyError(f"{file}: not a readable .npz ({why}); choose an SMPL body as .npz") from None
    missing = [key for key in KEYS if key not in arrays]
    if missing:
        raise BodyError(f"{file.name}: not an SMPL body: {', '.join(missing)} missing")
    own_id = (
        str(arrays["id"]) if "id" in arrays else f"{file.stem[:64]}-{hashlib.sha256(content).hexdigest()[:8]}"
    )
    try:
        return _shape(arrays, own_id, betas if betas_body == own_id else None)
    except (ValueError, TypeError, IndexError) as error:
        raise BodyError(f"{file.name}: not an SMPL body of 24 joints ({error})") from None


def _shape(arrays: dict[str, np.ndarray], own_id: str, betas: np.ndarray | None) -> BodyShape:
    vertices = arrays["v_template"].astype(np.float64)
    count = len(vertices)
    expected = {
        "v_template": (count, 3),
        "J_regressor": (24, count),
        "weights": (count, 24),
        "kintree_table": (2, 24),
    }
    for key, shape in expected.items():
        if arrays[key].shape != shape:
            raise ValueError(f"{key} has shape {arrays[key].shape}, expected {shape}")
    if tuple(arrays["kintree_table"][0].astype(np.int64)[1:]) != PARENTS[1:]:
        raise ValueError("kintree_table is another model's tree")
    faces, directions = arrays["f"], arrays["shapedirs"]
    if (
        faces.ndim != 2
        or faces.shape[1] != 3
        or faces.dtype.kind not in "iu"
        or not (0 <= faces.min() <= faces.max() < count)
    ):
        raise ValueError("f does not name its vertices")
    if directions.ndim != 3 or directions.shape[:2] != (count, 3):
        raise ValueError(f"shapedirs has shape {directions.shape}, expected ({count}, 3, any)")
    if betas is not None:
        used = min(len(betas), directions.shape[2])
        vertices = vertices + directions[:, :, :used].astype(np.float64) @ betas[:used].astype(np.float64)
    joints = arrays["J_regressor"].astype(np.float64) @ vertices
    weights = arrays["weights"].astype(np.float64)
    weights = weights / weights.sum(axis=1, keepdims=True)
    if not all(np.isfinite(array).all() for array in (vertices, joints, weights)):
        raise ValueError("it holds numbers that are not finite")
    turn = BLENDER_WORLD.T
    return BodyShape(
        own_id, vertices @ turn, joints @ turn, weights, faces.astype(np.int64), betas is not None
    )
