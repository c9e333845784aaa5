"""The third tier: videos that nobody labelled. What the perception sees in them is kept, and learned from in 2-D.

    python -m training.video_tier FOLDER [--out data/videos]

Every video in the folder that OpenCV can read is watched once, of long ones some stretches, drawn by --seed. A video
whose file is there is not watched again. `python -m training.fit --videos FOLDER` does this by itself.
"""

from __future__ import annotations

import argparse
import dataclasses
import hashlib
import json
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from tqdm import tqdm

from realtime.camera.clip import ClipFile
from realtime.config import CameraConfig
from realtime.errors import HmmrLiveError, LoadError, SourceError
from realtime.observation import Detection
from realtime.perception.tracking import may_be_same, place_of
from training.observe import Observed, ObservedTake, Observer, appearance_path, map_path, shares
from training.pseudo import pseudo_landmarks
from training.take_tier import APPEARANCE_SHARE, LEAST_SEEN, Kept, TakeTier

STRETCH_S = 10.0  # what is watched in one go
STRETCHES = 12  # of one video at the most
LONGEST_GAP_S = 0.4  # nobody seen for longer: another person, for all we know
ASSUMED_FOV_DEG = CameraConfig().fov_deg


def videos_in(folder: Path) -> list[Path]:
    """All files under it, in order. Raises LoadError when there is none."""
    if not folder.is_dir():
        raise LoadError(f"{folder}: no such folder; give one with videos")
    files = sorted(path for path in folder.rglob("*") if path.is_file() and not path.name.startswith("."))
    if not files:
        raise LoadError(f"{folder}: nothing in it; give a folder with videos")
    return files


def file_stem(folder: Path, video: Path) -> str:
    """Name of what is kept of a video: readable, and another one for another path in the folder."""
    relative = video.relative_to(folder).as_posix()
    readable = re.sub(r"[^A-Za-z0-9]+", "-", relative).strip("-")[:40]
    return f"take_{readable}_{hashlib.sha1(relative.encode()).hexdigest()[:8]}"


def observe_videos(folder: Path, out: Path, seed: int = 0) -> None:
    """Watch what has not been watched yet. Raises LoadError for a folder without a video."""
    files = videos_in(folder)
    missing = [file for file in files if not (out / f"{file_stem(folder, file)}.json").exists()]
    if not missing:
        return
    out.mkdir(parents=True, exist_ok=True)
    observer = Observer()
    unread = []
    for file in (progress := tqdm(missing, unit="video")):
        progress.set_postfix(video=file.name[:30])
        stem = file_stem(folder, file)
        try:
            frames = _observe(file, out, stem, observer, np.random.default_rng([seed, _number(stem)]))
        except SourceError as error:
            unread.append(str(error))
            continue
        done = {"video": file.relative_to(folder).as_posix(), "frames": frames} | observer.describe()
        (out / f"{stem}.json").write_text(json.dumps(done, indent=1) + "\n")
    observer.close()
    for reason in unread:
        print(f"left out: {reason}")
    if len(unread) == len(files):
        raise LoadError(f"{folder}: no video in it that OpenCV can read")


def _number(stem: str) -> int:
    return int(stem.rsplit("_", 1)[1], 16)


def _observe(video: Path, out: Path, stem: str, observer: Observer, rng: np.random.Generator) -> int:
    """Watch stretches of a video, each into a file; frames watched. Raises SourceError."""
    clip = ClipFile(video)
    try:
        length = max(1, round(STRETCH_S * clip.fps))
        count = -(-clip.announced // length) if clip.announced > 0 else STRETCHES
        chosen = {int(k) for k in rng.choice(count, min(count, STRETCHES), replace=False)}
        watched = 0
        for index in range(count):
            if index not in chosen:
                if not all(clip.pass_over() for _ in range(length)):
                    break
                continue
            pictures = _Stretch(clip, length)
            seen = observer.observe(pictures, np.arange(length) / clip.fps)
            if pictures.given:
                _save(out / f"{stem}_{index:04d}.npz", video.name, pictures, seen, clip.fps)
                watched += pictures.given
            if pictures.given < length:
                break
    finally:
        clip.close()
    return watched


class _Stretch:
    """The next frames of a clip, counted; fewer at its end."""

    def __init__(self, clip: ClipFile, length: int) -> None:
        self._clip, self._length = clip, length
        self.given = 0
        self.size = (0, 0)  # W, H

    def __iter__(self) -> Iterator[np.ndarray]:
        while self.given < self._length and (picture := self._clip.read()) is not None:
            self.size = (picture.shape[1], picture.shape[0])
            self.given += 1
            yield picture


def _save(path: Path, video: str, pictures: _Stretch, seen: Observed, fps: float) -> None:
    """As training/observe.py keeps rendered takes, without a truth; whole or not at all."""
    rows = slice(0, pictures.given)
    np.save(map_path(path), seen.maps[rows])
    partial = path.with_suffix(".tmp.npz")
    np.savez(
        partial,
        clip=np.array(video),
        image_size=np.array(pictures.size, np.float32),
        fov_deg=np.float32(ASSUMED_FOV_DEG),
        t_s=np.arange(pictures.given) / fps,
        **{name: value[rows] for name, value in vars(seen).items() if name != "maps"},
    )
    partial.replace(path)


def load_videos(folder: Path) -> list[ObservedTake]:
    """Every whole stretch in a folder; rotations, trans, betas, joints say nothing, which way is up nobody knows.

    Raises LoadError when there is none.
    """
    files = [file for file in sorted(folder.glob("take_*.npz")) if not file.name.endswith(".tmp.npz")]
    if not files:
        raise LoadError(
            f"{folder}: nothing seen here yet; python -m training.video_tier FOLDER --out {folder}"
        )
    takes = []
    for file in files:
        with np.load(file, allow_pickle=False) as data:
            arrays = {key: data[key] for key in data.files}
        frames = len(arrays["t_s"])
        takes.append(
            ObservedTake(
                path=file,
                clip=str(arrays.pop("clip")),
                fov_deg=float(arrays.pop("fov_deg")),
                rotations=np.broadcast_to(np.eye(3, dtype=np.float32), (frames, 24, 3, 3)),
                trans=np.zeros((frames, 3), np.float32),
                betas=np.zeros(10, np.float32),
                R=np.full((3, 3), np.nan, np.float32),
                joints=np.zeros((frames, 24, 3), np.float32),
                transforms=np.zeros((frames, 24, 4, 4), np.float32),
                **arrays,
            )
        )
    return takes


def followed(take: ObservedTake) -> list[np.ndarray]:
    """Frames (S,) of each person that was followed without a cut or a gap, and was seen for long enough."""
    runs: list[list[int]] = []
    before = None
    for frame in np.flatnonzero(take.detected):
        seen = Detection(take.landmarks_px[frame, 0], take.world[frame, 0], take.visibility[frame, 0])
        place = place_of(seen, int(take.t_s[frame] * 1e9))
        if place is None:
            continue
        gap_s = 0.0 if before is None else (place.t_ns - before.t_ns) / 1e9
        if before is None or gap_s > LONGEST_GAP_S or not may_be_same(before, place, gap_s):
            runs.append([])
        runs[-1].append(int(frame))
        before = place
    return [np.array(run) for run in runs if len(run) >= LEAST_SEEN]


class VideoTier(TakeTier):
    """2-D only, from unlabelled video: windows of `load_videos`, their truth by training/pseudo.py.

    Raises LoadError when nobody is in view for long enough in any of them.
    """

    def __init__(
        self,
        takes: list[ObservedTake],
        frames: int,
        rng: np.random.Generator,
        appearance: float = APPEARANCE_SHARE,
    ) -> None:
        self._frames, self._rng, self._appearance_share = frames, rng, appearance
        self._takes = [_keep(take, run) for take in takes for run in followed(take)]
        if not self._takes:
            raise LoadError(
                f"{len(takes)} stretches of video, and nobody in view for {LEAST_SEEN} frames in any"
            )
        self._chances = shares([kept.take for kept in self._takes])


def _keep(take: ObservedTake, run: np.ndarray) -> Kept:
    """The frames from the first of a run to its last, on their own."""
    first, end = int(run[0]), int(run[-1]) + 1
    arrays = {
        name: getattr(take, name)[first:end]
        for name in ("rotations", "trans", "landmarks_px", "world", "visibility", "joints", "transforms")
    }
    detected = np.zeros(end - first, bool)
    detected[run - first] = True
    t_s = take.t_s[first:end] - take.t_s[first]
    part = dataclasses.replace(take, detected=detected, t_s=t_s, **arrays)
    two = (slice(None), slice(0, 2))  # of the looks: plain, mirrored
    places, weight = pseudo_landmarks(
        t_s, part.landmarks_px[two], part.world[two], part.visibility[two], detected
    )
    z = None
    if take.path is not None and (path := appearance_path(take.path)).exists():
        z = np.load(path)[first:end]
    nothing = np.zeros((end - first, 24, 2), np.float32)
    return Kept(part, nothing, places, z, weight, has_3d=False)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="with videos, in folders of it as well")
    parser.add_argument("--out", type=Path, default=Path("data/videos"))
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    try:
        observe_videos(options.folder, options.out, options.seed)
        takes = load_videos(options.out)
    except HmmrLiveError as error:
        parser.exit(error.exit_code, f"{error}\n")
    frames = sum(len(run) for take in takes for run in followed(take))
    print(
        f"{len(takes)} stretches, {sum(len(take.t_s) for take in takes)} frames, {frames} of people followed"
    )


if __name__ == "__main__":
    main()
