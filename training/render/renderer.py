"""Pictures of a posed, dressed body before a background, as a webcam gives them."""

from __future__ import annotations

import cv2
import numpy as np

from realtime.body.kinematics import forward_kinematics
from realtime.body.smpl import Body
from training.camera import PinholeCamera
from training.render.background import random_background
from training.render.clothes import dress
from training.render.degrade import Degradation
from training.render.figure import Figure
from training.render.light import random_lights
from training.render.occluders import random_occluders
from training.render.scene import NEAR_M, Box, Scene
from training.render.shadow import Shadow

_MARGIN_PX = 2
_BLUR_SHARE = 0.2  # of the looks
_SHADOW_SHARE = 0.6
_MAX_SHUTTER = 0.7  # of the time between two frames


class PersonRenderer:
    """A dressed person before a background: one look, any pose, any camera. One thread only."""

    def __init__(self, body: Body) -> None:
        self._body = body
        self._scene = Scene()
        self._figure: Figure | None = None

    def new_look(self, rng: np.random.Generator, width: int, height: int, grain: float | None = None) -> None:
        """Other clothes, light, background, occluders and camera faults, for pictures of width × height.

        grain: the sensor noise's peak in grey levels, and no other fault of the camera, no motion blur and
        nothing in front. The look, frame by frame too, follows from `rng` alone.
        """
        plain = grain is not None
        self._figure, worn = dress(self._body, rng)
        self._scene.load(self._figure.faces, self._figure.two_sided, self._figure.uvl, self._figure.texture)
        lights = random_lights(rng)
        self._scene.light(lights)
        self._background = random_background(rng, width, height, worn)
        self._shadow = None
        if rng.uniform() < _SHADOW_SHARE:
            self._shadow = Shadow(
                lights.toward[0], rng.uniform(0.15, 0.65), rng.uniform(0.008, 0.04) * height
            )
        self._occluders = [] if plain else random_occluders(rng, width, height)
        self._degradation = Degradation(rng, width, height, grain)
        self._shutter = rng.uniform(0.2, _MAX_SHUTTER) if rng.uniform() < _BLUR_SHARE and not plain else 0.0
        self._before: tuple[np.ndarray, np.ndarray] | None = None

    def render(
        self, pose_rotmat: np.ndarray, betas: np.ndarray, trans: np.ndarray, camera: PinholeCamera
    ) -> np.ndarray:
        """(H, W, 3) uint8 BGR. pose_rotmat (24, 3, 3), its root in the camera frame; trans (3,) metres: the
        pelvis in the camera frame. Frames of one look are a film: the last one moves into the motion blur."""
        if self._figure is None:
            raise RuntimeError("new_look comes before render")
        joints, transforms = forward_kinematics(self._body, pose_rotmat, betas)
        vertices, normals = self._figure.posed(self._body, transforms, betas)
        vertices += (np.asarray(trans, np.float32) - joints[0])[:, None]
        now = vertices, normals
        picture = self._background.copy()
        if self._shadow is not None:
            self._shadow.cast(picture, vertices, camera)
        box = person_box(vertices, camera)
        if self._shutter and self._before is not None:
            box = _union(box, person_box(self._before[0], camera))
        if box is not None:
            centre = np.array([camera.width / 2.0, camera.height / 2.0])
            layers = [
                self._scene.draw(*moment, float(camera.focal_px), centre, box)
                for moment in self._moments(now)
            ]
            layer = layers[0] if len(layers) == 1 else _mean(layers)
            compose(picture[box.slices], layer)
        self._before = now
        for occluder in self._occluders:
            occluder.cover(picture)
        return self._degradation.apply(picture)

    def _moments(self, now: tuple[np.ndarray, np.ndarray]) -> list[tuple[np.ndarray, np.ndarray]]:
        """Where the body was while the shutter was open: (3, N) vertices and normals."""
        if not self._shutter or self._before is None:
            return [now]
        vertices, normals = self._before
        steps = np.linspace(1.0 - self._shutter, 1.0, 3, dtype=np.float32)
        return [(vertices + s * (now[0] - vertices), normals + s * (now[1] - normals)) for s in steps]

    def close(self) -> None:
        """May be called twice."""
        self._scene.close()


def compose(under: np.ndarray, layer: np.ndarray) -> None:
    """Put layer (h, w, 4) uint8, BGR multiplied by alpha, onto under (h, w, 3) uint8, in place."""
    shade = cv2.cvtColor(cv2.bitwise_not(layer[:, :, 3]), cv2.COLOR_GRAY2BGR)
    cv2.multiply(under, shade, dst=shade, scale=1.0 / 255.0)
    under[:] = cv2.add(shade, cv2.cvtColor(layer, cv2.COLOR_BGRA2BGR))


def person_box(vertices: np.ndarray, camera: PinholeCamera) -> Box | None:
    """The part of the picture that vertices (3, N), metres in the camera frame, can reach; None: they are outside.

    Where some are nearer than the near plane it is the whole picture.
    """
    depth = vertices[2]
    nearest = float(depth.min())
    if nearest <= NEAR_M:
        if float(depth.max()) <= NEAR_M:
            return None
        return Box(0, 0, camera.width, camera.height)
    across = vertices[:2] * (camera.focal_px / depth)
    left, top = np.floor(across.min(axis=1) + (camera.width / 2, camera.height / 2)).astype(int) - _MARGIN_PX
    right, bottom = (
        np.ceil(across.max(axis=1) + (camera.width / 2, camera.height / 2)).astype(int) + _MARGIN_PX
    )
    left, top, right, bottom = max(left, 0), max(top, 0), min(right, camera.width), min(bottom, camera.height)
    if right <= left or bottom <= top:
        return None
    return Box(int(left), int(top), int(right - left), int(bottom - top))


def _union(a: Box | None, b: Box | None) -> Box | None:
    if a is None or b is None:
        return a or b
    left, top = min(a.left, b.left), min(a.top, b.top)
    right, bottom = max(a.left + a.width, b.left + b.width), max(a.top + a.height, b.top + b.height)
    return Box(left, top, right - left, bottom - top)


def _mean(layers: list[np.ndarray]) -> np.ndarray:
    total = np.zeros(layers[0].shape, np.uint16)
    for layer in layers:
        cv2.add(total, layer, dst=total, dtype=cv2.CV_16U)
    return cv2.convertScaleAbs(total, alpha=1.0 / len(layers))
