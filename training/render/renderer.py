"""Pictures of a posed, dressed body before a background, as a webcam gives them."""

from __future__ import annotations

import cv2
import numpy as np

from realtime.body.kinematics import forward_kinematics
from realtime.body.smpl import Body
from training.camera import PinholeCamera
from training.render.look import Look, random_look
from training.render.scene import NEAR_M, Box, Scene

_MARGIN_PX = 2
_BLUR_STEPS = 3
_MOST_BLUR_M = 0.12  # a fast hand in 25 ms


class PersonRenderer:
    """A dressed person before a background: one look, any pose, any camera. One thread only.

    Raises LoadError where OpenGL cannot be started.
    """

    def __init__(self, body: Body) -> None:
        self._body = body
        self._scene = Scene()
        self._look: Look | None = None

    def new_look(self, rng: np.random.Generator, width: int, height: int, grain: float | None = None) -> None:
        """Other clothes, light, background, occluders and faults of the camera, for pictures of width × height.

        grain: the sensor noise's peak in grey levels, and then no other fault of the camera, no motion blur and
        nothing in front. The whole film of this look follows from `rng` as it is now.
        """
        self.wear(random_look(self._body, rng, width, height, grain))

    def wear(self, look: Look) -> None:
        """A look of one's own."""
        figure = look.figure
        self._look = look
        self._scene.load(figure.faces, figure.two_sided, figure.uvl, figure.texture)
        self._scene.light(look.lights)
        self._before: tuple[np.ndarray, np.ndarray] | None = None

    def render(
        self, pose_rotmat: np.ndarray, betas: np.ndarray, trans: np.ndarray, camera: PinholeCamera
    ) -> np.ndarray:
        """(H, W, 3) uint8 BGR. pose_rotmat (24, 3, 3), its root in the camera frame; trans (3,) metres: the
        pelvis in the camera frame. The frames of one look are a film: its blur is the way from the last to this one."""
        look = self._look
        if look is None:
            raise RuntimeError("new_look comes before render")
        if look.background.shape[:2] != (camera.height, camera.width):
            raise ValueError(
                f"this look is for {look.background.shape[1]}×{look.background.shape[0]} pixels, the camera has "
                f"{camera.width}×{camera.height}"
            )
        joints, transforms = forward_kinematics(self._body, pose_rotmat, betas)
        vertices, normals = look.figure.posed(self._body, transforms, betas)
        vertices += (np.asarray(trans, np.float32) - joints[0])[:, None]
        picture = look.background.copy()
        if look.shadow is not None:
            look.shadow.cast(picture, vertices, camera)
        moments = self._moments(vertices, normals)
        box = _around([person_box(moment[0], camera) for moment in moments])
        if box is not None:
            centre = np.array([camera.width / 2.0, camera.height / 2.0])
            layers = [self._scene.draw(*moment, float(camera.focal_px), centre, box) for moment in moments]
            compose(picture[box.slices], layers[0] if len(layers) == 1 else _mean(layers))
        for occluder in look.occluders:
            occluder.cover(picture)
        return look.degradation.apply(picture)

    def _moments(self, vertices: np.ndarray, normals: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
        """Where the body was while the shutter was open: (3, N) vertices and normals."""
        before, self._before = self._before, (vertices, normals)
        if not self._look.shutter or before is None:
            return [(vertices, normals)]
        move, turn = vertices - before[0], normals - before[1]
        # About this moment, so that nothing seems late. Frames may be far apart; the exposure is not.
        share = min(self._look.shutter, _MOST_BLUR_M / max(float(np.abs(move).max()), 1e-6))
        steps = np.linspace(-0.5, 0.5, _BLUR_STEPS, dtype=np.float32) * np.float32(share)
        return [(vertices + s * move, normals + s * turn) for s in steps]

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


def _around(boxes: list[Box | None]) -> Box | None:
    """The smallest box that holds them all; None where there is none."""
    some = [box for box in boxes if box is not None]
    if not some:
        return None
    left, top = min(box.left for box in some), min(box.top for box in some)
    right, bottom = max(box.left + box.width for box in some), max(box.top + box.height for box in some)
    return Box(left, top, right - left, bottom - top)


def _mean(layers: list[np.ndarray]) -> np.ndarray:
    total = np.zeros(layers[0].shape, np.uint16)
    for layer in layers:
        cv2.add(total, layer, dst=total, dtype=cv2.CV_16U)
    return cv2.convertScaleAbs(total, alpha=1.0 / len(layers))
