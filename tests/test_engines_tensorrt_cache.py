"""Engines on disk: the right one, a whole one, or a new one; never another."""

import errno
import json
import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
from small_graph import small_graph, write_small_graph

from engines.tensorrt import cache as tensorrt_cache
from engines.tensorrt.api import load_api
from engines.tensorrt.cache import entries, get_or_build, key_of, read, read_metadata
from realtime.errors import LoadError

pytest.importorskip("tensorrt_rtx", reason='TensorRT compiles: pip install -e ".[tensorrt-rtx]"')

DIMS = {"horizons": 1}


@pytest.fixture(scope="module")
def api():
    return load_api("tensorrt_rtx")


@pytest.fixture
def small(tmp_path):
    return write_small_graph(tmp_path)


@pytest.fixture
def get(tmp_path, api, small):
    """get(**options): the small graph's engine for sm86."""
    folder = tmp_path / "engines"
    return lambda path=small, target="sm86", **options: get_or_build(
        path, api, target, dims=options.pop("dims", DIMS), folder=options.pop("folder", folder), **options
    )


def test_built_once_and_read_after_that(get, small):
    first, second = get(), get()
    assert first.seconds is not None and second.seconds is None
    assert second.payload == first.payload and len(first.payload) > 10_000
    assert first.metadata == second.metadata == {"kind": "small"}
    assert first.path == second.path and [first.path] == list(first.path.parent.iterdir())
    assert get(anew=True).seconds is not None


def test_whatever_it_depends_on_makes_it_another(get, api, small, tmp_path):
    places = {get().path, get(dims={"horizons": 2}).path, get(target="sm89").path}
    other = tmp_path / "other" / "small.onnx"
    other.parent.mkdir()
    other.write_bytes(small_graph(metadata={"kind": "other"}).SerializeToString())
    entry = get(path=other)
    places.add(entry.path)
    assert entry.metadata == {"kind": "other"}
    key = entry.key
    places |= {
        replace(key, version="9").path(tmp_path, "small"),
        replace(key, recipe=0).path(tmp_path, "small"),
    }
    assert len({place.name for place in places}) == 6


def test_an_engine_of_tensorrt_is_for_one_model_of_gpu(api):
    class Classic:
        runtime, version, targets = "tensorrt", "10.16", ()

    assert key_of(b"", api, "sm86", "NVIDIA A", {}) == key_of(b"", api, "sm86", "NVIDIA B", {})
    assert key_of(b"", Classic, "sm86", "NVIDIA A", {}) != key_of(b"", Classic, "sm86", "NVIDIA B", {})


def cut(place):
    place.write_bytes(place.read_bytes()[:-100])


def flip(place):
    content = bytearray(place.read_bytes())
    content[-100] ^= 1
    place.write_bytes(content)


def empty(place):
    place.write_bytes(b"")


def header_of_another(place):
    header, payload = place.read_bytes().split(b"\n", 1)
    told = json.loads(header)
    told["key"]["version"] = "1.0"
    place.write_bytes(json.dumps(told).encode() + b"\n" + payload)


def not_of_this_program(place):
    place.write_bytes(b'{"format": "something"}\n123')


def format_to_come(place):
    header, payload = place.read_bytes().split(b"\n", 1)
    place.write_bytes(
        json.dumps(json.loads(header) | {"format": "hmmr-live engine 2"}).encode() + b"\n" + payload
    )


def bare_engine(place):
    place.write_bytes(place.read_bytes().split(b"\n", 1)[1])


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (cut, "cut off"),
        (flip, "damaged"),
        (empty, "no engine of this program, or damaged"),
        (not_of_this_program, "no engine of this program, or damaged"),
        (bare_engine, "no engine of this program, or damaged"),
        (header_of_another, "made for something else (version)"),
        (format_to_come, "of another version of this program"),
    ],
)
def test_an_entry_that_is_not_to_be_trusted_is_built_anew_and_said(get, caplog, spoil, reason):
    first = get()
    spoil(first.path)
    caplog.clear()
    again = get()
    assert again.seconds is not None
    assert f"{first.path.name}: {reason}; built anew" in caplog.text
    assert get().payload == again.payload


def test_an_entry_that_cannot_be_read_is_built_anew(get, caplog):
    place = get().path
    place.unlink()
    place.mkdir()
    assert get().payload and "cannot be read" in caplog.text


def no_space(*_arguments):
    raise OSError(errno.ENOSPC, "No space left on device")


def test_no_space_is_a_line_live_and_an_error_ahead(get, monkeypatch, caplog, tmp_path):
    monkeypatch.setattr(tensorrt_cache.os, "fsync", no_space)
    entry = get()
    assert entry.payload and entry.path is None
    assert "No space left on device" in caplog.text and "going on" in caplog.text
    with pytest.raises(LoadError) as caught:
        get(must_keep=True)
    assert str(tmp_path / "engines") in str(caught.value) and "HMMR_LIVE_CACHE=FOLDER" in str(caught.value)
    assert list((tmp_path / "engines").iterdir()) == []  # nothing half-written stays


def test_a_folder_that_is_none(get, tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(LoadError, match="file: cannot keep an engine of"):
        get(folder=tmp_path / "file", must_keep=True)


def test_what_a_killed_process_left_is_swept_later(get, tmp_path):
    folder = tmp_path / "engines"
    folder.mkdir()
    old, new = folder / "a.part", folder / "b.part"
    for part in (old, new):
        part.write_bytes(b"")
    os.utime(old, times=(time.time() - 7200,) * 2)
    get()
    assert not old.exists() and new.exists()


PROCESS = """
import sys, time
from pathlib import Path
from engines.tensorrt.api import load_api
from engines.tensorrt.cache import get_or_build
api = load_api("tensorrt_rtx")
path, folder = map(Path, sys.argv[1:])
print("ready", flush=True)
sys.stdin.readline()
for _ in range(8):
    entry = get_or_build(path, api, "sm86", dims={"horizons": 1}, folder=folder, must_keep=True, anew=True)
    assert get_or_build(path, api, "sm86", dims={"horizons": 1}, folder=folder).seconds is None
"""


def test_two_processes_that_build_at_once_both_end_with_a_whole_file(get, small, tmp_path):
    folder = tmp_path / "engines"
    command = [sys.executable, "-c", PROCESS, str(small), str(folder)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    root = Path(__file__).parent.parent
    processes = [subprocess.Popen(command, cwd=root, **pipes) for _ in range(2)]
    for process in processes:
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        process.stdin.write("\n")
        process.stdin.flush()
    for process in processes:
        _, errors = process.communicate(timeout=60)
        assert process.returncode == 0, errors
    assert len(list(folder.iterdir())) == 1
    assert get().seconds is None


def test_files_that_are_none(get, tmp_path):
    with pytest.raises(LoadError, match="nothing.onnx: no such file"):
        get(path=tmp_path / "nothing.onnx")
    with pytest.raises(LoadError, match="cannot be read"):
        get(path=tmp_path)
    with pytest.raises(LoadError, match="not an ONNX file, or cut off"):
        read_metadata(Path("x.onnx"), b"\xff\xff")


def test_listing(get):
    entry = get()
    (entry.path.parent / "x.engine").write_bytes(b"[]\n")
    listed = dict(entries(entry.path.parent))
    assert listed[entry.path]["target"] == "sm86" and listed[entry.path]["dims"] == DIMS
    assert listed[entry.path.parent / "x.engine"] == {}
    (entry.path.parent / "x.engine").write_bytes(b'{"key": {"dims": 5}, "metadata": {}}\n')
    assert dict(entries(entry.path.parent))[entry.path.parent / "x.engine"] == {}


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has other permissions")
def test_who_else_uses_the_folder_can_read_it(get, tmp_path):
    ordinary = tmp_path / "ordinary"
    ordinary.write_bytes(b"")
    assert get().path.stat().st_mode == ordinary.stat().st_mode


def test_a_name_from_the_cache_loses_its_hashes(get, api, tmp_path):
    key = get().key
    name = key.path(tmp_path, "model-window-0f6698f35ef8b3f1-fp16-aa4d9d56e2665bd2-f4ec62064d142013").name
    assert name.startswith(f"model-window-fp16-tensorrt_rtx-{api.version}-sm86-")
    assert read(tmp_path / name, key) is None
