"""The cache of derived files: made once, whole or not at all, and never trusted unseen."""

import errno
import logging
import multiprocessing
import os
import time
from pathlib import Path

import pytest

from engines.cache import VARIABLE, cache_folder, derived_file
from realtime.errors import LoadError

CONTENT = b"a graph" * 1000


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    path = tmp_path / "not there yet" / "cache"
    monkeypatch.setenv(VARIABLE, str(path))
    return path


class Maker:
    def __init__(self, content=CONTENT, error=None):
        self.content, self.error = content, error
        self.calls = 0

    def __call__(self, path: Path) -> None:
        self.calls += 1
        path.write_bytes(self.content)
        if self.error:
            raise self.error


def derive(make, key="weights, fp16"):
    return derived_file("model-fp16", key, ".onnx", make)


def test_made_once_for_one_key(folder, caplog):
    make = Maker()
    path = derive(make)
    assert path.parent == folder and path.name.startswith("model-fp16-") and path.suffix == ".onnx"
    assert path.read_bytes() == CONTENT
    assert str(folder) in caplog.text  # it takes a while: it is said
    caplog.clear()
    assert derive(make) == path
    assert (make.calls, caplog.text) == (1, "")
    other = Maker(b"another")
    assert derive(other, "other weights").read_bytes() == b"another"
    assert path.read_bytes() == CONTENT
    assert len(list(folder.iterdir())) == 2


def test_what_was_made_of_a_derived_file_is_not_taken_for_a_damaged_one():
    path = derive(Maker())
    further = derived_file(f"{path.stem}-int8", "int8", ".onnx", Maker(b"int8"))
    assert derive(Maker()) == path
    assert further.read_bytes() == b"int8"


@pytest.mark.parametrize(
    "damage",
    [lambda content: content[:-1], lambda content: b"A" + content[1:], lambda content: b""],
    ids=["cut off", "one byte", "empty"],
)
def test_a_damaged_file_is_made_anew_with_a_line(damage, caplog):
    path = derive(Maker())
    path.write_bytes(damage(CONTENT))
    make = Maker()
    with caplog.at_level(logging.WARNING):
        assert derive(make).read_bytes() == CONTENT
    assert make.calls == 1
    assert str(path) in caplog.text and "damaged" in caplog.text


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EACCES, errno.EROFS])
def test_no_space_names_the_folder_and_how_to_choose_another(folder, code):
    with pytest.raises(LoadError) as caught:
        derive(Maker(error=OSError(code, "cannot be done")))
    assert str(folder) in str(caught.value) and f"{VARIABLE}=" in str(caught.value)
    assert len(str(caught.value).splitlines()) == 2
    assert list(folder.iterdir()) == []  # nothing half made is left


def test_a_folder_that_is_none(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv(VARIABLE, str(tmp_path / "file"))
    with pytest.raises(LoadError, match=f"{VARIABLE}="):
        derive(Maker())


def test_an_error_of_making_is_told_as_it_is(folder):
    with pytest.raises(LoadError) as caught:
        derive(Maker(error=LoadError("x.safetensors: not weights\nuse others")))
    assert str(caught.value) == "x.safetensors: not weights\nuse others"
    assert list(folder.iterdir()) == []
    with pytest.raises(LoadError, match=f"{VARIABLE}="):  # said by another process about our own folder
        derive(Maker(error=LoadError(f"{folder}/x.part: cannot be written (No space left)")))


def test_an_interrupt_leaves_nothing(folder):
    with pytest.raises(KeyboardInterrupt):
        derive(Maker(error=KeyboardInterrupt()))
    assert list(folder.iterdir()) == []


def make_slowly(path: Path) -> None:
    with path.open("wb") as file:
        for start in range(0, len(CONTENT), 1000):
            file.write(CONTENT[start : start + 1000])
            file.flush()
            time.sleep(0.02)


def derive_slowly(_number: int) -> bytes:
    return derive(make_slowly).read_bytes()


def test_two_processes_at_once_both_get_a_whole_file(folder):
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        contents = pool.map(derive_slowly, range(2), chunksize=1)
    assert contents == [CONTENT, CONTENT]
    assert [path.read_bytes() for path in folder.iterdir()] == [CONTENT]


def test_a_name_with_brackets_is_found_again():
    """They mean something to glob: the file was made anew at every start."""
    make = Maker()
    first = derived_file("my[1] model*", "key", ".onnx", make)
    assert derived_file("my[1] model*", "key", ".onnx", make) == first
    assert make.calls == 1


def test_a_damaged_file_that_cannot_be_removed_is_an_error_of_ours(monkeypatch):
    path = derive(Maker())
    path.write_bytes(b"damaged")

    def read_only(*_arguments, **_options):
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(Path, "unlink", read_only)
    monkeypatch.setattr("tempfile.mkstemp", read_only)
    with pytest.raises(LoadError, match="Read-only"):
        derive(Maker())


def test_what_another_process_put_in_place_of_a_damaged_file_stays():
    path = derive(Maker())
    path.write_bytes(b"damaged")

    def make(part: Path) -> None:
        path.write_bytes(CONTENT)  # meanwhile
        part.write_bytes(b"of another version of torch")

    other = derive(make)
    assert path.read_bytes() == CONTENT and other != path


def test_a_damaged_file_of_another_content_goes():
    path = derive(Maker())
    path.write_bytes(b"damaged")
    other = derive(Maker(b"of another version of torch"))
    assert [file for file in other.parent.iterdir() if file.suffix == ".onnx"] == [other]


def test_what_killed_processes_left_is_swept_after_an_hour(folder):
    folder.mkdir(parents=True)
    old, young = folder / "old.part", folder / "young.part"
    for part in (old, young):
        part.write_bytes(b"half")
    an_hour_ago = time.time() - 3700
    os.utime(old, (an_hour_ago, an_hour_ago))
    derive(Maker())
    assert not old.exists() and young.exists()


def test_a_file_in_use_on_windows_is_taken_as_it_is(monkeypatch):
    """There a file that is open cannot be replaced; another process that made the same one is reading it."""
    place = derive(Maker())
    whole = place.read_bytes()
    place.unlink()

    def in_use(_part: Path, path: Path) -> None:
        path.write_bytes(whole)
        raise PermissionError(errno.EACCES, "being used by another process")

    monkeypatch.setattr(Path, "replace", in_use)
    assert derive(Maker()) == place


def test_where_it_lies(monkeypatch, tmp_path):
    monkeypatch.setenv(VARIABLE, "~/elsewhere")
    assert cache_folder() == Path.home() / "elsewhere"
    monkeypatch.delenv(VARIABLE)
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder() == tmp_path / "hmmr-live"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache_folder() == Path.home() / ".cache" / "hmmr-live"
    monkeypatch.setattr("sys.platform", "darwin")
    assert cache_folder() == Path.home() / "Library" / "Caches" / "hmmr-live"
    monkeypatch.setattr("sys.platform", "win32")
    monkeypatch.setenv("LOCALAPPDATA", str(tmp_path))
    assert cache_folder() == tmp_path / "hmmr-live"


def test_a_user_without_a_home_is_asked_for_a_folder(monkeypatch):
    def homeless():
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv(VARIABLE)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(Path, "home", homeless)
    with pytest.raises(LoadError, match=f"{VARIABLE}=FOLDER"):
        cache_folder()
