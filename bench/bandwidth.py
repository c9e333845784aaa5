"""How fast one thread reads memory: the limit of anything that must read its weights once per frame.

    python -m bench.bandwidth [--mb 0.5 5 19 302] [--rounds 50] [--json out.json]

The figure depends on the footprint: what fits a cache is read from the cache. `Reader` reads an array of one size
once; bench.encoder steps it among the networks, as if it were one of them. GB are 10⁹ bytes.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import numpy as np
import torch

from bench.table import print_table

TRIALS = 20  # readings of each kernel before one is chosen


class Reader:
    """Reads `nbytes` of memory once per call, by whichever of three kernels is the fastest for this size here.

    A sum needs one addition per value, far less than the processor can do while a value comes from beyond L1; none
    of the three is the fastest at every size and on every machine. One thread: torch's are the caller's matter.
    """

    def __init__(self, nbytes: int) -> None:
        values = np.ones(max(nbytes // 4, 1), np.float32)
        tensor = torch.from_numpy(values)
        self.nbytes = values.nbytes
        kernels = {
            "torch.sum": tensor.sum,
            "torch.dot": lambda: torch.dot(tensor, tensor),
            "numpy max": values.max,
        }
        took = {name: np.median([_ms(kernel) for _ in range(TRIALS)]) for name, kernel in kernels.items()}
        self.kernel = min(took, key=lambda name: took[name])
        self._read = kernels[self.kernel]

    def __call__(self) -> None:
        self._read()


def _ms(call) -> float:
    started_ns = time.perf_counter_ns()
    call()
    return (time.perf_counter_ns() - started_ns) / 1e6


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.bandwidth", description=__doc__.splitlines()[0])
    parser.add_argument("--mb", type=float, nargs="+", default=[0.5, 5.0, 19.0, 302.0], metavar="MB")
    parser.add_argument("--rounds", type=int, default=50)
    parser.add_argument("--json", type=Path, metavar="FILE")
    options = parser.parse_args(argv)
    torch.set_num_threads(1)
    results = []
    for megabytes in options.mb:
        reader = Reader(int(megabytes * 1e6))
        times = [_ms(reader) for _ in range(options.rounds)]
        gb_per_s = [reader.nbytes / 1e6 / ms for ms in times]
        results.append(
            {
                "mb": megabytes,
                "kernel": reader.kernel,
                "gb_per_s": float(np.median(gb_per_s)),
                "gb_per_s_best": max(gb_per_s),
                "ms": float(np.median(times)),
            }
        )
    print_table(
        ("read again and again, one thread", "kernel", "GB/s", "best GB/s", "ms"),
        [
            (
                f"{r['mb']:g} MB",
                r["kernel"],
                f"{r['gb_per_s']:.1f}",
                f"{r['gb_per_s_best']:.1f}",
                f"{r['ms']:.3f}",
            )
            for r in results
        ],
    )
    if options.json:
        options.json.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
