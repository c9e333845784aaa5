"""The frames on which every graph is held against the network before it may be used: assets/gate.npz."""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from realtime.assets import asset
from realtime.errors import LoadError, SourceError

if TYPE_CHECKING:
    from engines.runtime import Engine

GATE = "gate.npz"  # in assets/
FRAMES = 300


@dataclass(frozen=True, eq=False)
class Gate:
    """Features of real frames in order, with the resets of the ring among them."""

    features: np.ndarray  # (N, F) float32 raw φ, as precise as fp16
    starts: np.ndarray  # (N,) bool: the ring was empty before this frame
    feature_version: int

    def ages(self) -> np.ndarray:
        """(N,) int64: frames since the last start."""
        index = np.arange(len(self.starts))
        return index - np.maximum.accumulate(np.where(self.starts, index, 0))


def load_gate(path: Path | None = None) -> Gate:
    """Read a gate file; None: the one in assets/. Raises LoadError for one that is absent or damaged."""
    file = path or asset(GATE)
    try:
        with np.load(file, allow_pickle=False) as archive:
            features = np.ascontiguousarray(archive["features"], np.float32)
            gate = Gate(features, archive["starts"].astype(bool), int(archive["feature_version"]))
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise LoadError(f"{file}: no gate file, or damaged ({error}); see assets/gate.md") from None
    if features.ndim != 2 or gate.starts.shape != features.shape[:1] or not gate.starts[:1].all():
        raise LoadError(f"{file}: damaged (shapes {features.shape}, {gate.starts.shape}); see assets/gate.md")
    return gate


def make_gate(clips: Sequence[Path], out: Path, frames: int = FRAMES) -> Gate:
    """Run clips through the live path, every frame, and keep what the network is given.

    Each clip gives an equal share of the frames, the last ones what the others could not. Raises SourceError
    for a clip that cannot be read, and where all of them hold less than `frames` frames with a person.
    """
    # The live path imports this package: not before it is needed.
    from engines import load
    from realtime.body.smpl import load_body
    from realtime.camera.clip import EveryFrameClip
    from realtime.config import Config
    from realtime.estimator import Estimator
    from realtime.features import FEATURE_VERSION
    from realtime.perception import check_appearance, make_perception
    from realtime.perception.tracking import Tracker
    from realtime.view import View

    config, body = Config(), load_body(None)
    # The same frames on any machine, however many cores it has.
    config.perception.mirror, config.perception.threads = "off", 1
    recorder = _Recorder(load("default"))
    for number, clip in enumerate(clips):
        wanted = len(recorder.features) + (frames - len(recorder.features)) // (len(clips) - number)
        recorder.reset()
        feed = EveryFrameClip(clip.name, clip)
        feed.start()
        view = View(feed, make_perception(config), Tracker(config.perception))
        check_appearance(view.perception, recorder)
        estimator = Estimator(recorder, body, config)
        while len(recorder.features) < wanted and (seen := view.next(0.0)) is not None:
            frame, observation = seen
            estimator.update(frame.t_capture_ns, observation)
        view.close()
    if len(recorder.features) < frames:
        raise SourceError(
            f"{', '.join(clip.name for clip in clips)}: a person in {len(recorder.features)} frames only; "
            f"{frames} are needed: give longer clips"
        )
    stored = np.stack(recorder.features).astype(np.float16)  # whoever is compared is given the same numbers
    gate = Gate(stored.astype(np.float32), np.array(recorder.starts), FEATURE_VERSION)
    part = out.with_name(out.name + ".part")
    with part.open("wb") as file:
        np.savez_compressed(file, features=stored, starts=gate.starts, feature_version=gate.feature_version)
    part.replace(out)
    return gate


class _Recorder:
    """An engine that keeps what it is fed."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.features: list[np.ndarray] = []
        self.starts: list[bool] = []
        self._fresh = True

    def __getattr__(self, name: str) -> Any:
        return getattr(self._engine, name)

    def reset(self) -> None:
        self._fresh = True
        self._engine.reset()

    def step(self, features: np.ndarray, *arguments: Any, **options: Any) -> Any:
        self.features.append(features.copy())
        self.starts.append(self._fresh)
        self._fresh = False
        return self._engine.step(features, *arguments, **options)
