"""Weights on disk: one safetensors file with the configuration and the provenance in its metadata."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as to_bytes
from torch import Tensor, nn

from engines.metadata import check_features, check_format, damage_told
from engines.network.config import NetworkConfig
from engines.network.model import HMMRLive
from realtime.errors import LoadError

FORMAT = "hmmr-live 1"
_NEXT_STEP = "use --model default, or make one with `python -m training.fit`"
_LISTED = 3  # names of tensors in one message


def save(model: HMMRLive, path: Path, provenance: dict[str, Any], half: bool = False) -> None:
    """Write `model` to `path`, whole or not at all.

    provenance: what the weights were made from, by which command and when (JSON values). half: matrices are
    stored as fp16; vectors (statistics, biases, norms, mean Θ) stay fp32. Raises ValueError, naming the
    tensor, for values that are not finite or do not fit.
    """
    metadata = {
        "format": FORMAT,
        "config": json.dumps(dataclasses.asdict(model.config)),
        "provenance": json.dumps(provenance),
    }
    write_weights(model, path, metadata, half)


def write_weights(module: nn.Module, path: Path, metadata: dict[str, str], half: bool) -> None:
    """Weights and buffers of any module, with metadata; half and errors as in `save`."""
    tensors: dict[str, Tensor] = {}
    for name, tensor in module.state_dict().items():
        stored = tensor.detach().cpu().to(torch.float16 if half and tensor.dim() > 1 else torch.float32)
        if not bool(torch.isfinite(stored).all()):
            raise ValueError(f"{name}: not finite as {stored.dtype}; not saved")
        tensors[name] = stored.contiguous()
    part = path.with_name(path.name + ".part")
    part.write_bytes(to_bytes(tensors, metadata))  # save_file would make it readable for its owner alone
    part.replace(path)


def load_checkpoint(
    path: Path, feature_version: int | None = None, feature_dim: int | None = None
) -> tuple[HMMRLive, dict[str, Any]]:
    """Read a checkpoint: the model (fp32, CPU, eval mode) and its provenance.

    feature_version, feature_dim: the φ it will be fed (realtime/features.py); None: not checked.
    Raises LoadError when there is no such file, when it is no checkpoint of this project or a truncated one,
    when it was trained on another φ, when a tensor is missing, extra or of another shape (naming it), and
    when a weight is not finite.
    """
    metadata, tensors = read_weights(path, _NEXT_STEP)
    config, provenance = _read_metadata(path, metadata)
    check_features(path, config, feature_version, feature_dim, _NEXT_STEP)
    # Shapes are compared on the meta device first: a wrong configuration then allocates nothing.
    with torch.device("meta"):
        expected = HMMRLive(config).state_dict()
    check_weights(path, expected, tensors, _NEXT_STEP)
    model = HMMRLive(config)
    model.load_state_dict(tensors)
    return model.eval(), provenance


def read_weights(path: Path, next_step: str) -> tuple[dict[str, str], dict[str, Tensor]]:
    """Metadata and tensors of a safetensors file. Raises LoadError, which ends in `next_step`, for one that cannot be
    read."""
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            return metadata, {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except FileNotFoundError:
        raise LoadError(f"{path}: no such file; {next_step}") from None
    except SafetensorError as error:
        raise LoadError(f"{path}: not a safetensors file, or cut off ({error}); {next_step}") from None
    except OSError as error:
        raise LoadError(f"{path}: cannot be read ({error}); {next_step}") from None


def _read_metadata(path: Path, metadata: dict[str, str]) -> tuple[NetworkConfig, dict[str, Any]]:
    check_format(path, metadata, FORMAT, "a checkpoint", _NEXT_STEP)
    with damage_told(path, _NEXT_STEP):
        return NetworkConfig(**json.loads(metadata["config"])), read_provenance(metadata)


def read_provenance(metadata: dict[str, str]) -> dict[str, Any]:
    """Raises KeyError, TypeError or ValueError where there is none, or it is no map."""
    provenance = json.loads(metadata["provenance"])
    if not isinstance(provenance, dict):
        raise TypeError("provenance is no map")
    return provenance


def check_weights(path: Path, expected: dict[str, Tensor], found: dict[str, Tensor], next_step: str) -> None:
    """Raises LoadError, naming the tensors, where those found are not those expected in name, shape, kind and
    finiteness; it ends in `next_step`."""
    problems = [f"{name} is missing" for name in expected.keys() - found.keys()]
    problems += [f"{name} is unknown" for name in found.keys() - expected.keys()]
    for name in expected.keys() & found.keys():
        tensor, shape = found[name], tuple(expected[name].shape)
        if tuple(tensor.shape) != shape:
            problems.append(f"{name} has shape {tuple(tensor.shape)}, not {shape}")
        elif tensor.dtype not in (torch.float16, torch.float32):
            problems.append(f"{name} is {tensor.dtype}, not float16 or float32")
        elif not bool(torch.isfinite(tensor).all()):
            problems.append(f"{name} holds values that are not finite")
    if problems:
        more = len(problems) - _LISTED
        listed = "; ".join(sorted(problems)[:_LISTED]) + (f"; and {more} more" if more > 0 else "")
        raise LoadError(f"{path}: {listed}\n{next_step}")
