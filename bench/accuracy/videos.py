"""Real clips, where no truth is known: does the body lie on the picture, is it steady, do its sides stay."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np

from bench.accuracy.live import Stream, Track
from bench.accuracy.rows import Row
from bench.accuracy.takes import START_NS
from bench.perception import read_frames
from realtime.body.skeleton import BLAZEPOSE_NAMES, JOINT_NAMES
from realtime.body.smpl import Body
from realtime.errors import SourceError
from realtime.observation import Observation
from realtime.perception.box import VISIBLE
from training.camera import project
from training.metrics import LIMBS, flips, points_of_landmarks

LANDMARKS = "landmarks"
LIMB_KINDS = ("shoulder", "elbow", "wrist", "hip", "knee", "ankle")
# The landmarks whose middle is held against a joint. SMPL's hand lies where the fingers begin.
HANDS = {"hand": ("index", "pinky")}
KINDS = (*LIMB_KINDS, *HANDS)


def _members() -> tuple[list[int], list[list[int]], list[str]]:
    joints, landmarks, kinds = [], [], []
    for kind in KINDS:
        for side in ("left", "right"):
            joints.append(JOINT_NAMES.index(f"{side}_{kind}"))
            landmarks.append([BLAZEPOSE_NAMES.index(f"{side}_{name}") for name in HANDS.get(kind, (kind,))])
            kinds.append(kind)
    return joints, landmarks, kinds


JOINTS, JOINT_LANDMARKS, JOINT_KINDS = _members()


def reprojection_percent(
    joints_px: np.ndarray, landmarks_px: np.ndarray, visibility: np.ndarray
) -> np.ndarray:
    """Projected joints (T, 24, 2), landmarks (T, 33, 2) and visibility (T, 33) → (T, 14) distance of the limbs' joints
    and hands (JOINTS) in percent of the person's height: the longer side of the box around the visible landmarks.

    nan where a landmark is not visible (below 0.3).
    """
    seen = visibility > VISIBLE
    low = np.where(seen[..., None], landmarks_px, np.inf).min(axis=1)
    high = np.where(seen[..., None], landmarks_px, -np.inf).max(axis=1)
    height = np.where(seen.any(axis=1), (high - low).max(axis=1), np.nan)
    target = np.stack([landmarks_px[:, rows].mean(axis=1) for rows in JOINT_LANDMARKS], axis=1)
    known = np.stack([seen[:, rows].all(axis=1) for rows in JOINT_LANDMARKS], axis=1)
    apart = np.linalg.norm(joints_px[:, JOINTS] - target, axis=-1)
    return np.where(known, 100.0 * apart / height[:, None], np.nan)


def measure(clip: Path, rows: list[Row], engine: str, body: Body, limit: int) -> dict[str, Any]:
    """Every frame of a clip (limit: the first so many; 0: all) through rows of the stream. Raises SourceError."""
    capture = cv2.VideoCapture(str(clip))
    fps = float(capture.get(cv2.CAP_PROP_FPS)) if capture.isOpened() else 0.0
    capture.release()
    if not fps > 0:
        raise SourceError(f"{clip}: cannot be read as a video; give --videos files that OpenCV opens")
    stream = Stream(rows, engine, body)
    stream.start()
    count = 0
    for count, picture in enumerate(read_frames(clip, limit), start=1):
        stream.see(picture, START_NS + round((count - 1) * 1e9 / fps))
    if not count:
        raise SourceError(f"{clip}: holds no picture")
    tracks, seen = stream.tracks(), stream.observations
    stream.close()
    result: dict[str, Any] = {"clip": clip.name, "fps": fps, "frames": count, "rows": {}}
    for row in rows:
        fov_deg = row.config(engine).camera.fov_deg
        result["rows"][row.name] = judge(tracks[row.name], seen[row.name], fov_deg)
    return result


def judge(track: Track, seen: list[Observation], fov_deg: float) -> dict[str, Any]:
    """What one row says of a clip, against the landmarks that it was given. mm/frame² are at the clip's own rate."""
    ok = np.flatnonzero(track.usable)
    if len(ok) < 3 or track.body is None:
        return {"frames": len(ok)}
    detections = [d for i in ok if (d := seen[i].detection) is not None]
    width, height = seen[ok[0]].image_size
    there = track.body.joints[ok] + track.body.trans[ok][:, None]
    joints_px = project(there, np.array((width, height)), fov_deg)
    percent = reprojection_percent(
        joints_px,
        np.stack([d.landmarks_px for d in detections]),
        np.stack([d.visibility for d in detections]),
    )
    limbs = percent[:, : 2 * len(LIMB_KINDS)]
    world = points_of_landmarks(np.stack([d.world for d in detections]))
    following = np.diff(ok) == 1
    result: dict[str, Any] = {
        "frames": len(ok),
        "reprojection_median": _percentile(limbs, 50),
        "reprojection_p90": _percentile(limbs, 90),
        "by_limb": {
            kind: {"median": _percentile(part, 50), "p90": _percentile(part, 90)}
            for kind in KINDS
            if (part := percent[:, [k == kind for k in JOINT_KINDS]]) is not None
        },
    }
    for name, points in (("stream", track.points[ok]), (LANDMARKS, world)):
        points = points[:, : len(LIMBS)]
        about = points - points[:, [LIMBS.index("left_hip"), LIMBS.index("right_hip")]].mean(
            axis=1, keepdims=True
        )
        jerks = np.linalg.norm(np.diff(about, n=2, axis=0), axis=-1).mean(axis=1)[
            following[1:] & following[:-1]
        ]
        result[name] = {
            "accel_mm": float(jerks.mean() * 1000.0) if len(jerks) else float("nan"),
            "flips": int(flips(about[1:], about[:-1])[following].sum()),
        }
    return result


def _percentile(values: np.ndarray, which: float) -> float:
    values = values[np.isfinite(values)]
    return float(np.percentile(values, which)) if len(values) else float("nan")
