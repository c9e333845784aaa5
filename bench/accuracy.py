"""How close the stream is to the truth: held-out motion, rendered, through the live path. All rows from one run.

    python -m bench.accuracy [--motion FILE] [--takes 48] [--json out.json]

Rows: MediaPipe's own world landmarks; our network on each frame alone (its hallucinated strip); the stream as it is
published. Only frames that both MediaPipe and the stream call tracked are counted, the same for every row. 12 limb
joints; MPJPE and PA-MPJPE in mm, acceleration error in mm/frame² at 30 fps.
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
from training.synthesis import Observer, Take, clip_weights, draw_take

ROWS = ("MediaPipe world landmarks", "network, single frame", "stream")
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


class Evaluator:
    """Runs takes through perception, tracker and estimator as `run_live.py` does, frame by frame."""

    def __init__(self, config: Config, body: Body) -> None:
        self._config, self._body = config, body
        self._perception = make_perception(config)
        threads = config.runtime.threads
        self._engine = load(config.model, config.engine, config.runtime.precision, threads)
        self._single = load(config.model, config.engine, config.runtime.precision, threads)
        self._observer = Observer(body)

    def run(self, take: Take, rng: np.random.Generator) -> TakeResult | None:
        """None if fewer than ten frames in a row were tracked."""
        self._perception.reset()
        tracker = Tracker(self._config.perception)
        stream = Estimator(self._engine, self._body, self._config)
        single = Estimator(_Forgetful(self._single), self._body, self._config)
        joints: dict[str, list[np.ndarray]] = {row: [] for row in ROWS}
        rotations, usable = [], []
        for index, picture in enumerate(self._observer.pictures(take, rng)):
            t_ns = int(1e9 + index * 1e9 / FPS)
            observation = perceive(picture, t_ns, self._perception, tracker)
            estimates = [estimator.update(t_ns, observation) for estimator in (single, stream)]
            usable.append(observation.detection is not None and estimates[1].state in ("tracking", "warming"))
            seen = observation.detection
            joints[ROWS[0]].append(np.zeros((12, 3)) if seen is None else seen.world[LIMB_LANDMARKS])
            for row, estimate in zip(ROWS[1:], estimates, strict=True):
                joints[row].append(estimate.joints[LIMB_JOINTS])
            rotations.append(axis_angle_to_matrix(estimates[1].theta[3:75].reshape(24, 3)))
        true, _ = forward_kinematics(self._body, take.rotations, take.betas)
        true = true[:, LIMB_JOINTS]
        ok = np.array(usable)
        triples = ok[:-2] & ok[1:-1] & ok[2:]
        if triples.sum() < 10:
            return None
        errors = {}
        for row in ROWS:
            predicted = np.stack(joints[row])
            errors[row] = {
                "MPJPE": float(mpjpe_mm(predicted, true)[ok].mean()),
                "PA-MPJPE": float(pa_mpjpe_mm(predicted, true)[ok].mean()),
                "accel": float(acceleration_error_mm(predicted, true)[triples].mean()),
            }
        knees = knee_flexion_deg(np.stack(rotations))[ok] - knee_flexion_deg(take.rotations)[ok]
        return TakeResult(take.clip, view_of(take), len(ok), int(ok.sum()), errors, float(knees.mean()))

    def close(self) -> None:
        self._observer.close()
        self._perception.close()


class _Forgetful:
    """An engine that sees every frame as the first."""

    def __init__(self, engine) -> None:
        self._engine = engine

    def __getattr__(self, name: str):
        return getattr(self._engine, name)

    def step(self, features, dt_ahead_ms=()):
        self._engine.reset()
        return self._engine.step(features, dt_ahead_ms)


def summarise(results: list[TakeResult]) -> dict:
    """Means over takes, ratios to MediaPipe, paired differences with their standard error, groups."""

    def means(chosen: list[TakeResult]) -> dict[str, dict[str, float]]:
        return {row: {m: float(np.mean([r.errors[row][m] for r in chosen])) for m in METRICS} for row in ROWS}

    paired = {}
    for metric in METRICS:
        difference = np.array([r.errors["stream"][metric] - r.errors[ROWS[0]][metric] for r in results])
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
        "ratio_to_mediapipe": {m: overall["stream"][m] / overall[ROWS[0]][m] for m in METRICS},
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
    table = [[row, *(f"{summary['rows'][row][m]:.1f}" for m in METRICS)] for row in ROWS]
    table.append(["stream / MediaPipe", *(f"{summary['ratio_to_mediapipe'][m]:.2f}" for m in METRICS)])
    pairs = summary["paired_difference"]
    table.append(
        [
            "stream − MediaPipe, paired",
            *(f"{pairs[m]['mean']:+.1f} ± {pairs[m]['standard_error'] or 0:.1f}" for m in METRICS),
        ]
    )
    print_table(["", "MPJPE mm", "PA-MPJPE mm", "accel mm/frame²"], table)
    for title, groups in (("view", summary["by_view"]), ("subject", summary["by_subject"])):
        print(f"\nby {title}: MediaPipe → stream")
        rows = [
            [name, *(f"{group[ROWS[0]][m]:.1f} → {group['stream'][m]:.1f}" for m in METRICS)]
            for name, group in groups.items()
        ]
        print_table([title, "MPJPE", "PA-MPJPE", "accel"], rows)
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
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    try:
        clips = load_clips(options.motion, options.split, precise=True)
        config = Config(model=options.model, engine=options.engine)
        evaluator = Evaluator(config, load_body(None))
    except HmmrLiveError as error:
        parser.exit(error.exit_code, f"{error}\n")
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
