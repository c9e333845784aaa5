"""Pictures through perception, tracker, network and body, frame by frame, as run_live.py does; several rows at once.

picture ─► Eye (one per perception) ─► observation ─► Watcher (one per row) ─► Track
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np

from bench.accuracy.rows import ONE_EURO_BETA, ONE_EURO_MIN_CUTOFF_HZ, Row
from engines import load
from engines.runtime import Engine, EngineOutput
from realtime.body.rotations import axis_angle_to_matrix
from realtime.body.smpl import Body
from realtime.config import Config
from realtime.estimator import Estimator
from realtime.observation import Estimate, Observation
from realtime.perception import Perception, check_appearance, make_perception
from realtime.perception.mediapipe_pose import MediaPipePose
from realtime.perception.tracking import Tracker
from realtime.translation import OneEuro
from realtime.view import perceive
from training.metrics import POINT_JOINTS, POINTS, points_of_landmarks


@dataclass(frozen=True)
class BodyTrack:
    """T frames of a body; camera frame, metres."""

    joints: np.ndarray  # (T, 24, 3) about the pelvis
    rotations: np.ndarray  # (T, 24, 3, 3) local, root in the camera frame
    betas: np.ndarray  # (T, 10)
    trans: np.ndarray  # (T, 3)
    horizons_ms: tuple[float, ...]
    ahead: np.ndarray  # (T, K, 24, 3, 3) at each horizon


@dataclass(frozen=True)
class Track:
    """What one row says of T frames."""

    usable: np.ndarray  # (T,) bool: tracked, and answered while the stream ran
    points: np.ndarray  # (T, 14, 3) metres, camera axes: training.metrics.POINTS
    cost_ms: np.ndarray  # (T,) perception, tracker and estimator
    body: BodyTrack | None  # None: landmarks have none
    estimates: tuple[Estimate, ...] = ()  # that the body's arrays were made of


class SmoothedMediaPipe(MediaPipePose):
    """MediaPipe with its own smoothing, which takes every frame for 1/30 s."""

    def __init__(self) -> None:
        super().__init__(complexity=1)
        self._pose.close()
        from mediapipe.python.solutions import pose

        self._pose = pose.Pose(model_complexity=1, smooth_landmarks=True)


class Eye:
    """One perception and its tracker."""

    def __init__(self, config: Config, smoothed: bool = False) -> None:
        self._config = config
        self.perception = SmoothedMediaPipe() if smoothed else make_perception(config)
        self.took_ms = 0.0

    def start(self) -> None:
        """Another video."""
        self.perception.reset()
        self._tracker = Tracker(self._config.perception)

    def see(self, picture: np.ndarray, t_ns: int) -> Observation:
        started_ns = time.perf_counter_ns()
        observation = perceive(picture, t_ns, self.perception, self._tracker)
        self.took_ms = (time.perf_counter_ns() - started_ns) / 1e6
        return observation

    def close(self) -> None:
        self.perception.close()


class Watcher(Protocol):
    """One row: makes a track of what an eye sees."""

    def start(self, tilt_deg: tuple[float, float] | None) -> None:
        """Another video; (pitch, roll) of its camera, None: not known."""

    def see(self, t_ns: int, observation: Observation, eye_ms: float) -> None:
        """The next frame."""

    def track(self) -> Track:
        """Of all frames seen since `start`."""


class LandmarkWatcher:
    """The perception's world landmarks, as they are or through a One-Euro filter."""

    def __init__(self, one_euro: bool = False) -> None:
        self._one_euro = one_euro

    def start(self, tilt_deg: tuple[float, float] | None) -> None:
        self._filter = OneEuro(ONE_EURO_MIN_CUTOFF_HZ, ONE_EURO_BETA)
        self._points: list[np.ndarray] = []
        self._seen: list[bool] = []
        self._cost_ms: list[float] = []

    def see(self, t_ns: int, observation: Observation, eye_ms: float) -> None:
        started_ns = time.perf_counter_ns()
        points = np.zeros((len(POINTS), 3))
        if observation.detection is None:
            self._filter.reset()
        else:
            points = points_of_landmarks(observation.detection.world)
            if self._one_euro:
                points = self._filter.filter(t_ns, points.reshape(-1)).reshape(points.shape)
        self._cost_ms.append(eye_ms + (time.perf_counter_ns() - started_ns) / 1e6)
        self._seen.append(observation.detection is not None)
        self._points.append(points)

    def track(self) -> Track:
        return Track(np.array(self._seen), np.stack(self._points), np.array(self._cost_ms), None)


class ModelWatcher:
    """The network and what follows it. ahead_ms: instead of the configured horizons; they may be negative."""

    def __init__(
        self,
        engine: Engine,
        body: Body,
        config: Config,
        ahead_ms: tuple[float, ...] = (),
        tilts: bool = False,
    ) -> None:
        """tilts: tell the network how the camera is put up."""
        self._engine, self._body, self._config = engine, body, config
        self._ahead_ms, self._tilts = ahead_ms, tilts

    def start(self, tilt_deg: tuple[float, float] | None) -> None:
        config = self._config
        if self._tilts and tilt_deg is not None:
            pitch_deg, roll_deg = tilt_deg
            config = replace(config, camera=replace(config.camera, pitch_deg=pitch_deg, roll_deg=roll_deg))
        self._estimator = _AskedEstimator(self._engine, self._body, config, self._ahead_ms)
        self._estimates: list[Estimate] = []
        self._seen: list[bool] = []
        self._cost_ms: list[float] = []

    def see(self, t_ns: int, observation: Observation, eye_ms: float) -> None:
        started_ns = time.perf_counter_ns()
        estimate = self._estimator.update(t_ns, observation)
        self._cost_ms.append(eye_ms + (time.perf_counter_ns() - started_ns) / 1e6)
        self._seen.append(observation.detection is not None)
        if estimate is not None:  # a model that looks ahead answers its first frames later
            self._estimates.append(estimate)

    def track(self) -> Track:
        live = len(self._estimates)
        estimates = [*self._estimates, *self._estimator.finish()]
        # The last frames of a model that looks ahead are answered without the look: no stream shows them.
        usable = np.array(
            [
                seen and index < live and estimate.state in ("tracking", "warming")
                for index, (seen, estimate) in enumerate(zip(self._seen, estimates, strict=True))
            ]
        )
        return Track(
            usable,
            np.stack([estimate.joints[POINT_JOINTS] for estimate in estimates]),
            np.array(self._cost_ms),
            self._body_track(estimates),
            tuple(estimates),
        )

    def _body_track(self, estimates: list[Estimate]) -> BodyTrack:
        theta = np.stack([estimate.theta for estimate in estimates])
        horizons_ms = self._estimator.horizons_ms
        ahead = np.zeros((len(estimates), len(horizons_ms), 72), np.float32)
        for row, estimate in zip(ahead, estimates, strict=True):
            if estimate.ahead:  # none before anybody was seen
                row[:] = [pose for _, pose in estimate.ahead]
        return BodyTrack(
            np.stack([estimate.joints for estimate in estimates]),
            axis_angle_to_matrix(theta[:, 3:75].reshape(-1, 24, 3)),
            theta[:, 75:],
            np.stack([estimate.trans for estimate in estimates]),
            horizons_ms,
            axis_angle_to_matrix(ahead.reshape(len(estimates), -1, 24, 3)),
        )


class _AskedEstimator(Estimator):
    """An estimator that can also be asked for the past, which no stream has a use for: HMMR's −5 frames."""

    def __init__(self, engine: Engine, body: Body, config: Config, ahead_ms: tuple[float, ...]) -> None:
        super().__init__(engine, body, config)
        if ahead_ms:
            self._horizons_ms = ahead_ms
            engine.prepare(len(ahead_ms), body)

    @property
    def horizons_ms(self) -> tuple[float, ...]:
        return self._horizons_ms


class Forgetful:
    """An engine that sees every frame as the first one, of a person it has not met: pose and shape of this frame."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def __getattr__(self, name: str) -> Any:
        return getattr(self._engine, name)

    def step(self, features: np.ndarray, dt_ahead_ms: Sequence[float] = (), *shape: Any) -> EngineOutput:
        """Engine.step, without what it remembers; of the person's shape so far nothing is handed on."""
        self._engine.reset()
        return self._engine.step(features, dt_ahead_ms)


class Stream:
    """Rows that see the same pictures. Rows whose perceptions are alike share one."""

    def __init__(self, rows: list[Row], engine: str, body: Body) -> None:
        """Raises ConfigError, LoadError."""
        self._eyes: dict[tuple, Eye] = {}
        self._watchers: list[tuple[Row, tuple, Watcher]] = []
        for row in rows:
            key = row.perception_key(engine)
            if key not in self._eyes:
                self._eyes[key] = Eye(row.config(engine), smoothed=row.filtered == "mediapipe")
            self._watchers.append((row, key, make_watcher(row, engine, body, self._eyes[key].perception)))

    def start(self, tilt_deg: tuple[float, float] | None = None) -> None:
        """Another video; (pitch, roll) of its camera for the rows that are told."""
        for eye in self._eyes.values():
            eye.start()
        for _, _, watcher in self._watchers:
            watcher.start(tilt_deg)
        self.observations: dict[str, list[Observation]] = {row.name: [] for row, _, _ in self._watchers}

    def see(self, picture: np.ndarray, t_ns: int) -> None:
        """One picture, (H, W, 3) uint8 BGR, with its stamp."""
        seen = {key: (eye.see(picture, t_ns), eye.took_ms) for key, eye in self._eyes.items()}
        for row, key, watcher in self._watchers:
            observation, eye_ms = seen[key]
            watcher.see(t_ns, observation, eye_ms)
            self.observations[row.name].append(observation)

    def tracks(self) -> dict[str, Track]:
        """Of every row, by name."""
        return {row.name: watcher.track() for row, _, watcher in self._watchers}

    def close(self) -> None:
        for eye in self._eyes.values():
            eye.close()


def make_watcher(row: Row, engine: str, body: Body, perception: Perception) -> Watcher:
    """Raises LoadError for weights that cannot be had, or were trained on other features than the perception gives."""
    if row.kind == "world":
        return LandmarkWatcher(one_euro=row.filtered == "one-euro")
    config = row.config(engine)
    runtime = config.runtime
    loaded = load(config.model, config.engine, runtime.precision, runtime.threads, runtime.form)
    check_appearance(perception, loaded)
    stepped = Forgetful(loaded) if row.kind == "single" else loaded
    return ModelWatcher(stepped, body, config, row.ahead_ms, row.knows_tilt)
