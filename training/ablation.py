"""What each part of the training buys: the same short training again and again, each time with one part taken out.

    python -m training.ablation [--observed FOLDER] [--steps 1000] [NAME …]

Weights go to --out, and a run that is there is not made again: for other takes or --steps give another one. At the end
stands the command that measures all of them on the same held-out pictures (bench/accuracy).
"""

from __future__ import annotations

import argparse
import shlex
import subprocess
import sys
from pathlib import Path

# Name → what is changed. Without both reprojections there is no camera, and nothing to measure. How motion is varied
# shows only without rendered takes, where it is varied anew. Without the map, the takes that have its features are
# drawn no more often than others, as well.
NOISE_ONLY = ("--rendered-share", "0")
RUNS: dict[str, tuple[str, ...]] = {
    "everything": (),
    "everything, another seed": ("--seed", "1"),
    "rendered alone": ("--rendered-share", "1"),
    "no map": ("--appearance-share", "0"),
    "no keypoints": ("--loss", "keypoints=0", "--loss", "ahead_keypoints=0"),
    "no landmarks": ("--loss", "landmarks=0"),
    "no points": ("--loss", "points=0"),
    "no rotations": ("--loss", "rotations=0"),
    "no prior": ("--loss", "prior=0"),
    "no shape losses": ("--loss", "shape=0", "--loss", "shape_prior=0", "--loss", "betas=0"),
    "no velocity": ("--loss", "velocity=0"),
    "no acceleration": ("--loss", "acceleration=0"),
    "no lag allowed": ("--loss", "lag=12", "--loss", "acceleration=66"),
    "no dynamics": ("--loss", "dynamics=0"),
    "no hallucinator": ("--loss", "hallucination=0", "--loss", "hallucinated=0"),
    "noise alone": NOISE_ONLY,
    "noise, no mixing": (*NOISE_ONLY, "--without", "mixing"),
    "noise, no interpolation": (*NOISE_ONLY, "--without", "interpolation"),
    "noise, no bending": (*NOISE_ONLY, "--without", "bending"),
}


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"default all: {'; '.join(RUNS)}")
    parser.add_argument("--observed", type=Path, default=Path("data/observed/train"), help="rendered takes")
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--out", type=Path, default=Path("data/ablation"))
    options = parser.parse_args()
    names = options.names or list(RUNS)
    if unknown := [name for name in names if name not in RUNS]:
        parser.error(f"{unknown[0]!r}: no such run; there are: {'; '.join(RUNS)}")
    files = {name: options.out / f"{name.replace(', ', '-').replace(' ', '_')}.safetensors" for name in names}
    for name, file in files.items():
        if file.with_suffix(".onnx").exists():
            continue
        command = [sys.executable, "-m", "training.fit", *RUNS[name]]
        command += ["--takes", "1", "--observed", str(options.observed), "--steps", str(options.steps)]
        command += ["--batch", str(options.batch), "--work", str(file.with_suffix("")), "--out", str(file)]
        print(f"{name}: {shlex.join(command[1:])}", flush=True)
        if code := subprocess.run(command, check=False).returncode:
            return code
    also = [f"--also {shlex.quote(f'{name}={file}')}" for name, file in files.items()]
    print("python -m bench.accuracy --quick --sections main,rotations,dynamics " + " ".join(also))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
