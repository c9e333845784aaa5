"""What turning a long recording into other files costs: peak memory and time of `realtime.convert`, file by file.

    python -m bench.files [--minutes 60] [--kinds .bvh,.glb] [--folder out] [--json out.json]

The recording is made up: somebody who turns and waves with all joints, 30 frames a second, as .npz and as .mcap. Each
conversion is a process of its own. Linux and macOS (peak memory by wait4).
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from bench.table import print_table
from realtime.body.kinematics import forward_kinematics
from realtime.body.rotations import axis_angle_to_matrix
from realtime.body.smpl import load_body
from realtime.files.rows_file import write_file
from realtime.record_file import PART_ROWS, ROW, STATES, Rows

FPS = 30
SOURCES = (".npz", ".mcap")
TARGETS = (".npz", ".amass.npz", ".bvh", ".glb")
RSS_UNIT = 1 if sys.platform == "darwin" else 1024


def waving(count: int) -> Rows:
    """`count` frames of somebody upright, three metres before the camera."""
    body, rng = load_body(None), np.random.default_rng(0)
    rows = np.zeros(count, ROW)
    rows["frame_index"] = np.arange(count)
    rows["t_capture_ns"] = np.arange(count) * (1_000_000_000 // FPS)
    rows["score"], rows["person"], rows["state"] = 0.9, 1, STATES.index("tracking")
    rows["trans"] = (0.0, 0.1, 3.0)
    size, speed, start = rng.normal(0, 0.4, (24, 3)), rng.uniform(1, 4, (24, 1)), rng.uniform(0, 6, (24, 1))
    for first in range(0, count, PART_ROWS):
        part = rows[first : first + PART_ROWS]
        t_s = (part["frame_index"] / FPS)[:, None, None]
        pose = size * np.sin(speed * t_s + start)
        pose[:, 0] = (np.pi, 0, 0) + 0.1 * pose[:, 0]
        part["theta"][:, 3:75] = pose.reshape(len(part), 72)
        joints, _ = forward_kinematics(body, axis_angle_to_matrix(pose), np.zeros(10, np.float32))
        part["joints"] = joints - joints[:, :1]
    constants = {"body": body.id, "model": "bench", "source": "bench"}
    return Rows({"nominal_fps": FPS, "pelvis_rest_m": body.J_template[0], "constants": constants}, rows, 0)


def converted(source: Path, target: Path) -> dict[str, float]:
    """Peak memory and seconds of one conversion."""
    started = time.monotonic()
    process = subprocess.Popen(
        [sys.executable, "-m", "realtime.convert", str(source), str(target)], stdout=subprocess.DEVNULL
    )
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{source} → {target}: exit code {process.returncode}")
    return {
        "peak_mb": usage.ru_maxrss * RSS_UNIT / 1e6,
        "seconds": time.monotonic() - started,
        "file_mb": target.stat().st_size / 1e6,
    }


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m bench.files", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--kinds", default=",".join(TARGETS), help="default %(default)s")
    parser.add_argument("--folder", type=Path, help="for the files, which are removed; default: the system's")
    parser.add_argument("--json", type=Path, metavar="FILE")
    options = parser.parse_args(argv)
    results = {}
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        recording = waving(round(options.minutes * 60 * FPS))
        sources = [write_file(recording, Path(folder) / f"take{kind}") for kind in SOURCES]
        del recording
        for source in sources:
            for kind in options.kinds.split(","):
                target = Path(folder) / f"made{kind}"
                results[f"{source.suffix} → {kind}"] = converted(source, target)
                target.unlink()
    print_table(
        (f"{options.minutes:g} minutes", "peak MB", "s", "file MB"),
        [
            (name, *(f"{result[key]:.0f}" for key in ("peak_mb", "seconds", "file_mb")))
            for name, result in results.items()
        ],
    )
    if options.json:
        options.json.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
