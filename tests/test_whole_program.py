"""run_live.py as a whole, on the shipped clip with the shipped weights."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parent.parent


def run(*flags: str) -> subprocess.CompletedProcess[str]:
    command = [
        sys.executable,
        str(ROOT / "run_live.py"),
        "--viewer",
        "none",
        "--bus",
        "tcp://127.0.0.1:0",
        *flags,
    ]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


def test_a_sink_gets_every_frame_of_a_file_from_the_first_on(tmp_path):
    lines, recording = tmp_path / "poses.jsonl", tmp_path / "poses.npz"
    flags = ("--source", "demo", "--every-frame", "--frames", "20", "--sink", f"jsonl:{lines}")
    done = run(*flags, "--record", str(recording))
    assert done.returncode == 0, done.stderr
    poses = [json.loads(line) for line in lines.read_text().splitlines()]
    assert [pose["seq"] for pose in poses] == list(range(20))
    with np.load(recording) as data:  # sent = recorded
        assert np.allclose([pose["theta"] for pose in poses], data["theta"], atol=1e-5)
        assert [pose["frame"] for pose in poses] == data["frame_index"].tolist()
