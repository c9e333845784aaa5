"""Everything from motion to weights: render, appearance encoder, temporal network, its look-ahead variant.

    python -m training [--motion FILE] [--minutes 60] [--out FOLDER]

Each step goes on where it was cut off; a GPU is used where there is one.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

from realtime.assets import APPEARANCE, ASSETS
from realtime.errors import HmmrLiveError
from training.appearance_features import is_described
from training.motion import DEFAULT_MOTION
from training.synthesis import TAKES

LOOK_AHEAD_FRAMES = 6
FINE_RATE = "6e-4"  # of a network that starts from a trained one
# Of --minutes. The encoder learns from single frames; the look-ahead variant starts from what the other one learned.
ENCODER_SHARE, LOOK_AHEAD_SHARE = 0.4, 0.4


def arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    add = parser.add_argument
    add("--motion", type=Path, default=DEFAULT_MOTION)
    add("--takes", type=int, default=TAKES)
    add("--processes", type=int, default=2, help="that render")
    add("--observed", type=Path, default=Path("data/observed/train"), help="where the takes are kept")
    add(
        "--minutes",
        type=float,
        default=60.0,
        help=f"of training the network; its look-ahead variant gets {LOOK_AHEAD_SHARE:g} of it, the appearance "
        f"encoder {ENCODER_SHARE:g} at the most",
    )
    add("--work", type=Path, help="where checkpoints are kept; default: beside --observed, named after it")
    add("--out", type=Path, default=ASSETS, help="folder of the weights")
    return parser


def renderings(options: argparse.Namespace) -> list[list[str]]:
    """Modules below `training` and their arguments, to be run side by side."""
    takes = ["--takes", str(options.takes), "--motion", str(options.motion), "--out", str(options.observed)]
    count = options.processes
    return [["synthesis", *takes, "--shard", f"{k}/{count}"] for k in range(count)]


def trainings(options: argparse.Namespace, described: bool) -> list[list[str]]:
    """Modules below `training` and their arguments, to be run one after the other.

    described: beside the takes lie the appearance features of the encoder in --out, so it is not trained anew.
    """
    work = options.work or options.observed.with_name(options.observed.name + "_fit")
    observed = ["--observed", str(options.observed)]
    encoder, model = encoder_weights(options.out), options.out / "model.safetensors"
    minutes = options.minutes
    steps = []
    if not described:
        steps.append(
            ["fit_appearance", *observed, "--minutes", f"{ENCODER_SHARE * minutes:g}", "--out", str(encoder)]
        )
    fit = ["fit", "--motion", str(options.motion), *observed, "--takes", str(options.takes)]
    steps.append([*fit, "--minutes", f"{minutes:g}", "--work", str(work / "model"), "--out", str(model)])
    ahead = ["--init", str(model), "--delay", str(LOOK_AHEAD_FRAMES), "--rate", FINE_RATE]
    ahead += ["--minutes", f"{LOOK_AHEAD_SHARE * minutes:g}", "--work", str(work / "lookahead")]
    steps.append([*fit, *ahead, "--out", str(options.out / "model_lookahead.safetensors")])
    return steps


def encoder_weights(out: Path) -> Path:
    return (out / APPEARANCE).with_suffix(".safetensors")


def main() -> int:
    """The exit code of the first step that failed, or 0."""
    parser = arguments()
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    rendering = [_start(step) for step in renderings(options)]
    codes = [process.wait() for process in rendering]
    if failed := next((code for code in codes if code), 0):
        return failed
    try:
        described = is_described(options.observed, encoder_weights(options.out))
    except HmmrLiveError as error:
        parser.exit(error.exit_code, f"{error}\n")
    for step in trainings(options, described):
        if code := _start(step).wait():
            return code
    return 0


def _start(step: list[str]) -> subprocess.Popen[bytes]:
    module, *more = step
    command = [sys.executable, "-m", f"training.{module}", *more]
    print(" ".join(command[1:]), flush=True)
    return subprocess.Popen(command)


if __name__ == "__main__":
    raise SystemExit(main())
