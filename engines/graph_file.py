"""What a graph file (.onnx) of this project holds: names of tensors and metadata. Needs neither torch nor onnx."""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from engines.metadata import check_features, check_format, damage_told
from realtime.errors import LoadError

FORMAT = "hmmr-live graph 1"
APPEARANCE_FORMAT = "hmmr-live appearance 1"  # of the appearance encoder's files, weights and graph
MAP_SHAPE = (144, 8, 8)  # channels, rows, columns of what it takes: `map` of BlazePose's landmark graph
DIGITS = 16  # of a sha256, where it is shown
FORMS = ("step", "window")
PRECISIONS = ("fp32", "fp16", "int8")
HORIZONS = "horizons"  # name of the one symbolic dimension

_SHARED = ("age", "dt_ms", "rest_joints", "rest_directions", "shape_mean", "shape_rate")
_HEADS = ("camera", "pose", "betas", "shape", "joints", "ahead", "movie_strip")
STEP_INPUTS = ("features", "state", *_SHARED)
STEP_OUTPUTS = (*_HEADS, "next_state")
WINDOW_INPUTS = ("features", *_SHARED)
WINDOW_OUTPUTS = _HEADS

_NEXT_STEP = "use --model default, or make one with `python -m engines.export --model FILE.safetensors`"


@dataclass(frozen=True, kw_only=True)
class GraphInfo:
    """Metadata of a graph file. As text in the file: numbers as written by Python, the last two as JSON."""

    form: str  # step | window
    precision: str  # fp32 | fp16 | int8
    model_id: str
    feature_version: int
    feature_dim: int  # F
    receptive_field: int  # frames
    delay: int = 0  # frames of look-ahead; files from before there was one do not tell it
    appearance: str | None = None  # NetworkConfig's; files from before do not tell it: None
    horizon_ms: float
    width: int  # D
    parameters: int
    weights_sha256: str  # of the fp32 values of all weights: the same for every form and precision of a model
    hmmr_live: str  # version of the program that wrote the file
    joint_names: tuple[str, ...]
    parity: Mapping[str, Any]  # what the gate measured (engines/parity.py)

    def metadata(self) -> dict[str, str]:
        """As ONNX metadata_props."""
        texts = {"format": FORMAT}
        for name, value in asdict(self).items():
            if value is None:
                continue
            texts[name] = json.dumps(value) if name in ("joint_names", "parity") else str(value)
        return texts


def graph_info(
    path: Path,
    metadata: Mapping[str, str],
    feature_version: int | None = None,
    feature_dim: int | None = None,
) -> GraphInfo:
    """Read the metadata of the ONNX file `path`, as its runtime gives it.

    feature_version, feature_dim: the φ it will be fed (realtime/features.py); None: not checked. Raises
    LoadError for a graph that is none of ours, one with damaged metadata, and one made for another φ.
    """
    check_format(path, metadata, FORMAT, "a graph", _NEXT_STEP)
    with damage_told(path, _NEXT_STEP):
        known = {"delay": "0", "appearance": None, **metadata}
        values: dict[str, Any] = {item.name: known[item.name] for item in fields(GraphInfo)}
        for name in ("feature_version", "feature_dim", "receptive_field", "delay", "width", "parameters"):
            values[name] = int(values[name])
        values["horizon_ms"] = float(values["horizon_ms"])
        values["joint_names"] = tuple(json.loads(values["joint_names"]))
        values["parity"] = dict(json.loads(values["parity"]))
        info = GraphInfo(**values)
    if not (
        0 <= info.delay < info.receptive_field and info.feature_dim > 0 and 0 <= info.horizon_ms < math.inf
    ):
        raise LoadError(f"{path}: damaged metadata (a size that cannot be); {_NEXT_STEP}")
    if info.form not in FORMS or info.precision not in PRECISIONS:
        kind = f"form {info.form!r}, precision {info.precision!r}"
        raise LoadError(f"{path}: {kind} is unknown to this program; {_NEXT_STEP}")
    check_features(path, info, feature_version, feature_dim, _NEXT_STEP)
    return info


# One more metadata_props at the very end, which any reader of ONNX takes for what it is: ModelProto's field 14, 74
# bytes; in it "sha256" and 64 hexadecimal digits, of all bytes before.
SEAL = b"\x72\x4a\x0a\x06sha256\x12\x40"
SEAL_LENGTH = len(SEAL) + 64
BLOCK = 1 << 20


def sealed(graph: bytes) -> bytes:
    """The content of an ONNX file, with a digest of itself added to its metadata.

    A flipped bit in the weights is still a graph, and a wrong pose; ONNX Runtime does not see it.
    """
    return graph + SEAL + hashlib.sha256(graph).hexdigest().encode()


def check_seal(path: Path) -> None:
    """Raises LoadError for an ONNX file that is sealed and not as it was; one without a seal, or none, passes."""
    try:
        with path.open("rb") as file:
            left = file.seek(0, os.SEEK_END) - SEAL_LENGTH
            if left < 0:
                return
            file.seek(left)
            seal = file.read()
            if not seal.startswith(SEAL):
                return
            digest = hashlib.sha256()
            file.seek(0)
            while left > 0 and (block := file.read(min(BLOCK, left))):
                digest.update(block)
                left -= len(block)
    except OSError:
        return  # whoever loads it will say so
    if seal[len(SEAL) :] != digest.hexdigest().encode():
        raise LoadError(
            f"{path}: damaged, or changed by hand (its sha256 is another); get or export it again"
        )


@contextmanager
def written_whole(path: Path) -> Iterator[Path]:
    """A name to write under, in the same folder; it becomes `path` at the end, or is gone after an error.

    Raises LoadError where nothing can be written.
    """
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            yield part
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)
    except OSError as error:
        raise LoadError(
            f"{path}: cannot be written ({error.strerror or error}); give another place"
        ) from None
