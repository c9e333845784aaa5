"""Finding a person in a whole picture: BlazePose's detector, used only while nobody is followed.

The network looks at the picture shrunk into a square and answers once per anchor, a fixed place in that square. Layout
of the anchors, and numbers: MediaPipe's pose_detection_cpu of 0.10.21.
"""

from __future__ import annotations

import cv2
import numpy as np

from realtime.perception.graphs import load_graph
from realtime.perception.region import whole

SIZE = 224
STRIDES = (8, 16, 32, 32, 32)  # each gives two anchors per cell of its grid
HIPS, CIRCLE = 0, 1  # of the four points: middle of the hips; on the circle around the body, above the head
MIN_SCORE = 0.5
SAME_PERSON = 0.3  # boxes that overlap more than this (intersection over union) are one person's
MOST_LOGIT = 100.0


def anchors() -> np.ndarray:
    """(2254, 2) float32 [x, y]: centres of the anchors in the square, in pixels of SIZE; all are as large as it."""
    centres = []
    for stride in dict.fromkeys(STRIDES):
        cells = SIZE // stride
        rows, columns = np.mgrid[:cells, :cells]
        grid = (np.stack([columns, rows], axis=-1).reshape(-1, 2) + 0.5) * stride
        centres.append(np.repeat(grid, 2 * STRIDES.count(stride), axis=0))
    return np.concatenate(centres).astype(np.float32)


def best_points(boxes: np.ndarray, scores: np.ndarray, centres: np.ndarray) -> np.ndarray | None:
    """The person whom the network is surest of: (2, 2) float32, hips and circle point in pixels of SIZE; or None.

    boxes: (2254, 12) as the network gives them, in pixels from each anchor: the face's box [x, y, w, h] and four points
    [x, y]. scores: (2254,) logits. centres: `anchors()`. The answers that overlap the best one are averaged, weighted
    by their probabilities.
    """
    with np.errstate(over="ignore"):
        probability = 1.0 / (1.0 + np.exp(-scores.clip(-MOST_LOGIT, MOST_LOGIT)))
    sure = np.flatnonzero((probability >= MIN_SCORE) & (boxes[:, 2] >= 0) & (boxes[:, 3] >= 0))
    sure = sure[np.isfinite(boxes[sure]).all(axis=1)]
    if not len(sure):
        return None
    answers, weight = boxes[sure], probability[sure]
    middle, half = answers[:, :2] + centres[sure], answers[:, 2:4] / 2
    best = int(weight.argmax())
    overlap = np.minimum(middle + half, middle[best] + half[best])
    overlap -= np.maximum(middle - half, middle[best] - half[best])
    common = overlap.clip(0).prod(axis=1)
    area = 4 * half.prod(axis=1)
    same = common > SAME_PERSON * (area + area[best] - common)
    if not same.any():  # a box without area overlaps not even itself
        same[best] = True
    points = answers[same, 4:].reshape(-1, 4, 2)[:, [HIPS, CIRCLE]] + centres[sure][same, None]
    return np.average(points, axis=0, weights=weight[same]).astype(np.float32)


class Detector:
    """Finds somebody in a whole picture."""

    def __init__(self, engine: str, threads: int) -> None:
        """Raises LoadError as `load_graph`."""
        takes = {"image": (SIZE, SIZE, 3)}
        self._runner = load_graph("blazepose_detector", engine, threads, 1, takes, {"boxes", "scores"})
        self._anchors = anchors()

    def find(self, image: np.ndarray) -> np.ndarray | None:
        """image: (H, W, 3) uint8 BGR or (H, W) grey → (2, 2) float32 pixels of it: hips, circle point; or None."""
        height, width = image.shape[:2]
        square = whole(width, height)
        crop = square.crop(image, SIZE, cv2.BORDER_CONSTANT)
        found = self._runner.run(image=crop[None])
        points = best_points(found["boxes"][0], found["scores"][0, :, 0], self._anchors)
        return None if points is None else square.to_image(points, SIZE)

    def close(self) -> None:
        """May be called twice."""
        self._runner.close()
