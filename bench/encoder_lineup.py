"""Everything that bench.encoder times at one width: each way checked against the clip pass before it may race."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import torch

from bench import encoder_variants as ways
from bench.bandwidth import Reader
from bench.encoder_models import BenchModel, weight_bytes
from bench.graph_bytes import graph_bytes
from bench.interleave import Variant
from bench.own_process import KEPT_BYTES, OwnProcess
from engines import load
from engines.gate import load_gate
from engines.network.temporal import KERNEL
from engines.torch_engine import torch_engine
from realtime.body.smpl import load_body
from realtime.config import Config

CHECKED_FRAMES = 40  # three receptive fields
ALONE, HEADS = "encoder alone", "with heads"
PORT, ONNX, ONNX_INT8 = "torch, whole window (port)", "ONNX Runtime step", "ONNX Runtime step, int8"
PORT_HERE = "  the same, within this process"

# From the clip pass. int8's is reported; docs/engines.md has its cost in mm.
LARGEST_ERROR = {"fp32": 1e-4, "int8": float("inf")}


class Lineup:
    """All variants of one width, checked, and the readers that stand for their limits."""

    def __init__(self, model: BenchModel, threads: int) -> None:
        self.model = model
        self.groups: dict[str, list[Variant]] = {ALONE: [], HEADS: []}
        self.readers: dict[int, Variant] = {}
        self.missing: list[str] = []
        self._threads = threads
        self._processes: list[OwnProcess] = []
        self._alone(threads)
        self._with_heads(threads)

    def all(self) -> list[Variant]:
        return [*self.readers.values(), *itertools.chain(*self.groups.values())]

    def close(self) -> None:
        """End the processes; what was measured stays."""
        for process in self._processes:
            process.close()

    def _alone(self, threads: int) -> None:
        encoder = self.model.network.encoder
        columns = np.random.default_rng(1).standard_normal((CHECKED_FRAMES, encoder.width)).astype(np.float32)
        expected, full = ways.clip_strip(encoder, columns), encoder.receptive_field - 1
        nbytes = {precision: graph_bytes(path) for precision, path in self.model.encoders.items()}
        checked = ways.torch_window(encoder, hmmr=False)
        port_error = _error(checked, columns, expected, full)

        def add(name: str, step: ways.Step, first: int = 0, precision: str = "fp32") -> None:
            variant = self._add(ALONE, name, step, columns, nbytes[precision])
            variant.error = _checked(name, precision, _error(step, columns, expected, first))

        port = ways.torch_window(encoder, hmmr=True)
        for variant in self._port(ALONE, port, columns, nbytes["fp32"], None):
            variant.error = _checked(PORT, "fp32", port_error)
        add("torch, whole window (ours)", ways.torch_clip_window(encoder), full)
        try:
            add("continual-inference step", ways.continual_step(encoder))
        except ImportError:
            self.missing.append("continual-inference is not installed: pip install continual-inference")
        add("torch step", ways.torch_step(encoder))
        add("numpy step", ways.numpy_step(encoder))
        add(ONNX, ways.onnxruntime_step(self.model.encoders["fp32"], threads))
        add(ONNX_INT8, ways.onnxruntime_step(self.model.encoders["int8"], threads), precision="int8")

    def _with_heads(self, threads: int) -> None:
        network, body = self.model.network, load_body(None)
        features = load_gate().features
        expected = ways.clip_theta(network, features[:CHECKED_FRAMES])
        horizons_ms = tuple(float(text) for text in Config().runtime.ahead_ms.split(",") if text)
        every = weight_bytes(network)
        port = ways.torch_window_with_heads(network, horizons_ms)
        self._port(HEADS, port, features, every - weight_bytes(network.hallucinator), horizons_ms)
        for name, form, precision in (
            ("torch step", "step", ""),
            ("torch window", "window", ""),
            ("ONNX Runtime window", "window", "fp32"),
            (ONNX, "step", "fp32"),
            (ONNX_INT8, "step", "int8"),
        ):
            if precision:
                graph = self.model.graphs[f"{form} {precision}"]
                engine, nbytes = load(str(graph), "onnxruntime", threads=threads), graph_bytes(graph)
            else:
                cpu = torch.device("cpu")
                engine = torch_engine(network, Path(self.model.name), form=form, threads=threads, device=cpu)
                nbytes = every
            engine.prepare(len(horizons_ms), body)
            step = ways.engine_step(engine, horizons_ms)
            variant = self._add(HEADS, name, step, features, nbytes)
            error = _error(step, features[:CHECKED_FRAMES], expected, 0)
            variant.error = _checked(name, precision or "fp32", error)

    def _port(
        self,
        group: str,
        step: ways.Step,
        inputs: np.ndarray,
        nbytes: int,
        horizons_ms: tuple[float, ...] | None,
    ) -> list[Variant]:
        """The row that all others are compared with; where this process would flatter it, in one of its own."""
        width = self.model.width
        if 4 * KERNEL * width * width <= KEPT_BYTES:
            return [self._add(group, PORT, step, inputs, nbytes)]
        alone = OwnProcess(self._threads, ways.port_of_checkpoint, self.model.checkpoint, horizons_ms)
        self._processes.append(alone)
        variant = self._add(group, PORT, alone.step, inputs, nbytes)
        variant.timed_ms = lambda: alone.step_ms(inputs[0])
        return [variant, self._add(group, PORT_HERE, step, inputs, nbytes)]

    def _add(self, group: str, name: str, step: ways.Step, inputs: np.ndarray, nbytes: int) -> Variant:
        stream = itertools.cycle(inputs)
        variant = Variant(name, lambda: step(next(stream)), nbytes)
        self.groups[group].append(variant)
        if nbytes not in self.readers:
            self.readers[nbytes] = Variant(f"read {nbytes / 1e6:.1f} MB", Reader(nbytes), nbytes)
        return variant


def _error(step: ways.Step, inputs: np.ndarray, expected: np.ndarray, first: int) -> float:
    """Largest difference from the clip pass, from frame `first` on; the step starts from nothing seen."""
    given = np.stack([np.array(step(row)) for row in inputs])
    return float(np.abs(given - expected)[first:].max())


def _checked(name: str, precision: str, error: float) -> float:
    if not error <= LARGEST_ERROR[precision]:
        raise RuntimeError(
            f"{name}: {error:.2g} from the clip pass; nothing is timed that computes something else"
        )
    return error
