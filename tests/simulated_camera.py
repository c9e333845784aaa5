"""A screen that shows the clock and a camera that films it, both with delays that are known. Nothing here waits: time
is numbers, so that a minute of filming takes as long as its pictures take to be drawn.
"""

from __future__ import annotations

import bisect
from dataclasses import dataclass, field

import cv2
import numpy as np

from calib.pattern import draw_clock

MS = 1_000_000
Counts = tuple[int | None, ...]


@dataclass
class SimulatedScreen:
    """What is drawn becomes light at the next refresh after `delay_ms`; the refresh takes no heed of the drawing."""

    delay_ms: float = 12.0
    refresh_hz: float = 60.0
    times_ns: list[int] = field(default_factory=list)
    shown: list[Counts] = field(default_factory=list)

    def draw(self, t_ns: int, counts: Counts) -> None:
        period_ns = round(1e9 / self.refresh_hz)
        light_ns = -(-(t_ns + round(self.delay_ms * MS)) // period_ns) * period_ns
        self.times_ns.append(light_ns)
        self.shown.append(counts)

    @property
    def mean_delay_ms(self) -> float:
        """From a draw call to the light."""
        return self.delay_ms + 500.0 / self.refresh_hz

    def shares(self, from_ns: int, to_ns: int) -> dict[Counts, float]:
        """How much of the time between the two each picture was to be seen."""
        shares: dict[Counts, float] = {}
        first = max(0, bisect.bisect_right(self.times_ns, from_ns) - 1)
        for i in range(first, len(self.times_ns)):
            start = max(from_ns, self.times_ns[i])
            end = min(to_ns, self.times_ns[i + 1] if i + 1 < len(self.times_ns) else to_ns)
            if self.times_ns[i] >= to_ns:
                break
            if end > start:
                shares[self.shown[i]] = shares.get(self.shown[i], 0.0) + (end - start) / (to_ns - from_ns)
        return shares


@dataclass
class SimulatedCamera:
    """Frames of a screen: perspective, blur, noise, exposure, rolling shutter, glare, JPEG."""

    fps: float = 30.0
    latency_ms: float = (
        60.0  # from the middle of the exposure, of the row of the clock's middle, to the arrival
    )
    exposure_ms: float = 8.0
    readout_ms: float = 0.0  # from the first row's exposure to the last's
    size: tuple[int, int] = (640, 480)
    blur_px: float = 1.2
    noise: float = 6.0  # standard deviation, grey levels
    jpeg_quality: int = 70
    fill: float = 0.8  # of the picture's width
    tilt: float = 0.06  # by how much corners are moved at most, of the picture's width
    white: float = 200.0
    black: float = 25.0
    glare: float = 0.0  # brightness of a round reflection
    glare_at: tuple[float, float] = (0.4, 0.5)
    glare_radius: float = 0.08
    mirrored: bool = False
    upside_down: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        self.chance = np.random.default_rng(self.seed)
        width, height = self.size
        self._cell_px = 20
        pattern_h, pattern_w = draw_clock((0,), self._cell_px).shape
        half = np.array([1.0, pattern_h / pattern_w]) * self.fill * width / 2
        corners = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * half + (width / 2, height / 2)
        corners += self.chance.uniform(-self.tilt, self.tilt, (4, 2)) * width
        if self.mirrored:
            corners = corners[[1, 0, 3, 2]]
        if self.upside_down:
            corners = corners[[2, 3, 0, 1]]
        flat = np.array([[0, 0], [pattern_w, 0], [pattern_w, pattern_h], [0, pattern_h]], np.float32)
        self._warp = cv2.getPerspectiveTransform(flat, corners.astype(np.float32))
        self._clock_row = (
            cv2.perspectiveTransform(flat.mean(0).reshape(1, 1, 2), self._warp)[0, 0, 1] / height
        )
        rows, columns = np.mgrid[0:height, 0:width]
        self._room = (55 + 25 * np.sin(columns / 90.0) + 20 * np.cos(rows / 60.0)).astype(np.float32)
        away = np.hypot(columns - self.glare_at[0] * width, rows - self.glare_at[1] * height)
        self._glare = (self.glare * np.exp(-((away / (self.glare_radius * width)) ** 4))).astype(np.float32)
        on_screen = cv2.warpPerspective(np.ones((pattern_h, pattern_w), np.float32), self._warp, self.size)
        self._room *= 1 - on_screen
        self._seen: dict[Counts, np.ndarray] = {}

    def picture(self, screen: SimulatedScreen, middle_ns: int) -> np.ndarray:
        """(H, W, 3) uint8 BGR: the middle of the exposure, in the row of the clock's middle."""
        width, height = self.size
        half_ns, readout_ns = round(self.exposure_ms * MS / 2), self.readout_ms * MS
        light = np.zeros((height, width), np.float32)
        bands = 24 if self.readout_ms else 1
        for band in range(bands):
            rows = slice(height * band // bands, height * (band + 1) // bands)
            band_ns = middle_ns + round(readout_ns * ((band + 0.5) / bands - self._clock_row))
            for counts, share in screen.shares(band_ns - half_ns, band_ns + half_ns).items():
                light[rows] += share * self._screen_seen(counts)[rows]
        # Light adds up before the camera's tone curve, here a square root.
        grey = np.sqrt(light / 255.0) * (self.white - self.black) + self.black * (light > 0)
        grey = cv2.GaussianBlur(grey + self._room + self._glare, (0, 0), self.blur_px)
        grey += self.noise * self.chance.standard_normal(grey.shape, np.float32)
        image = cv2.merge([np.clip(grey, 0, 255).astype(np.uint8)] * 3)
        return cv2.imdecode(cv2.imencode(".jpg", image, (cv2.IMWRITE_JPEG_QUALITY, self.jpeg_quality))[1], 1)

    def _screen_seen(self, counts: Counts) -> np.ndarray:
        if counts not in self._seen:
            if len(self._seen) > 64:
                self._seen.clear()
            picture = np.maximum(draw_clock(counts, self._cell_px), 1).astype(
                np.float32
            )  # > 0: on the screen
            self._seen[counts] = cv2.warpPerspective(picture, self._warp, self.size, flags=cv2.INTER_AREA)
        return self._seen[counts]
