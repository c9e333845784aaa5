"""The network of a graph file as an Engine, on any Runner: what is fed, what is remembered, what is refused."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from engines.graph_file import DIGITS, GraphInfo, graph_info
from engines.runner import Runner
from engines.runtime import EngineOutput
from realtime.errors import LoadError

if TYPE_CHECKING:
    from realtime.body.smpl import Body

WARM_UP_RUNS = 3  # the first calls allocate and pick kernels: not on somebody's first frame
LOOPS = {"next_state": "state"}  # of the step form
JOINTS, BETAS = 24, 10


class GraphEngine:
    """Implements engines.runtime.Engine.

    Step form: the runner keeps the convolutions' cached columns, and a frame goes in alone. Window form: the
    newest frames are kept here and all go in:

        frames seen    window (13 rows)                age
        1              0   0  ···  0    φ₀              0
        5              0   0  ···  φ₃   φ₄              4
        20             φ₇  φ₈ ···  φ₁₈  φ₁₉            12

    `open_runner(horizons)` gives a runner for so many horizons; when their number changes during a stream, a
    new one takes over the states. That costs a load, so `prepare` comes first.
    """

    def __init__(
        self,
        open_runner: Callable[[int], Runner],
        source: Path,
        feature_version: int | None = None,
        feature_dim: int | None = None,
    ) -> None:
        """source: the file, for messages. feature_version, feature_dim: the φ it will be fed; None: not checked.

        Raises LoadError for a graph that is none of ours, or made for another φ.
        """
        self._open_runner = open_runner
        self._source = source
        self._runner = open_runner(1)
        self._info = info = graph_info(source, self._runner.metadata, feature_version, feature_dim)
        self.name, self.device = self._runner.name, self._runner.device
        self.model_id = info.model_id
        self.feature_dim = info.feature_dim
        self.receptive_field = info.receptive_field
        self.delay = info.delay
        self.appearance = info.appearance
        self.horizon_ms = info.horizon_ms
        self._check_graph()
        self._is_window = info.form == "window"
        self._window = np.zeros(
            (1, self.receptive_field if self._is_window else 1, self.feature_dim), np.float32
        )
        self._seen = 0
        self._age = np.zeros(1, np.float32)
        self._shape_rate = np.ones(1, np.float32)
        self._no_shape = np.zeros(BETAS, np.float32)
        self._body: Body | None = None
        self._horizons_ms: tuple[float, ...] = ()
        self.chosen = ""  # why this engine, where it was chosen for the user
        self._rarely: dict[str, np.ndarray] = {}  # inputs that seldom change, to be fed with the next frame
        self.prepare(1)

    def prepare(self, horizons: int, body: Body | None = None) -> None:
        """See Engine.prepare."""
        self._body = body or self._body
        self._use(horizons)
        self._feed_body()
        self._horizons_ms = ()  # the next step feeds them
        for _ in range(WARM_UP_RUNS):
            self._runner.run()
        self.reset()

    def reset(self) -> None:
        """See Engine.reset."""
        self._runner.clear()
        self._window[:] = 0.0
        self._seen = 0

    def step(
        self,
        features: np.ndarray,
        dt_ahead_ms: Sequence[float] = (),
        shape_mean: np.ndarray | None = None,
        shape_rate: float = 1.0,
    ) -> EngineOutput:
        """See Engine.step."""
        self._check_features(features, (self.feature_dim,))
        horizons_ms = tuple(dt_ahead_ms)
        for dt_ms in horizons_ms:
            if not abs(dt_ms) <= self.horizon_ms:
                raise ValueError(f"dt_ahead_ms {dt_ms}: this model looks ±{self.horizon_ms:g} ms ahead")
        mean = self._no_shape if shape_mean is None else np.asarray(shape_mean, np.float32)
        if mean.shape != (BETAS,) or not np.isfinite(mean).all():
            raise ValueError(f"shape_mean must be {BETAS} finite numbers")
        if not 0.0 < shape_rate <= 1.0:
            raise ValueError(f"shape_rate {shape_rate}: must lie in (0, 1]")

        if horizons_ms != self._horizons_ms:
            self._use(len(horizons_ms))
            self._horizons_ms = horizons_ms
            if horizons_ms:
                self._rarely["dt_ms"] = np.array(horizons_ms, np.float32)
        self._shape_rate[0] = shape_rate
        self._push(features)
        out = self._runner.run(
            features=self._fed(), age=self._age, shape_mean=mean, shape_rate=self._shape_rate, **self._rarely
        )
        self._rarely.clear()
        return EngineOutput(
            camera=out["camera"][0].copy(),
            pose_matrix=out["pose"][0].copy(),
            betas=out["betas"][0].copy(),
            shape=out["shape"][0].copy(),
            joints=out["joints"].copy(),
            ahead=out["ahead"][: len(horizons_ms)].copy(),
            movie_strip=out["movie_strip"][0].copy(),
        )

    def rebuild(self, features: np.ndarray) -> None:
        """See Engine.rebuild."""
        self._check_features(features, (len(features), self.feature_dim))
        self.reset()
        # What is older than the receptive field has left no trace.
        newest = features[-self.receptive_field :]
        for column in newest:
            self._push(column)
            if not self._is_window:
                self._runner.run(features=self._fed(), age=self._age)

    def describe(self) -> dict[str, Any]:
        """See Engine.describe."""
        info = self._info
        return {
            **self._runner.describe(),
            "precision": info.precision,
            "form": info.form,
            "model": self.model_id,
            "feature_dim": self.feature_dim,
            "feature_version": info.feature_version,
            "receptive_field": self.receptive_field,
            "delay": self.delay,
            "appearance": None if self.appearance is None else self.appearance[:DIGITS],
            "horizon_ms": self.horizon_ms,
            "parameters": info.parameters,
            **({"chosen": self.chosen} if self.chosen else {}),
        }

    def close(self) -> None:
        """See Engine.close."""
        self._runner.close()

    def _push(self, features: np.ndarray) -> None:
        self._window[0, :-1] = self._window[0, 1:]
        self._window[0, -1] = features
        self._age[0] = min(self._seen, self.receptive_field - 1)
        self._seen += 1

    def _fed(self) -> np.ndarray:
        return self._window if self._is_window else self._window[0]

    def _use(self, horizons: int) -> None:
        """Have a runner for so many horizons; for none, any: what it says of them is not handed on."""
        if horizons in (0, *self._runner.inputs["dt_ms"]):
            return
        runner = self._open_runner(horizons)
        if not self._is_window:
            runner.write_loop("state", self._runner.read_loop("state"))
        self._runner.close()
        self._runner = runner
        self._feed_body()

    def _feed_body(self) -> None:
        if self._body is not None:
            self._rarely["rest_joints"] = self._body.J_template
            self._rarely["rest_directions"] = self._body.J_shapedirs

    def _check_features(self, features: np.ndarray, shape: tuple[int, ...]) -> None:
        if features.shape != shape:
            raise ValueError(f"features of shape {features.shape}: this model takes {shape}")
        if not np.isfinite(features).all():
            raise ValueError("features hold values that are not finite")

    def _check_graph(self) -> None:
        """The metadata may say anything: what will be fed and read must be there, in the shapes that are meant."""
        inputs, outputs = graph_shapes(self._info, horizons=1)
        for expected, found in ((inputs, self._runner.inputs), (outputs, self._runner.outputs)):
            wrong = {name for name in {**expected, **found} if expected.get(name) != found.get(name)}
            if wrong:
                raise LoadError(
                    f"{self._source}: {', '.join(sorted(wrong))} not as this program's graphs have it; "
                    "export the model again, or use --model default"
                )


def graph_shapes(
    info: GraphInfo, horizons: int
) -> tuple[dict[str, tuple[int, ...]], dict[str, tuple[int, ...]]]:
    """Shapes of the inputs and of the outputs of a graph, without its states; all are float32."""
    frames = (1, info.receptive_field) if info.form == "window" else (1,)
    inputs: dict[str, tuple[int, ...]] = {
        "features": (*frames, info.feature_dim),
        "age": (1,),
        "dt_ms": (horizons,),
        "rest_joints": (JOINTS, 3),
        "rest_directions": (JOINTS, 3, BETAS),
        "shape_mean": (BETAS,),
        "shape_rate": (1,),
    }
    outputs: dict[str, tuple[int, ...]] = {
        "camera": (1, 3),
        "pose": (1, JOINTS, 3, 3),
        "betas": (1, BETAS),
        "shape": (1, BETAS),
        "joints": (2, JOINTS, 3),
        "ahead": (horizons, JOINTS, 3, 3),
        "movie_strip": (1, info.width),
    }
    return inputs, outputs
