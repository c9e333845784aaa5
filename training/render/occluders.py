"""Things between the camera and the person: furniture, a shelf, somebody's arm; at rest or slowly moving."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from training.render.patterns import cloth

_SHARE = 0.2  # of the looks


@dataclass
class Occluder:
    """colour (h, w, 3) uint8 BGR and alpha (h, w) uint8, at place_px (x, y) of its corner, which moves."""

    colour: np.ndarray
    alpha: np.ndarray
    place_px: np.ndarray
    step_px: np.ndarray

    def cover(self, picture: np.ndarray) -> None:
        """Put it in front of picture (H, W, 3) uint8, in place, and move it one frame on."""
        height, width = picture.shape[:2]
        x, y = (int(round(v)) for v in self.place_px)
        self.place_px = self.place_px + self.step_px
        h, w = self.alpha.shape
        left, top, right, bottom = max(x, 0), max(y, 0), min(x + w, width), min(y + h, height)
        if right <= left or bottom <= top:
            return
        part = slice(top - y, bottom - y), slice(left - x, right - x)
        under = picture[top:bottom, left:right]
        alpha = cv2.cvtColor(np.ascontiguousarray(self.alpha[part]), cv2.COLOR_GRAY2BGR)
        shown = cv2.multiply(np.ascontiguousarray(self.colour[part]), alpha, scale=1.0 / 255.0)
        rest = cv2.multiply(under, cv2.bitwise_not(alpha), scale=1.0 / 255.0)
        under[:] = cv2.add(shown, rest)


def random_occluders(rng: np.random.Generator, width: int, height: int) -> list[Occluder]:
    """None in most looks, one or two in the others."""
    if rng.uniform() >= _SHARE:
        return []
    return [random_occluder(rng, width, height) for _ in range(int(rng.integers(1, 3)))]


def random_occluder(rng: np.random.Generator, width: int, height: int) -> Occluder:
    """A box from below (table, chair), a bar (door frame, pole), or a blob anywhere."""
    kind = rng.choice(["box", "bar", "blob"], p=[0.45, 0.2, 0.35])
    if kind == "box":
        w, h = int(rng.uniform(0.15, 0.7) * width), int(rng.uniform(0.1, 0.4) * height)
        place = np.array([rng.uniform(-0.2, 0.8) * width, height - h * rng.uniform(0.6, 1.0)])
    elif kind == "bar":
        w, h = int(rng.uniform(0.02, 0.1) * width), int(1.2 * height)
        place = np.array([rng.uniform(0.1, 0.9) * width, -0.1 * height])
    else:
        w, h = (rng.uniform(0.06, 0.25, 2) * width).astype(int)
        place = np.array([rng.uniform(0.1, 0.8) * width, rng.uniform(0.2, 0.85) * height])
    alpha = np.zeros((h, w), np.uint8)
    if kind == "blob":
        for _ in range(int(rng.integers(1, 4))):
            centre = (int(rng.uniform(0.35, 0.65) * w), int(rng.uniform(0.35, 0.65) * h))
            axes = (int(rng.uniform(0.2, 0.35) * w), int(rng.uniform(0.2, 0.35) * h))
            cv2.ellipse(alpha, centre, axes, rng.uniform(0, 180), 0, 360, 255, -1)
    else:
        lean = rng.uniform(-0.1, 0.1) * w
        corners = [(max(0, lean), 1), (w - 1 + min(0, lean), 1), (w - 1, h - 1), (0, h - 1)]
        cv2.fillConvexPoly(alpha, np.array(corners, np.int32), 255)
    alpha = cv2.GaussianBlur(alpha, (0, 0), rng.uniform(0.5, 2.0))
    side = max(w, h)
    colour = cloth(rng, side)[:h, :w]
    shade = np.linspace(rng.uniform(0.6, 1.1), rng.uniform(0.6, 1.1), w)[None, :, None]
    step = rng.normal(0.0, 0.004, 2) * width if rng.uniform() < 0.4 else np.zeros(2)
    return Occluder(np.clip(colour * shade, 0, 255).astype(np.uint8), alpha, place, step)
