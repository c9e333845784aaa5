"""Everything from motion to weights: render, appearance encoder, temporal network, its look-ahead variant.

    python -m training [--motion FILE] [--minutes 60]

Each step goes on where it was cut off; a GPU is used where there is one.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

from realtime.assets import APPEARANCE, ASSETS
from training.motion import DEFAULT_MOTION
from training.observe import appearance_path, take_path

LOOK_AHEAD_FRAMES = 6
FINE_RATE = "6e-4"  # of a network that starts from a trained one


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--motion", type=Path, default=DEFAULT_MOTION)
    parser.add_argument("--takes", type=int, default=1200)
    parser.add_argument("--processes", type=int, default=2, help="that render")
    parser.add_argument("--observed", type=Path, default=Path("data/observed/train"))
    parser.add_argument("--minutes", type=float, default=60.0, help="of training, per network")
    parser.add_argument("--out", type=Path, default=ASSETS)
    options = parser.parse_args()
    observed, minutes = ["--observed", str(options.observed)], str(options.minutes)
    takes = ["--takes", str(options.takes)]
    to_render = ["--motion", str(options.motion), "--out", str(options.observed), *takes]
    count = options.processes
    rendering = [_start("synthesis", *to_render, "--shard", f"{k}/{count}") for k in range(count)]
    if code := max(process.wait() for process in rendering):
        return code
    if not appearance_path(take_path(options.observed, options.takes - 1)).exists():
        encoder = (options.out / APPEARANCE).with_suffix(".safetensors")
        half = str(options.minutes / 2)
        if code := _start("fit_appearance", *observed, "--minutes", half, "--out", str(encoder)).wait():
            return code
    model, late = options.out / "model.safetensors", options.out / "model_lookahead.safetensors"
    fit = ["fit", "--motion", str(options.motion), *observed, *takes, "--minutes", minutes]
    if code := _start(*fit, "--out", str(model)).wait():
        return code
    fit += ["--init", str(model), "--delay", str(LOOK_AHEAD_FRAMES), "--rate", FINE_RATE]
    return _start(*fit, "--work", "data/fit_lookahead", "--out", str(late)).wait()


def _start(module: str, *arguments: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", f"training.{module}", *arguments]
    print(" ".join(command[1:]), flush=True)
    return subprocess.Popen(command)


if __name__ == "__main__":
    raise SystemExit(main())
