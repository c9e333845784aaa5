"""What passes from hand to hand in the live path: Frame → Detection → Observation → Estimate.

Camera frame everywhere: x right, y down, z forward, metres. Stamps are CLOCK_MONOTONIC nanoseconds.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

State = Literal["tracking", "warming", "held", "lost"]


@dataclass(frozen=True, slots=True)
class Frame:
    """One picture from one source."""

    image: np.ndarray  # (H, W, 3) uint8, BGR
    index: int  # source frame index: counts every frame the source gave, used or not, from 0
    t_capture_ns: int  # when the picture was taken, on the stream's time line (see below)
    t_arrival_ns: int  # time.monotonic_ns() when it reached us, decoded
    camera: str  # id of the source
    t_exposure_ns: int | None = (
        None  # the driver's stamp, where there is one to be believed (camera/exposure.py)
    )
    # Live, t_capture_ns is t_exposure_ns, or without one t_arrival_ns. With --every-frame the time line is the
    # clip's own: first arrival + index / fps, so that the network sees the true time between frames.


@dataclass(frozen=True, slots=True)
class Detection:
    """What perception found of one person in one frame."""

    landmarks_px: np.ndarray  # (33, 2) float32, pixels of the full image, BlazePose order
    world: np.ndarray  # (33, 3) float32, metres, mid-hip origin, axes of the camera frame
    visibility: np.ndarray  # (33,) float32 in [0, 1]
    # Where the perception has it: (128,) float32, appearance features of the crop (engines/network/appearance.py).
    appearance: np.ndarray | None = None
    # Where asked for (--set perception.mask=on): (H, W) float32 in [0, 1] of the full image, what is the person's.
    mask: np.ndarray | None = None


@dataclass(frozen=True, slots=True)
class Crop:
    """Square crop around the person: centre and side in pixels of the full image (HMMR: 1.493 × the box's diagonal)."""

    cx: float
    cy: float
    side: float


@dataclass(frozen=True, slots=True)
class Observation:
    """A detection in time: whose it is, how sure, and the smoothed crop."""

    detection: Detection | None  # None while held or lost
    crop: Crop | None  # None until somebody has been seen
    state: State  # tracking | held | lost ("warming" is the estimator's word)
    score: float  # 0–1
    person: int  # counts up with every new person; 0 before the first
    image_size: tuple[int, int]  # (W, H) pixels


@dataclass(frozen=True, slots=True)
class Estimate:
    """The body of one frame, as it goes to the bus and the recorder."""

    theta: np.ndarray  # (85,) float32: camera [s, tx, ty], pose (24 axis-angle), betas
    trans: np.ndarray  # (3,) float32, pelvis in the camera frame, metres
    joints: np.ndarray  # (24, 3) float32, camera frame, relative to the pelvis, metres
    ahead: tuple[tuple[float, np.ndarray], ...]  # (dt_ms, (72,) float32 pose) per horizon
    state: State
    score: float
    person: int
    engine_ns: tuple[int, int] | None = None  # time.monotonic_ns() around the network; None: it was not asked
