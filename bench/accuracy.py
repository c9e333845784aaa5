"""How close the stream is to the truth: held-out motion, rendered, through the live path. All rows from one run.

    python -m bench.accuracy [--motion FILE] [--takes 48] [--perceptions mediapipe,blazepose] [--json out.json]

Rows, for each perception, all on the same pictures: its own world landmarks; our network on each frame alone (its
hallucinated strip); the stream as it is published. Only frames that every perception and every stream call tracked are
counted, the same for every row. 12 limb joints; MPJPE and PA-MPJPE in mm, acceleration error in mm/frame² at 30 fps.
Ratios and differences are of the stream on the deployed perception to the world landmarks of the first one named.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bench.table import print_table
from engines import load
from realtime.body.kinematics import forward_kinematics
from realtime.body.rotations import axis_angle_to_matrix
from realtime.body.smpl import Body, load_body
from realtime.config import Config
from realtime.errors import HmmrLiveError
from realtime.estimator import Estimator
from realtime.perception import make_perception
from realtime.perception.tracking import Tracker
from realtime.view import perceive
from training.metrics import (
    LIMB_JOINTS,
    LIMB_LANDMARKS,
    acceleration_error_mm,
    knee_flexion_deg,
    mpjpe_mm,
    pa_mpjpe_mm,
)
from training.motion import DEFAULT_MOTION, FPS, load_clips
from training.render import PersonRenderer
from training.synthesis import Take, clip_weights, draw_take, pictures

METRICS = ("MPJPE", "PA-MPJPE", "accel")


@dataclass
class TakeResult:
    """One take through the live path. T frames."""

    clip: str
    view: str  # front, side or back
    frames: int
    tracked: int
    errors: dict[str, dict[str, float]]  # row → metric → mean over the take
    knee_bias_deg: float  # predicted minus true flexion, mean


def view_of(take: Take) -> str:
    """Which side of the person the camera sees, by the body's forward axis in the middle of the take."""
    forward = take.rotations[len(take.rotations) // 2, 0] @ np.array([0.0, 0.0, 1.0])
    toward_camera = -forward[2]
    return "front" if toward_camera > 0.6 else "back" if toward_camera < -0.6 else "side"


def rows_of(perception: str) -> tuple[str, str, str]:
    return f"{perception}: world landmarks", f"{perception}: single frame", f"{perception}: stream"


class LivePath:
    """One perception with what follows it in `run_live.py`, frame by frame; and the network on each frame alone."""

    def __init__(self, config: Config, body: Body) -> None:
        self._config, self._body = config, body
        self._perception = make_perception(config)
        self.rows = rows_of(self._perception.name)
        runtime = config.runtime
        engines = [load(config.model, config.engine, runtime.precision, runtime.threads) for _ in range(2)]
        self._engine, self._single = engines

    def start(self) -> None:
        """A new take."""
        self._perception.reset()
        self._tracker = Tracker(self._config.perception)
        self._estimators = [
            Estimator(engine, self._body, self._config) for engine in (_Forgetful(self._single), self._engine)
        ]
        self.joints: dict[str, list[np.ndarray]] = {row: [] for row in self.rows}  # row → (12, 3) per frame
        self.rotations: list[np.ndarray] = []
        self.usable: list[bool] = []

    def see(self, picture: np.ndarray, t_ns: int) -> None:
        observation = perceive(picture, t_ns, self._perception, self._tracker)
        estimates = [estimator.update(t_ns, observation) for estimator in self._estimators]
        seen = observation.detection
        self.usable.append(seen is not None and estimates[1].state in ("tracking", "warming"))
        self.joints[self.rows[0]].append(np.zeros((12, 3)) if seen is None else seen.world[LIMB_LANDMARKS])
        for row, estimate in zip(self.rows[1:], estimates, strict=True):
            self.joints[row].append(estimate.joints[LIMB_JOINTS])
        self.rotations.append(axis_angle_to_matrix(estimates[1].theta[3:75].reshape(24, 3)))

    def close(self) -> None:
        self._perception.close()


class Evaluator:
    """Runs takes through one path for each perception, all on the same pictures. The last path is the one deployed."""

    def __init__(self, paths: list[LivePath], body: Body) -> None:
        self._paths, self._body = paths, body
        self._renderer = PersonRenderer(body)

    def run(self, take: Take, rng: np.random.Generator) -> TakeResult | None:
        """None if fewer than ten frames in a row were tracked."""
        for path in self._paths:
            path.start()
        for index, picture in enumerate(pictures(self._renderer, take, rng)):
            for path in self._paths:
                path.see(picture, int(1e9 + index * 1e9 / FPS))
        true, _ = forward_kinematics(self._body, take.rotations, take.betas)
        true = true[:, LIMB_JOINTS]
        ok = np.all([path.usable for path in self._paths], axis=0)
        triples = ok[:-2] & ok[1:-1] & ok[2:]
        if triples.sum() < 10:
            return None
        errors = {}
        for path in self._paths:
            for row, joints in path.joints.items():
                predicted = np.stack(joints)
                errors[row] = {
                    "MPJPE": float(mpjpe_mm(predicted, true)[ok].mean()),
                    "PA-MPJPE": float(pa_mpjpe_mm(predicted, true)[ok].mean()),
                    "accel": float(acceleration_error_mm(predicted, true)[triples].mean()),
                }
        flexion = knee_flexion_deg(np.stack(self._paths[-1].rotations))[ok]
        knees = flexion - knee_flexion_deg(take.rotations)[ok]
        return TakeResult(take.clip, view_of(take), len(ok), int(ok.sum()), errors, float(knees.mean()))

    def close(self) -> None:
        self._renderer.close()
        for path in self._paths:
            path.close()


class _Forgetful:
    """An engine that sees every frame as the first."""

    def __init__(self, engine) -> None:
        self._engine = engine

    def __getattr__(self, name: str):
        return getattr(self._engine, name)

    def step(self, *inputs):
        self._engine.reset()
        return self._engine.step(*inputs)


def summarise(results: list[TakeResult]) -> dict:
    """Means over takes; the deployed stream (last row) against the first row: ratios, paired differences with
    their standard error, groups."""
    rows = list(results[0].errors)
    first, last = rows[0], rows[-1]

    def means(chosen: list[TakeResult]) -> dict[str, dict[str, float]]:
        return {row: {m: float(np.mean([r.errors[row][m] for r in chosen])) for m in METRICS} for row in rows}

    paired = {}
    for metric in METRICS:
        difference = np.array([r.errors[last][metric] - r.errors[first][metric] for r in results])
        paired[metric] = {
            "mean": float(difference.mean()),
            "standard_error": float(difference.std(ddof=1) / np.sqrt(len(difference)))
            if len(results) > 1
            else None,
        }
    overall = means(results)
    return {
        "takes": len(results),
        "frames": sum(r.frames for r in results),
        "tracked": sum(r.tracked for r in results),
        "rows": overall,
        "ratio": {m: overall[last][m] / overall[first][m] for m in METRICS},
        "paired_difference": paired,
        "by_view": {v: means([r for r in results if r.view == v]) for v in sorted({r.view for r in results})},
        "by_subject": {
            s: means([r for r in results if r.clip.split("_")[0] == s])
            for s in sorted({r.clip.split("_")[0] for r in results})
        },
        "knee_bias_deg": float(np.mean([r.knee_bias_deg for r in results])),
    }


def report(summary: dict, model_id: str) -> None:
    print(
        f"model {model_id}: {summary['takes']} takes, {summary['tracked']} of {summary['frames']} frames tracked\n"
    )
    rows = list(summary["rows"])
    first, last = rows[0], rows[-1]
    table = [[row, *(f"{summary['rows'][row][m]:.1f}" for m in METRICS)] for row in rows]
    table.append(["last row / first row", *(f"{summary['ratio'][m]:.2f}" for m in METRICS)])
    pairs = summary["paired_difference"]
    table.append(
        [
            "last − first, paired",
            *(f"{pairs[m]['mean']:+.1f} ± {pairs[m]['standard_error'] or 0:.1f}" for m in METRICS),
        ]
    )
    print_table(["", "MPJPE mm", "PA-MPJPE mm", "accel mm/frame²"], table)
    for title, groups in (("view", summary["by_view"]), ("subject", summary["by_subject"])):
        print(f"\nby {title}: {first} → {last}")
        grouped = [
            [name, *(f"{group[first][m]:.1f} → {group[last][m]:.1f}" for m in METRICS)]
            for name, group in groups.items()
        ]
        print_table([title, "MPJPE", "PA-MPJPE", "accel"], grouped)
    print(f"\nknees: {summary['knee_bias_deg']:+.1f}° against the truth")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--motion", type=Path, default=DEFAULT_MOTION)
    parser.add_argument("--split", choices=("eval", "train"), default="eval")
    parser.add_argument("--takes", type=int, default=48)
    parser.add_argument("--frames", type=int, default=90)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--model", default="default")
    parser.add_argument("--engine", default="auto")
    parser.add_argument(
        "--perceptions",
        default="mediapipe,blazepose",
        metavar="NAMES",
        help="by commas, the deployed one last; default %(default)s",
    )
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    try:
        clips = load_clips(options.motion, options.split, precise=True)
        body = load_body(None)
        paths = []
        for name in options.perceptions.split(","):
            config = Config(model=options.model, engine=options.engine)
            config.perception.name = name
            paths.append(LivePath(config, body))
    except HmmrLiveError as error:
        parser.exit(error.exit_code, f"{error}\n")
    evaluator = Evaluator(paths, body)
    weights = clip_weights(clips)
    results = []
    for index in range(options.takes):
        rng = np.random.default_rng([options.seed, index])
        result = evaluator.run(draw_take(clips, weights, options.frames, rng), rng)
        if result is not None:
            results.append(result)
    evaluator.close()
    if not results:
        parser.exit(1, "no take was tracked for ten frames in a row; look at some with training.synthesis\n")
    summary = summarise(results)
    report(summary, options.model)
    if options.json:
        options.json.write_text(json.dumps(summary | {"takes_detail": [vars(r) for r in results]}, indent=1))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
