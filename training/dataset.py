"""Batches of features with their truth, endless and seeded: rendered takes, and motion under the noise model.

Both tiers end in the same arrays, made by the very functions of the live path (crop, virtual camera, features).
Frames come at 60 to 5 per second, late and dropped ones among them: the network is told how long each took.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from realtime.body.kinematics import forward_kinematics
from realtime.body.smpl import Body
from realtime.config import PerceptionConfig
from realtime.features import assemble_features, normalise_landmarks, virtual_camera
from training.augment import MotionBank
from training.camera import random_azimuth, random_rotation
from training.crops import smooth_crops
from training.motion import FPS, SWAP_SIDES, mirror
from training.noise import LEFT_HIP, RIGHT_HIP, NoiseModel, ObservedTake, project
from training.synthesis import BETA_SD, FOVS_DEG, PICTURES

BOX_TAU_S = PerceptionConfig().box_tau_ms / 1000.0
MAX_AHEAD_FRAMES = 6.0  # 200 ms at 30 fps
# Frames of the capture from one picture to the next, and how often: 30, 60, 20, 15, 10 and 5 pictures a second.
STRIDES = ((1.0, 0.58), (0.5, 0.1), (1.5, 0.06), (2.0, 0.13), (3.0, 0.08), (6.0, 0.05))
P_DROP = 0.08
P_LANDMARKS_LOST = 0.25  # windows in which some landmarks are missing altogether

_MIRRORED = np.array(
    [0, 4, 5, 6, 1, 2, 3, 8, 7, 10, 9] + [i + 1 if i % 2 else i - 1 for i in range(11, 33)]
)  # left landmarks are odd from 11 on


@dataclass(frozen=True)
class Batch:
    """float32; B windows of T frames; the ray frame of each frame's own crop; metres."""

    features: np.ndarray  # (B, T, F)
    rotations: np.ndarray  # (B, T, 24, 3, 3)
    ahead: np.ndarray  # (B, T, 24, 3, 3): dt_ahead later, root in the ray frame of t
    dt_ahead_ms: np.ndarray  # (B, T)
    betas: np.ndarray  # (B, 10)
    keypoints: np.ndarray  # (B, T, 24, 2): SMPL's joints in the crop, [−1, 1]


def frame_times(frames: int, stride: float, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Times (T,) in frames of the capture, and seconds since the picture before (T,), nominal for the first."""
    steps = np.full(frames, stride)
    steps[rng.uniform(size=frames) < P_DROP] *= 2.0
    steps *= rng.uniform(0.85, 1.15, frames)
    steps[0] = 0.0
    dt_s = steps / FPS
    dt_s[0] = 1.0 / FPS
    return np.cumsum(steps), dt_s


class TrainingData:
    """Endless batches. rendered_share: of windows that come from rendered takes (tier one of HMMR's data)."""

    def __init__(
        self,
        body: Body,
        bank: MotionBank,
        noise: NoiseModel,
        takes: list[ObservedTake],
        *,
        batch: int,
        frames: int,
        rendered_share: float,
        seed: int,
    ) -> None:
        self._body, self._bank, self._noise = body, bank, noise
        self._takes = [take for take in takes if take.detected.sum() >= 40]
        self._batch, self._frames, self._rendered_share = batch, frames, rendered_share
        self._rng = np.random.default_rng(seed)

    def __iter__(self) -> Iterator[Batch]:
        while True:
            rendered = int(round(self._batch * self._rendered_share))
            yield _join(self._from_takes(rendered), self._from_motion(self._batch - rendered))

    def _stride(self) -> float:
        strides, chances = zip(*STRIDES, strict=True)
        return float(self._rng.choice(strides, p=chances))

    def _from_motion(self, count: int) -> Batch:
        rng, frames = self._rng, self._frames
        rotations = np.empty((count, frames, 24, 3, 3), np.float32)
        ahead = np.empty_like(rotations)
        trans = np.empty((count, frames, 3))
        dt_s = np.empty((count, frames))
        dt_ahead = rng.uniform(-MAX_AHEAD_FRAMES, MAX_AHEAD_FRAMES, (count, frames))
        size = np.empty((count, 2))
        fov = rng.uniform(*FOVS_DEG, count)
        image_noise = np.empty((count, frames, 33, 2))
        world_noise = np.empty((count, frames, 33, 3))
        visibility = np.empty((count, frames, 33))
        for i in range(count):
            times, dt_s[i] = frame_times(frames, self._stride(), rng)
            pace = np.exp(rng.normal(0.0, 0.25))  # the motion itself slower or faster
            window = self._bank.window(times * pace, (times + dt_ahead[i]) * pace, rng)
            R = random_rotation(rng, random_azimuth(rng))
            size[i] = PICTURES[int(rng.uniform() < 0.25)]
            rotations[i], ahead[i] = window.rotations, window.ahead
            rotations[i, :, 0], ahead[i, :, 0] = R @ rotations[i, :, 0], R @ ahead[i, :, 0]
            focal = size[i, 0] / (2.0 * np.tan(np.radians(fov[i]) / 2.0))
            distance = 1.9 * focal / size[i, 1] * np.exp(rng.uniform(np.log(0.75), np.log(2.2)))
            aside = rng.uniform(-0.4, 0.4) * distance * size[i] / (2.0 * focal)
            trans[i] = window.trans @ R.T + np.array([aside[0], 0.4 * aside[1], distance])
            image_noise[i], world_noise[i], visibility[i] = self._noise.sample(times, rng)
        betas = np.clip(rng.normal(0.0, BETA_SD, (count, 10)), -2.0, 2.0).astype(np.float32)
        betas_t = np.repeat(betas[:, None], frames, axis=1)
        joints, transforms = forward_kinematics(self._body, rotations, betas_t)
        shift = trans - joints[:, :, 0]
        markers = self._noise.markers.place(joints, transforms) + shift[:, :, None]
        sizes = np.repeat(size[:, None], frames, axis=1)
        fovs = np.repeat(fov[:, None], frames, axis=1)
        true_px = project(markers, sizes, fovs)
        diagonal = np.hypot(*np.moveaxis(np.ptp(true_px, axis=2), -1, 0))
        landmarks_px = true_px + image_noise * diagonal[..., None, None]
        crops = smooth_crops(landmarks_px, visibility, dt_s, BOX_TAU_S)
        R_cam_ray, _ = virtual_camera(crops, sizes, fovs)
        centred = (markers - markers[:, :, [LEFT_HIP, RIGHT_HIP]].mean(axis=2, keepdims=True)) @ R_cam_ray
        flat = np.concatenate([centred.reshape(count, frames, 99), np.ones((count, frames, 1))], axis=-1)
        world = (flat @ self._noise.systematic).reshape(count, frames, 33, 3) + world_noise
        return self._finish(
            rotations=rotations,
            ahead=ahead,
            dt_ahead=dt_ahead,
            betas=betas,
            joints=joints + shift[:, :, None],
            landmarks_px=landmarks_px,
            world=world,
            visibility=visibility,
            crops=crops,
            sizes=sizes,
            fovs=fovs,
            dt_s=dt_s,
        )

    def _from_takes(self, count: int) -> Batch:
        rng, frames = self._rng, self._frames
        parts: dict[str, list[np.ndarray]] = {}
        for _ in range(count):
            take = self._takes[rng.integers(len(self._takes))]
            times, _ = frame_times(frames, max(self._stride(), 1.0), rng)
            last = len(take.trans) - 1
            rows = np.round(rng.uniform(0.0, last) + times) * (1.0 if rng.uniform() < 0.8 else -1.0)
            seen = np.flatnonzero(take.detected)
            elapsed = np.diff(rows, prepend=rows[0] - 1.0)
            rows = np.abs((rows + last) % (2 * last) - last).astype(int)
            rows = seen[
                np.abs(rows[:, None] - seen[None]).argmin(axis=1)
            ]  # live, frames without a person are skipped
            shift = np.round(rng.uniform(-MAX_AHEAD_FRAMES, MAX_AHEAD_FRAMES, frames)).astype(int)
            ahead_rows = np.clip(rows + shift, 0, last)
            direction = np.where(np.diff(rows, append=rows[-1]) >= 0, 1.0, -1.0)
            values = {
                "rotations": take.rotations[rows],
                "ahead": take.rotations[ahead_rows],
                "dt_ahead": (ahead_rows - rows) * direction,
                "betas": take.betas,
                "joints": take.joints[rows],
                "landmarks_px": take.landmarks_px[rows],
                "world": take.world[rows],
                "visibility": take.visibility[rows],
                "sizes": np.repeat(take.image_size[None], frames, axis=0),
                "fovs": np.full(frames, take.fov_deg),
                "dt_s": np.maximum(np.abs(elapsed), 0.5) / FPS,
            }
            if rng.uniform() < 0.5:
                values = _mirror_take(values)
            for name, value in values.items():
                parts.setdefault(name, []).append(value)
        stacked = {name: np.stack(value) for name, value in parts.items()}
        crops = smooth_crops(stacked["landmarks_px"], stacked["visibility"], stacked["dt_s"], BOX_TAU_S)
        return self._finish(crops=crops, **stacked)

    def _finish(
        self,
        *,
        rotations,
        ahead,
        dt_ahead,
        betas,
        joints,
        landmarks_px,
        world,
        visibility,
        crops,
        sizes,
        fovs,
        dt_s,
    ) -> Batch:
        """Camera frame and pixels → ray frame and features; some landmarks are lost on purpose."""
        rng = self._rng
        # The user's field of view is a guess (60° unless set): the features are made with a wrong one.
        guess = fovs * np.exp(rng.normal(0.0, 0.06, (len(fovs), 1)))
        R_cam_ray, _ = virtual_camera(crops, sizes, guess)
        back = np.swapaxes(R_cam_ray, -1, -2).astype(np.float32)
        rotations, ahead = rotations.copy(), ahead.copy()
        rotations[:, :, 0], ahead[:, :, 0] = back @ rotations[:, :, 0], back @ ahead[:, :, 0]
        visibility = visibility.copy()
        for row in np.flatnonzero(rng.uniform(size=len(visibility)) < P_LANDMARKS_LOST):
            lost = rng.uniform(size=33) < rng.uniform(0.05, 0.5)
            spell = np.sort(rng.integers(0, visibility.shape[1] + 1, 2))
            visibility[row, spell[0] : spell[1], lost] = 0.0
        features = assemble_features(
            normalise_landmarks(landmarks_px, crops, sizes, guess), world, visibility, dt_s
        )
        keypoints = normalise_landmarks(project(joints, sizes, fovs), crops, sizes, guess)
        return Batch(
            features,
            rotations,
            ahead,
            (dt_ahead * 1000.0 / FPS).astype(np.float32),
            betas.astype(np.float32),
            keypoints.astype(np.float32),
        )


def _mirror_take(values: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The same take as a mirror would show it: left and right change places everywhere."""
    flip = np.array([-1.0, 1.0, 1.0], np.float32)
    width = values["sizes"][0, 0]
    landmarks = values["landmarks_px"][:, _MIRRORED].copy()
    landmarks[..., 0] = width - landmarks[..., 0]
    return values | {
        "rotations": mirror(values["rotations"]),
        "ahead": mirror(values["ahead"]),
        "joints": values["joints"][:, SWAP_SIDES] * flip,
        "landmarks_px": landmarks,
        "world": values["world"][:, _MIRRORED] * flip,
        "visibility": values["visibility"][:, _MIRRORED],
    }


def _join(first: Batch, second: Batch) -> Batch:
    return Batch(
        *(
            np.concatenate([getattr(first, name), getattr(second, name)])
            for name in Batch.__dataclass_fields__
        )
    )
