"""Appearance features beside the takes, and which encoder made them: a network must know whose numbers it learns from.

take_00000.npz  take_00000_map.npy  take_00000_z.npy  …  appearance.json: {"weights_sha256": "…"}

training.fit_appearance writes them at its end. For an encoder that is there already, and has learned from none of
these takes:

    python -m training.appearance_features [--observed data/observed/train] [--encoder assets/appearance.safetensors]
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from engines.export import weights_sha256
from engines.graph_file import DIGITS
from engines.network.appearance import AppearanceEncoder, load_appearance
from realtime.assets import APPEARANCE, ASSETS
from realtime.body.smpl import load_body
from realtime.errors import HmmrLiveError, LoadError
from training.observe import ObservedTake, appearance_path, load_takes, map_path, of_stranger

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


@torch.no_grad()
def describe_takes(encoder: AppearanceEncoder, takes: list[ObservedTake]) -> None:
    """Write z (T, 2, 128) float16 beside every take, nan where nobody was found, and which encoder that was."""
    name_encoder(encoder, (take.path.parent for take in takes))
    for take in tqdm(takes, unit="take", mininterval=5.0):
        maps = torch.from_numpy(np.load(map_path(take.path))).float()
        z = encoder(maps.flatten(0, 1)).unflatten(0, maps.shape[:2]).numpy().astype(np.float16)
        z[~take.detected] = np.nan
        np.save(appearance_path(take.path), z)


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


def main() -> None:
    parser = argparse.ArgumentParser(
        description="Write the appearance features of takes that the encoder has not learned from."
    )
    parser.add_argument("--observed", type=Path, default=Path("data/observed/train"))
    parser.add_argument("--encoder", type=Path, default=(ASSETS / APPEARANCE).with_suffix(".safetensors"))
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    try:
        encoder, _ = load_appearance(options.encoder)
        takes = [take for take in load_takes(options.observed, load_body(None)) if take.detected.any()]
        describe_takes(encoder, takes)
    except HmmrLiveError as error:
        parser.exit(error.exit_code, f"{error}\n")


if __name__ == "__main__":
    main()
