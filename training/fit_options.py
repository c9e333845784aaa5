"""What `python -m training.fit` can be told."""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path

from realtime.errors import ConfigError
from training.augment import Variety
from training.loop import PEAK_RATE
from training.motion import DEFAULT_MOTION
from training.synthesis import TAKES
from training.take_tier import APPEARANCE_SHARE

STEPS = 20_000
FRAMES = 24  # 12 of them with a full ring behind them
BATCH = 40
RENDERED_SHARE = 0.5
# Where there are videos: enough to be met often, too little to outvote what is known in 3-D.
VIDEO_SHARE = 0.12
VALIDATION_TAKES = 24


def arguments(description: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=description)
    add = parser.add_argument
    add("--motion", type=Path, default=DEFAULT_MOTION)
    add("--takes", type=int, default=TAKES, help="rendered takes to have; those missing are rendered")
    add("--observed", type=Path, default=Path("data/observed/train"), help="where they are kept")
    add(
        "--rendered-share",
        type=float,
        default=RENDERED_SHARE,
        help="of the windows with 3-D; the rest: motion",
    )
    add(
        "--appearance-share",
        type=float,
        default=APPEARANCE_SHARE,
        help="of the windows of takes that have appearance features: they are given to the network",
    )
    add(
        "--without",
        action="append",
        default=[],
        choices=[field.name for field in dataclasses.fields(Variety)],
        help="repeatable: motion under the noise model without these changes",
    )
    add("--flat-share", type=float, default=0.0, help="of the windows with 3-D: it is kept back, 2-D only")
    add("--videos", type=Path, help="folder of unlabelled videos, for the third tier")
    add("--observed-videos", type=Path, default=Path("data/videos"), help="what was seen in them")
    add("--video-share", type=float, default=VIDEO_SHARE, help="of all windows, where there are videos")
    add("--steps", type=int, default=STEPS)
    add("--minutes", type=float, help="instead of --steps: train for so long, on any machine")
    add("--batch", type=int, default=BATCH, help="windows")
    add("--frames", type=int, default=FRAMES, help="of a window")
    add("--rate", type=float, default=PEAK_RATE, help="largest learning rate")
    add(
        "--loss",
        action="append",
        default=[],
        metavar="NAME=WEIGHT",
        help="repeatable; dynamics=0 switches off",
    )
    add("--width", type=int, default=256)
    add("--head-width", type=int, default=512)
    add("--delay", type=int, default=0, help="frames that the answer may come late")
    add("--init", type=Path, help="weights (.safetensors) to start from")
    add("--seed", type=int, default=0)
    add("--device", default="auto", help="auto, cpu or cuda")
    add("--precision", default="auto", choices=("auto", "fp32", "bf16"))
    add("--threads", type=int, default=1)
    add("--workers", type=int, default=1, help="processes that make batches")
    add("--validation-takes", type=int, default=VALIDATION_TAKES, help="kept out of the training")
    add("--validate-every", type=int, default=500, metavar="STEPS")
    add("--work", type=Path, default=Path("data/fit"))
    add("--out", type=Path, default=Path("assets/model.safetensors"))
    return parser


def check(options: argparse.Namespace) -> None:
    """Raises ConfigError for numbers that nothing can be trained with."""
    for name in ("rendered_share", "appearance_share", "flat_share", "video_share"):
        if not 0.0 <= getattr(options, name) <= 1.0:
            raise ConfigError(
                f"--{name.replace('_', '-')} {getattr(options, name)}: expected a share from 0 to 1"
            )
    for name in ("minutes", "steps", "batch", "rate"):
        if (number := getattr(options, name)) is not None and number <= 0:
            raise ConfigError(f"--{name} {number:g}: expected more than 0")
    if options.frames <= options.delay + 2:
        raise ConfigError(
            f"--frames {options.frames}: with --delay {options.delay} give at least {options.delay + 3}"
        )
