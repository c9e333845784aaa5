"""What a webcam does to a picture: blur, exposure, colour, coarse pixels, noise, compression."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

_BANK_SPARE_PX = 64  # the noise is larger than the picture by this: every frame takes another part of it
_LEAST_BLUR_PX = 0.35  # less does not show


@dataclass
class Degradation:
    """The faults of one camera; as it is by default, none."""

    rng: np.random.Generator  # of the noise, frame by frame
    blur_px: float = 0.0  # standard deviation
    shrink: float = 1.0  # the sensor's resolution as a share of the picture's
    curve: np.ndarray | None = None  # (256, 3) uint8: exposure, gamma and white balance
    noise: np.ndarray | None = None  # (H + spare, W + spare, 3) int8
    noise_first: bool = False  # it is amplified with the light, as in the dark
    jpeg_quality: int = 0  # 0: not compressed

    def apply(self, picture: np.ndarray) -> np.ndarray:
        """(H, W, 3) uint8 → the same as the camera gives it."""
        height, width = picture.shape[:2]
        if self.blur_px >= _LEAST_BLUR_PX:
            picture = cv2.GaussianBlur(picture, (0, 0), self.blur_px)
        if self.shrink < 1.0:
            small = (max(8, round(width * self.shrink)), max(8, round(height * self.shrink)))
            picture = cv2.resize(picture, small, interpolation=cv2.INTER_LINEAR)
            picture = cv2.resize(picture, (width, height), interpolation=cv2.INTER_LINEAR)
        if self.noise is not None and self.noise_first:
            picture = self._grain(picture, self.noise)
        if self.curve is not None:
            picture = cv2.LUT(picture, self.curve[None])
        if self.noise is not None and not self.noise_first:
            picture = self._grain(picture, self.noise)
        if self.jpeg_quality:
            _, data = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, self.jpeg_quality])
            picture = cv2.imdecode(data, cv2.IMREAD_COLOR)
        return picture

    def _grain(self, picture: np.ndarray, noise: np.ndarray) -> np.ndarray:
        height, width = picture.shape[:2]
        x, y = self.rng.integers(0, _BANK_SPARE_PX, 2)
        return cv2.add(picture, noise[y : y + height, x : x + width], dtype=cv2.CV_8U)


def random_degradation(
    rng: np.random.Generator, width: int, height: int, grain: float | None = None
) -> Degradation:
    """A camera for pictures of width × height. grain: only this noise, its peak in grey levels, and a lens's blur."""
    own = np.random.default_rng(rng.integers(2**63))
    camera = Degradation(own, blur_px=rng.uniform(0.3, 0.7))
    if grain is not None:
        if grain >= 0.5:
            camera.noise = np.clip(noise_bank(rng, width, height, grain / 2.0), -grain, grain).astype(np.int8)
        return camera
    if rng.uniform() < 0.2:
        camera.blur_px = rng.uniform(0.7, 2.2)  # out of focus
    dark = rng.uniform() < 0.12
    camera.curve = tone_curve(rng, dark)
    if rng.uniform() < 0.2:
        camera.shrink = rng.uniform(0.35, 0.8)
    # In gamma-2 values, as pictures are, the noise of counting photons is equally strong everywhere.
    camera.noise = noise_bank(rng, width, height, rng.uniform(5, 12) if dark else rng.gamma(1.5, 1.8))
    camera.noise_first = rng.uniform() < 0.5
    if rng.uniform() < 0.6:
        camera.jpeg_quality = int(np.clip(rng.normal(60, 22), 12, 95))
    return camera


def tone_curve(rng: np.random.Generator, dark: bool) -> np.ndarray:
    """(256, 3) uint8: exposure, gamma and white balance."""
    level = np.linspace(0.0, 1.0, 256)[:, None]
    gain = np.exp(rng.normal(0.0, 0.12)) * (1.0 + rng.uniform(-1.0, 1.0, 3) * rng.uniform(0.0, 0.15))
    if dark:
        gain = gain * rng.uniform(0.35, 0.7)
    lift = rng.uniform(0.0, 0.08)
    value = lift + (1.0 - lift) * np.clip(gain * level ** np.exp(rng.normal(0.0, 0.2)), 0.0, 1.0)
    return (255.0 * value + 0.5).astype(np.uint8)


def noise_bank(rng: np.random.Generator, width: int, height: int, sd: float) -> np.ndarray:
    """(height + spare, width + spare, 3) int8: mostly brightness, and some colour, which is coarser."""
    shape = (height + _BANK_SPARE_PX, width + _BANK_SPARE_PX)
    luma = rng.standard_normal(shape, np.float32)
    coarse = rng.standard_normal((shape[0] // 2 + 1, shape[1] // 2 + 1, 3), np.float32) * rng.uniform(
        0.0, 0.8
    )
    noise = luma[..., None] + cv2.resize(coarse, (shape[1], shape[0]), interpolation=cv2.INTER_LINEAR)
    return np.clip(np.rint(noise * sd), -127, 127).astype(np.int8)
