"""Engines on disk. An engine is good for one graph, one version of TensorRT and one GPU, and takes seconds to minutes
to build, so it is kept:

    {"format": …, "key": {…}, "sha256": …, "bytes": …, "metadata": {…}} ⏎     one line of JSON
    payload                                                                   the engine, as TensorRT gave it

An entry is read whole or not at all: one that is cut off, damaged or made for something else is built anew. It is
written beside its place and moved there, so two processes that build at once both leave a whole file.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
import re
import secrets
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from engines.cache import PART, VARIABLE, sweep
from engines.graph_file import check_seal
from engines.tensorrt.api import Api
from engines.tensorrt.compiler import RECIPE, Progress, build
from realtime.errors import LoadError

log = logging.getLogger(__name__)

FORMAT = "hmmr-live engine 1"
SUFFIX = ".engine"
HASHES = re.compile(r"-[0-9a-f]{16}(?![0-9a-f])")


@dataclass(frozen=True, kw_only=True)
class Key:
    """All that an engine depends on. Precision and form are the graph's, and so in its hash."""

    graph: str  # sha256 of the ONNX file
    runtime: str  # tensorrt | tensorrt_rtx
    version: str  # of it
    target: str  # "sm86"
    gpu: str = ""  # its name, where the engine is good for that model of GPU only
    dims: Mapping[str, int] = field(default_factory=dict)  # the symbolic dimensions, fixed
    recipe: int = RECIPE  # of engines/tensorrt/compiler.py

    def path(self, folder: Path, name: str) -> Path:
        """Where it lies: readable for a person at the front, exact at the end."""
        digest = hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()
        name = HASHES.sub("", name)  # of a graph that lies in the cache itself
        return folder / f"{name}-{self.runtime}-{self.version}-{self.target}-{digest[:16]}{SUFFIX}"


@dataclass(frozen=True)
class Entry:
    """One engine with the metadata of its graph."""

    key: Key
    payload: bytes
    metadata: dict[str, str]
    path: Path | None  # where it is kept; None: there was no room
    seconds: float | None  # that building it took; None: it was there


def key_of(graph: bytes, api: Api, target: str, gpu: str, dims: Mapping[str, int]) -> Key:
    """gpu: name of the GPU of this machine; an engine of `tensorrt_rtx` is for every GPU of its target."""
    return Key(
        graph=hashlib.sha256(graph).hexdigest(),
        runtime=api.runtime,
        version=api.version,
        target=target,
        gpu="" if api.targets else gpu,
        dims=dict(dims),
    )


def get_or_build(
    path: Path,
    api: Api,
    target: str,
    gpu: str = "",
    dims: Mapping[str, int] | None = None,
    *,
    folder: Path,
    progress: Progress | None = None,
    must_keep: bool = False,
    anew: bool = False,
) -> Entry:
    """The engine of the ONNX file `path`, from `folder`, or built and put there.

    gpu: see key_of. anew: build it even if there is one. must_keep: an engine that cannot be kept is an error; else
    it is a line in the log, and the next start builds again.
    Raises LoadError for a file that cannot be read or built.
    """
    graph = read_graph(path)
    key = key_of(graph, api, target, gpu, dims or {})
    place = key.path(folder, path.stem)
    entry = None if anew else read(place, key)
    if entry is not None:
        return entry
    start = time.monotonic()
    log.info("%s: building its engine for %s with %s", path.name, target, api.label)
    payload = build(path, graph, api, target, key.dims, progress)
    seconds = time.monotonic() - start
    metadata = read_metadata(path, graph)
    try:
        write(place, key, payload, metadata)
    except LoadError as error:
        if must_keep:
            raise
        log.warning("%s; going on, and the next start will build it again", str(error).splitlines()[0])
        return Entry(key, payload, metadata, None, seconds)
    return Entry(key, payload, metadata, place, seconds)


def read_graph(path: Path) -> bytes:
    """The ONNX file. Raises LoadError."""
    check_seal(path)
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise LoadError(f"{path}: no such file") from None
    except OSError as error:
        raise LoadError(f"{path}: cannot be read ({error.strerror})") from None


def read_metadata(path: Path, graph: bytes) -> dict[str, str]:
    """metadata_props of an ONNX file: TensorRT drops them. Raises LoadError."""
    import onnx  # a quarter of a second, and only where an engine is built
    from google.protobuf.message import DecodeError

    try:
        model = onnx.ModelProto.FromString(graph)
    except DecodeError:
        raise LoadError(f"{path}: not an ONNX file, or cut off; get or export it again") from None
    return {item.key: item.value for item in model.metadata_props}


def read(place: Path, key: Key) -> Entry | None:
    """The entry at `place`, or None: there is none, or it is not to be trusted (a line in the log says why)."""
    try:
        header_line, _, payload = place.read_bytes().partition(b"\n")
    except FileNotFoundError:
        return None
    except OSError as error:
        log.warning("%s: cannot be read (%s); built anew", place, error.strerror)
        return None
    reason, metadata = _check(header_line, payload, key)
    if reason:
        log.warning("%s: %s; built anew", place, reason)
        return None
    return Entry(key, payload, metadata, place, None)


def _check(header_line: bytes, payload: bytes, key: Key) -> tuple[str, dict[str, str]]:
    """What is wrong with an entry ("": nothing), and its metadata."""
    try:
        header = json.loads(header_line)
        found, size, digest = header["key"], header["bytes"], header["sha256"]
        metadata = {str(name): str(value) for name, value in header["metadata"].items()}
        known = header["format"] == FORMAT
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return "no engine of this program, or damaged", {}
    if not known:
        return "of another version of this program", {}
    if found != asdict(key):
        differing = [
            name
            for name, value in asdict(key).items()
            if not isinstance(found, dict) or found.get(name) != value
        ]
        return f"made for something else ({', '.join(differing) or 'more than this'})", {}
    if size != len(payload):
        return "cut off", {}
    if digest != hashlib.sha256(payload).hexdigest():
        return "damaged", {}
    return "", metadata


def write(place: Path, key: Key, payload: bytes, metadata: Mapping[str, str]) -> None:
    """Put an entry there, whole or not at all. Raises LoadError, naming the folder, where that cannot be done."""
    header = {
        "format": FORMAT,
        "key": asdict(key),
        "sha256": hashlib.sha256(payload).hexdigest(),
        "bytes": len(payload),
        "metadata": dict(metadata),
    }
    part = None
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        sweep(place.parent)
        # A name of its own: another process may be writing the same entry. Not by tempfile: whoever else uses the
        # folder (a container's user, where root has built) must be able to read what becomes of it.
        part = place.with_name(f"{place.stem[:40]}.{os.getpid()}.{secrets.token_hex(4)}{PART}")
        with part.open("xb") as file:
            file.write(json.dumps(header).encode() + b"\n")
            file.write(payload)
            file.flush()
            os.fsync(file.fileno())
        part.replace(place)
    except OSError as error:
        if part is not None:
            with contextlib.suppress(OSError):
                part.unlink()
        raise LoadError(
            f"{place.parent}: cannot keep an engine of {len(payload) / 1e6:.0f} MB there ({error.strerror})\n"
            f"make room, or choose another folder: {VARIABLE}=FOLDER"
        ) from None


class Kernels:
    """What `tensorrt_rtx` compiles for the very GPU when it loads an engine: seconds of work, kept
    for the next start."""

    def __init__(self, entry: Entry, gpu: str, folder: Path) -> None:
        """gpu: its name."""
        self._key = replace(entry.key, gpu=gpu)
        self._place = self._key.path(folder, "kernels").with_suffix(".kernels")
        self._known = False
        self._cache: Any = None

    def make_context(self, engine: Any) -> Any:
        """An execution context of the engine that starts from the kernels kept, where there are any."""
        config = engine.create_runtime_config()
        self._cache = config.create_runtime_cache()
        kept = read(self._place, self._key)
        # TensorRT looks for itself whether driver and GPU are still the same, and refuses them if not.
        self._known = kept is not None and bool(self._cache.deserialize(kept.payload))
        config.set_runtime_cache(self._cache)
        return engine.create_execution_context(config)

    def keep(self) -> None:
        """Write them, after the first run."""
        if self._known:
            return
        compiled = self._cache.serialize()
        if compiled is not None and compiled.nbytes:
            try:
                write(self._place, self._key, bytes(memoryview(compiled)), {})
            except LoadError as error:
                log.warning("%s; the next start compiles again", str(error).splitlines()[0])


def entries(folder: Path) -> Iterator[tuple[Path, dict[str, Any]]]:
    """Every engine in the folder with its key and, of its graph, form and precision; {} where that cannot be read."""
    for place in sorted(folder.glob(f"*{SUFFIX}")):
        try:
            with place.open("rb") as file:
                header = json.loads(file.readline())
            told = {
                **header["key"],
                **{name: header["metadata"].get(name, "") for name in ("form", "precision")},
                "dims": dict(header["key"]["dims"]),
            }
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
            told = {}
        yield place, told
