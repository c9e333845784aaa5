"""The right half of the viewer: the camera's picture with what was seen in it, and the live numbers.

Drawn with OpenCV into one image, RGB uint8, which the window shows as a texture.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from realtime.body.skeleton import BLAZEPOSE_BONES, BLAZEPOSE_NAMES
from realtime.viewer.shading import BACKGROUND, LEFT, RIGHT, SKIN

MARGIN_PX = 16
TEXT_PX = 104  # height of the numbers below the picture
OLD = 0.3  # brightness of the last picture of a stream that has stopped
HIDDEN = 0.5  # a landmark that is less visible than this is drawn thin and dark

STATE_COLOURS = {
    "tracking": (92, 200, 120),
    "warming": (226, 190, 84),
    "held": (226, 140, 66),
    "lost": (214, 84, 84),
    "waiting": (150, 152, 156),
}
_TEXT = (226, 228, 232)
_FAINT = (140, 144, 150)
_FONT = cv2.FONT_HERSHEY_SIMPLEX


@dataclass(frozen=True)
class Picture:
    """What an ImageMessage shows, decoded."""

    image: np.ndarray  # (h, w, 3) uint8, RGB
    landmarks: np.ndarray | None  # (33, 2) pixels of the image
    visibility: np.ndarray | None  # (33,) 0–1


@dataclass(frozen=True)
class Numbers:
    """The live line."""

    state: str  # tracking | warming | held | lost | waiting
    detail: str  # what goes with the state: the person's score, or what is waited for
    numbers: str
    source: str


def draw_panel(width: int, height: int, picture: Picture | None, numbers: Numbers) -> np.ndarray:
    """(height, width, 3) uint8, RGB: the picture with its skeleton above, the numbers below."""
    panel = np.full((height, width, 3), np.round(BACKGROUND * 255), np.uint8)
    if picture is not None:
        if numbers.state == "waiting":  # an old picture must not look like a live one
            picture = Picture((picture.image * OLD).astype(np.uint8), None, None)
        _draw_picture(panel, picture)
    _draw_numbers(panel, numbers)
    return panel


def annotated(picture: Picture, live: bool) -> np.ndarray:
    """(h, w, 3) uint8, RGB: a copy of the picture with its landmarks; dark and without them where it is not live."""
    if not live:
        return (picture.image * OLD).astype(np.uint8)
    image = picture.image.copy()
    if picture.landmarks is not None:
        visibility = np.ones(33) if picture.visibility is None else picture.visibility
        _draw_landmarks(image, picture.landmarks, visibility)
    return image


def _draw_picture(panel: np.ndarray, picture: Picture) -> None:
    height, width = panel.shape[:2]
    rows, columns = picture.image.shape[:2]
    room_w, room_h = width - 2 * MARGIN_PX, height - TEXT_PX - 2 * MARGIN_PX
    scale = min(room_w / columns, room_h / rows)
    w, h = round(columns * scale), round(rows * scale)
    if w < 1 or h < 1:
        return  # the window has been made too small to hold a picture
    x, y = (width - w) // 2, MARGIN_PX + (room_h - h) // 2
    shown = panel[y : y + h, x : x + w]
    cv2.resize(
        picture.image, (w, h), dst=shown, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    )
    if picture.landmarks is not None:
        visibility = np.ones(33) if picture.visibility is None else picture.visibility
        # A view of the panel: what leaves the picture is cut off at its edge.
        _draw_landmarks(shown, (picture.landmarks + 0.5) * scale - 0.5, visibility)


def _draw_landmarks(image: np.ndarray, points_px: np.ndarray, visibility: np.ndarray) -> None:
    points = np.clip(points_px, -10_000, 10_000)
    for a, b in BLAZEPOSE_BONES:
        seen = float(min(visibility[a], visibility[b]))
        side = _side(a) if _side(a) == _side(b) else 0
        _line(image, points[a], points[b], _landmark_colour(side, seen), 3 if seen >= HIDDEN else 1)
    for index in sorted({index for bone in BLAZEPOSE_BONES for index in bone}):
        seen = float(visibility[index])
        radius = 4 if seen >= HIDDEN else 2
        centre, shift = _fixed(points[index])
        cv2.circle(
            image, centre, radius << shift, _landmark_colour(_side(index), seen), -1, cv2.LINE_AA, shift
        )


def _side(index: int) -> int:
    """1 left, -1 right, 0 neither."""
    words = BLAZEPOSE_NAMES[index].split("_")
    return ("left" in words) - ("right" in words)


def _landmark_colour(side: int, seen: float) -> tuple[int, int, int]:
    base = (SKIN, LEFT, RIGHT)[side]
    r, g, b = (base * (0.35 + 0.65 * np.clip(seen, 0.0, 1.0)) * 255).round().astype(int).tolist()
    return r, g, b


def _fixed(point: np.ndarray) -> tuple[tuple[int, int], int]:
    """OpenCV draws between pixels when it gets sixteenths and is told so."""
    return (round(float(point[0]) * 16), round(float(point[1]) * 16)), 4


def _line(
    image: np.ndarray, a: np.ndarray, b: np.ndarray, colour: tuple[int, int, int], thickness: int
) -> None:
    (start, shift), (end, _) = _fixed(a), _fixed(b)
    cv2.line(image, start, end, colour, thickness, cv2.LINE_AA, shift)


def _draw_numbers(panel: np.ndarray, numbers: Numbers) -> None:
    top = panel.shape[0] - TEXT_PX
    x = MARGIN_PX
    colour = STATE_COLOURS.get(numbers.state, _FAINT)
    cv2.circle(panel, (x + 7, top + 14), 7, colour, -1, cv2.LINE_AA)
    cv2.putText(panel, numbers.state.upper(), (x + 24, top + 20), _FONT, 0.6, colour, 2, cv2.LINE_AA)
    (offset, _), _ = cv2.getTextSize(numbers.state.upper(), _FONT, 0.6, 2)
    detail = _plain(numbers.detail)
    cv2.putText(panel, detail, (x + 38 + offset, top + 20), _FONT, 0.5, _TEXT, 1, cv2.LINE_AA)
    cv2.putText(panel, _plain(numbers.numbers), (x, top + 52), _FONT, 0.5, _TEXT, 1, cv2.LINE_AA)
    cv2.putText(panel, _plain(numbers.source), (x, top + 80), _FONT, 0.42, _FAINT, 1, cv2.LINE_AA)


def _plain(text: str) -> str:
    """OpenCV's font has ASCII only."""
    return text.encode("ascii", "replace").decode()
