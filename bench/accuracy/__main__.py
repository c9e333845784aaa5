"""How close the stream is to the truth: held-out motion, rendered, through the live path. Every table from one run.

    python -m bench.accuracy [--motion FILE] [--takes 48] [--also NAME=MODEL] [--videos FILE …]
                             [--sections main,rotations,dynamics,display,smoothing,rates,videos] [--processes N]
                             [--json FILE] [--plots DIR]

All rows see the same pictures, and only frames that every row calls tracked are counted. docs/accuracy.md says what the
rows and the columns are.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from bench.accuracy import display, dynamics, main_table, plots, rates, rotations, smoothing, videos
from bench.accuracy.evaluate import Plan, TakeResult, run_takes
from bench.accuracy.report import report
from bench.accuracy.rows import RAW, STREAM, Row, parse_also, table_rows
from bench.accuracy.targets import targets
from engines import MODELS, load
from realtime.assets import asset
from realtime.body.smpl import load_body
from realtime.config import Config
from realtime.errors import ConfigError, HmmrLiveError, LoadError, install_command
from realtime.perception.mirror import mode_here
from realtime.version import VERSION
from training.motion import DEFAULT_MOTION, load_clips

SECTIONS = ("main", "rotations", "dynamics", "display", "smoothing", "rates", "videos")
ALONE = {"display", "smoothing"}  # where only these are asked for, no row but the stream is needed
LOOK_AHEAD = "lookahead"


def parse(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m bench.accuracy",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--motion", "--motions", type=Path, default=DEFAULT_MOTION, metavar="FILE", help="docs/training.md")
    add("--split", choices=("eval", "train"), default="eval")
    add("--takes", type=int, default=48, metavar="N")
    add("--frames", type=int, default=90, metavar="N", help="of each take, at 30 fps; default %(default)s")
    add(
        "--rate-takes",
        type=int,
        default=16,
        metavar="N",
        help="also seen at other rates; default %(default)s",
    )
    add("--seed", type=int, default=1)
    add("--model", default="default", help="of the stream and of the single frame; default %(default)s")
    add(
        "--look-ahead",
        metavar="MODEL",
        help=f"default {LOOK_AHEAD}, if it is there; 'none' leaves it out",
    )
    add(
        "--also",
        type=str,
        action="append",
        default=[],
        metavar="NAME=MODEL[,key=value…]",
        help="one more row; settings as of --set; may be repeated",
    )
    add("--quick", action="store_true", help="without the rows of filters and of switches")
    add("--engine", default="auto")
    add("--sections", default=",".join(SECTIONS), help="default: all (videos: where some are given)")
    add("--videos", type=Path, nargs="+", default=[], metavar="FILE", help="real clips")
    add("--video-frames", type=int, default=0, metavar="N", help="of each clip at most; default: all")
    add(
        "--processes",
        type=int,
        default=1,
        metavar="N",
        help="takes are shared out; cost ms then rises",
    )
    add("--json", type=Path, metavar="FILE")
    add("--plots", type=Path, metavar="DIR")
    options = parser.parse_args(argv)
    options.sections = tuple(name.strip() for name in options.sections.split(",") if name.strip())
    if unknown := set(options.sections) - set(SECTIONS):
        parser.error(f"--sections: {', '.join(sorted(unknown))} is none of {', '.join(SECTIONS)}")
    if min(options.takes, options.frames, options.processes) < 1:
        parser.error("--takes, --frames and --processes must be at least 1")
    return options


def look_ahead_model(asked: str | None) -> str:
    """The model that looks ahead, or empty; says so where it is left out without having been asked to."""
    if asked is not None:
        return "" if asked == "none" else asked
    try:
        asset(f"{MODELS[LOOK_AHEAD]}.safetensors")
    except LoadError as error:
        print(f"no row of look-ahead: {str(error).partition(' (')[0]}")
        return ""
    return LOOK_AHEAD


def check_rows(rows: list[Row], engine: str) -> None:
    """Raises ConfigError, LoadError for what would else be found out in every process, or after an hour."""
    for row in rows:
        config = row.config(engine)
        if row.kind != "world":
            load(config.model, config.engine, config.runtime.precision, config.runtime.threads).close()


def check_ceiling() -> None:
    """Raises LoadError where its inverse kinematics cannot run: better before an hour's run than after it."""
    if find_spec("torch") is None:
        raise LoadError(f"--sections rotations: torch is not installed: {install_command('train')}")


def make_plan(options: argparse.Namespace, rows: list[Row]) -> Plan:
    """Raises LoadError where there is no motion."""
    mean = np.tile(np.eye(3), (24, 1, 1))
    if "rotations" in options.sections:
        mean = rotations.mean_pose(load_clips(options.motion, "train"))
    return Plan(
        options.motion,
        options.split,
        options.frames,
        options.seed,
        options.engine,
        rows,
        options.sections,
        options.rate_takes,
        mean,
    )


def summarise(
    drawn: list[TakeResult], results: list[TakeResult], sections: tuple[str, ...]
) -> dict[str, Any]:
    """Every section of the rendered takes. drawn: all of them; results: those that every row could follow."""
    summary: dict[str, Any] = {
        "frames": sum(result.frames for result in drawn),
        "counted": sum(result.counted for result in results),
        "takes_drawn": len(drawn),
        "takes": len(results),
    }
    if RAW in results[0].scores:
        summary["main"] = main_table.summarise(
            [r.scores for r in results], [r.view for r in results], [r.subject for r in results]
        )
        for row, scores in summary["main"]["rows"].items():
            scores["tracked_percent"] = 100.0 * float(np.mean([result.tracked[row] for result in drawn]))
    if "rotations" in sections:
        rows = {row: rotations.summarise([r.rotations[row] for r in results]) for row in results[0].rotations}
        summary["rotations"] = {"rows": rows}
    if "dynamics" in sections:
        summary["dynamics"] = {
            row: dynamics.summarise([r.dynamics[row] for r in results]) for row in results[0].dynamics
        }
    if "display" in sections:
        summary["display"] = display.summarise([r.display for r in results if r.display])
    if "smoothing" in sections:
        summary["smoothing"] = smoothing.summarise([r.smoothing for r in results if r.smoothing])
    if "rates" in sections and (own := [r.rates for r in results if r.rates]):
        summary["rates"] = rates.summarise(own)
    return summary


def details(results: list[TakeResult]) -> list[dict[str, Any]]:
    """What JSON keeps of every take."""
    keys = ("index", "clip", "view", "subject", "frames", "tracked", "counted", "scores", "rates")
    kept = [{key: getattr(result, key) for key in keys} for result in results]
    for own in kept:
        own["scores"] = {
            row: {metric: value for metric, value in scores.items() if metric != "lag_match"}
            for row, scores in own["scores"].items()
        }
    return kept


def main(argv: list[str] | None = None) -> int:
    options = parse(argv)
    try:
        also = [parse_also(text) for text in options.also]
        rows = table_rows(options.model, look_ahead_model(options.look_ahead), also, options.quick)
        if set(options.sections) <= ALONE:
            rows = [row for row in rows if row.name == STREAM]
        check_rows(rows, options.engine)
        if "rotations" in options.sections:
            check_ceiling()
        if options.plots:
            plots.check_plots()
        summary: dict[str, Any] = {
            "version": VERSION,
            "mirror": mode_here(Config().perception.mirror),  # of the rows that do not name it
            "options": vars(options),
        }
        results = _rendered(options, rows, summary)
        if "videos" in options.sections and options.videos:
            body = load_body(None)
            streams = [row for row in rows if row.kind != "world" and not row.knows_tilt]
            summary["videos"] = [
                videos.measure(clip, streams, options.engine, body, options.video_frames)
                for clip in tqdm(options.videos, unit="clip")
            ]
    except HmmrLiveError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    report(summary)
    if options.json:  # before the plots: one that cannot be drawn takes no numbers along
        summary["targets"] = [vars(target) | {"met": target.met} for target in targets(summary)]
        written = plain(summary | {"takes_detail": details(results)})
        options.json.write_text(json.dumps(written, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    if options.plots and results:
        for file in plots.draw_all(options.plots, results, summary):
            print(file)
    return 0


def _rendered(options: argparse.Namespace, rows: list[Row], summary: dict[str, Any]) -> list[TakeResult]:
    """The takes' results, put into the summary. Raises ConfigError where no take could be followed."""
    if not set(options.sections) - {"videos"}:
        return []
    plan = make_plan(options, rows)
    progress = tqdm(
        run_takes(plan, options.takes, options.processes), total=options.takes, unit="take", mininterval=10.0
    )
    drawn = list(progress)
    results = [result for result in drawn if result.counted]
    if not results:
        raise ConfigError(
            f"{options.motion}: no take was tracked by every row for {main_table.LEAST_STEPS} frames in a row; "
            "give more --takes or longer ones (--frames)"
        )
    summary |= summarise(drawn, results, options.sections)
    if "rotations" in options.sections:
        # Only here: torch is slow to come, and no process that only watches takes needs it.
        from bench.accuracy import ceiling

        poses = [result.true_poses for result in results if result.true_poses]
        clips = load_clips(options.motion, "train")
        summary["rotations"]["ceiling"] = ceiling.measure(
            load_body(None), poses, plan.mean_pose, clips, plan.seed
        )
    summary["oracles"] = {
        section: names
        for section, names in (
            ("rotations", list(summary.get("rotations", {}).get("ceiling", {}))),
            ("dynamics", [dynamics.ORACLE] if "dynamics" in options.sections else []),
        )
        if names
    }
    return results


def plain(value: Any) -> Any:
    """The same as JSON has it: None for a number that is none, lists, text for paths."""
    if isinstance(value, dict):
        return {str(key): plain(own) for key, own in value.items()}
    if isinstance(value, list | tuple):
        return [plain(own) for own in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return str(value) if isinstance(value, Path) else value


if __name__ == "__main__":
    sys.exit(main())
