"""Rooms: wall, floor in perspective, windows, curtains, shelves of books, doors, pictures, furniture."""

from __future__ import annotations

import cv2
import numpy as np

from training.render.patterns import cloth, random_colour, shaded, smooth_noise


def room(rng: np.random.Generator, width: int, height: int, shared: np.ndarray | None = None) -> np.ndarray:
    """(height, width, 3) uint8 BGR. shared (3,) BGR: the wall's colour; any, if None."""
    picture = np.empty((height, width, 3), np.uint8)
    edge = int(height * rng.uniform(0.5, 0.97))
    colour = random_colour(rng) if shared is None else shared + rng.normal(0, 8, 3)
    if rng.uniform() < 0.2:
        picture[:edge] = cloth(rng, max(width, edge))[:edge, :width]  # wallpaper
    else:
        picture[:edge] = np.clip(colour, 0, 255).astype(np.uint8)
    picture[edge:] = _floor(rng, width, height - edge)
    if rng.uniform() < 0.5:
        skirting = max(2, int(height * 0.02))
        picture[edge - skirting : edge] = np.clip(random_colour(rng), 0, 255).astype(np.uint8)
    things = (_window, _curtain, _shelf, _door, _frame, _furniture, _furniture, _plant)
    for _ in range(int(rng.integers(1, 9))):
        things[int(rng.integers(len(things)))](rng, picture, edge)
    light = smooth_noise(rng, height // 4, width // 4, rng.uniform(1.5, 4.0))
    grain = cv2.resize(light, (width // 2, height // 2)) * rng.uniform(0.0, 0.25)
    return shaded(picture, 1.0 + grain + 0.04 * smooth_noise(rng, height // 2, width // 2, 60.0, 2))


def _floor(rng: np.random.Generator, width: int, height: int) -> np.ndarray:
    """Boards, tiles or a carpet, seen from standing height."""
    flat = cloth(rng, 256)
    top = rng.uniform(0.25, 0.5)
    middle = 128 * rng.uniform(0.7, 1.3)
    source = np.array(
        [[middle - 128 * top, 0], [middle + 128 * top, 0], [middle + 50, 255], [middle - 50, 255]], np.float32
    )
    target = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float32)
    warp = cv2.getPerspectiveTransform(source, target)
    return cv2.warpPerspective(flat, warp, (width, height), borderMode=cv2.BORDER_REFLECT)


def _box(
    picture: np.ndarray, x: float, y: float, w: float, h: float, colour: np.ndarray, line: int = -1
) -> None:
    corner, other = (int(x), int(y)), (int(x + w), int(y + h))
    cv2.rectangle(picture, corner, other, np.clip(colour, 0, 255).tolist(), line)


def _window(rng: np.random.Generator, picture: np.ndarray, edge: int) -> None:
    height, width = picture.shape[:2]
    w, h = rng.uniform(0.12, 0.45) * width, rng.uniform(0.25, 0.8) * edge
    x, y = rng.uniform(-0.1, 0.9) * width, rng.uniform(-0.1, 0.4) * edge
    frame = random_colour(rng)
    _box(picture, x, y, w, h, frame)
    sky = np.array([235.0, 225, 215]) * rng.uniform(0.2, 1.1)
    across, down = int(rng.integers(1, 4)), int(rng.integers(1, 3))
    for i in range(across):
        for j in range(down):
            pane = x + (i + 0.06) * w / across, y + (j + 0.06) * h / down, 0.88 * w / across, 0.88 * h / down
            _box(picture, *pane, sky)
            if rng.uniform() < 0.5:
                green = random_colour(rng) * np.array([0.6, 1.0, 0.7])
                share = rng.uniform(0.2, 0.6)
                _box(picture, pane[0], pane[1] + (1 - share) * pane[3], pane[2], share * pane[3], green)


def _curtain(rng: np.random.Generator, picture: np.ndarray, edge: int) -> None:
    height, width = picture.shape[:2]
    w = int(rng.uniform(0.06, 0.3) * width)
    x = int(rng.uniform(-0.05, 0.95) * width)
    left, right = max(x, 0), min(x + w, width)
    bottom = min(height, int(edge * rng.uniform(0.8, 1.05)))
    if right - left < 4:
        return
    folds = 1.0 + rng.uniform(0.1, 0.35) * np.sin(np.arange(right - left) * rng.uniform(0.1, 0.5))
    part = np.empty((bottom, right - left, 3), np.uint8)
    part[:] = np.clip(random_colour(rng), 0, 255).astype(np.uint8)
    picture[:bottom, left:right] = shaded(part, np.repeat(folds[None].astype(np.float32), bottom, axis=0))


def _shelf(rng: np.random.Generator, picture: np.ndarray, edge: int) -> None:
    height, width = picture.shape[:2]
    w, h = rng.uniform(0.15, 0.5) * width, rng.uniform(0.3, 0.95) * edge
    x, y = rng.uniform(-0.1, 0.85) * width, edge - h
    wood = random_colour(rng)
    _box(picture, x, y, w, h, wood * 0.6)
    boards = int(rng.integers(2, 7))
    for row in range(boards):
        top, tall = y + row * h / boards, h / boards
        _box(picture, x, top, w, 0.07 * tall, wood)
        book = x
        while book < x + 0.97 * w:
            thick = rng.uniform(0.015, 0.07) * w
            if rng.uniform() < 0.85:
                size = rng.uniform(0.5, 0.85) * tall
                _box(picture, book, top + tall - size, min(thick, x + w - book), size, random_colour(rng))
            book += thick + 1


def _door(rng: np.random.Generator, picture: np.ndarray, edge: int) -> None:
    width = picture.shape[1]
    h = rng.uniform(0.7, 1.0) * edge
    w, x = h * rng.uniform(0.35, 0.5), rng.uniform(-0.1, 0.9) * width
    colour = random_colour(rng)
    _box(picture, x, edge - h, w, h, colour * 0.7)
    _box(picture, x + 0.05 * w, edge - 0.97 * h, 0.9 * w, 0.97 * h, colour)
    for top in (0.1, 0.55):
        _box(
            picture,
            x + 0.2 * w,
            edge - h + top * h,
            0.6 * w,
            0.33 * h,
            colour * 0.85,
            int(rng.choice([-1, 2])),
        )


def _frame(rng: np.random.Generator, picture: np.ndarray, edge: int) -> None:
    width = picture.shape[1]
    w, h = rng.uniform(0.04, 0.3) * width, rng.uniform(0.08, 0.4) * edge
    x, y = rng.uniform(0, 0.95) * width, rng.uniform(0.03, 0.6) * edge
    _box(picture, x, y, w, h, random_colour(rng))
    _box(picture, x + 0.06 * w, y + 0.06 * h, 0.88 * w, 0.88 * h, random_colour(rng))
    for _ in range(int(rng.integers(0, 4))):
        centre = (int(x + rng.uniform(0.25, 0.75) * w), int(y + rng.uniform(0.25, 0.75) * h))
        axes = (int(rng.uniform(0.05, 0.25) * w) + 1, int(rng.uniform(0.05, 0.25) * h) + 1)
        cv2.ellipse(picture, centre, axes, 0, 0, 360, np.clip(random_colour(rng), 0, 255).tolist(), -1)


def _furniture(rng: np.random.Generator, picture: np.ndarray, edge: int) -> None:
    """A cupboard, a table or a sofa before the wall."""
    height, width = picture.shape[:2]
    w, h = rng.uniform(0.1, 0.45) * width, rng.uniform(0.12, 0.5) * height
    x, bottom = rng.uniform(-0.15, 0.95) * width, edge + rng.uniform(0.0, 0.12) * height
    colour = random_colour(rng)
    kind = rng.integers(3)
    if kind == 0:
        _box(picture, x, bottom - h, w, h, colour)
        rows = int(rng.integers(1, 5))
        for row in range(rows):
            part = x + 0.05 * w, bottom - h + (row + 0.1) * h / rows, 0.9 * w, 0.8 * h / rows
            _box(picture, *part, colour * rng.uniform(0.75, 1.2), int(rng.choice([-1, 1, 2])))
    elif kind == 1:
        _box(picture, x, bottom - h, w, 0.1 * h, colour)
        for leg in (0.04, 0.9):
            _box(picture, x + leg * w, bottom - 0.9 * h, 0.06 * w, 0.9 * h, colour * 0.8)
    else:
        h *= 0.7
        _box(picture, x, bottom - h, w, h, colour)
        _box(picture, x + 0.1 * w, bottom - 0.55 * h, 0.8 * w, 0.3 * h, colour * 1.15)
        for side in (0.0, 0.88):
            _box(picture, x + side * w, bottom - 0.65 * h, 0.12 * w, 0.65 * h, colour * 0.85)


def _plant(rng: np.random.Generator, picture: np.ndarray, edge: int) -> None:
    height, width = picture.shape[:2]
    size = rng.uniform(0.08, 0.25) * height
    x, y = rng.uniform(0, 1) * width, edge - rng.uniform(0.2, 1.0) * size
    _box(picture, x - 0.2 * size, y, 0.4 * size, 0.4 * size, random_colour(rng))
    for _ in range(int(rng.integers(8, 30))):
        angle = rng.normal(-90, 45)
        reach = rng.uniform(0.3, 1.0) * size
        tip = x + reach * np.cos(np.radians(angle)), y + reach * np.sin(np.radians(angle))
        middle = (int((x + tip[0]) / 2), int((y + tip[1]) / 2))
        axes = (int(reach / 2) + 1, int(reach * rng.uniform(0.05, 0.2)) + 1)
        leaf = np.array([40.0, 110, 50]) * rng.uniform(0.3, 1.5) + rng.normal(0, 10, 3)
        cv2.ellipse(picture, middle, axes, angle, 0, 360, np.clip(leaf, 0, 255).tolist(), -1)
