"""A file is there as a whole or not at all, and never takes the place of another."""

from __future__ import annotations

import errno
import glob
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from realtime.files import kind_of


def write_whole(target: Path, write: Callable[[BinaryIO], None], number: bool = False) -> Path:
    """Write beside `target`, then move into place; returns the place.

    Where `target` exists: with `number` X-1.npz, X-2.npz … is taken, else FileExistsError is raised. Raises OSError
    of the disk and whatever `write` raises; nothing half-written is left behind.
    """
    temporary = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        return move_into_place(temporary, target, number)
    finally:
        temporary.unlink(missing_ok=True)


def unfinished_beside(target: Path) -> list[Path]:
    """What writers of `target` that were killed, or are at it, have left of it."""
    return sorted(target.parent.glob(f".{glob.escape(target.name)}.*.tmp"))


def is_being_written(file: Path, within_s: float = 30.0) -> bool:
    """Whether somebody wrote to it a moment ago: making a long file takes minutes, with pauses between its parts."""
    try:
        return 0 <= time.time() - file.stat().st_mtime < within_s
    except OSError:
        return False


def move_into_place(file: Path, target: Path, number: bool = False) -> Path:
    """Give `file` the name `target`, which must be free (see `write_whole`); returns the name it got.

    Raises OSError."""
    place, count = target, 0
    while True:
        try:
            _rename_if_free(file, place)
            return place
        except FileExistsError:
            if not number:
                raise
            count += 1
            place = _numbered(target, count)


def _numbered(target: Path, count: int) -> Path:
    ending = kind_of(target) or target.suffix
    return target.with_name(f"{target.name[: len(target.name) - len(ending)]}-{count}{ending}")


def _rename_if_free(file: Path, place: Path) -> None:
    """A hard link is the one way to take a name only if it is free; where the file system has none (FAT), whoever
    comes in the same moment could lose."""
    try:
        os.link(file, place)
    except FileExistsError:
        raise
    except OSError as error:
        if os.path.lexists(place):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(place)) from None
        if error.errno == errno.ENOSPC:
            raise
        file.rename(place)
    else:
        file.unlink()
