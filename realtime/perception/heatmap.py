"""Landmarks sharpened by the network's heatmaps, as MediaPipe does it (RefineLandmarksFromHeatmap, kernel 7)."""

from __future__ import annotations

import numpy as np

KERNEL = 9  # cells of the map around the landmark that are averaged
SURE = 0.5  # a map whose best cell there is below this says nothing

_REACH = KERNEL // 2
_WINDOW = np.arange(-_REACH, _REACH + 1)
_FAR = 30.0  # logits beyond which a sigmoid is 0 or 1 in float32


def refine(landmarks: np.ndarray, heatmaps: np.ndarray) -> np.ndarray:
    """Move each landmark to the middle of its own map's weight around it.

    landmarks: (N, 2) [x, y], crop pixels divided by the crop's size. heatmaps: (N, H, W) logits. Returns (N, 2)
    float32; a landmark beside its map, or whose map is not sure there, stays where it is.
    """
    count, height, width = heatmaps.shape
    with np.errstate(invalid="ignore"):
        places = landmarks * np.array((width, height), np.float32)
        # MediaPipe's test: a landmark below the map is still averaged over the rows that its window has in common.
        inside = (places > -1.0).all(axis=1) & (places[:, 0] < width) & (places[:, 1] < height + _REACH)
    cells = np.where(inside[:, None], places, 0.0).astype(np.int32)  # rounded towards 0
    columns, rows = cells[:, :1] + _WINDOW, cells[:, 1:] + _WINDOW  # (N, 7)
    maps = np.arange(count)[:, None, None]
    logits = heatmaps[maps, rows.clip(0, height - 1)[:, :, None], columns.clip(0, width - 1)[:, None]]
    weight = 1.0 / (1.0 + np.exp(-logits.clip(-_FAR, _FAR)))  # (N, 7 rows, 7 columns)
    weight *= ((rows >= 0) & (rows < height))[:, :, None] & ((columns >= 0) & (columns < width))[:, None]
    sure = inside & (weight.max(axis=(1, 2)) >= SURE)
    total = np.where(sure, weight.sum(axis=(1, 2)), 1.0)
    x = (weight.sum(axis=1) * columns).sum(axis=1) / (total * width)
    y = (weight.sum(axis=2) * rows).sum(axis=1) / (total * height)
    return np.where(sure[:, None], np.stack([x, y], axis=1), landmarks).astype(np.float32)
