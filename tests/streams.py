"""What the tests of command line and live loop stream: small clips, random weights, scripted stages."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest

from realtime import pipeline
from realtime.camera import CameraStatus
from realtime.camera.drops import Drop
from realtime.config import Config
from realtime.features import FEATURE_DIM, FEATURE_VERSION
from realtime.observation import Detection, Frame

ROOT = Path(__file__).resolve().parent.parent
FPS = 30.0


def write_model(path: Path, delay: int = 0, **metadata: object) -> Path:
    """Small random weights, as a graph (.onnx) that the engine takes as it is."""
    from engine_kinds import network, write_graph  # only here: it needs torch, and other tests stream without

    return write_graph(network(FEATURE_DIM, FEATURE_VERSION, delay=delay), "step", path, **metadata)


def write_clip(path: Path, frames: int, fps: float = FPS, size: tuple[int, int] = (160, 120)) -> Path:
    """A video (MJPEG in AVI) of a moving bar: nobody is in it."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), fps, size)
    for i in range(frames):
        image = np.full((size[1], size[0], 3), 90, np.uint8)
        image[:, i % size[0]] = 255
        writer.write(image)
    writer.release()
    return path


def start_run_live(*arguments: object, prefix: tuple[str, ...] = ()) -> subprocess.Popen[str]:
    command = [*prefix, sys.executable, str(ROOT / "run_live.py"), *map(str, arguments)]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def free_port() -> int:
    """Of this machine; nothing listens there."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def free_address() -> str:
    """For a bus whose address must be known before it is bound."""
    return f"tcp://127.0.0.1:{free_port()}"


class ScriptedFeed:
    """Gives `frames` frames at once, each when asked, then ends, or stays silent for ever."""

    name = "scripted"
    expected_fps = None

    def __init__(self, frames: int, then_silent: bool = False) -> None:
        self.left = frames
        self.given = 0
        self.then_silent = then_silent
        self.closed = False
        self.first_ns = time.monotonic_ns()

    @property
    def ended(self) -> bool:
        return not self.left and not self.then_silent

    def start(self) -> None:
        pass

    def next(self, timeout_s: float) -> Frame | None:
        if not self.left:
            time.sleep(timeout_s)
            return None
        self.left -= 1
        self.given += 1
        t_ns = self.first_ns + round(self.given * 1e9 / FPS)
        return Frame(np.zeros((120, 160, 3), np.uint8), self.given - 1, t_ns, time.monotonic_ns(), self.name)

    def status(self) -> CameraStatus:
        state = "ended" if self.ended else "live" if self.left else "stalled"
        return CameraStatus(
            self.name, state, 160, 120, FPS, FPS, self.given, 0, 0, 1.0 if self.given else None, "scripted"
        )

    def dropped(self) -> list[Drop]:
        return []

    def close(self) -> None:
        self.closed = True


class ScriptedPerception:
    """The same well visible person in every frame, swaying a little."""

    name = "scripted"

    def __init__(self) -> None:
        rng = np.random.default_rng(0)
        self.pixels = rng.uniform((50, 20), (110, 100), (33, 2)).astype(np.float32)
        self.world = rng.normal(0, 0.3, (33, 3)).astype(np.float32)
        self.count = 0

    def process(self, image: np.ndarray, t_ns: int) -> Detection | None:
        self.count += 1
        sway = np.float32(np.sin(self.count / 10.0))
        return Detection(self.pixels + sway, self.world + sway / 100, np.ones(33, np.float32))

    def reset(self) -> None:
        pass

    def close(self) -> None:
        pass

    def describe(self) -> dict[str, str]:
        return {"name": self.name}


def scripted_config(
    monkeypatch: pytest.MonkeyPatch,
    feed: ScriptedFeed,
    model: Path,
    perception: ScriptedPerception | None = None,
    **settings: object,
) -> Config:
    """For realtime.pipeline.run, which from now on has this camera and perception, and no viewer."""
    monkeypatch.setattr(pipeline, "open_feed", lambda config: feed)
    monkeypatch.setattr(pipeline, "make_perception", lambda config, fps: perception or ScriptedPerception())
    given: dict = {"source": "scripted", "viewer_kind": "none", "model": str(model)}
    return Config(**{**given, "bus_address": free_address(), **settings})
