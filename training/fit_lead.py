"""Fit the head that leads poses (realtime/lead_head.py): assets/lead.json.

    python -m training.fit_lead [--observed data/observed/train] [--model default] [--out assets/lead.json]

From what the stream said of rendered takes. For every knot the shares are those whose joints come nearest to the
stream's own, so much later, of all that tremble at most --jitter times as much as the stream does: in closed form, with
a weight on the second differences of what is shown that is sought until they do. Takes of every fourth subject are kept
back to watch by; bench.accuracy measures on subjects that are in none.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np

import engines
from realtime.assets import ASSETS
from realtime.body.kinematics import forward_kinematics
from realtime.body.smpl import Body, load_body
from realtime.config import Config
from realtime.errors import HmmrLiveError, LoadError
from realtime.lead import HEAD
from realtime.lead_head import INPUTS, JOINTS, KNOTS_MS, save_head, turned
from training.lead_samples import HORIZONS_MS, Samples, samples_of
from training.lead_streams import replays
from training.metrics import POINT_JOINTS

MOST_JITTER = 1.23  # of the stream's own; on held-out takes it comes to a little less
WATCHED_EVERY = 4  # subjects
USUAL_S = (0.025, 0.042)  # from frame to frame: jitter per frame² of other rates is of another size
SOFT_M = 0.05  # moments count by 1 / (what moved + this): by distance rather than by its square
WEIGHTS = np.concatenate(((0.0,), np.geomspace(0.01, 100.0, 60)))  # on trembling, tried from the least


@dataclass(frozen=True)
class Problem:
    """M moments, each with the two that follow it; P points, or the pelvis alone, in metres."""

    shown: np.ndarray  # (M, 3, A, P, 3): where each input alone would lead, from now, in three frames
    now: np.ndarray  # (M, 3, P, 3)
    later: np.ndarray  # (M, knots, P, 3): from now

    def at(self, rows: np.ndarray) -> Problem:
        return Problem(self.shown[rows], self.now[rows], self.later[rows])


def problems_of(samples: Samples, body: Body) -> tuple[Problem, Problem, np.ndarray]:
    """Of the pose and of the pelvis; (M,) subjects. Raises LoadError where nobody was tracked for long enough."""
    usual = (samples.dt_s > USUAL_S[0]) & (samples.dt_s < USUAL_S[1])
    starts = np.flatnonzero(samples.follows)
    starts = starts[usual[starts] & usual[starts + 1] & usual[starts + 2]][::3]
    if not len(starts):
        raise LoadError("nobody is tracked for long enough in these takes; give more of them (--observed)")
    rows = (starts[:, None] + np.arange(3)).ravel()
    inputs, now = samples.inputs[rows], samples.joints[rows][:, POINT_JOINTS]
    led = [_points(samples, rows, inputs[:, a], body) - now for a in range(INPUTS)]
    knots = [int(np.argmin(np.abs(np.array(HORIZONS_MS) - ms))) for ms in KNOTS_MS]
    pose = Problem(
        np.stack(led, axis=1).reshape(-1, 3, INPUTS, len(POINT_JOINTS), 3),
        now.reshape(-1, 3, len(POINT_JOINTS), 3),
        samples.later[starts][:, knots][:, :, POINT_JOINTS] - samples.joints[starts][:, None, POINT_JOINTS],
    )
    past = inputs[:, :-1, JOINTS:]
    # Second differences of the path are what it went in the last two steps.
    step = inputs[:, 0, JOINTS:].reshape(-1, 3, 1, 3)
    pelvis = Problem(
        past.reshape(-1, 3, *past.shape[1:]), np.cumsum(step, axis=1), samples.way[starts][:, knots, None]
    )
    return pose, pelvis, samples.subject[starts]


def _points(samples: Samples, rows: np.ndarray, moves: np.ndarray, body: Body) -> np.ndarray:
    there = turned(samples.rotations[rows], moves[:, :JOINTS])
    joints, _ = forward_kinematics(body, there, samples.betas[rows])
    return (joints - joints[:, :1])[:, POINT_JOINTS]


def solve(problem: Problem, knot: int, most_jitter: float) -> np.ndarray:
    """(A,) the shares of one knot. Where no weight reaches the bound, those of the greatest, and it is printed."""
    later = problem.later[:, knot]
    weight = 1.0 / (np.sqrt(np.square(later).sum(axis=-1)).mean(axis=-1) + SOFT_M)
    inputs = problem.shown.shape[2]

    def flat(values: np.ndarray) -> np.ndarray:
        return np.moveaxis(values * weight[:, None, None, None], 1, -1).reshape(-1, inputs).astype(np.float64)

    here, bent = flat(problem.shown[:, 0]), flat(_bend(problem.shown))
    wanted, own = ((values * weight[:, None, None]).ravel() for values in (later, _bend(problem.now)))
    A, B = here.T @ here, bent.T @ bent
    a, b = here.T @ wanted, bent.T @ own
    small = 1e-6 * np.trace(A) / inputs * np.eye(inputs)
    for much in WEIGHTS:
        shares = np.linalg.solve(A + much * B + small, a - much * b)
        if jitter(problem, shares) <= most_jitter:
            return shares
    print(
        f"+{KNOTS_MS[knot]:.0f} ms: no weight up to {WEIGHTS[-1]:g} brings the jitter down to {most_jitter:g}; "
        f"with that one it is {jitter(problem, shares):.2f}"
    )
    return shares


def _bend(three: np.ndarray) -> np.ndarray:
    """(M, 3, …) → (M, …) second differences."""
    return three[:, 0] - 2.0 * three[:, 1] + three[:, 2]


def jitter(problem: Problem, shares: np.ndarray) -> float:
    """Mean second difference of what is shown, over the stream's own."""
    led = problem.now + np.einsum("a,msapc->mspc", shares, problem.shown)
    return _far(_bend(led)) / _far(_bend(problem.now))


def error(problem: Problem, shares: np.ndarray, knot: int) -> float:
    """Distance to the stream's own later pose, over that of the present one."""
    led = np.einsum("a,mapc->mpc", shares, problem.shown[:, 0])
    return _far(led - problem.later[:, knot]) / _far(problem.later[:, knot])


def _far(vectors: np.ndarray) -> float:
    return float(np.linalg.norm(vectors, axis=-1).mean())


def fit(samples: Samples, body: Body, most_jitter: float) -> tuple[np.ndarray, np.ndarray]:
    """pose (knots, INPUTS), pelvis (knots, ages): realtime.lead_head.Head. Raises LoadError for too few takes."""
    pose, pelvis, subject = problems_of(samples, body)
    watched = np.isin(subject, np.unique(subject)[WATCHED_EVERY - 1 :: WATCHED_EVERY])
    if not watched.any():
        raise LoadError(
            f"takes of fewer than {WATCHED_EVERY} subjects: nobody to watch by; give more of them (--observed)"
        )
    found = []
    for name, problem in (("pose", pose), ("pelvis", pelvis)):
        rows = []
        for knot, ms in enumerate(KNOTS_MS):
            shares = solve(problem.at(np.flatnonzero(~watched)), knot, most_jitter)
            kept = problem.at(np.flatnonzero(watched))
            print(
                f"{name} +{ms:.0f} ms: error {error(kept, shares, knot):.3f}, jitter {jitter(kept, shares):.2f} of "
                f"no lead's on {watched.sum()} moments of subjects kept back; shares {np.round(shares, 2)}"
            )
            rows.append(shares)
        found.append(np.array(rows))
    return found[0], found[1]


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    add = parser.add_argument
    add(
        "--observed",
        type=Path,
        default=Path("data/observed/train"),
        help="rendered takes (training.synthesis)",
    )
    add("--takes", type=int, default=0, metavar="N", help="the first so many; default: all")
    add("--model", default="default", help="whose stream is led")
    add(
        "--samples", type=Path, metavar="FILE", help="keep what the stream said there, and take it from there"
    )
    add(
        "--jitter", type=float, default=MOST_JITTER, metavar="RATIO", help="to no lead's; default %(default)s"
    )
    add("--out", type=Path, default=ASSETS / HEAD)
    options = parser.parse_args(argv)
    try:
        body = load_body(None)
        samples = _samples(options, body)
        print(f"{len(samples.inputs)} moments of {len(np.unique(samples.subject))} subjects")
        pose, pelvis = fit(samples, body, options.jitter)
    except HmmrLiveError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    save_head(options.out, pose, pelvis)
    print(options.out)
    return 0


def _samples(options: argparse.Namespace, body: Body) -> Samples:
    """Raises LoadError where there are no takes."""
    kept: Path | None = options.samples
    if kept is not None and kept.is_file():
        with np.load(kept, allow_pickle=False) as data:
            return Samples(**{field.name: data[field.name] for field in fields(Samples)})
    files = sorted(file for file in options.observed.glob("take_*.npz") if not file.name.endswith(".tmp.npz"))
    if not files:
        raise LoadError(f"{options.observed}: no takes here; python -m training.synthesis makes some")
    config = Config(model=options.model)
    engine = engines.load(options.model)
    try:
        samples = samples_of(replays(files[: options.takes or None], engine, body, config))
    finally:
        engine.close()
    if kept is not None:
        with kept.open(
            "wb"
        ) as file:  # to a name without ".npz" NumPy adds it, and the file is not found again
            np.savez(file, **vars(samples))
    return samples


if __name__ == "__main__":
    sys.exit(main())
