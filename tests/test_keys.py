"""python -m realtime.keys: what it makes, where, for whose eyes; what it never does."""

from __future__ import annotations

import logging
import os
import stat
import sys
from pathlib import Path

import pytest

from realtime import key_files, keys
from realtime.errors import ConfigError

posix = pytest.mark.skipif(sys.platform == "win32", reason="file modes of POSIX")


def said(capsys: pytest.CaptureFixture[str], code: int, *arguments: str | Path) -> str:
    assert keys.main([str(argument) for argument in arguments]) == code
    out = capsys.readouterr()
    return out.err if code else out.out


@pytest.fixture
def folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    made = tmp_path / "some" / "keys"
    said(capsys, 0, "--folder", made)
    return made


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_init_makes_the_streams_keys_and_the_local_ones(folder: Path) -> None:
    assert sorted(contents(folder)) == ["clients/local.public", "local.key", "server.key"]
    server, client = key_files.load_server(folder), key_files.load_client(folder)
    assert client == key_files.load_client(folder / "local.key")
    assert client.server == server.public
    assert server.client_of(client.public) == "local"
    assert server.client_of(server.public) is None
    assert len({server.public, server.secret, client.public, client.secret}) == 4


@posix
@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
def test_secrets_are_nobody_elses(tmp_path: Path, umask: int, capsys: pytest.CaptureFixture[str]) -> None:
    before = os.umask(umask)
    try:
        said(capsys, 0, "--folder", tmp_path / "keys")
        said(capsys, 0, "add", "laptop", "--folder", tmp_path / "keys")
    finally:
        os.umask(before)
    modes = {
        str(path.relative_to(tmp_path)): stat.S_IMODE(path.stat().st_mode) for path in tmp_path.rglob("*.key")
    }
    assert modes == dict.fromkeys(("keys/server.key", "keys/local.key", "keys/laptop.key"), 0o600)
    assert stat.S_IMODE((tmp_path / "keys" / "clients").stat().st_mode) & 0o077 == 0


def test_says_what_to_copy_where_in_few_lines(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "keys"
    init = said(capsys, 0, "--folder", folder)
    assert init.count("\n") <= 6
    assert f"run_live.py --bus tcp://0.0.0.0:5555 --set bus.keys={folder}" in init
    added = said(capsys, 0, "add", "laptop", "--folder", folder)
    assert added.count("\n") <= 3
    assert f"{folder / 'laptop.key'}" in added and "--keys laptop.key" in added
    assert said(capsys, 0, "list", "--folder", folder) == "laptop\nlocal\n"
    assert "from its next connection" in said(capsys, 0, "remove", "laptop", "--folder", folder)
    assert said(capsys, 0, "list", "--folder", folder) == "local\n"
    assert not (folder / "laptop.key").exists()


def test_nothing_is_overwritten(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = contents(folder)
    assert "nothing was changed" in said(capsys, 0, "--folder", folder)
    assert "has a key already" in said(capsys, 2, "add", "local", "--folder", folder)
    (folder / "phone.key").write_text("somebody's notes")
    assert "never overwritten" in said(capsys, 2, "add", "phone", "--folder", folder)
    (folder / "phone.key").unlink()
    assert contents(folder) == before
    with pytest.raises(ConfigError, match="never overwritten"):
        key_files.make_server(folder)


@pytest.mark.parametrize(
    "name", ["server", "Server", "../x", "a/b", "", ".hidden", "-x", "a b", "é", "x" * 65]
)
def test_names_that_are_none(folder: Path, name: str) -> None:
    for act in (key_files.make_client, key_files.remove_client):
        with pytest.raises(ConfigError, match="not a name for a key"):
            act(folder, name)


def test_one_line_for_what_is_missing(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    empty = tmp_path / "empty"
    for action in (["list"], ["add", "laptop"]):
        assert said(capsys, 2, *action, "--folder", empty) == (
            f"{empty}: no keys there; python -m realtime.keys --folder {empty} makes them\n"
        )
    assert "phone: no such key" in said(capsys, 2, "remove", "phone", "--folder", folder)
    for wrong in (["add"], ["list", "laptop"], ["make"]):
        with pytest.raises(SystemExit):
            keys.main(wrong)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (b"", "server: no key"),
        (b"\xff\xfe", "not a key file"),
        (b"server = short\n", "server: no key"),
        (b"server = " + b"~" * 40, "server: no key"),
        (b"server = " + b"#" * 40, "server: no key"),  # of Z85's letters, and too large a number
        (b"server = " + b"0" * 40 + b"\npublic = " + b"0" * 40, "secret: no key"),
        (b"x" * 1_000_000, "server: no key"),
    ],
)
def test_damaged_files(tmp_path: Path, text: bytes, reason: str) -> None:
    file = tmp_path / "a.key"
    file.write_bytes(text)
    with pytest.raises(ConfigError, match=reason) as caught:
        key_files.load_client(file)
    assert str(file) in str(caught.value)


def test_the_streams_own_keys_are_no_receivers(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="the stream's own"):
        key_files.load_client(folder / "server.key")
    with pytest.raises(ConfigError, match="no such file; on the stream's machine"):
        key_files.load_client(tmp_path / "absent.key")


def test_a_damaged_client_is_refused_and_the_others_are_not(folder: Path) -> None:
    laptop = key_files.load_client(key_files.make_client(folder, "laptop"))
    server = key_files.load_server(folder)
    (folder / "clients" / "broken.public").write_bytes(b"\0\1")
    assert server.client_of(laptop.public) == "laptop"
    key_files.remove_client(folder, "laptop")
    assert server.client_of(laptop.public) is None


@posix
def test_a_copy_that_others_can_read_is_told_of(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    (folder / "local.key").chmod(0o644)
    with caplog.at_level(logging.WARNING):
        key_files.load_client(folder)
    assert [record.getMessage() for record in caplog.records] == [
        f"{folder / 'local.key'}: others on this machine can read this secret; chmod 600 {folder / 'local.key'}"
    ]


@pytest.mark.parametrize(
    ("platform", "variable", "inside"),
    [("linux", "XDG_CONFIG_HOME", "hmmr-live/keys"), ("win32", "APPDATA", "hmmr-live/keys")],
)
def test_default_folder(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, platform: str, variable: str, inside: str
) -> None:
    monkeypatch.setattr(key_files.sys, "platform", platform)
    monkeypatch.setenv(variable, str(tmp_path))
    assert key_files.default_folder() == tmp_path / inside
