"""The GPU that bench.gpu runs on: its name, its driver, and how fast it reads its memory."""

from __future__ import annotations

import importlib.util
import shutil
import statistics
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass

from bench.bandwidth import Reader
from engines.tensorrt import cuda
from realtime.errors import LoadError

BLOCK = 1 << 30  # bytes; far more than any GPU's cache holds
CPU_BLOCK = 1 << 28
REPEATS = 20


@dataclass(frozen=True)
class Machine:
    """What is measured on, and its limit."""

    name: str
    driver: str
    gb_per_s: float  # 10⁹ bytes read per second, the best of the ways tried
    how: str


def machine(device: str) -> Machine:
    """device: "cuda" (the first NVIDIA GPU) or "cpu".

    Raises LoadError where there is no GPU that anything installed here can use.
    """
    if device == "cpu":
        reader = Reader(CPU_BLOCK)
        return Machine("CPU, one thread", "-", *_best({reader.kernel: (reader, reader.nbytes)}))
    if _torch_has_cuda():
        return _by_torch()
    gpu = cuda.find_gpu()
    work = cuda.Cuda(gpu)
    try:
        source, target = work.memory(BLOCK // 2), work.memory(BLOCK // 2)

        def copy() -> None:
            work.copy(target, source, BLOCK // 2)
            work.synchronize()

        return Machine(gpu.name, _driver(), *_best({"copy on the GPU, read + written": (copy, BLOCK)}))
    finally:
        work.close()


def _torch_has_cuda() -> bool:
    if importlib.util.find_spec("torch") is None:
        return False
    import torch

    return torch.cuda.is_available()


def _by_torch() -> Machine:
    import torch

    values = torch.ones(BLOCK // 4, device="cuda")
    half = values[: BLOCK // 8]
    target = torch.empty_like(half)

    def finished(work: Callable[[], object]) -> Callable[[], None]:
        def call() -> None:
            work()
            torch.cuda.synchronize()

        return call

    ways = {
        "sum on the GPU": (finished(values.sum), BLOCK),
        "copy on the GPU, read + written": (finished(lambda: target.copy_(half)), BLOCK),
    }
    return Machine(torch.cuda.get_device_name(), _driver(), *_best(ways))


def _best(ways: dict[str, tuple[Callable[[], object], int]]) -> tuple[float, str]:
    """GB/s of the fastest of {name: (work, bytes it moves)}, and its name."""
    found = []
    for name, (work, nbytes) in ways.items():
        times_s = []
        work()
        for _ in range(REPEATS):
            started = time.perf_counter()
            work()
            times_s.append(time.perf_counter() - started)
        found.append((nbytes / 1e9 / statistics.median(times_s), name))
    return max(found)


def _driver() -> str:
    """As nvidia-smi tells it; "unknown" where there is none."""
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return "unknown"
    command = [tool, "--query-gpu=driver_version", "--format=csv,noheader"]
    asked = subprocess.run(command, capture_output=True, text=True)
    return (asked.stdout.split() or ["unknown"])[0]


def why_no_gpu() -> str | None:
    """None where there is an NVIDIA GPU that torch or the CUDA driver's bindings can use; else one line."""
    if _torch_has_cuda():
        return None
    try:
        cuda.find_gpu()
    except LoadError as error:
        by_torch = "torch sees none" if importlib.util.find_spec("torch") else "torch is not installed"
        return f"no NVIDIA GPU that can be used here: {by_torch}; {error}"
    return None
