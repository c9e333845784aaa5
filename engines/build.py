"""TensorRT engines ahead of time, into the cache that the live program takes them from.

python -m engines.build                            the default model for the GPU here
python -m engines.build --target sm86,sm89         for other GPUs: tensorrt_rtx only, no GPU is needed
python -m engines.build --target all --perception  the perception's networks, too
python -m engines.build --list                     what there is
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from engines.cache import cache_folder
from engines.graph_file import FORMS, HORIZONS, PRECISIONS
from engines.model_files import MODELS, graph_path
from engines.tensorrt import api as tensorrt_api
from engines.tensorrt.api import RUNTIMES, Api
from engines.tensorrt.cache import Entry, entries, get_or_build
from engines.tensorrt.compiler import ProgressLine
from realtime.assets import APPEARANCE, asset, is_shipped
from realtime.errors import ConfigError, HmmrLiveError, LoadError
from realtime.terminal import print_anything

HERE = "here"
ALL = "all"
BLAZEPOSE = ("blazepose_detector.onnx", "blazepose_landmarks.onnx", "blazepose_mask.onnx")
BATCH = {"batch": 1}  # of the perception's graphs
TOLD = ("target", "gpu", "form", "precision")  # of an engine, by --list
NOT_HERE = "tensorrt builds for the GPU of the machine it runs on"


def choose(runtime: str, target: str) -> tuple[Api, list[tuple[str, str]]]:
    """--runtime and --target → package, and targets with the name of the GPU here ("" for others).

    Raises LoadError when that cannot be built for, or the package is missing; ConfigError for an unknown target.
    """
    if target == HERE:
        try:
            gpu, api = tensorrt_api.find(runtime)
        except LoadError as error:
            raise LoadError(
                f"--target {HERE}: {error}\nwithout a GPU: --target sm86 (GeForce RTX 30), or all"
            ) from None
        return api, [(gpu.target, gpu.name)]
    api = tensorrt_api.load_api(runtime or "tensorrt_rtx")
    if not api.targets:
        raise LoadError(
            f"--target {target}: {NOT_HERE}; use --target {HERE} there, or --runtime tensorrt_rtx"
        )
    names = list(api.targets) if target == ALL else [name.strip().lower() for name in target.split(",")]
    for name in names:
        if name not in api.targets:
            raise ConfigError(f"--target {name or target}: {api.label} builds for {', '.join(api.targets)}")
    return api, [(name, "") for name in names]


def perception_graphs() -> list[str]:
    """Names in assets/ of all that the default perception may run."""
    return [*BLAZEPOSE, *([APPEARANCE] if is_shipped(APPEARANCE) else [])]


def _list() -> None:
    folder = cache_folder()
    total = 0
    for place, told in entries(folder):
        size = place.stat().st_size
        total += size
        words = [str(told[name]) for name in TOLD if told.get(name)]
        words += [f"{name} {count}" for name, count in told.get("dims", {}).items()]
        print(f"{size / 1e6:8.1f} MB  {place.name}  {', '.join(words) or 'damaged'}")
    graphs = [place.stat().st_size for place in folder.glob("*.onnx")]
    print(f"{sum(graphs) / 1e6:8.1f} MB  {len(graphs)} graphs (.onnx)")
    total += sum(graphs)
    print(f"{total / 1e6:8.1f} MB in {folder}; delete what you like, it is made again when it is needed")


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m engines.build",
        description=(__doc__ or "").strip(),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--model", default="default", help=f"{', '.join(MODELS)}, or a .safetensors or .onnx file"
    )
    parser.add_argument("--form", choices=FORMS, default="step")
    parser.add_argument("--precision", choices=PRECISIONS, default="fp32")
    parser.add_argument(
        "--target", default=HERE, help=f"{HERE}, {ALL}, or sm86,… by commas (default: {HERE})"
    )
    parser.add_argument("--horizons", type=int, default=1, help="number of poses ahead (runtime.ahead_ms)")
    parser.add_argument(
        "--runtime", choices=RUNTIMES, default="", help="default: what the live program would take"
    )
    parser.add_argument("--perception", action="store_true", help="the perception's networks, too")
    parser.add_argument("--anew", action="store_true", help="build also what is there")
    parser.add_argument("--list", action="store_true", help="show what is there, build nothing")
    return parser.parse_args(arguments)


def run(options: argparse.Namespace) -> None:
    if options.list:
        _list()
        return
    if options.horizons < 1:
        raise ConfigError(f"--horizons {options.horizons}: expected 1 or more")
    api, targets = choose(options.runtime, options.target)
    path, _ = graph_path(options.model, options.form, options.precision, "tensorrt")
    graphs = [(path, {HORIZONS: options.horizons})]
    if options.perception:
        graphs += [(asset(name), BATCH) for name in perception_graphs()]
    failures = []
    for path, dims in graphs:
        for target, gpu in targets:
            try:
                entry = _build(path, api, target, gpu, dims, options.anew)
            except LoadError as error:  # the next GPU may well take it
                failures.append(str(error))
                continue
            took = "was there" if entry.seconds is None else f"{entry.seconds:.1f} s"
            print(f"{target:6} {len(entry.payload) / 1e6:7.1f} MB  {took:>9}  {entry.path}", flush=True)
    if failures:
        raise LoadError("\n".join(failures))


def _build(path: Path, api: Api, target: str, gpu: str, dims: dict[str, int], anew: bool) -> Entry:
    with ProgressLine(f"{path.name} for {target}") as progress:
        return get_or_build(
            path, api, target, gpu, dims, folder=cache_folder(), progress=progress, must_keep=True, anew=anew
        )


def main() -> None:
    print_anything()
    try:
        run(parse())
    except HmmrLiveError as error:
        print(error, file=sys.stderr)
        raise SystemExit(error.exit_code) from None
    except KeyboardInterrupt:
        raise SystemExit(130) from None


if __name__ == "__main__":
    main()
