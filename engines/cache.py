"""Files that were derived from a model on this machine, kept: graphs exported or converted, engines built.

Everything here can be thrown away; it is made again when it is missing, damaged or of another version.
"""

from __future__ import annotations

import contextlib
import glob
import hashlib
import logging
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from realtime.errors import LoadError

log = logging.getLogger(__name__)

VARIABLE = "HMMR_LIVE_CACHE"
ADVICE = f"make room there, or choose another folder: {VARIABLE}=FOLDER"
PART = ".part"
ABANDONED_S = 3600.0  # a file being written that is older: whoever wrote it is gone


def cache_folder() -> Path:
    """Where derived files lie; it may not exist yet. The environment variable HMMR_LIVE_CACHE names another.

    Raises LoadError for a user without a home who names none.
    """
    try:
        return _named_folder() or _default_folder()
    except RuntimeError as error:  # of Path.home and expanduser
        raise LoadError(f"no folder for derived files ({error}); choose one: {VARIABLE}=FOLDER") from None


def _named_folder() -> Path | None:
    chosen = os.environ.get(VARIABLE)
    return Path(chosen).expanduser().absolute() if chosen else None


def _default_folder() -> Path:
    if sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData/Local")
    elif sys.platform == "darwin":
        base = Path.home() / "Library/Caches"
    else:
        base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return base / "hmmr-live"


def derived_file(name: str, key: str, suffix: str, make: Callable[[Path], object]) -> Path:
    """The file that `make(path)` writes, from the cache or made now.

    name: what it is, for people. key: everything that its content depends on. It is kept as

        name-<hash of key>-<hash of content>.suffix

    so that a file which was cut off or damaged is found out and made anew (a line says so). It is written under
    another name and moved into place: two processes that make the same file at once both end with a whole one.
    Raises LoadError, naming the folder, where it cannot be made or kept.
    """
    folder = cache_folder()
    stem = f"{name}-{_hash(key.encode())}"
    damaged = []
    pattern = f"{glob.escape(stem)}-{'?' * 16}{suffix}"  # not what was made of this one in turn
    for path in sorted(folder.glob(pattern)):
        if _is_whole(path, stem):
            return path
        log.warning("%s: damaged; it is made anew", path)
        damaged.append(path)
    log.warning("making %s (once; it is kept in %s)", name, folder)
    part: Path | None = None
    try:
        folder.mkdir(parents=True, exist_ok=True)
        sweep(folder)
        handle, part_name = tempfile.mkstemp(dir=folder, prefix=stem, suffix=PART)
        os.close(handle)
        part = Path(part_name)
        make(part)
        path = folder / f"{stem}-{_hash(part.read_bytes())}{suffix}"
        _put(part, path, stem)
    except OSError as error:
        raise LoadError(f"{name} cannot be kept in {folder} ({error.strerror})\n{ADVICE}") from None
    except LoadError as error:
        if str(folder) not in str(error):
            raise
        # It could not be written, in whatever words.
        raise LoadError(f"{str(error).splitlines()[0]}\n{ADVICE}") from None
    finally:
        if part is not None:
            part.unlink(missing_ok=True)
    for other in damaged:  # only now: another process may have put a whole file in its place
        if other != path and not _is_whole(other, stem):
            with contextlib.suppress(OSError):
                other.unlink()
    return path


def sweep(folder: Path) -> None:
    """Remove what processes that were killed while writing have left."""
    for part in folder.glob(f"*{PART}"):
        with contextlib.suppress(OSError):
            if time.time() - part.stat().st_mtime > ABANDONED_S:
                part.unlink()


def _put(part: Path, path: Path, stem: str) -> None:
    try:
        part.replace(path)
    except PermissionError:  # Windows: the same file, made by another process, is being read
        if not _is_whole(path, stem):
            raise


def _is_whole(path: Path, stem: str) -> bool:
    try:
        return path.stem == f"{stem}-{_hash(path.read_bytes())}"
    except OSError:
        return False


def _hash(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:16]
