"""Loading BlazePose's graphs (assets/blazepose.md says what they take and give)."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from engines.runner import Runner, make_runner
from realtime.assets import asset
from realtime.errors import LoadError

FORMAT = "blazepose graph 1"


def load_graph(
    name: str,
    engine: str,
    threads: int,
    batch: int,
    takes: Mapping[str, tuple[int, ...]],
    gives: Collection[str],
) -> Runner:
    """The shipped graph `name` on the engine, for `batch` pictures at a time.

    takes: {input: shape without the batch}; gives: outputs that are needed.
    Raises LoadError for a graph that is missing, damaged or another one, and for an engine that cannot run it.
    """
    path = asset(f"{name}.onnx")
    runner = make_runner(path, engine, threads=threads, dims={"batch": batch})
    expected = {key: (batch, *shape) for key, shape in takes.items()}
    given = {key: tuple(shape) for key, shape in runner.inputs.items()}
    if (
        runner.metadata.get("format") != FORMAT
        or given != expected
        or not runner.outputs.keys() >= set(gives)
    ):
        runner.close()
        raise LoadError(
            f"{path}: is not the graph of that name ({runner.metadata.get('format', 'no format')}, takes {given})\n"
            "restore it from the repository, or make it again: python -m training.make_blazepose"
        )
    return runner
