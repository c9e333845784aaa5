"""A clip's pictures again and again at another rate: what a faster camera would deliver."""

from __future__ import annotations

from pathlib import Path

import cv2


def write_at_rate(clip: Path, fps: float, seconds: float, path: Path) -> Path:
    """Write `path` (.mp4): the frames of `clip`, in order, over and over, `seconds` long at `fps`.

    No picture is invented, so who moves in it moves fps / (rate of the clip) times as fast. Compressed anew
    (MPEG-4, as the demo clip is). Raises RuntimeError if the clip cannot be read or the copy not written.
    """
    left = round(seconds * fps)
    writer: cv2.VideoWriter | None = None
    try:
        while left > 0:
            video = cv2.VideoCapture(str(clip))
            before = left
            while left > 0:
                good, image = video.read()
                if not good:
                    break
                if writer is None:
                    size = (image.shape[1], image.shape[0])
                    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), fps, size)
                    if not writer.isOpened():
                        raise RuntimeError(f"{path}: this OpenCV cannot write MPEG-4")
                writer.write(image)
                left -= 1
            video.release()
            if left == before:
                raise RuntimeError(f"{clip}: not one frame can be read")
    finally:
        if writer is not None:
            writer.release()
    return path
