"""The network run by torch: eager on the CPU and on Apple's GPUs, as one CUDA graph on NVIDIA's.

All inputs lie in one buffer and all outputs in another: a GPU is sent one block per frame and sends one back.

    pinned ──copy──► device: features, age, …  ──graph: embedding … joints──► device: camera, pose, …  ──copy──► pinned
                     state ◄──────────────────── next_state

The CUDA part follows torch's documentation and has never been executed by this project's tests.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engines.graph_engine import LOOPS, GraphEngine, graph_shapes
from engines.graph_file import GraphInfo
from engines.graphs import StepGraph, WindowGraph, info_of
from engines.network.model import HMMRLive
from engines.runner import check_inputs
from realtime.errors import LoadError

ALIGNMENT = 64  # floats: every array in a buffer starts on a boundary that all kernels like
WARM_UP_RUNS = 3  # before a capture: libraries allocate their work space outside of it


def choose_device() -> torch.device:
    """CUDA where torch has it, then Apple's MPS, else the CPU."""
    if torch.cuda.is_available():
        return torch.device("cuda", torch.cuda.current_device())
    if torch.backends.mps.is_available():
        return torch.device("mps")
    return torch.device("cpu")


def torch_engine(
    model: HMMRLive,
    source: Path,
    *,
    form: str = "step",
    precision: str = "fp32",
    threads: int = 1,
    device: torch.device | None = None,
) -> GraphEngine:
    """The network as an Engine. precision: "fp32", on CUDA also "fp16". threads: of torch in this whole process.

    One thread is best: with two, beside other work, medians rise 2–4 times (its barriers spin), and a step of this
    size has nothing to share out. Raises LoadError for a precision that the device does not have.
    """
    device = device or choose_device()
    if precision != "fp32" and (precision, device.type) != ("fp16", "cuda"):
        raise LoadError(
            f"precision {precision}: torch runs fp32 on {device.type}, and fp16 on CUDA only; use --engine onnxruntime"
        )
    torch.set_num_threads(threads)
    module = (WindowGraph if form == "window" else StepGraph)(model)
    if precision == "fp16":
        halve_products(module)
    module = module.to(device).eval().requires_grad_(False)
    info = info_of(model, form, precision)

    def open_runner(horizons: int) -> TorchRunner:
        return TorchRunner(module, info, horizons, device)

    return GraphEngine(open_runner, source)


class HalfLinear(nn.Module):
    """A product in fp16 whose input and output are fp32: half the weights to read, and norms and rotations exact."""

    weight: Tensor
    bias: Tensor | None

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        self.register_buffer("weight", linear.weight.detach().half())
        self.register_buffer("bias", None if linear.bias is None else linear.bias.detach().half())

    def forward(self, input: Tensor) -> Tensor:
        """(…, I) → (…, O), both float32."""
        return F.linear(input.half(), self.weight, self.bias).float()


def halve_products(module: nn.Module) -> None:
    """Replace every linear layer below `module` by its HalfLinear."""
    for name, child in module.named_children():
        if isinstance(child, nn.Linear):
            setattr(module, name, HalfLinear(child))
        else:
            halve_products(child)


class TorchRunner:
    """Implements engines.runner.Runner for StepGraph and WindowGraph."""

    name = "torch"

    def __init__(
        self, module: StepGraph | WindowGraph, info: GraphInfo, horizons: int, device: torch.device
    ) -> None:
        self._module: Callable[..., tuple[Tensor, ...]] | None = module
        self._device = device
        self._is_cuda = device.type == "cuda"
        self.device = str(device)
        if self._is_cuda:
            self.device += f" ({torch.cuda.get_device_name(device)})"
        self.metadata: Mapping[str, str] = info.metadata()
        self.inputs: Mapping[str, tuple[int, ...]]
        self.outputs: Mapping[str, tuple[int, ...]]
        self.inputs, self.outputs = graph_shapes(info, horizons)
        states = {} if info.form == "window" else {"state": module.model.initial_state(1).encoder}
        self._output_names = module.outputs
        with torch.inference_mode():
            self._host_in = _Buffer(self.inputs, torch.device("cpu"), pinned=self._is_cuda)
            # On the CPU the graph reads where `run` writes.
            self._device_in = self._host_in if device.type == "cpu" else _Buffer(self.inputs, device)
            self._host_out = _Buffer(self.outputs, torch.device("cpu"), pinned=self._is_cuda)
            self._device_out = self._host_out if device.type == "cpu" else _Buffer(self.outputs, device)
            self._loops = {name: state.to(device, torch.float32) for name, state in states.items()}
            self._graph = self._capture() if self._is_cuda else None
            self.clear()

    def _advance(self) -> None:
        """Inputs → outputs and next states, all in place: what a CUDA graph captures."""
        assert self._module is not None
        made = self._module(**self._device_in.tensors, **self._loops)
        for name, tensor in zip(self._output_names, made, strict=True):
            target = self._loops[LOOPS[name]] if name in LOOPS else self._device_out.tensors[name]
            target.copy_(tensor)

    def _capture(self) -> torch.cuda.CUDAGraph:
        with torch.cuda.device(self._device):
            side = torch.cuda.Stream()
            side.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(side):
                for _ in range(WARM_UP_RUNS):
                    self._advance()
            torch.cuda.current_stream().wait_stream(side)
            graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(graph):
                self._advance()
        return graph

    @torch.inference_mode()
    def run(self, **inputs: np.ndarray) -> Mapping[str, np.ndarray]:
        """See Runner.run."""
        if self._module is None:
            raise ValueError("this runner is closed")
        check_inputs(inputs, self.inputs)
        for name, array in inputs.items():
            self._host_in.arrays[name][...] = array
        if self._device_in is not self._host_in:
            self._device_in.flat.copy_(self._host_in.flat, non_blocking=self._is_cuda)
        if self._graph is not None:
            self._graph.replay()
        else:
            self._advance()
        if self._device_out is not self._host_out:
            self._host_out.flat.copy_(self._device_out.flat, non_blocking=self._is_cuda)
        if self._is_cuda:
            torch.cuda.current_stream(self._device).synchronize()
        return self._host_out.arrays

    @torch.inference_mode()
    def clear(self) -> None:
        """See Runner.clear."""
        for state in self._loops.values():
            state.zero_()

    def read_loop(self, name: str) -> np.ndarray:
        """See Runner.read_loop."""
        return np.array(self._loop(name).cpu().numpy())

    @torch.inference_mode()
    def write_loop(self, name: str, array: np.ndarray) -> None:
        """See Runner.write_loop."""
        state = self._loop(name)
        if array.shape != tuple(state.shape):
            raise ValueError(f"{name} of shape {array.shape}: this graph takes {tuple(state.shape)}")
        state.copy_(torch.from_numpy(array))

    def _loop(self, name: str) -> Tensor:
        if name not in self._loops:
            raise ValueError(f"no loop {name}: this runner has {', '.join(self._loops) or 'none'}")
        return self._loops[name]

    def describe(self) -> dict[str, Any]:
        """See Runner.describe."""
        return {
            "engine": self.name,
            "device": self.device,
            "mode": "cuda graph" if self._graph is not None else "eager",
            "threads": torch.get_num_threads(),
            "torch": torch.__version__,
        }

    def close(self) -> None:
        """See Runner.close."""
        self._graph = None
        self._module = None


class _Buffer:
    """Named float32 arrays in one block of memory."""

    def __init__(
        self, shapes: Mapping[str, tuple[int, ...]], device: torch.device, pinned: bool = False
    ) -> None:
        sizes = [-(-math.prod(shape) // ALIGNMENT) * ALIGNMENT for shape in shapes.values()]
        self.flat = torch.zeros(sum(sizes), device=device, pin_memory=pinned)
        parts = self.flat.split(sizes)
        self.tensors = {
            name: part[: math.prod(shape)].view(shape)
            for (name, shape), part in zip(shapes.items(), parts, strict=True)
        }
        on_host = device.type == "cpu"
        self.arrays = {name: tensor.numpy() for name, tensor in self.tensors.items()} if on_host else {}
