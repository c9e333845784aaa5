"""Make assets/demo.mp4 and assets/demo_truth.npz: held-out motion on our own body, with the true motion beside it.

    python -m training.demo_clip [--clip 02_05] [--seconds 14]

The motion is of the eval split: the default model has not seen it.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import cv2
import numpy as np

from realtime.body.kinematics import forward_kinematics
from realtime.body.smpl import load_body
from training.camera import FRONT, PinholeCamera
from training.motion import DEFAULT_MOTION, FPS, load_clips
from training.render import PersonRenderer
from training.staging import Take

WIDTH, HEIGHT, FOV_DEG = 640, 480, 60.0  # the field of view that the program assumes
DISTANCE_M = 2.6
LOOK_SEED = 14  # clothes, light and room


def demo_take(clip, seconds: float) -> Take:
    """The first seconds of a clip, seen from the front as by a webcam on a shelf."""
    frames = min(len(clip.trans), int(seconds * FPS))
    rotations = clip.rotations[:frames].copy()
    forward = rotations[:, 0] @ np.array([0.0, 0.0, 1.0])
    heading = np.arctan2(forward[:, 0].mean(), forward[:, 2].mean())
    c, s = np.cos(-heading + 0.25), np.sin(-heading + 0.25)  # a quarter radian off the frontal view
    R = (FRONT @ np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]])).astype(np.float32)
    rotations[:, 0] = R @ rotations[:, 0]
    path = (clip.trans[:frames] - clip.trans[:frames].mean(axis=0)) @ R.T
    camera = PinholeCamera(R, np.zeros(3), WIDTH, HEIGHT, FOV_DEG)
    trans = (path + np.array([0.05, 0.1, DISTANCE_M])).astype(np.float32)
    return Take(clip.name, rotations, trans, np.zeros(10, np.float32), camera, np.arange(frames) / FPS)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--motion", type=Path, default=DEFAULT_MOTION)
    parser.add_argument("--clip", default="02_05")
    parser.add_argument("--seconds", type=float, default=14.0)
    parser.add_argument("--out", type=Path, default=Path("assets"))
    options = parser.parse_args()
    body = load_body(None)
    clip = next(c for c in load_clips(options.motion, "eval") if c.name == options.clip)
    take = demo_take(clip, options.seconds)
    renderer = PersonRenderer(body)
    renderer.new_look(np.random.default_rng(LOOK_SEED), WIDTH, HEIGHT, grain=0.0)  # grain costs bytes
    video = options.out / "demo.mp4"
    writer = cv2.VideoWriter(str(video), cv2.VideoWriter_fourcc(*"mp4v"), FPS, (WIDTH, HEIGHT))
    for rotations, trans in zip(take.rotations, take.trans, strict=True):
        writer.write(renderer.render(rotations, take.betas, trans, take.camera))
    writer.release()
    renderer.close()
    joints, _ = forward_kinematics(body, take.rotations, take.betas)
    np.savez_compressed(
        options.out / "demo_truth.npz",
        clip=np.array(take.clip),
        joints=(joints - joints[:, :1]).astype(np.float32),
        trans=take.trans,
        rotations=take.rotations.astype(np.float16),
        fov_deg=np.float32(FOV_DEG),
    )
    print(f"{video}: {video.stat().st_size / 1e6:.2f} MB, {len(take.trans)} frames")


if __name__ == "__main__":
    main()
