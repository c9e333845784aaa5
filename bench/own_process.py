"""A step in a process of its own, in turn with those that run here; it times itself there.

Torch's Conv1d repacks its weights in every call. Where they are more than the 32 MB up to which glibc's malloc keeps
freed memory, a process of its own gets them as fresh pages every frame: at HMMR's width 74,000 page faults and 205
ms. In a process whose heap happens to have a hole of that size it takes 79: here that is left over from making the
other variants, and says nothing about a program that only runs the port.
"""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any

import numpy as np
import torch

KEPT_BYTES = 32 << 20  # glibc's DEFAULT_MMAP_THRESHOLD_MAX
Step = Callable[[np.ndarray], np.ndarray]


class OwnProcess:
    """make(*arguments) → a step; both are sent to a fresh process with so many threads of torch."""

    def __init__(self, threads: int, make: Callable[..., Step], *arguments: Any) -> None:
        context = multiprocessing.get_context("spawn")
        self._connection, there = context.Pipe()
        self._process = context.Process(target=_serve, args=(there, threads, make, arguments), daemon=True)
        self._process.start()
        there.close()
        self._connection.recv()  # made

    def step_ms(self, row: np.ndarray) -> float:
        """One step; how long it took in there. Raises EOFError if the process ended."""
        self._connection.send(row)
        return self._connection.recv()[0]

    def step(self, row: np.ndarray) -> np.ndarray:
        """One step; what it gave."""
        self._connection.send(row)
        return self._connection.recv()[1]

    def close(self) -> None:
        """May be called twice."""
        self._connection.close()
        self._process.join()


def _serve(
    connection: Connection, threads: int, make: Callable[..., Step], arguments: tuple[Any, ...]
) -> None:
    torch.set_num_threads(threads)
    step = make(*arguments)
    connection.send("made")
    while True:
        try:
            row = connection.recv()
        except EOFError:
            return
        started_ns = time.perf_counter_ns()
        result = step(row)
        took_ms = (time.perf_counter_ns() - started_ns) / 1e6
        connection.send((took_ms, result))
