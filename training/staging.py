"""People before cameras: where the camera stands, how near the person is, how fast the pictures come.

World: SMPL's own frame, y up. Camera frame: x right, y down, z forward, metres.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from training.augment import MotionBank
from training.camera import PinholeCamera, random_azimuth, random_rotation
from training.motion import FPS, MAX_DRIFT_M, Clip, held_near
from training.reach import reach_out

# Shapes of pictures and how often: webcams are wide, telephones stand upright.
PICTURES = (((640, 480), 0.45), ((640, 360), 0.25), ((480, 640), 0.2), ((360, 640), 0.1))
FOVS_DEG = (42.0, 80.0)  # horizontal; a webcam has 55 to 78
BETA_SD, BETA_LIMIT = 0.9, 2.3  # a little narrower than the shape space: its first direction is size
P_CLOSE = 0.16  # people who sit at the desk: their legs are out of the picture
P_FOLLOWED = 0.15  # the camera follows the pelvis (MVIPER)
MOST_OF_DISTANCE = 0.3  # of the way to the camera that the pelvis may come nearer
PERSON_M = 1.9  # what fills the picture's height at the distance "that fits"
# Pictures per second of a rendered take, and how often.
RATES = ((30.0, 0.6), (60.0, 0.16), (24.0, 0.1), (15.0, 0.09), (12.0, 0.05))
P_DROP, JITTER = 0.06, 0.12  # of the frames; share of a frame's time


@dataclass(frozen=True)
class Take:
    """A window of motion before one camera. Arrays of T frames; pose and trans in the camera frame, metres."""

    clip: str
    rotations: np.ndarray  # (T, 24, 3, 3) local, root in the camera frame
    trans: np.ndarray  # (T, 3) pelvis
    betas: np.ndarray  # (10,)
    camera: PinholeCamera
    t_s: np.ndarray  # (T,) seconds, from 0


@dataclass(frozen=True)
class Setting:
    """A camera, and where the middle of the person's path lies before it: (3,) metres in the camera frame."""

    camera: PinholeCamera
    centre: np.ndarray

    def before(self, path: np.ndarray) -> np.ndarray:
        """A path (T, 3) of the world about the origin → float32, camera frame; who is near moves less."""
        room = min(1.0, MOST_OF_DISTANCE * float(self.centre[2]) / MAX_DRIFT_M)
        return (path * room @ self.camera.R.T + self.centre).astype(np.float32)


def random_betas(rng: np.random.Generator) -> np.ndarray:
    """(10,) float32."""
    return np.clip(rng.normal(0.0, BETA_SD, 10), -BETA_LIMIT, BETA_LIMIT).astype(np.float32)


def random_setting(
    rng: np.random.Generator, azimuth: float | None = None, p_close: float = P_CLOSE
) -> Setting:
    """Any camera that people put up, in a room or on the desk."""
    close = rng.uniform() < p_close
    if azimuth is None:
        azimuth = float(rng.normal(0.0, 0.5)) if close else random_azimuth(rng)
    sizes, chances = zip(*PICTURES, strict=True)
    width, height = sizes[rng.choice(len(sizes), p=chances)]
    fov = float(rng.uniform(*FOVS_DEG))
    camera = PinholeCamera(random_rotation(rng, azimuth), np.zeros(3), width, height, fov)
    fits_m = PERSON_M * camera.focal_px / height
    half_width = np.tan(np.radians(fov) / 2.0)
    if close:
        distance = max(fits_m * np.exp(rng.uniform(np.log(0.28), np.log(0.7))), 0.45)
        aside = distance * half_width * rng.uniform(-0.3, 0.3)
        below = rng.normal(0.38, 0.1)  # the pelvis under the picture's middle: the chest is in it
        return Setting(camera, np.array([aside, below, distance]))
    distance = fits_m * np.exp(rng.uniform(np.log(0.72), np.log(2.2)))
    aside = distance * half_width * rng.uniform(-0.5, 0.5)
    return Setting(camera, np.array([aside, rng.normal(0.0, 0.12) * distance / fits_m, distance]))


def frame_times(frames: int, rng: np.random.Generator, rate: float | None = None) -> np.ndarray:
    """(T,) seconds of a camera's pictures: some come late, some never."""
    if rate is None:
        rates, chances = zip(*RATES, strict=True)
        rate = float(rng.choice(rates, p=chances))
    steps = np.where(rng.uniform(size=frames) < P_DROP, 2.0, 1.0)
    steps *= rng.uniform(1.0 - JITTER, 1.0 + JITTER, frames)
    steps[0] = 0.0
    return np.cumsum(steps) / rate


def draw_take(clips: list[Clip], weights: np.ndarray, frames: int, rng: np.random.Generator) -> Take:
    """A random window of a random clip, as it was captured (30 fps), before a random camera."""
    clip = clips[rng.choice(len(clips), p=weights)]
    first = int(rng.integers(0, max(1, len(clip.trans) - frames + 1)))
    return stage(clip, first, frames, rng)


def stage(
    clip: Clip, first: int, frames: int, rng: np.random.Generator, azimuth: float | None = None
) -> Take:
    """Put frames [first, first + frames) of a clip before a random camera."""
    rows = slice(first, min(first + frames, len(clip.trans)))
    setting = random_setting(rng, azimuth)
    rotations = clip.rotations[rows].copy()
    rotations[:, 0] = setting.camera.R @ rotations[:, 0]
    trans = setting.before(held_near(clip.trans[rows]))
    t_s = np.arange(len(trans)) / FPS
    return Take(clip.name, rotations, trans, random_betas(rng), setting.camera, t_s)


def draw_varied_take(bank: MotionBank, frames: int, rng: np.random.Generator) -> Take:
    """Motion that nobody captured: mixed, bent, swung between poses, limbs reaching along the view; at any rate."""
    setting = random_setting(rng)
    t_s = frame_times(frames, rng)
    pace = np.exp(rng.normal(0.0, 0.25))  # the motion itself slower or faster
    window = bank.window(t_s * FPS * pace, np.empty(0), rng)
    rotations, R = window.rotations, setting.camera.R
    rotations[:, 0] = R @ rotations[:, 0]
    rotations = reach_out(rotations, t_s, rng)
    path = window.trans * (rng.uniform(0.0, 0.2) if rng.uniform() < P_FOLLOWED else 1.0)
    return Take(window.name, rotations, setting.before(path), random_betas(rng), setting.camera, t_s)
