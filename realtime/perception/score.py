"""How sure we are that a detection is a person whom we can follow: one number in [0, 1]."""

from __future__ import annotations

import math

import numpy as np

from realtime.observation import Crop, Detection
from realtime.perception.box import CROP_PER_DIAGONAL

SHOULDERS = [11, 12]
LIMBS = [13, 14, 15, 16, 23, 24, 25, 26, 27, 28]  # elbows, wrists, hips, knees, ankles
LIMBS_NEEDED = 4  # a person at a desk shows no more: hips and legs out of the picture cost nothing

# Box diagonal by picture diagonal. MediaPipe sees people in furniture (the foot of a table: 0.04–0.13, at a
# visibility of 0.9); a standing person has 0.13 at about 10 m from a webcam, 0.4 where he fills its height.
TOO_SMALL = 0.08
LARGE_ENOUGH = 0.16


def detection_score(detection: Detection, crop: Crop | None, image_size: tuple[int, int]) -> float:
    """Visibility of shoulders and of the four best seen limb joints, lowered where the person is very small.

    crop: keypoint_crop of the detection. image_size: (W, H) pixels. 0 with world landmarks that are not
    finite, or nearly nothing visible.
    """
    if crop is None or not np.isfinite(detection.world).all():
        return 0.0
    visibility = np.nan_to_num(detection.visibility, nan=0.0, posinf=0.0, neginf=0.0).clip(0.0, 1.0)
    limbs = np.sort(visibility[LIMBS])[-LIMBS_NEEDED:]
    seen = (visibility[SHOULDERS].mean() + limbs.mean()) / 2
    size = crop.side / CROP_PER_DIAGONAL / math.hypot(*image_size)
    return float(seen) * min(max((size - TOO_SMALL) / (LARGE_ENOUGH - TOO_SMALL), 0.0), 1.0)
