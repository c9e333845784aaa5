"""Whether a recording that the program left can be read, and how many frames are in it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from realtime.files.mcap_file import BusRecording
from realtime.messages import PoseMessage, decode
from realtime.record_file import part_path


def check_recording(path: Path) -> dict[str, Any]:
    """{"name", "frames", "error"}; error is empty where all of it is whole and in order. path: .npz or .mcap."""
    frames, error = 0, ""
    try:
        index = _frames_of_bus(path) if path.suffix == ".mcap" else _frames_of_npz(path)
        frames = len(index)
        if (np.diff(index) <= 0).any():
            error = "its frames are out of order"
        elif part_path(path).exists():
            error = f"{part_path(path).name} was left beside it"
    except Exception as failure:  # whatever it is, the file cannot be read
        error = f"{type(failure).__name__}: {failure}"
    return {"name": path.name, "frames": frames, "error": error}


def _frames_of_npz(path: Path) -> np.ndarray:
    with np.load(path, allow_pickle=False) as data:
        arrays = {key: data[key] for key in ("frame_index", "t_capture_ns", "theta", "joints", "trans")}
    if {len(array) for array in arrays.values()} != {len(arrays["frame_index"])}:
        raise ValueError("its arrays are not of one length")
    if not all(np.isfinite(array).all() for array in arrays.values()):
        raise ValueError("numbers in it are not finite")
    return arrays["frame_index"].astype(np.int64)


def _frames_of_bus(path: Path) -> np.ndarray:
    recording = BusRecording(path)
    frames = [message.frame for message in map(decode, recording) if isinstance(message, PoseMessage)]
    if not recording.whole:
        raise ValueError("it has no end")
    return np.array(frames, np.int64)
