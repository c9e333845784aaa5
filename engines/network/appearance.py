"""The appearance encoder: BlazePose's map of a person's crop → 128 numbers, a part of φ (realtime/features.py).

The landmarks say where joints seem to be; the map they are read from knows more, above all of depth. Live it runs as
a graph of its own in the perception (realtime/perception/appearance.py), which engines/appearance.py makes.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from engines.graph_file import APPEARANCE_FORMAT, MAP_SHAPE
from engines.metadata import check_format, damage_told
from engines.network.checkpoint import check_weights, read_provenance, read_weights, write_weights
from realtime.features import APPEARANCE_DIM

# Left out in training. Without it the encoder knows its takes by heart after a thousand steps: measured on takes held
# back, PA-MPJPE of a single frame 91.7 mm without and 86.6 with it.
P_CHANNEL, P_CELL = 0.1, 0.3

_NEXT_STEP = "restore it from the repository, or make one with `python -m training.fit_appearance`"


class AppearanceEncoder(nn.Module):
    """Standardise → conv 1×1 → conv 3×3 → conv 3×3, stride 2 → linear `out`; ReLU between them. 0.74 M parameters."""

    mean: Tensor
    std: Tensor

    def __init__(self) -> None:
        super().__init__()
        channels, rows, columns = MAP_SHAPE
        self.drop_channels, self.drop = nn.Dropout2d(P_CHANNEL), nn.Dropout(P_CELL)
        self.register_buffer("mean", torch.zeros(channels))  # of the maps it is trained on, per channel
        self.register_buffer("std", torch.ones(channels))
        self.conv1 = nn.Conv2d(channels, 96, 1)
        self.conv2 = nn.Conv2d(96, 128, 3, padding=1)
        self.conv3 = nn.Conv2d(128, 192, 3, stride=2, padding=1)
        self.out = nn.Linear(192 * (rows // 2) * (columns // 2), APPEARANCE_DIM)

    def forward(self, maps: Tensor) -> Tensor:
        """maps (B, 144, 8, 8) as BlazePose's graph gives them → z (B, 128)."""
        inner = self.drop_channels((maps - self.mean[:, None, None]) / self.std[:, None, None])
        for layer in (self.conv1, self.conv2, self.conv3):
            inner = self.drop_channels(torch.relu(layer(inner)))
        return self.out(self.drop(inner.flatten(1)))


def save_appearance(
    encoder: AppearanceEncoder, path: Path, provenance: dict[str, Any], half: bool = True
) -> None:
    """Write the encoder to `path` (.safetensors), whole or not at all; see `engines.network.checkpoint.save`."""
    write_weights(encoder, path, {"format": APPEARANCE_FORMAT, "provenance": json.dumps(provenance)}, half)


def load_appearance(path: Path) -> tuple[AppearanceEncoder, dict[str, Any]]:
    """Read an encoder (fp32, CPU, eval mode) and its provenance.

    Raises LoadError for a file that is missing, cut off, none of an appearance encoder, or holds other tensors or
    values that are not finite.
    """
    metadata, tensors = read_weights(path, _NEXT_STEP)
    check_format(path, metadata, APPEARANCE_FORMAT, "an appearance encoder", _NEXT_STEP)
    with damage_told(path, _NEXT_STEP):
        provenance = read_provenance(metadata)
    encoder = AppearanceEncoder()
    check_weights(path, encoder.state_dict(), tensors, _NEXT_STEP)
    encoder.load_state_dict(tensors)
    return encoder.eval(), provenance
