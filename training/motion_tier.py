"""Windows of motion that nobody rendered, seen through the measured errors of the perception: endless."""

from __future__ import annotations

import numpy as np

from realtime.body.kinematics import forward_kinematics
from realtime.body.smpl import Body
from realtime.features import virtual_camera
from realtime.perception.look import LANDMARKS, SWAPPED
from training.augment import MotionBank
from training.batch import BOX_TAU_S, Batch, Windows, make_batch, no_appearance
from training.camera import project
from training.crops import keypoint_crops, smooth_crops
from training.motion import FPS
from training.noise import LEFT_HIP, RIGHT_HIP, NoiseModel
from training.pace import MAX_AHEAD_FRAMES, frame_times, random_stride
from training.reach import reach_out
from training.staging import random_betas, random_setting

P_CONFUSED = 0.25  # windows in which left and right are exchanged for a spell
_ARMS, _LEGS = slice(11, 23), slice(23, 33)
_OTHER_SIDE = SWAPPED[:LANDMARKS]


class MotionTier:
    """Full 3-D, no pictures. frames: of each window."""

    def __init__(
        self, body: Body, bank: MotionBank, noise: NoiseModel, frames: int, rng: np.random.Generator
    ) -> None:
        self._body, self._bank, self._noise, self._frames, self._rng = body, bank, noise, frames, rng

    def windows(self, count: int) -> Batch:
        rng, frames = self._rng, self._frames
        rotations = np.empty((count, frames, 24, 3, 3), np.float32)
        ahead = np.empty_like(rotations)
        trans = np.empty((count, frames, 3))
        steps, dt_s = np.empty((count, frames)), np.empty((count, frames))
        dt_ahead = rng.uniform(-MAX_AHEAD_FRAMES, MAX_AHEAD_FRAMES, (count, frames))
        size, fov, up = np.empty((count, 2)), np.empty(count), np.empty((count, 3))
        for i in range(count):
            times, dt_s[i] = frame_times(frames, random_stride(rng), rng)
            pace = np.exp(rng.normal(0.0, 0.25))  # the motion itself slower or faster
            both = np.concatenate([times, times + dt_ahead[i]])
            window = self._bank.window(times * pace, both[frames:] * pace, rng)
            setting = random_setting(
                rng, p_close=0.0
            )  # how landmarks outside the picture err is not modelled
            turned = np.concatenate([window.rotations, window.ahead])
            turned[:, 0] = setting.camera.R @ turned[:, 0]
            turned = reach_out(turned, both / FPS, rng)
            rotations[i], ahead[i] = turned[:frames], turned[frames:]
            trans[i] = setting.before(window.trans)
            size[i], fov[i] = (setting.camera.width, setting.camera.height), setting.camera.fov_deg
            up[i] = setting.camera.R[:, 1]
            steps[i] = times
        betas = np.stack([random_betas(rng) for _ in range(count)])
        betas_t = np.repeat(betas[:, None], frames, axis=1)
        joints, transforms = forward_kinematics(self._body, rotations, betas_t)
        shift = trans - joints[:, :, 0]
        markers = self._noise.markers.place(joints, transforms) + shift[:, :, None]
        sizes = np.repeat(size[:, None], frames, axis=1)
        fovs = np.repeat(fov[:, None], frames, axis=1)
        true_px = project(markers, sizes, fovs)
        centred = markers - markers[:, :, [LEFT_HIP, RIGHT_HIP]].mean(axis=2, keepdims=True)
        image_noise, world_noise, visibility = self._errors(steps, centred, true_px, sizes, fovs)
        diagonal = np.hypot(*np.moveaxis(np.ptp(true_px, axis=2), -1, 0))
        landmarks_px = true_px + image_noise * diagonal[..., None, None]
        self._confuse(landmarks_px, centred, visibility)
        crops = smooth_crops(landmarks_px, visibility, dt_s, BOX_TAU_S)
        R_cam_ray, _ = virtual_camera(crops, sizes, fovs)
        centred = centred @ R_cam_ray
        flat = np.concatenate([centred.reshape(count, frames, 99), np.ones((count, frames, 1))], axis=-1)
        world = (flat @ self._noise.systematic).reshape(count, frames, 33, 3) + world_noise
        return make_batch(
            Windows(
                rotations=rotations,
                ahead=ahead,
                dt_ahead_ms=dt_ahead * 1000.0 / FPS,
                betas=betas,
                keypoints_px=project(joints + shift[:, :, None], sizes, fovs),
                markers_px=true_px,
                marker_weight=np.ones((count, frames, 33)),
                has_3d=np.ones(count),
                landmarks_px=landmarks_px,
                world=world,
                visibility=visibility,
                sizes=sizes,
                fovs=fovs,
                dt_s=dt_s,
                up=up,
                z=no_appearance(count, frames),
            ),
            rng,
            crops,
        )

    def _errors(
        self,
        steps: np.ndarray,
        centred: np.ndarray,
        true_px: np.ndarray,
        sizes: np.ndarray,
        fovs: np.ndarray,
    ) -> list[np.ndarray]:
        """Error tracks of B windows: image (B, T, 33, 2), world (B, T, 33, 3), visibility (B, T, 33)."""
        middle = self._frames // 2
        crops, _ = keypoint_crops(true_px[:, middle], np.ones(true_px.shape[:1] + (33,)))
        R_cam_ray, _ = virtual_camera(crops, sizes[:, middle], fovs[:, middle])
        poses = centred[:, middle] @ R_cam_ray
        samples = [self._noise.sample(*one, self._rng) for one in zip(steps, poses, strict=True)]
        return [np.stack(part) for part in zip(*samples, strict=True)]

    def _confuse(self, *tracks: np.ndarray) -> None:
        """Exchange left and right of arms, of legs or of all in some windows for a spell, in place. Tracks (B, T, 33,
        …): error tracks are copied from other poses, like ones at best, so confusions in them are hardly any here."""
        rng = self._rng
        for row in np.flatnonzero(rng.uniform(size=len(tracks[0])) < P_CONFUSED):
            first = int(rng.integers(0, self._frames))
            spell = slice(first, first + int(np.exp(rng.uniform(0.0, np.log(30.0)))))
            limbs = (_ARMS, _LEGS, slice(0, 33))[rng.integers(3)]
            for track in tracks:
                part = track[row, spell]
                part[:, limbs] = part[:, _OTHER_SIDE][:, limbs]
