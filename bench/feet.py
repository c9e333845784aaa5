"""How far the feet are from the floor, in the files made of a recording and on the live receivers' floor.

    python run_live.py --source demo --viewer none --record demo.mcap
    python -m bench.feet demo.mcap [--json out.json]

The lowest vertex of the body in every frame, centimetres over the floor: as .glb, .bvh and .amass.npz have it, and as
the viewer and the page show it. Of the avatar that VMC moves, the lowest bone, less how high it is at rest.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bench.table import print_table
from realtime.body.kinematics import forward_kinematics, skin
from realtime.body.rotations import axis_angle_to_matrix, quaternion_to_matrix
from realtime.body.smpl import Body
from realtime.coordinates import UNITY
from realtime.files.rows_file import body_of, message_of, read_file
from realtime.files.steady import steady
from realtime.floor import Floor
from realtime.humanoid import bone_positions
from realtime.record_file import STATES, Rows
from realtime.sinks.bones import BoneReader
from realtime.sinks.stage import Stage

SETTLED_S = 1.0  # after which an avatar has come out of its rest
PERCENTILES = (0, 5, 25, 50, 75, 95, 100)
DEEP_M = -0.03


def in_files(recording: Rows, body: Body) -> tuple[np.ndarray, np.ndarray]:
    """(T,) seconds, (T,) metres."""
    motion = steady(recording, body)
    heights = []
    for part in motion.parts():
        for rotations, pelvis in zip(motion.rotations(part), motion.pelvis[part], strict=True):
            joints, transforms = forward_kinematics(body, rotations, motion.betas)
            low = (skin(body, transforms, motion.betas, rotations) - joints[0])[:, 1].min()
            heights.append(low + pelvis[1])
    return np.arange(len(heights)) / motion.fps, np.array(heights)


def in_viewer(recording: Rows, body: Body) -> tuple[np.ndarray, np.ndarray]:
    floor, heights = Floor(), []
    rows = recording.rows[recording.rows["state"] != STATES.index("lost")]
    t_s = rows["t_capture_ns"] / 1e9
    for row, now_s in zip(rows, t_s, strict=True):
        rotations = axis_angle_to_matrix(row["theta"][3:75].reshape(24, 3))
        joints, transforms = forward_kinematics(body, rotations, row["theta"][75:])
        lowest = (skin(body, transforms, row["theta"][75:], rotations) - joints[0] + row["trans"])[:, 1].max()
        heights.append(floor.update(float(now_s), float(lowest)) - lowest)
    return t_s, np.array(heights)


def in_vmc(recording: Rows, body: Body) -> tuple[np.ndarray, np.ndarray]:
    reader, heights, t_s = BoneReader(body), [], []
    stage, started_s = Stage(reader.neutral), float("inf")
    for seq, row in enumerate(recording.rows):
        now_s = float(row["t_capture_ns"] / 1e9)
        message = message_of(row, seq, recording.header["constants"])
        pose = reader.read(message)
        stage.see(now_s, message, pose)
        frame = stage.frame(now_s)
        started_s = min(started_s, now_s if frame.tracking else started_s)
        if not frame.tracking or now_s - started_s < SETTLED_S:
            continue
        turns = UNITY.rotations_back(quaternion_to_matrix(frame.quaternions))
        places = bone_positions(turns, UNITY.points_back(frame.positions))
        heights.append(places[:, 1].min() - pose.skeleton.sole_m)
        t_s.append(now_s)
    return np.array(t_s), np.array(heights)


def deep_s(t_s: np.ndarray, heights: np.ndarray) -> float:
    """The longest time without a break below DEEP_M."""
    longest, since = 0.0, None
    for now_s, height in zip(t_s, heights, strict=True):
        since = None if height >= DEEP_M else now_s if since is None else since
        longest = max(longest, 0.0 if since is None else now_s - since)
    return float(longest)


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m bench.feet", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument("recording", type=Path, metavar="FILE", help=".mcap or .npz")
    parser.add_argument("--json", type=Path, metavar="FILE")
    options = parser.parse_args(argv)
    recording = read_file(options.recording)
    body = body_of(recording)
    results: dict[str, dict[str, Any]] = {}
    for name, look in (
        (".glb, .bvh, .amass.npz", in_files),
        ("viewer, page", in_viewer),
        ("VMC", in_vmc),
    ):
        t_s, heights = look(recording, body)
        results[name] = {
            "cm": dict(zip(PERCENTILES, (100 * np.percentile(heights, PERCENTILES)).tolist(), strict=True)),
            "below_3_cm_s": deep_s(t_s, heights),
        }
    print_table(
        (
            "centimetres over the floor",
            "least",
            *(f"p{p}" for p in PERCENTILES[1:-1]),
            "most",
            "s below -3",
        ),
        [
            (name, *(f"{value:.1f}" for value in result["cm"].values()), f"{result['below_3_cm_s']:.2f}")
            for name, result in results.items()
        ],
    )
    if options.json:
        options.json.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
