"""The ways to compute one frame: all from the same weights, all giving the same.

The temporal encoder alone: newest embedded frame (D,) float32 → Φ (D,), held against the clip pass of
`engines.network.temporal.CausalTemporalEncoder`. With heads: φ (F,) float32 → Θ' (camera 3, rotation matrices 216,
betas 10), held against the clip pass of `engines.network.model.HMMRLive`.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engines.network.checkpoint import load_checkpoint
from engines.network.model import HMMRLive
from engines.network.temporal import CACHED, KERNEL, CausalTemporalEncoder
from engines.onnxruntime_runner import OnnxRuntimeRunner
from engines.runtime import Engine

Step = Callable[[np.ndarray], np.ndarray]
LOOPS = {"next_state": "state"}


class WindowPort(nn.Module):
    """HMMR's encoder as it is ported straightforwardly: Conv1d and GroupNorm on (1, D, 13), all of it every frame.

    hmmr: with its own structure (statistics over time, SAME padding), which is what is timed. Otherwise causal and
    normalised per frame, by the very same modules: that is a function our weights can be compared on.
    """

    def __init__(self, encoder: CausalTemporalEncoder) -> None:
        super().__init__()
        self.hmmr = True
        self.length = encoder.receptive_field
        self.convs, self.norms = nn.ModuleList(), nn.ModuleList()
        for block in encoder.blocks:
            for norm, conv in ((block.norm1, block.conv1), (block.norm2, block.conv2)):
                plain = nn.GroupNorm(norm.num_groups, norm.num_channels, eps=norm.eps)
                plain.load_state_dict(norm.state_dict())
                self.norms.append(plain)
                self.convs.append(_conv1d(conv.taps, nn.Conv1d, padding=0))
        self.requires_grad_(False)

    def forward(self, window: Tensor) -> Tensor:
        """(1, D, 13), oldest first → (1, D, 13)."""
        for index in range(0, len(self.convs), 2):
            inner = self._half(index + 1, self._half(index, window))
            window = window + inner
        return window

    def _half(self, index: int, columns: Tensor) -> Tensor:
        norm, conv = self.norms[index], self.convs[index]
        if self.hmmr:
            return conv(F.pad(torch.relu(norm(columns)), (1, 1)))
        frames = norm(columns[0].T.contiguous()).T.unsqueeze(0)
        return conv(F.pad(torch.relu(frames), (CACHED, 0)))


def torch_window(encoder: CausalTemporalEncoder, hmmr: bool) -> Step:
    """The port; its ring starts with zero frames, so that causal it is exact from the 13th frame on."""
    port = WindowPort(encoder)
    port.hmmr = hmmr
    ring = torch.zeros(1, encoder.width, port.length)

    @torch.inference_mode()
    def step(column: np.ndarray) -> np.ndarray:
        nonlocal ring
        ring = torch.cat((ring[:, :, 1:], torch.from_numpy(column).view(1, -1, 1)), dim=2)
        return port(ring)[0, :, -1].numpy()

    return step


def torch_clip_window(encoder: CausalTemporalEncoder) -> Step:
    """Our own network's clip pass on the last 13 frames: each convolution one matrix product."""
    ring = torch.zeros(1, encoder.receptive_field, encoder.width)

    @torch.inference_mode()
    def step(column: np.ndarray) -> np.ndarray:
        nonlocal ring
        ring = torch.cat((ring[:, 1:], torch.from_numpy(column).view(1, 1, -1)), dim=1)
        return encoder(ring)[0, -1].numpy()

    return step


def torch_step(encoder: CausalTemporalEncoder) -> Step:
    """Two cached columns per convolution; modules as they are."""
    state = encoder.initial_state(1)

    @torch.inference_mode()
    def step(column: np.ndarray) -> np.ndarray:
        nonlocal state
        movie_strip, state = encoder.step(torch.from_numpy(column).unsqueeze(0), state)
        return movie_strip[0].numpy()

    return step


def continual_step(encoder: CausalTemporalEncoder) -> Step:
    """The `continual-inference` library's modules. Raises ImportError where it is not installed.

    Its padding of 2 is what makes a convolution of width 3 answer at once, without look-ahead.
    """
    import continual as co

    blocks = []
    for block in encoder.blocks:
        layers = []
        for norm, conv in ((block.norm1, block.conv1), (block.norm2, block.conv2)):
            plain = nn.GroupNorm(norm.num_groups, norm.num_channels, eps=norm.eps)
            plain.load_state_dict(norm.state_dict())
            layers += [co.forward_stepping(plain), co.forward_stepping(nn.ReLU())]
            layers.append(_conv1d(conv.taps, co.Conv1d, padding=CACHED))
        blocks.append(co.Residual(co.Sequential(*layers)))
    network = co.Sequential(*blocks).eval().requires_grad_(False)
    if network.delay != 0:
        raise RuntimeError(f"continual-inference: a delay of {network.delay} frames, not 0")

    @torch.inference_mode()
    def step(column: np.ndarray) -> np.ndarray:
        return network.forward_step(torch.from_numpy(column).unsqueeze(0))[0].numpy()

    return step


def numpy_step(encoder: CausalTemporalEncoder) -> Step:
    """Two cached columns per convolution, in numpy: what a step costs without any framework."""
    convs, norms = [], []
    for block in encoder.blocks:
        for norm, conv in ((block.norm1, block.conv1), (block.norm2, block.conv2)):
            convs.append((np.ascontiguousarray(conv.taps.weight.numpy().T), conv.taps.bias.numpy()))
            norms.append((norm.weight.numpy(), norm.bias.numpy(), np.float32(norm.eps)))
    width, groups = encoder.width, encoder.blocks[0].norm1.num_groups
    windows = np.zeros((len(convs), KERNEL * width), np.float32)

    def half(index: int, column: np.ndarray) -> np.ndarray:
        grouped = column.reshape(groups, -1)
        scale, shift, eps = norms[index]
        centred = grouped - grouped.mean(axis=1, keepdims=True)
        centred /= np.sqrt(np.mean(centred * centred, axis=1, keepdims=True) + eps)
        window = windows[index]
        window[: CACHED * width] = window[width:]
        np.maximum(centred.reshape(-1) * scale + shift, 0.0, out=window[CACHED * width :])
        matrix, bias = convs[index]
        return window @ matrix + bias

    def step(column: np.ndarray) -> np.ndarray:
        for index in range(0, len(convs), 2):
            column = column + half(index + 1, half(index, column))
        return column

    return step


def onnxruntime_step(encoder_graph: Path, threads: int) -> Step:
    """The encoder's nodes of the live graph, alone (bench.encoder_models.write_encoder_alone)."""
    runner = OnnxRuntimeRunner(encoder_graph, threads=threads, loops=LOOPS)
    (fed,), (given,) = runner.inputs, runner.outputs

    def step(column: np.ndarray) -> np.ndarray:
        return runner.run(**{fed: column[None]})[given][0]

    return step


def torch_window_with_heads(network: HMMRLive, horizons_ms: tuple[float, ...]) -> Step:
    """The straightforward port with the heads behind it: the window every frame, then f3D and fΔt.

    It embeds the newest frame only, and has no hallucinator: as fast as such a port can be.
    """
    window = torch_window(network.encoder, hmmr=True)
    dt_ms = torch.tensor(horizons_ms)

    @torch.inference_mode()
    def step(features: np.ndarray) -> np.ndarray:
        embedded = network.embed(torch.from_numpy(features)).numpy()
        strip = torch.from_numpy(window(embedded)).unsqueeze(0)
        camera, pose, betas = network.decode(network.f3d(strip))
        network.dynamics(strip, pose, dt_ms)
        return torch.cat((camera[0], pose.flatten(), betas[0])).numpy()

    return step


def port_of_checkpoint(path: Path, horizons_ms: tuple[float, ...] | None) -> Step:
    """The port of a checkpoint, for a process of its own; horizons_ms: with heads, or None: without."""
    network, _ = load_checkpoint(path)
    network.requires_grad_(False)
    return (
        torch_window(network.encoder, hmmr=True)
        if horizons_ms is None
        else torch_window_with_heads(network, horizons_ms)
    )


def engine_step(engine: Engine, horizons_ms: tuple[float, ...]) -> Step:
    """The live program's own call: everything, joints too."""

    def step(features: np.ndarray) -> np.ndarray:
        out = engine.step(features, horizons_ms)
        return np.concatenate((out.camera, out.pose_matrix.ravel(), out.betas))

    return step


@torch.inference_mode()
def clip_strip(encoder: CausalTemporalEncoder, columns: np.ndarray) -> np.ndarray:
    """(T, D) → Φ (T, D) of the clip pass."""
    return encoder(torch.from_numpy(columns).unsqueeze(0))[0].numpy()


@torch.inference_mode()
def clip_theta(network: HMMRLive, features: np.ndarray) -> np.ndarray:
    """(T, F) → (T, 229) of the clip pass: camera, rotation matrices, betas."""
    parts = network.decode(network(torch.from_numpy(features).unsqueeze(0)).theta6d[0])
    return torch.cat([part.flatten(1) for part in parts], dim=1).numpy()


def _conv1d(taps: nn.Linear, kind: Callable[..., nn.Conv1d], padding: int) -> nn.Conv1d:
    """Our (D, 3D) matrix over [t−2, t−1, t] as a convolution's (D, D, 3)."""
    width = taps.out_features
    conv = kind(width, width, KERNEL, padding=padding)
    with torch.no_grad():
        conv.weight.copy_(taps.weight.view(width, KERNEL, width).transpose(1, 2))
        conv.bias.copy_(taps.bias)
    return conv
