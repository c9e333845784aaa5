"""What the stream says of rendered takes, frame by frame: what leading a pose is learned from (training/fit_lead.py).

Takes hold what the perception saw of every picture (training/observe.py), so tracker, network and body alone are run,
as run_live.py runs them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from engines.runtime import Engine
from realtime.body.smpl import Body
from realtime.config import Config
from realtime.estimator import Estimator
from realtime.observation import Detection, Estimate
from realtime.perception.tracking import Tracker
from training.observe import LOOKS, ObservedTake, appearance_path, load_take

START_NS = 1_000_000_000  # stamp of the first frame
LOOKS_REPLAYED = ("both", "plain")  # what is usual live on two cores, and on one


@dataclass(frozen=True)
class Replay:
    """The estimates of one take, T frames, beside the truth."""

    take: ObservedTake
    look: str
    t_ns: np.ndarray  # (T,) int64 stamps
    estimates: list[Estimate]


def replay(take: ObservedTake, look: str, engine: Engine, body: Body, config: Config) -> Replay:
    """One take through tracker and estimator; where the appearance features lie beside it, the network gets them."""
    k = LOOKS.index(look)
    z = None
    if engine.appearance and take.path is not None and (path := appearance_path(take.path)).exists():
        z = np.load(path)[:, 0].astype(np.float32)
    size = (int(take.image_size[0]), int(take.image_size[1]))
    tracker, estimator = Tracker(config.perception), Estimator(engine, body, config)
    t_ns = START_NS + np.round(take.t_s * 1e9).astype(np.int64)
    estimates: list[Estimate] = []
    for t, stamp in enumerate(t_ns.tolist()):
        detection = None
        if take.detected[t]:
            detection = Detection(
                take.landmarks_px[t, k], take.world[t, k], take.visibility[t, k], None if z is None else z[t]
            )
        estimate = estimator.update(stamp, tracker.update(detection, stamp, size))
        if estimate is not None:
            estimates.append(estimate)
    return Replay(take, look, t_ns, [*estimates, *estimator.finish()])


def replays(files: list[Path], engine: Engine, body: Body, config: Config) -> Iterator[Replay]:
    """Every take once, the looks in turn."""
    for number, file in enumerate(files):
        yield replay(load_take(file, body), LOOKS_REPLAYED[number % 2], engine, body, config)
