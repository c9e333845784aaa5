"""One take: drawn, rendered once, seen by every row, held against the truth. Takes share nothing, so processes can."""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np

from bench.accuracy import display, dynamics, main_table, rates, rotations, smoothing
from bench.accuracy.live import Stream, Track
from bench.accuracy.rows import DYNAMICS, STREAM, Row, dynamics_rows
from bench.accuracy.takes import START_NS, TICKS_PER_S, Truth, at_times, rate_ticks, union_of
from realtime.body.smpl import load_body
from training.metrics import mpjpe_mm, pa_mpjpe_mm
from training.motion import FPS, clip_weights, load_clips
from training.render import PersonRenderer
from training.staging import draw_take
from training.synthesis import pictures

MAIN = "main"  # the schedule of the main table: 30 fps
SEEDS = {"take": 0, "drops": 1}


@dataclass(frozen=True)
class Plan:
    """What is to be measured; the same in every process."""

    motion: Path
    split: str
    frames: int
    seed: int
    engine: str
    rows: list[Row]  # of the main table
    sections: tuple[str, ...]
    rate_takes: int  # the first so many takes are also seen at other rates
    mean_pose: np.ndarray  # (24, 3, 3): rotations.mean_pose


@dataclass
class TakeResult:
    """One take's numbers."""

    index: int
    clip: str
    view: str
    subject: str
    frames: int
    tracked: dict[str, float]  # row → share of the frames that it tracked
    counted: int = (
        0  # frames that every row tracked; 0: fewer than ten in a row, and nothing else is filled in
    )
    scores: dict[str, main_table.Scores] = field(default_factory=dict)  # row → metric → mean
    mpjpe_mm: dict[str, np.ndarray] = field(default_factory=dict)  # row → (T,) 14 points; nan: not counted
    pa_mm: dict[str, np.ndarray] = field(default_factory=dict)
    point_mm: dict[str, np.ndarray] = field(
        default_factory=dict
    )  # row → (14,) mean distance, hips laid together
    rotations: dict[str, rotations.RotationErrors] = field(default_factory=dict)
    # (n, 24, 3, 3) true rotations of every 24th counted frame, (10,) betas
    true_poses: tuple[np.ndarray, np.ndarray] | None = None
    dynamics: dict[str, dynamics.Errors] = field(default_factory=dict)
    rates: dict[str, dict[str, float]] | None = None
    display: display.Shown | None = None  # of the stream
    smoothing: smoothing.Smoothed | None = None


class Evaluator:
    """Everything loaded once; then take after take."""

    def __init__(self, plan: Plan) -> None:
        """Raises ConfigError, LoadError."""
        self._plan = plan
        self._body = load_body(None)
        self._clips = load_clips(plan.motion, plan.split, precise=True)
        self._weights = clip_weights(self._clips)
        rows = list(plan.rows)
        if "dynamics" in plan.sections:
            rows += dynamics_rows(plan.rows, dynamics.HORIZONS_MS)
        self._streams = {MAIN: Stream(rows, plan.engine, self._body)}
        if "rates" in plan.sections and plan.rate_takes:
            stream = [row for row in plan.rows if row.name == STREAM]
            for name in (*rates.RATES, rates.DROPPED):
                self._streams[name] = Stream(stream, plan.engine, self._body)
        self._renderer = PersonRenderer(self._body)

    def run(self, index: int) -> TakeResult:
        """Take `index`: the same motion, camera and look whatever else is measured."""
        plan = self._plan
        rng = np.random.default_rng([plan.seed, index, SEEDS["take"]])
        take = draw_take(self._clips, self._weights, plan.frames, rng)
        seconds = rates.seconds_of(take.t_s)
        ticks = {MAIN: rate_ticks(seconds, FPS)}
        if index < plan.rate_takes and rates.NOMINAL in self._streams:
            drops = np.random.default_rng([plan.seed, index, SEEDS["drops"]])
            ticks |= rates.schedules(seconds, drops)
        union, own = union_of(ticks)
        truth = Truth(self._body, at_times(take, union / TICKS_PER_S))
        tracks = self._watch(truth, own, rng)
        truths = {name: truth.at(rows) for name, rows in own.items()}
        result = self._score(index, truths[MAIN], tracks[MAIN])
        if result.counted and len(tracks) > 1:
            by_rate = {name: rows[STREAM] for name, rows in tracks.items() if name != MAIN}
            result.rates = rates.rate_errors(truths, by_rate, ticks)
        return result

    def _watch(
        self, truth: Truth, own: dict[str, np.ndarray], rng: np.random.Generator
    ) -> dict[str, dict[str, Track]]:
        """Stream → row → track. own: stream → which frames of the take it sees."""
        for name in own:
            self._streams[name].start(truth.tilt_deg)
        wanted = {name: set(rows.tolist()) for name, rows in own.items()}
        for row, picture in enumerate(pictures(self._renderer, truth.take, rng)):
            t_ns = START_NS + round(float(truth.take.t_s[row]) * 1e9)
            for name, rows in wanted.items():
                if row in rows:
                    self._streams[name].see(picture, t_ns)
        return {name: self._streams[name].tracks() for name in own}

    def _score(self, index: int, truth: Truth, tracks: dict[str, Track]) -> TakeResult:
        ok = main_table.common_frames(list(tracks.values()))
        tracked = {row.name: float(tracks[row.name].usable.mean()) for row in self._plan.rows}
        result = TakeResult(index, truth.take.clip, truth.view, truth.subject, len(ok), tracked)
        if main_table.runs_of_three(ok).sum() < main_table.LEAST_STEPS:
            return result
        result.counted = int(ok.sum())
        for row in self._plan.rows:
            track = tracks[row.name]
            result.scores[row.name] = main_table.score(truth, track, ok)
            result.mpjpe_mm[row.name] = np.where(ok, mpjpe_mm(track.points, truth.points), np.nan)
            result.pa_mm[row.name] = np.where(ok, pa_mpjpe_mm(track.points, truth.points), np.nan)
            result.point_mm[row.name] = main_table.point_errors_mm(truth, track, ok)
            if "rotations" in self._plan.sections and track.body is not None:
                result.rotations[row.name] = rotations.rotation_errors(
                    truth, track.body, ok, self._plan.mean_pose
                )
        if "rotations" in self._plan.sections:
            some = np.flatnonzero(ok)[:: rotations.CEILING_EVERY]
            result.true_poses = truth.take.rotations[some], truth.take.betas
        if "display" in self._plan.sections:
            result.display = display.display_errors(truth, tracks[STREAM], ok)
        if "smoothing" in self._plan.sections:
            result.smoothing = smoothing.smoothing_errors(truth, tracks[STREAM], ok)
        for name, track in tracks.items():
            if name.startswith(DYNAMICS) and track.body is not None:
                errors = dynamics.dynamics_errors(truth, track.body, ok)
                result.dynamics[name.removeprefix(DYNAMICS)] = errors
        return result

    def close(self) -> None:
        self._renderer.close()
        for stream in self._streams.values():
            stream.close()


def run_takes(plan: Plan, takes: int, processes: int) -> Iterator[TakeResult]:
    """The results of takes 0 … takes − 1, in order. More processes than one are spawned afresh."""
    if processes <= 1:
        evaluator = _evaluator(plan)
        try:
            for index in range(takes):
                yield evaluator.run(index)
        finally:
            evaluator.close()
        return
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(processes, mp_context=context, initializer=_begin, initargs=(plan,)) as pool:
        yield from pool.map(_run, range(takes))


def _evaluator(plan: Plan) -> Evaluator:
    cv2.setNumThreads(1)
    return Evaluator(plan)


_mine: Evaluator  # of a spawned process


def _begin(plan: Plan) -> None:
    global _mine
    _mine = _evaluator(plan)


def _run(index: int) -> TakeResult:
    return _mine.run(index)
