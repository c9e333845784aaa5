"""Metadata of weights (.safetensors) and graphs (.onnx): what is not ours, damaged or of another φ is refused alike.

Needs neither torch nor onnx. `next_step` is what the message ends in.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from realtime.errors import LoadError


class MadeForFeatures(Protocol):
    """A network that takes φ of one version and size."""

    @property
    def feature_version(self) -> int: ...

    @property
    def feature_dim(self) -> int: ...


def check_format(path: Path, metadata: Mapping[str, str], expected: str, kind: str, next_step: str) -> None:
    """Raises LoadError for a file of another format; kind: what it should be, "a graph"."""
    if metadata.get("format") != expected:
        found = metadata.get("format", "none")
        raise LoadError(f"{path}: not {kind} of this program (format {found!r}); {next_step}")


@contextmanager
def damage_told(path: Path, next_step: str) -> Iterator[None]:
    """Around the reading of values: what they cannot be read for becomes a LoadError."""
    try:
        yield
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise LoadError(f"{path}: damaged metadata ({error}); {next_step}") from None


def check_features(
    path: Path,
    network: MadeForFeatures,
    feature_version: int | None,
    feature_dim: int | None,
    next_step: str,
) -> None:
    """feature_version, feature_dim: the φ it will be fed (realtime/features.py); None: not checked. Raises LoadError
    for a network that takes another one."""
    if feature_version not in (None, network.feature_version):
        raise LoadError(
            f"{path}: trained on features version {network.feature_version}, this program makes version "
            f"{feature_version}; {next_step}"
        )
    if feature_dim not in (None, network.feature_dim):
        raise LoadError(
            f"{path}: takes {network.feature_dim} features, this program makes {feature_dim}; {next_step}"
        )
