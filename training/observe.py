"""What the deployed perception sees of a video, look by look, kept beside the truth where there is one.

Per frame four looks at the same square of the picture, as the modes of perception.mirror give them: the plain one, the
one at its mirror picture (turned back), both merged, and the two in turn; and the network's 8×8 map of the first two.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from realtime.body.kinematics import forward_kinematics
from realtime.body.smpl import Body
from realtime.config import PerceptionConfig
from realtime.errors import LoadError
from realtime.observation import Detection
from realtime.perception.blazepose import BlazePose
from realtime.perception.look import LANDMARKS, SIZE, Look
from realtime.perception.mirror import Alternation, merge
from realtime.perception.region import Region
from realtime.translation import focal_length_px
from training.camera import project
from training.metrics import LIMB_JOINTS, LIMB_LANDMARKS, pa_mpjpe_mm
from training.motion import FPS
from training.staging import Take

LOOKS = ("plain", "mirrored", "both", "alternate")
STRANGERS_EVERY = 3  # takes, by number: see `of_stranger`
MAP_SHAPE = (144, 8, 8)
EASY_MM = 90.0  # error of BlazePose's own limbs (after Procrustes) up to which a take counts in full
ASTRAY = 0.3  # of the diagonal of the person's box: who is seen so far off was taken for something else


@dataclass(frozen=True)
class Observed:
    """T frames, K = 4 looks (LOOKS)."""

    landmarks_px: np.ndarray  # (T, K, 33, 2)
    world: np.ndarray  # (T, K, 33, 3) metres, camera axes
    visibility: np.ndarray  # (T, K, 33)
    detected: np.ndarray  # (T,) bool
    maps: np.ndarray  # (T, 2, 144, 8, 8) float16: plain, mirrored


class _Watched(BlazePose):
    """The deployed perception; besides, it looks at every square mirrored, and remembers what it saw."""

    def __init__(self, config: PerceptionConfig) -> None:
        super().__init__(config)
        self._other: Look | None = None  # merged look of the frame before
        self._turns = Alternation()

    def _look_at(self, image: np.ndarray, region: Region, t_ns: int) -> Detection | None:
        self._square = region
        return super()._look_at(image, region, t_ns)

    def _look(self, crop: np.ndarray, mirrored: bool) -> Look:
        plain = self._network.look(crop)
        maps = [self._network.map("map").astype(np.float16)]
        turned = self._network.look(crop, True)
        maps.append(self._network.map("map").astype(np.float16))
        self.maps = np.stack(maps)
        self._other = merge(plain, turned, self._other)
        in_turn = self._turns.take(turned if self._turns.mirrored else plain)
        self.looks = (plain, turned, self._other, in_turn)
        return plain

    def reset(self) -> None:
        super().reset()
        self._other = None
        self._turns = Alternation()

    def places(self, look: Look) -> np.ndarray:
        """(33, 2) pixels of the picture."""
        return self._square.to_image(look.points, SIZE)[:LANDMARKS]

    def turned_back(self, look: Look) -> np.ndarray:
        """(33, 3) metres in the picture's axes."""
        return self._square.turn_back(look.world)


class Observer:
    """Lets the perception look at pictures."""

    def __init__(self) -> None:
        self._perception = _Watched(PerceptionConfig(mirror="off", map="off", threads=1))

    def observe(self, pictures: Iterable[np.ndarray], t_s: np.ndarray) -> Observed:
        """pictures (H, W, 3) uint8 BGR taken at t_s (T,) seconds."""
        frames, looks = len(t_s), len(LOOKS)
        seen = Observed(
            np.zeros((frames, looks, LANDMARKS, 2), np.float32),
            np.zeros((frames, looks, LANDMARKS, 3), np.float32),
            np.zeros((frames, looks, LANDMARKS), np.float32),
            np.zeros(frames, bool),
            np.zeros((frames, 2, *MAP_SHAPE), np.float16),
        )
        perception = self._perception
        perception.reset()
        for index, picture in enumerate(pictures):
            if perception.process(picture, int((1.0 + t_s[index]) * 1e9)) is None:
                continue
            seen.detected[index] = True
            seen.maps[index] = perception.maps
            for k, look in enumerate(perception.looks):
                seen.landmarks_px[index, k] = perception.places(look)
                seen.world[index, k] = perception.turned_back(look)
                seen.visibility[index, k] = look.visibility
        return seen

    def describe(self) -> dict[str, Any]:
        return {"perception": self._perception.name, "version": self._perception.describe()["version"]}

    def close(self) -> None:
        self._perception.close()


def take_path(folder: Path, index: int) -> Path:
    return folder / f"take_{index:05d}.npz"


def of_stranger(take: Path) -> bool:
    """Every third take is of people whom the appearance encoder never learns from (training/synthesis.py)."""
    return int(take.stem.removeprefix("take_")) % STRANGERS_EVERY == STRANGERS_EVERY - 1


def map_path(take: Path) -> Path:
    """Where the maps of a take lie: (T, 2, 144, 8, 8) float16."""
    return take.with_name(take.stem + "_map.npy")


def save_take(folder: Path, index: int, take: Take, seen: Observed) -> None:
    """The maps, then one .npz with the rest, written whole or not at all: where it is, everything is."""
    path = take_path(folder, index)
    np.save(map_path(path), seen.maps)
    partial = path.with_suffix(".tmp.npz")
    np.savez(
        partial,
        clip=np.array(take.clip),
        rotations=take.rotations.astype(np.float16),
        trans=take.trans,
        betas=take.betas,
        R=take.camera.R,
        image_size=np.array([take.camera.width, take.camera.height], np.float32),
        fov_deg=np.float32(take.camera.fov_deg),
        t_s=take.t_s,
        **{name: value for name, value in vars(seen).items() if name != "maps"},
    )
    partial.replace(path)


@dataclass(frozen=True)
class ObservedTake:
    """One take as it was seen, with the truth worked out. T frames, K looks, camera frame, metres."""

    path: Path | None  # where it was read from; its maps lie beside it
    clip: str
    rotations: np.ndarray  # (T, 24, 3, 3)
    trans: np.ndarray  # (T, 3)
    betas: np.ndarray  # (10,)
    R: np.ndarray  # (3, 3) world → camera
    image_size: np.ndarray  # (2,)
    fov_deg: float
    t_s: np.ndarray  # (T,) seconds
    landmarks_px: np.ndarray  # (T, K, 33, 2)
    world: np.ndarray  # (T, K, 33, 3)
    visibility: np.ndarray  # (T, K, 33)
    detected: np.ndarray  # (T,) bool: somebody was found, and where the person is
    joints: np.ndarray  # (T, 24, 3) in the camera frame, with trans
    transforms: np.ndarray  # (T, 24, 4, 4)
    weight: float = 1.0  # in (0, 1]: how often it is learned from

    @property
    def focal_px(self) -> float:
        return focal_length_px(float(self.image_size[0]), self.fov_deg)

    @property
    def stride(self) -> float:
        """Frames of the capture (30 a second) from one picture to the next, mostly."""
        return float(np.median(np.diff(self.t_s))) * FPS


def shares(takes: list[ObservedTake]) -> np.ndarray:
    """(takes,) how much each counts, of 1. Raises LoadError where there is none."""
    if not takes:
        raise LoadError(
            "nothing to learn from: in none of the takes or videos somebody was found for long enough\n"
            "give more of them; python -m training.synthesis --takes N makes takes"
        )
    weights = np.array([take.weight for take in takes])
    return weights / weights.sum()


def load_takes(folder: Path | str, body: Body) -> list[ObservedTake]:
    """Every whole take in a folder. Raises LoadError when there is none."""
    files = [file for file in sorted(Path(folder).glob("take_*.npz")) if not file.name.endswith(".tmp.npz")]
    if not files:
        raise LoadError(
            f"{folder}: no takes here; make them with python -m training.synthesis --out {folder}"
        )
    return [load_take(file, body) for file in files]


def load_take(file: Path, body: Body) -> ObservedTake:
    with np.load(file, allow_pickle=False) as data:
        arrays = {key: data[key] for key in data.files}
    rotations = arrays.pop("rotations").astype(np.float32)
    joints, transforms = forward_kinematics(body, rotations, arrays["betas"])
    shift = arrays["trans"] - joints[:, 0]
    transforms[..., :3, 3] += shift[:, None]
    joints = joints + shift[:, None]
    arrays["detected"] &= ~astray(arrays, joints[:, LIMB_JOINTS])
    return ObservedTake(
        path=file,
        clip=str(arrays.pop("clip")),
        fov_deg=float(arrays.pop("fov_deg")),
        rotations=rotations,
        joints=joints,
        transforms=transforms,
        weight=_weight(arrays, joints[:, LIMB_JOINTS]),
        **arrays,
    )


def _weight(arrays: dict[str, np.ndarray], limbs: np.ndarray) -> float:
    """Synthesis is harder than life, so that everything is in it: acrobats half in the dark, half hidden. Were all
    takes to count alike, the network would learn to trust what it sees no more than it may there."""
    found = arrays["detected"]
    if not found.any():
        return 1.0
    wrong = pa_mpjpe_mm(arrays["world"][found, 0][:, LIMB_LANDMARKS], limbs[found]).mean()
    return float(min(1.0, (EASY_MM / wrong) ** 2))


def astray(arrays: dict[str, np.ndarray], limbs: np.ndarray) -> np.ndarray:
    """(T,) bool: the plain look's limbs lie elsewhere than the true ones, (T, 12, 3) metres in the camera frame."""
    true = project(limbs, arrays["image_size"], arrays["fov_deg"])
    apart = np.linalg.norm(arrays["landmarks_px"][:, 0, LIMB_LANDMARKS] - true, axis=-1)
    diagonal = np.linalg.norm(np.ptp(true, axis=1), axis=-1)
    return np.median(apart, axis=1) > ASTRAY * diagonal


def appearance_path(take: Path) -> Path:
    """Where the appearance features of a take lie: (T, 2, 128) float16 of the plain look and of the mirrored one."""
    return take.with_name(take.stem + "_z.npy")
