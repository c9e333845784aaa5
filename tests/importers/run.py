"""Run read_armature.py in Blender, for the tests that import our files there."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

READER = Path(__file__).parent / "read_armature.py"

needs_blender = pytest.mark.skipif(shutil.which("blender") is None, reason="no blender (Debian: blender)")


def in_blender(path: Path, frames: int, out: Path, *more: object) -> dict[str, Any]:
    """What read_armature.py tells of `path`."""
    command = ["blender", "-b", "--factory-startup", "--python-exit-code", "3", "--python", READER, "--"]
    arguments = map(str, [*command, path, frames, out, *more])
    done = subprocess.run(list(arguments), capture_output=True, text=True, timeout=170)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return json.loads(out.read_text())
