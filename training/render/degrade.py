"""What a webcam does to a picture: blur, exposure, colour, coarse pixels, noise, compression."""

from __future__ import annotations

import cv2
import numpy as np

_BANK_SPARE_PX = 64  # the noise is larger than the picture by this: every frame takes another part of it


class Degradation:
    """The faults of one camera, drawn once; the noise differs from frame to frame.

    grain: only this noise, its peak in grey levels, and the softness of every lens.
    """

    def __init__(self, rng: np.random.Generator, width: int, height: int, grain: float | None = None) -> None:
        self._rng = np.random.default_rng(rng.integers(2**63))
        self.blur_px = rng.uniform(0.3, 0.7)
        self.curve: np.ndarray | None = None  # (256, 3) uint8 per channel
        self.shrink = 1.0
        self.jpeg_quality = 0
        if grain is None:
            if rng.uniform() < 0.2:
                self.blur_px = rng.uniform(0.7, 2.2)  # out of focus
            dark = rng.uniform() < 0.12
            self.curve = _curve(rng, dark)
            if rng.uniform() < 0.2:
                self.shrink = rng.uniform(0.35, 0.8)
            self.noise = _noise_bank(rng, width, height, rng.uniform(6, 14) if dark else rng.gamma(1.5, 1.8))
            if rng.uniform() < 0.6:
                self.jpeg_quality = int(np.clip(rng.normal(60, 22), 12, 95))
        else:
            self.noise = _noise_bank(rng, width, height, grain / 2.0) if grain >= 0.5 else None

    def apply(self, picture: np.ndarray) -> np.ndarray:
        """(H, W, 3) uint8 → the same as the camera gives it."""
        height, width = picture.shape[:2]
        if self.shrink < 1.0:
            small = (max(8, round(width * self.shrink)), max(8, round(height * self.shrink)))
            picture = cv2.resize(picture, small, interpolation=cv2.INTER_LINEAR)
            picture = cv2.resize(picture, (width, height), interpolation=cv2.INTER_LINEAR)
        elif self.blur_px >= 0.35:
            picture = cv2.GaussianBlur(picture, (0, 0), self.blur_px)
        if self.curve is not None:
            picture = cv2.LUT(picture, self.curve[None])
        if self.noise is not None:
            x, y = self._rng.integers(0, _BANK_SPARE_PX, 2)
            part = self.noise[y : y + height, x : x + width]
            picture = cv2.add(picture, part, dtype=cv2.CV_8U)
        if self.jpeg_quality:
            _, data = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, self.jpeg_quality])
            picture = cv2.imdecode(data, cv2.IMREAD_COLOR)
        return picture


def _curve(rng: np.random.Generator, dark: bool) -> np.ndarray:
    """(256, 3) uint8: exposure, gamma and white balance."""
    level = np.linspace(0.0, 1.0, 256)[:, None]
    gain = np.exp(rng.normal(0.0, 0.12)) * (1.0 + rng.uniform(-1.0, 1.0, 3) * rng.uniform(0.0, 0.15))
    if dark:
        gain = gain * rng.uniform(0.25, 0.6)
    lift = rng.uniform(0.0, 0.08)
    value = lift + (1.0 - lift) * np.clip(gain * level ** np.exp(rng.normal(0.0, 0.2)), 0.0, 1.0)
    return (255.0 * value + 0.5).astype(np.uint8)


def _noise_bank(rng: np.random.Generator, width: int, height: int, sd: float) -> np.ndarray:
    """(height + spare, width + spare, 3) int8: mostly brightness, some colour, coarser than a pixel or not."""
    shape = (height + _BANK_SPARE_PX, width + _BANK_SPARE_PX)
    luma = rng.standard_normal(shape, np.float32)
    coarse = (shape[1] // 2 + 1, shape[0] // 2 + 1)
    chroma = rng.standard_normal((coarse[1], coarse[0], 3), np.float32) * rng.uniform(0.0, 0.8)
    noise = luma[..., None] + cv2.resize(chroma, (shape[1], shape[0]), interpolation=cv2.INTER_LINEAR)
    return np.clip(np.rint(noise * sd), -127, 127).astype(np.int8)
