"""Pictures of a posed body: clothes as vertex colours, light from anywhere, a random background.

Needs no display. Open3D draws one scene per process, so one square canvas serves every shape of picture.
"""

from __future__ import annotations

import os

os.environ.setdefault("LP_NUM_THREADS", "1")  # Mesa's rasteriser: one thread per process is fastest here

import cv2
import numpy as np

from realtime.body.kinematics import forward_kinematics, skin
from realtime.body.skeleton import JOINT_NAMES
from realtime.body.smpl import Body
from realtime.viewer.scene import BodyScene
from training.camera import PinholeCamera

_KEY = (0.0, 1.0, 0.0)  # nobody wears this
_TORSO = ("spine1", "spine2", "spine3", "left_collar", "right_collar")
_UPPER_ARM = ("left_shoulder", "right_shoulder")
_FOREARM = ("left_elbow", "right_elbow")
_HIPS = ("pelvis", "left_hip", "right_hip")
_SHANKS = ("left_knee", "right_knee")
_FEET = ("left_ankle", "right_ankle", "left_foot", "right_foot")


def random_clothes(body: Body, rng: np.random.Generator) -> np.ndarray:
    """(V, 3) colours in [0, 1]: skin, hair, shirt with long or short sleeves, trousers or shorts, shoes."""
    dominant = np.array(JOINT_NAMES)[body.weights.argmax(axis=1)]
    tone = rng.uniform(0.25, 1.0)
    skin_colour = np.array([0.95, 0.76, 0.62]) * tone + np.array([0.03, 0.0, 0.0])
    shirt, trousers, shoes = rng.uniform(0.05, 0.95, (3, 3))
    hair = np.array([0.3, 0.2, 0.12]) * rng.uniform(0.1, 2.2)
    colours = np.tile(skin_colour, (len(dominant), 1))
    sleeves = _UPPER_ARM + (_FOREARM if rng.uniform() < 0.5 else ())
    legs = _HIPS + (_SHANKS if rng.uniform() < 0.75 else ())
    for joints, colour in ((_TORSO + sleeves, shirt), (legs, trousers), (_FEET, shoes)):
        colours[np.isin(dominant, joints)] = colour
    if rng.uniform() < 0.5:  # a pattern: stripes or checks in the rest pose
        waves = np.sin(body.v_template @ rng.normal(0.0, 60.0, 3)) > 0
        clothed = np.isin(dominant, _TORSO + sleeves)
        colours[clothed & waves] = np.clip(shirt + rng.normal(0, 0.25, 3), 0, 1)
    head = np.isin(dominant, ("head",))
    template = body.v_template
    top, front = template[head, 1].max(), template[head, 2].max()
    colours[head & ((template[:, 1] > top - 0.06) | (template[:, 2] < front - 0.13))] = hair
    eyes = head & (np.abs(template[:, 1] - (top - 0.118)) < 0.012) & (template[:, 2] > front - 0.055)
    colours[eyes & (np.abs(np.abs(template[:, 0]) - 0.032) < 0.014)] = 0.08
    mouth = head & (np.abs(template[:, 1] - (top - 0.188)) < 0.008) & (np.abs(template[:, 0]) < 0.025)
    colours[mouth & (template[:, 2] > front - 0.05)] = np.array([0.55, 0.2, 0.2])
    return np.clip(colours, 0.0, 1.0)


def random_background(rng: np.random.Generator, width: int, height: int) -> np.ndarray:
    """(H, W, 3) uint8: a gradient, blurred clutter, or boxes as of a room."""
    kind = rng.integers(3)
    if kind == 0:
        corners = rng.uniform(30, 225, (2, 2, 3)).astype(np.float32)
        return cv2.resize(corners, (width, height), interpolation=cv2.INTER_LINEAR).astype(np.uint8)
    if kind == 1:
        cells = rng.uniform(0, 255, (rng.integers(3, 12), rng.integers(3, 16), 3))
        grey = cells.mean(axis=2, keepdims=True)  # rooms are not as colourful as noise
        cells = (grey + rng.uniform(0.1, 0.7) * (cells - grey)).astype(np.float32)
        return np.clip(cv2.resize(cells, (width, height), interpolation=cv2.INTER_CUBIC), 0, 255).astype(
            np.uint8
        )
    picture = np.empty((height, width, 3), np.uint8)
    floor = int(height * rng.uniform(0.6, 0.9))
    picture[:floor] = rng.uniform(90, 240, 3)
    picture[floor:] = rng.uniform(40, 180, 3)
    for _ in range(rng.integers(2, 9)):
        x, y = rng.integers(-40, width), rng.integers(0, floor)
        size = rng.integers(20, width // 3, 2)
        colour = tuple(int(c) for c in rng.uniform(20, 235, 3))
        cv2.rectangle(picture, (int(x), int(y)), (int(x + size[0]), int(y + size[1])), colour, -1)
    return cv2.GaussianBlur(picture, (0, 0), rng.uniform(0.5, 3.0))


class PersonRenderer:
    """A dressed person before a background: one look, any pose, any camera whose picture fits the canvas."""

    def __init__(self, body: Body, canvas_px: int = 640) -> None:
        self._body = body
        self._canvas_px = canvas_px
        self._scene = BodyScene(canvas_px, canvas_px, body.faces, background=_KEY)

    def new_look(self, rng: np.random.Generator, width: int, height: int, grain: float | None = None) -> None:
        """Other clothes, light, background and sensor noise (grain: its peak in grey levels), for pictures of
        width × height."""
        self._colours = random_clothes(self._body, rng)
        light = rng.normal(size=3) + np.array([0.0, -1.0, -1.2])  # from above and the camera's side
        self._light = light / np.linalg.norm(light)
        self._ambient = rng.uniform(0.35, 0.65)
        self._background = random_background(rng, width, height)
        self._noise = rng.uniform(0.0, 6.0) if grain is None else grain
        self._blur = rng.uniform(0.3, 0.9)
        self._rng = rng

    def render(
        self, pose_rotmat: np.ndarray, betas: np.ndarray, trans: np.ndarray, camera: PinholeCamera
    ) -> np.ndarray:
        """(H, W, 3) uint8 BGR. pose_rotmat (24, 3, 3), its root in the camera frame; trans (3,) metres: the
        pelvis in the camera frame."""
        joints, transforms = forward_kinematics(self._body, pose_rotmat, betas)
        vertices = skin(self._body, transforms, betas, pose_rotmat) - joints[0] + trans
        normals = self._scene.place(vertices)
        shade = self._ambient + (1.0 - self._ambient) * np.clip(normals @ self._light, 0.0, 1.0)
        self._scene.paint(self._colours * shade[:, None])
        self._scene.look(camera.focal_px, np.eye(4))
        self._scene.draw()
        left, top = (self._canvas_px - camera.width) // 2, (self._canvas_px - camera.height) // 2
        rgb = self._scene.capture()[top : top + camera.height, left : left + camera.width]
        person = (rgb[..., 1] < 250) | (rgb[..., 0] > 5) | (rgb[..., 2] > 5)
        picture = np.where(person[..., None], rgb[..., ::-1], self._background)
        picture = cv2.GaussianBlur(picture, (0, 0), self._blur)
        if self._noise >= 0.5:
            grain = self._rng.integers(-256, 257, picture.shape[:2], dtype=np.int16)
            grain = (grain * (self._noise / 256.0)).astype(np.int16)
            picture = np.clip(picture.astype(np.int16) + grain[..., None], 0, 255).astype(np.uint8)
        return picture

    def close(self) -> None:
        self._scene.close()
