"""One kind of recording into another.

    python -m realtime.convert IN OUT [--body FILE] [--origin floor|camera]

IN is .mcap, .npz, .amass.npz, an AMASS file of other people, or a .part that a crash left; OUT is .mcap, .npz,
.amass.npz, .bvh or .glb. OUT is never overwritten, and there as a whole or not at all. docs/recording.md
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

import numpy as np

from realtime.body.smpl import load_body
from realtime.child import run
from realtime.errors import ConfigError, HmmrLiveError
from realtime.files import KINDS, kind_of
from realtime.files.glb import skin_error_m
from realtime.files.rows_file import READABLE, body_of, read_file, write_file
from realtime.files.steady import steady
from realtime.record import check_writable_folder
from realtime.record_file import RecordError, Rows

PICKLES = (".pkl", ".pickle", ".pt", ".pth", ".joblib")


def convert(source: Path, target: Path, body_file: str = "", origin: str = "") -> Rows:
    """Returns what was read of `source`.

    body_file: the body that `source` was recorded with, or that the betas of an AMASS file are for; by default the one
    that the recording names, and the shipped one. origin: of the world in .amass.npz, .bvh and .glb: "floor", below the
    first pelvis, or "camera"; "" is the floor for recordings and AMASS's own for AMASS's files.
    Raises HmmrLiveError, one or two lines: unknown kinds, unreadable files, nobody in it, OUT exists, no room.
    """
    check_kinds(source, target)
    try:
        recording = read_file(source, load_body(body_file) if body_file else None)
        body = body_of(recording, body_file) if kind_of(target) != ".mcap" else None
        on_floor = origin == "floor" or (origin == "" and not recording.header.get("own_world"))
        write_file(recording, target, body, on_floor)
    except RecordError as error:
        raise ConfigError(str(error) if str(source) in str(error) else f"{source}: {error}") from None
    except FileExistsError:
        raise _exists(target) from None
    except OSError as error:
        raise HmmrLiveError(
            f"{target}: cannot be written ({error.strerror}); nothing was kept of it"
        ) from None
    return recording


def check_kinds(source: Path, target: Path) -> None:
    """Raises ConfigError for what cannot be read or written, before anything is."""
    if source.suffix.lower() in PICKLES:
        raise ConfigError(
            f"{source}: pickles are never read, for they run code; save its arrays with np.savez"
        )
    if kind_of(source) in (".glb", ".bvh") and not source.name.lower().endswith(".part"):
        raise ConfigError(
            f"{source}: {kind_of(source)} is an end product and is not read back; convert the .mcap or .npz that it "
            "was made of, and record one of these (--record X.mcap)"
        )
    if kind_of(source) not in READABLE and not source.name.lower().endswith(".part"):
        raise ConfigError(f"{source}: cannot be read; known: {', '.join(READABLE)}")
    if not source.is_file():
        raise ConfigError(f"{source}: there is no such file")
    if not kind_of(target) or target.name.lower().endswith(".part"):
        raise ConfigError(f"{target}: cannot be written; known: {', '.join(sorted(KINDS))}")
    check_writable_folder("OUT", target)
    if target.exists():
        raise _exists(target)


def _exists(target: Path) -> ConfigError:
    return ConfigError(f"{target}: exists and is not overwritten; give another name or move it")


def _say_what_is_left_out(recording: Rows, target: Path, body_file: str) -> None:
    body = body_of(recording, body_file)
    if body.posedirs is None:
        return
    error_mm = 1000 * skin_error_m(steady(recording, body, on_floor=False), body)
    print(
        f"{target}: glTF has no place for this body's pose corrections; without them its vertices are "
        f"{np.median(error_mm):.1f} mm off in the median, {error_mm.max():.1f} mm at most"
    )


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise ConfigError(f"{message}; see python -m realtime.convert --help")


def main(argv: Sequence[str] | None = None) -> int:
    parser = _Parser(
        prog="python -m realtime.convert",
        description="One kind of recording into another: .mcap, .npz, .amass.npz and AMASS's .npz into .mcap, .npz, "
        ".amass.npz, .bvh or .glb. An existing file is never overwritten.",
    )
    parser.add_argument("source", type=Path, metavar="IN")
    parser.add_argument("target", type=Path, metavar="OUT")
    parser.add_argument("--body", default="", metavar="FILE", help="the body that IN was recorded with")
    parser.add_argument(
        "--origin",
        default="",
        choices=("floor", "camera"),
        help="of the world in .amass.npz, .bvh and .glb: on the floor below the first pelvis (default), or where the "
        "camera was",
    )
    flags = parser.parse_args(argv)
    recording = convert(flags.source, flags.target, flags.body, flags.origin)
    if kind_of(flags.target) == ".glb":
        _say_what_is_left_out(recording, flags.target, flags.body)
    damaged = f", {recording.damaged} damaged or cut" if recording.damaged else ""
    print(f"{flags.target}: {len(recording.rows)} frames{damaged}")
    return 0


if __name__ == "__main__":
    sys.exit(run(main))
