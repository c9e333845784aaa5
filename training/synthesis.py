"""Render motion on the body, let the perception that is deployed look at it, and keep what it said beside the truth.

    python -m training.synthesis --takes 1900 --out data/observed/train

Takes are drawn one by one from a seed of their own, so the work can be cut off and taken up again, and two processes
can share it (--shard 0/2, 1/2). A take is written when it is whole.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from realtime.body.smpl import load_body
from realtime.errors import HmmrLiveError, LoadError
from training.augment import MotionBank
from training.motion import DEFAULT_MOTION, Clip, load_clips
from training.observe import STRANGERS_EVERY, Observer, of_stranger, save_take, take_path
from training.render import PersonRenderer
from training.staging import Take, draw_varied_take

TAKES = 1900  # what the appearance encoder learns from: the more, the better (docs/training.md)
TAKE_FRAMES = 64  # more people and places at the same cost are worth more than more of each
MANIFEST = "manifest.json"


def pictures(renderer: PersonRenderer, take: Take, rng: np.random.Generator) -> Iterator[np.ndarray]:
    """(H, W, 3) uint8 BGR, frame after frame, in one look."""
    renderer.new_look(rng, take.camera.width, take.camera.height)
    for rotations, trans in zip(take.rotations, take.trans, strict=True):
        yield renderer.render(rotations, take.betas, trans, take.camera)


def strangers_apart(clips: list[Clip]) -> dict[bool, list[Clip]]:
    """Clips of every third subject under True, those of the others under False, so that no motion is in both.

    The appearance encoder learns from the others' takes alone. On whom it knows, it is much nearer to the truth than
    on anybody else; a temporal network that met it there would trust it too much.
    """
    subjects = sorted({clip.subject for clip in clips})
    strangers = set(subjects[STRANGERS_EVERY - 1 :: STRANGERS_EVERY])
    if not strangers:  # too few people to keep some apart
        return {True: clips, False: clips}
    return {here: [clip for clip in clips if (clip.subject in strangers) == here] for here in (True, False)}


def make_takes(
    motion: Path, folder: Path, count: int, seed: int = 0, shard: tuple[int, int] = (0, 1)
) -> None:
    """Render and observe takes 0 … count − 1 of the split "train" into `folder`, those of this shard (K of N); whole
    ones are kept. manifest.json says what the folder holds.

    Raises LoadError when there is no motion, and for a folder that holds takes of another kind.
    """
    manifest: dict[str, Any] = {
        "motion": motion.name,
        "split": "train",
        "seed": seed,
        "frames_per_take": TAKE_FRAMES,
        "strangers_every": STRANGERS_EVERY,
    }
    check_manifest(folder, manifest)
    first, step = shard
    missing = [k for k in range(first, count, step) if not take_path(folder, k).exists()]
    if not missing:
        return
    clips = load_clips(motion, "train", precise=True)
    banks = {stranger: MotionBank(people) for stranger, people in strangers_apart(clips).items()}
    renderer, observer = PersonRenderer(load_body(None)), Observer()
    manifest |= observer.describe()
    check_manifest(folder, manifest)
    folder.mkdir(parents=True, exist_ok=True)
    partial = folder / f"manifest.{first}.tmp"
    partial.write_text(json.dumps(manifest, indent=1) + "\n")
    partial.replace(folder / MANIFEST)
    for index in (progress := tqdm(missing, unit="take", mininterval=5.0)):
        rng = np.random.default_rng([seed, index])
        take = draw_varied_take(banks[of_stranger(take_path(folder, index))], TAKE_FRAMES, rng)
        seen = observer.observe(pictures(renderer, take, rng), take.t_s)
        save_take(folder, index, take, seen)
        progress.set_postfix(found=f"{seen.detected.mean():.0%}", clip=take.clip)
    renderer.close()
    observer.close()


def check_manifest(folder: Path, wanted: dict[str, Any]) -> None:
    """Takes of two kinds in one folder could not be told apart: which are strangers' goes by number alone.

    Raises LoadError where the folder's manifest is another than `wanted`, or cannot be read.
    """
    file = folder / MANIFEST
    try:
        held = json.loads(file.read_text())
        other = [
            f"{key}: {held.get(key)}, not {value}" for key, value in wanted.items() if held.get(key) != value
        ]
    except FileNotFoundError:
        return
    except (AttributeError, ValueError) as error:
        raise LoadError(f"{file}: damaged ({error}); delete the folder, or render into another") from None
    if other:
        raise LoadError(
            f"{folder}: holds takes of another kind ({'; '.join(other)})\nrender into a new folder"
        )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--motion", type=Path, default=DEFAULT_MOTION)
    parser.add_argument("--takes", type=int, default=TAKES)
    parser.add_argument("--out", type=Path, default=Path("data/observed/train"))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--shard", default="0/1", help="K/N: this process does every N-th take from the K-th on"
    )
    options = parser.parse_args()
    try:
        first, step = (int(part) for part in options.shard.split("/"))
        make_takes(options.motion, options.out, options.takes, options.seed, (first, step))
    except HmmrLiveError as error:
        parser.exit(error.exit_code, f"{error}\n")
    except ValueError:
        parser.error(f"--shard {options.shard}: expected K/N, for example 0/2")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
