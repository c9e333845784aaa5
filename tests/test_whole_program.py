"""run_live.py as a whole, on the shipped clip with the shipped weights."""

import json
import subprocess
import sys

import numpy as np
from streams import ROOT

from realtime.convert import convert
from realtime.features import FEATURE_DIM, FEATURE_VERSION
from realtime.files.mcap_file import BusRecording
from realtime.messages import ImageMessage, PoseMessage, StatusMessage, decode


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


def test_the_shipped_clip_is_tracked_with_the_shipped_model(tmp_path):
    """The default as a user starts it: demo clip, weights and body from assets/."""
    record, summary = str(tmp_path / "a.npz"), tmp_path / "s.json"
    flags = ("--source", "demo", "--every-frame", "--frames", "120")
    done = run(*flags, "--record", record, "--summary", str(summary))
    assert (done.returncode, done.stderr) == (0, "")
    data = np.load(record)
    assert len(data["theta"]) >= 100
    assert data["tracked"].mean() >= 0.95
    assert np.isfinite(data["theta"]).all()
    head_above_feet = data["joints"][:, [7, 8], 1].mean(axis=1) - data["joints"][:, 15, 1]
    assert np.median(head_above_feet) > 0.8  # metres: y points down
    assert 0.5 < np.median(data["trans"][:, 2]) < 20
    engine = json.loads(summary.read_text())["engine"]
    assert (engine["feature_dim"], engine["feature_version"]) == (FEATURE_DIM, FEATURE_VERSION)


def test_one_run_into_every_kind_of_file_and_back_onto_the_bus(tmp_path):
    kinds = ("npz", "amass.npz", "bvh", "glb", "mcap")
    flags = ("--source", "demo", "--every-frame", "--frames", "20", "--set", "recording.image=on")
    records = [flag for kind in kinds for flag in ("--record", str(tmp_path / f"a.{kind}"))]
    done = run(*flags, *records)
    assert (done.returncode, done.stderr) == (0, "")
    assert sorted(entry.name for entry in tmp_path.iterdir()) == sorted(f"a.{kind}" for kind in kinds)
    assert done.stdout.count("recorded 20 frames") == 5

    recording = BusRecording(tmp_path / "a.mcap")
    sent = [decode(data) for data in recording]
    poses = [message for message in sent if isinstance(message, PoseMessage)]
    rows = np.load(tmp_path / "a.npz")
    assert recording.whole and [pose.frame for pose in poses] == rows["frame_index"].tolist()
    assert all(
        pose.theta.tobytes() == theta.tobytes() for pose, theta in zip(poses, rows["theta"], strict=True)
    )
    assert any(isinstance(message, ImageMessage) for message in sent)
    assert any(isinstance(message, StatusMessage) for message in sent)
    assert poses[-1].ahead  # what only the bus carries
    for kind in ("amass.npz", "bvh", "glb"):  # of the bus the same files are made
        convert(tmp_path / "a.mcap", tmp_path / f"b.{kind}")
        if kind != "amass.npz":
            assert (tmp_path / f"b.{kind}").read_bytes() == (tmp_path / f"a.{kind}").read_bytes()
