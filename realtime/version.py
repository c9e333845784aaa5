"""The version of hmmr-live, and of what it runs on."""

from __future__ import annotations

import platform
from importlib import metadata

VERSION = "0.1.0"  # the same as in pyproject.toml; a test holds them together

PACKAGES = (
    *("numpy", "onnxruntime", "opencv-python", "pyzmq", "msgpack", "open3d", "open3d-cpu"),
    *("torch", "mediapipe", "tensorrt", "tensorrt-rtx"),
)


def versions() -> dict[str, str]:
    """{"hmmr-live": …, "python": …, package: version}; a package that is not installed is left out."""
    found = {"hmmr-live": VERSION, "python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found
