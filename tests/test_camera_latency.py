"""The measured latencies in the user's configuration folder: kept, read, damaged, unwritable."""

import json
import logging
import os
from dataclasses import replace

import pytest

from realtime.camera.latency import (
    CameraLatency,
    latency_file,
    store_latency,
    stored_latency,
)
from realtime.errors import ConfigError

MEASURED = CameraLatency(
    61.5, 2.5, 640, 480, 30.0, "MJPG", "2026-01-02T03:04:05+00:00", "clock on the screen", True
)


def stored_ms(camera: str) -> float | None:
    found = stored_latency(camera)
    return None if found is None else found.latency_ms


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    for name in ("XDG_CONFIG_HOME", "APPDATA", "HOME"):
        monkeypatch.setenv(name, str(tmp_path))
    return tmp_path


def test_what_is_stored_is_read_and_a_new_one_takes_its_place() -> None:
    assert stored_ms("camera 0") is None
    file = store_latency("camera 0", MEASURED)
    assert file == latency_file() and file.is_file()
    store_latency("http://host/größe", replace(MEASURED, latency_ms=120.25))
    assert stored_latency("camera 0") == MEASURED
    assert stored_ms("camera 0") == 61.5
    assert stored_ms("http://host/größe") == 120.25
    assert stored_ms("camera 1") is None
    store_latency("camera 0", replace(MEASURED, latency_ms=40.0))
    assert (stored_ms("camera 0"), stored_ms("http://host/größe")) == (40.0, 120.25)
    assert [path.name for path in file.parent.iterdir()] == [file.name]  # nothing half-written is left


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{",
        "[]",
        '{"version": 1}',
        '{"version": 1, "cameras": []}',
        '{"version": 7, "cameras": {}}',
        "[" * 100_000,
        "\xff",
        '{"version": 1, "cameras": {"camera 0": 5}}',
        '{"version": 1, "cameras": {"camera 0": {"latency_ms": 5}}}',
        '{"version": 1, "cameras": {"camera 0": {"latency_ms": 5, "surprise": 1}}}',
    ],
)
def test_a_damaged_file_is_a_warning_that_names_it(content, caplog) -> None:
    file = latency_file()
    file.parent.mkdir(parents=True)
    file.write_text(content, encoding="latin-1")
    with caplog.at_level(logging.WARNING):
        assert stored_ms("camera 0") is None
    assert str(file) in caplog.text and "calib.latency" in caplog.text and len(caplog.records) == 1


@pytest.mark.parametrize(
    ("key", "bad"),
    [
        *(("latency_ms", bad) for bad in (-1.0, 1e9, float("nan"), "60", None, True)),
        *(("width", bad) for bad in (None, "640", -1, 640.5, True)),
    ],
)
def test_a_number_that_cannot_be_is_not_used(key, bad, caplog) -> None:
    file = store_latency("camera 0", MEASURED)
    content = json.loads(file.read_text())
    content["cameras"]["camera 0"][key] = bad
    file.write_text(json.dumps(content))
    assert stored_ms("camera 0") is None and key in caplog.text


def test_a_damaged_file_is_moved_aside_by_the_next_measurement(caplog) -> None:
    file = latency_file()
    file.parent.mkdir(parents=True)
    file.write_text("not ours")
    store_latency("camera 0", MEASURED)
    assert stored_latency("camera 0") == MEASURED
    assert file.with_name(f"{file.name}.bad").read_text() == "not ours" and "moved" in caplog.text


def test_where_nothing_can_be_written_the_error_says_so(folder, monkeypatch) -> None:
    (folder / "hmmr-live").write_text("a file where the folder should be")
    (folder / "Library").write_text("")
    with pytest.raises(ConfigError, match="cannot be written"):
        store_latency("camera 0", MEASURED)
    assert stored_ms("camera 0") is None


def test_a_full_disk_leaves_the_old_file(monkeypatch) -> None:
    file = store_latency("camera 0", MEASURED)

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(ConfigError, match="No space left"):
        store_latency("camera 0", replace(MEASURED, latency_ms=1.0))
    assert stored_ms("camera 0") == 61.5
    assert [path.name for path in file.parent.iterdir()] == [file.name]
