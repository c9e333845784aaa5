"""Runners: any graph file in, named arrays in and out. They know nothing of people and poses."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from realtime.errors import LoadError

log = logging.getLogger(__name__)

RUNNERS = ("auto", "onnxruntime", "tensorrt")


class Runner(Protocol):
    """One graph, loaded and ready, with every shape fixed.

    A *loop* is an output that stays on the device and feeds an input of the next run (a state): it is neither in
    `inputs` nor in `outputs`.
    """

    name: str  # "onnxruntime" | "tensorrt" | "torch"
    device: str  # "cpu", "cuda:0 (NVIDIA …)"
    metadata: Mapping[str, str]  # of the ONNX file; empty where it has none
    inputs: Mapping[str, tuple[int, ...]]  # name → shape, float32; loops excluded
    outputs: Mapping[str, tuple[int, ...]]

    def run(self, **inputs: np.ndarray) -> Mapping[str, np.ndarray]:
        """Named inputs → every named output, float32.

        An input that is left out keeps its value of the run before (zeros at first). The arrays given are copied;
        those returned belong to the runner and are valid until its next run. Raises ValueError for an unknown
        name and another shape, before anything has changed.
        """

    def clear(self) -> None:
        """Every loop back to zeros."""

    def read_loop(self, name: str) -> np.ndarray:
        """What the loop's input of this name would be fed next: a copy in the graph's own dtype."""

    def write_loop(self, name: str, array: np.ndarray) -> None:
        """Feed this next. Raises ValueError for an unknown name and another shape."""

    def describe(self) -> dict[str, Any]:
        """Name, device, versions and settings, for the summary."""

    def close(self) -> None:
        """Let go of device and memory; may be called twice."""


def check_inputs(given: Mapping[str, np.ndarray], taken: Mapping[str, tuple[int, ...]]) -> None:
    """Raises ValueError for an input that the graph does not take (name → shape), and for one of another shape."""
    for name, array in given.items():
        if name not in taken:
            raise ValueError(f"no input {name}: this graph takes {', '.join(taken)}")
        if array.shape != taken[name]:
            raise ValueError(f"{name} of shape {array.shape}: this graph takes {taken[name]}")


def make_runner(
    path: Path,
    engine: str = "auto",
    *,
    threads: int = 1,
    loops: Mapping[str, str] | None = None,
    dims: Mapping[str, int] | None = None,
) -> Runner:
    """Load the graph file `path`.

    engine: "onnxruntime", "tensorrt", or "auto": TensorRT where it can run, else ONNX Runtime. threads: of the CPU.
    loops: {output: input} that stay on the device. dims: symbolic dimensions, fixed by name.
    Raises LoadError when it cannot be run, with the reason and what to do.
    """
    if engine not in RUNNERS:
        raise LoadError(f"--engine {engine}: cannot run {path.name}; use one of {', '.join(RUNNERS)}")
    loops, dims = dict(loops or {}), dict(dims or {})
    if engine != "onnxruntime":
        try:
            return _tensorrt(path, loops, dims)
        except LoadError as error:
            if engine == "tensorrt":
                raise
            log.info("%s runs on ONNX Runtime: %s", path.name, str(error).splitlines()[0])
    from engines.onnxruntime_runner import fastest_runner

    return fastest_runner(path, threads, loops, dims)


def _tensorrt(path: Path, loops: Mapping[str, str], dims: Mapping[str, int]) -> Runner:
    from engines.tensorrt.runner import TensorRTRunner

    return TensorRTRunner(path, loops=loops, dims=dims)
