"""Motion capture for training: clips as rotations, with the traps of the data mended.

The file is `motion_smpl24_30fps.npz` (see docs/training.md for where users get motion): local joint rotations in
SMPL's own frame (y up, z forward, left = +x), zero = T-pose. It is not part of the repository.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from realtime.body.rotations import axis_angle_to_matrix
from realtime.body.skeleton import JOINT_NAMES
from realtime.errors import LoadError

DEFAULT_MOTION = Path(__file__).resolve().parents[2] / "shared" / "motion" / "motion_smpl24_30fps.npz"
FPS = 30.0

# Sources whose joints are off by 9–14° (the data's README): variety for training, no truth for evaluation.
IMPRECISE_SOURCES = ("dm15", "neo30")
MAX_GLITCHES = 3  # clips with more frames faster than 1500 deg/s than this are left out of evaluation

MAX_DRIFT_M = 0.6  # people before a webcam stay before it: larger paths are scaled down

_KNEE_FLOOR_PERCENTILE = 5.0
_KNEE_FLOOR_MARGIN_RAD = np.radians(2.0)

SWAP_SIDES = np.array(
    [
        JOINT_NAMES.index(name.replace("left", "?").replace("right", "left").replace("?", "right"))
        for name in JOINT_NAMES
    ]
)


@dataclass(frozen=True)
class Clip:
    """One take. rotations (T, 24, 3, 3) float32 local, root first; trans (T, 3) float32 metres, y up; 30 fps."""

    name: str
    label: str
    source: str
    rotations: np.ndarray
    trans: np.ndarray

    @property
    def subject(self) -> str:
        return self.name.split("_")[0]


def load_clips(path: Path | str, split: str, *, precise: bool = False) -> list[Clip]:
    """The clips of one split ("train" | "eval"), knees straightened.

    precise: only clips good enough to measure against. Raises LoadError when the file is absent or something else.
    """
    path = Path(path)
    if not path.is_file():
        raise LoadError(
            f"{path}: no motion file here; give one with --motion (docs/training.md says how to get it)"
        )
    with np.load(path, allow_pickle=False) as data:
        missing = {"pose_aa", "trans", "starts", "names", "labels", "split", "source", "fast_frames"} - set(
            data.files
        )
        if missing:
            raise LoadError(f"{path}: not a motion file, it lacks {', '.join(sorted(missing))}")
        arrays = {key: data[key] for key in data.files}
    chosen = [
        index
        for index in range(len(arrays["names"]))
        if arrays["split"][index] == split
        and not (
            precise
            and (arrays["source"][index] in IMPRECISE_SOURCES or arrays["fast_frames"][index] > MAX_GLITCHES)
        )
    ]
    floors = knee_floors(arrays, chosen)
    clips = []
    for index in chosen:
        rows = slice(int(arrays["starts"][index]), int(arrays["starts"][index + 1]))
        name = str(arrays["names"][index])
        rotations = axis_angle_to_matrix(arrays["pose_aa"][rows].astype(np.float32))
        straighten_knees(rotations, floors[name.split("_")[0]])
        clips.append(
            Clip(
                name,
                str(arrays["labels"][index]),
                str(arrays["source"][index]),
                rotations,
                arrays["trans"][rows],
            )
        )
    return clips


def knee_floors(arrays: dict[str, np.ndarray], chosen: list[int]) -> dict[str, np.ndarray]:
    """Subject → (2,) radians, left and right: how far his knees are bent when they should be straight.

    Retargeted capture never straightens the knee: each subject has a floor of 5–20° that is no motion of his.
    """
    flexion: dict[str, list[np.ndarray]] = {}
    knees = [JOINT_NAMES.index("left_knee"), JOINT_NAMES.index("right_knee")]
    for index in chosen:
        rows = slice(int(arrays["starts"][index]), int(arrays["starts"][index + 1]))
        subject = str(arrays["names"][index]).split("_")[0]
        flexion.setdefault(subject, []).append(arrays["pose_aa"][rows][:, knees, 0].astype(np.float32))
    return {
        subject: np.maximum(
            np.percentile(np.concatenate(parts), _KNEE_FLOOR_PERCENTILE, axis=0) - _KNEE_FLOOR_MARGIN_RAD, 0.0
        )
        for subject, parts in flexion.items()
    }


def straighten_knees(rotations: np.ndarray, floor_rad: np.ndarray) -> None:
    """Take the floor out of both knees, in place, and half of it out of hip and ankle each: the foot stays put."""
    for side, floor in zip(("left", "right"), floor_rad, strict=True):
        hip, knee, ankle = (JOINT_NAMES.index(f"{side}_{joint}") for joint in ("hip", "knee", "ankle"))
        half = axis_angle_to_matrix(np.array([floor / 2.0, 0.0, 0.0]))
        whole = axis_angle_to_matrix(np.array([-floor, 0.0, 0.0]))
        rotations[:, hip] = rotations[:, hip] @ half
        rotations[:, knee] = rotations[:, knee] @ whole
        rotations[:, ankle] = half @ rotations[:, ankle]


def mirror(rotations: np.ndarray) -> np.ndarray:
    """(…, 24, 3, 3) of the person in a mirror that stands across his x axis."""
    flip = np.diag(np.array([-1.0, 1.0, 1.0], np.float32))
    return flip @ rotations[..., SWAP_SIDES, :, :] @ flip


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


def held_near(path: np.ndarray) -> np.ndarray:
    """(T, 3) metres → the same path about the origin, scaled down to stay within MAX_DRIFT_M on the floor."""
    path = path - path.mean(axis=0)
    return path * min(1.0, MAX_DRIFT_M / max(float(np.abs(path[:, [0, 2]]).max()), 1e-6))
