"""Render motion on the body, let the perception that is deployed look at it, and keep what it said beside the truth.

    python -m training.synthesis --takes 200 --out data/observed/train

Takes are drawn one by one from a seed of their own, so the work can be cut off and taken up again, and two processes
can share it (--shard 0/2, 1/2). A take is written to its own .npz when it is whole.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tqdm import tqdm

from realtime.body.smpl import Body, load_body
from realtime.config import Config
from realtime.errors import HmmrLiveError
from realtime.features import LANDMARKS
from realtime.perception import make_perception
from training.camera import PinholeCamera, random_azimuth, random_rotation
from training.motion import DEFAULT_MOTION, FPS, Clip, load_clips
from training.render import PersonRenderer

PICTURES = ((640, 480), (480, 640))  # landscape three times of four
FOVS_DEG = (45.0, 72.0)  # horizontal; a webcam has 55 to 78. Open3D draws 90° over the canvas at most
TAKE_FRAMES = 90
BETA_SD = 0.8  # a little narrower than the shape space: its first direction is size
MAX_DRIFT_M = 0.6  # people before a webcam stay before it: larger paths are scaled down


@dataclass(frozen=True)
class Take:
    """A window of motion before one camera. Arrays of T frames; pose and trans in the camera frame, metres."""

    clip: str
    rotations: np.ndarray  # (T, 24, 3, 3) local, root in the camera frame
    trans: np.ndarray  # (T, 3) pelvis
    betas: np.ndarray  # (10,)
    camera: PinholeCamera


@dataclass(frozen=True)
class Observed:
    """A take as the perception saw it."""

    landmarks_px: np.ndarray  # (T, 33, 2)
    world: np.ndarray  # (T, 33, 3) metres, camera axes
    visibility: np.ndarray  # (T, 33)
    detected: np.ndarray  # (T,) bool


def clip_weights(clips: list[Clip]) -> np.ndarray:
    """(clips,) probability of each: by the root of its length, shared within its subject, so that the hours of one
    dance do not drown the rest."""
    length = np.array([len(clip.trans) for clip in clips], float)
    subjects = np.array([clip.subject for clip in clips])
    weight = np.sqrt(length)
    for subject in np.unique(subjects):
        own = subjects == subject
        weight[own] *= np.sqrt(length[own].sum()) / weight[own].sum()
    return weight / weight.sum()


def draw_take(clips: list[Clip], weights: np.ndarray, frames: int, rng: np.random.Generator) -> Take:
    """A random window of a random clip before a random camera."""
    clip = clips[rng.choice(len(clips), p=weights)]
    first = int(rng.integers(0, max(1, len(clip.trans) - frames + 1)))
    return stage(clip, first, frames, rng)


def stage(
    clip: Clip, first: int, frames: int, rng: np.random.Generator, azimuth: float | None = None
) -> Take:
    """Put frames [first, first + frames) of a clip before a random camera."""
    rows = slice(first, min(first + frames, len(clip.trans)))
    path = clip.trans[rows] - clip.trans[rows].mean(axis=0)
    path = path * min(1.0, MAX_DRIFT_M / max(float(np.abs(path[:, [0, 2]]).max()), 1e-6))
    R = random_rotation(rng, random_azimuth(rng) if azimuth is None else azimuth)
    width, height = PICTURES[int(rng.uniform() < 0.25)]
    camera = PinholeCamera(R, np.zeros(3), width, height, float(rng.uniform(*FOVS_DEG)))
    fits_m = 1.9 * camera.focal_px / height  # distance at which 1.9 m fill the picture
    distance = fits_m * np.exp(rng.uniform(np.log(0.75), np.log(2.2)))
    aside = distance * np.tan(np.radians(camera.fov_deg) / 2.0) * rng.uniform(-0.45, 0.45)
    centre = np.array([aside, rng.normal(0.0, 0.12) * distance / fits_m, distance])
    rotations = clip.rotations[rows].copy()
    rotations[:, 0] = R @ rotations[:, 0]
    betas = np.clip(rng.normal(0.0, BETA_SD, 10), -2.0, 2.0).astype(np.float32)
    return Take(clip.name, rotations, (path @ R.T + centre).astype(np.float32), betas, camera)


def pictures(renderer: PersonRenderer, take: Take, rng: np.random.Generator) -> Iterator[np.ndarray]:
    """(H, W, 3) uint8 BGR, frame after frame, in one look."""
    renderer.new_look(rng, take.camera.width, take.camera.height)
    for rotations, trans in zip(take.rotations, take.trans, strict=True):
        yield renderer.render(rotations, take.betas, trans, take.camera)


class Observer:
    """Renders takes and lets the perception that is deployed look at them."""

    def __init__(self, body: Body) -> None:
        self._renderer = PersonRenderer(body)
        self._perception = make_perception(Config())

    def observe(self, take: Take, rng: np.random.Generator) -> Observed:
        frames = len(take.trans)
        seen = Observed(
            np.zeros((frames, LANDMARKS, 2), np.float32),
            np.zeros((frames, LANDMARKS, 3), np.float32),
            np.zeros((frames, LANDMARKS), np.float32),
            np.zeros(frames, bool),
        )
        self._perception.reset()
        for index, picture in enumerate(pictures(self._renderer, take, rng)):
            found = self._perception.process(picture, int(index * 1e9 / FPS))
            if found is not None:
                seen.landmarks_px[index] = found.landmarks_px
                seen.world[index] = found.world
                seen.visibility[index] = found.visibility
                seen.detected[index] = True
        return seen

    def close(self) -> None:
        self._renderer.close()
        self._perception.close()


def save_take(path: Path, take: Take, seen: Observed) -> None:
    """One .npz, written whole or not at all."""
    partial = path.with_suffix(".tmp.npz")
    np.savez(
        partial,
        clip=np.array(take.clip),
        rotations=take.rotations.astype(np.float16),
        trans=take.trans,
        betas=take.betas,
        image_size=np.array([take.camera.width, take.camera.height], np.float32),
        fov_deg=np.float32(take.camera.fov_deg),
        **vars(seen),
    )
    partial.replace(path)


def make_takes(
    motion: Path, split: str, folder: Path, count: int, seed: int = 0, shard: tuple[int, int] = (0, 1)
) -> None:
    """Render and observe takes 0 … count − 1 into `folder`, those of this shard (K of N); whole ones are kept.

    Raises LoadError when there is no motion.
    """
    first, step = shard
    missing = [k for k in range(first, count, step) if not (folder / f"take_{k:05d}.npz").exists()]
    if not missing:
        return
    clips = load_clips(motion, split, precise=True)
    weights = clip_weights(clips)
    folder.mkdir(parents=True, exist_ok=True)
    observer = Observer(load_body(None))
    for index in (progress := tqdm(missing, unit="take")):
        rng = np.random.default_rng([seed, index])
        take = draw_take(clips, weights, TAKE_FRAMES, rng)
        seen = observer.observe(take, rng)
        save_take(folder / f"take_{index:05d}.npz", take, seen)
        progress.set_postfix(found=f"{seen.detected.mean():.0%}", clip=take.clip)
    observer.close()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--motion", type=Path, default=DEFAULT_MOTION)
    parser.add_argument("--split", choices=("train", "eval"), default="train")
    parser.add_argument("--takes", type=int, default=200)
    parser.add_argument("--out", type=Path, default=Path("data/observed/train"))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--shard", default="0/1", help="K/N: this process does every N-th take from the K-th on"
    )
    options = parser.parse_args()
    try:
        first, step = (int(part) for part in options.shard.split("/"))
        make_takes(options.motion, options.split, options.out, options.takes, options.seed, (first, step))
    except HmmrLiveError as error:
        parser.exit(error.exit_code, f"{error}\n")
    except ValueError:
        parser.error(f"--shard {options.shard}: expected K/N, for example 0/2")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
