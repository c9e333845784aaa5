"""Which stamps may be compared."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from realtime import clock


def test_one_id_for_all_programs_of_this_boot() -> None:
    code = "from realtime.clock import clock_id; print(clock_id())"
    root = Path(__file__).parent.parent
    other = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    assert clock.same_clock(other.stdout.strip(), clock.clock_id())


def test_without_a_boot_id(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """As on Windows and macOS: host and boot time, which two programs may round differently."""
    monkeypatch.setattr(clock, "_BOOT_ID", tmp_path / "absent")
    clock.clock_id.cache_clear()
    try:
        ours = clock.clock_id()
    finally:
        clock.clock_id.cache_clear()
    host, _, boot = ours.partition("@")
    assert clock.same_clock(ours, f"{host}@{int(boot) + 2}")
    assert not clock.same_clock(ours, f"{host}@{int(boot) + 3600}")
    assert not clock.same_clock(ours, f"{'0' * 16}@{boot}")
    assert not clock.same_clock(ours, host)
