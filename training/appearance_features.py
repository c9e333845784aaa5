"""Appearance features beside the takes, and which encoder made them: a network must know whose numbers it learns from.

take_00000.npz  take_00000_map.npy  take_00000_z.npy  …  appearance.json: {"weights_sha256": "…"}
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from engines.export import weights_sha256
from engines.graph_file import DIGITS
from engines.network.appearance import AppearanceEncoder, load_appearance
from realtime.body.smpl import load_body
from realtime.errors import LoadError
from training.observe import ObservedTake, appearance_path, load_takes, of_stranger

MADE_BY = "appearance.json"
_NEXT_STEP = "make them all with one encoder: python -m training.fit_appearance --observed"


def name_encoder(encoder: AppearanceEncoder, folders: Iterable[Path]) -> None:
    """Before it writes features into folders of takes: those of any other encoder in there are deleted, and a file
    tells that from now on all are of this one. encoder: its weights rounded as they are shipped."""
    digest = weights_sha256(encoder)
    for folder in sorted(set(folders)):
        if _encoder_in(folder) == digest:
            continue
        (folder / MADE_BY).unlink(missing_ok=True)
        for old in folder.glob(appearance_path(Path("take_*.npz")).name):
            old.unlink()
        (folder / MADE_BY).write_text(json.dumps({"weights_sha256": digest}) + "\n")


def encoder_of(takes: Iterable[ObservedTake]) -> str:
    """weights_sha256 of the encoder that made the features beside these takes; "": none has any.

    Raises LoadError where they are of two encoders, or nobody knows of which.
    """
    folders = {take.path.parent for take in takes if take.path and appearance_path(take.path).exists()}
    made_by = {folder: _encoder_in(folder) for folder in sorted(folders)}
    for folder, digest in made_by.items():
        if digest is None:
            raise LoadError(
                f"{folder}: appearance features (*_z.npy), and no {MADE_BY} to tell which encoder made them\n"
                f"{_NEXT_STEP} {folder}"
            )
    if len(set(made_by.values())) > 1:
        listed = "; ".join(f"{folder}: {str(digest)[:DIGITS]}" for folder, digest in made_by.items())
        raise LoadError(f"appearance features of different encoders ({listed})\n{_NEXT_STEP} FOLDER")
    return next((digest for digest in made_by.values() if digest), "")


def is_described(folder: Path, weights: Path) -> bool:
    """Whether the encoder of `weights` made the features in a folder of takes, of every stranger's take in which
    somebody was found: what training.fit_appearance leaves behind at its end.

    Raises LoadError for weights or an appearance.json that cannot be read, and where there are no takes.
    """
    if not weights.exists() or _encoder_in(folder) != weights_sha256(load_appearance(weights)[0]):
        return False
    found = [take.path for take in load_takes(folder, load_body(None)) if take.detected.any()]
    return all(appearance_path(path).exists() for path in found if path is not None and of_stranger(path))


def _encoder_in(folder: Path) -> str | None:
    """None: nobody knows."""
    file = folder / MADE_BY
    try:
        return str(json.loads(file.read_text())["weights_sha256"])
    except FileNotFoundError:
        return None
    except (KeyError, TypeError, ValueError) as error:
        raise LoadError(f"{file}: damaged ({error}); delete it, and {_NEXT_STEP} {folder}") from None
