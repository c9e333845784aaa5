"""Loading the perception's graphs (assets/blazepose.md says what BlazePose's take and give)."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from engines.graph_file import APPEARANCE_FORMAT
from engines.runner import Runner, make_runner
from realtime.assets import asset
from realtime.errors import LoadError

BLAZEPOSE_FORMAT = "blazepose graph 1"
MADE_BY = {BLAZEPOSE_FORMAT: "training.make_blazepose", APPEARANCE_FORMAT: "training.fit_appearance"}


def load_graph(
    name: str,
    engine: str,
    threads: int,
    batch: int,
    takes: Mapping[str, tuple[int, ...]],
    gives: Collection[str],
    format: str = BLAZEPOSE_FORMAT,
) -> Runner:
    """The shipped graph `name` on the engine, for `batch` pictures at a time.

    takes: {input: shape without the batch}; gives: outputs that are needed; format: what its metadata must say.
    Raises LoadError for a graph that is missing, damaged or another one, and for an engine that cannot run it.
    """
    path = asset(f"{name}.onnx")
    runner = make_runner(path, engine, threads=threads, dims={"batch": batch})
    expected = {key: (batch, *shape) for key, shape in takes.items()}
    given = {key: tuple(shape) for key, shape in runner.inputs.items()}
    if (
        runner.metadata.get("format") != format
        or given != expected
        or not runner.outputs.keys() >= set(gives)
    ):
        runner.close()
        raise LoadError(
            f"{path}: is not the graph of that name ({runner.metadata.get('format', 'no format')}, takes {given})\n"
            f"restore it from the repository, or make it again: python -m {MADE_BY[format]}"
        )
    return runner
