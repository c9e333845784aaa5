"""The web sink's arguments, and what it says where it cannot run."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from programs import ROOT, environment

from realtime.errors import ConfigError
from realtime.sinks import sink_command
from realtime.sinks.web.options import Options, read_arguments


def run_sink(*command: str, **settings: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, cwd=ROOT, env=environment() | settings, capture_output=True, text=True, timeout=120
    )


def test_arguments(tmp_path: Path) -> None:
    assert read_arguments("") == Options(
        port=8765, host="127.0.0.1", token="", record=Path(), body="", fps=60.0
    )
    text = f"9000,host=0.0.0.0,token=Abcd-1234,record={tmp_path},fps=30"
    assert read_arguments(text) == Options(9000, "0.0.0.0", "Abcd-1234", tmp_path, "", 30.0)
    assert read_arguments("host=::1").host == "::1" and read_arguments("host=localhost").token == ""


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("8765,tokn=abcdefgh", "did you mean token?"),
        ("8765,host=0.0.0.0", "would see the camera's picture; give a token too, for example token="),
        ("8765,host=192.0.2.7", "give a token too"),
        ("8765,host=127.0.0.1.example", "give a token too"),
        ("8765,token=short", "expected at least 8 letters"),
        ("8765,token=with space", "expected at least 8 letters"),
        ("8765,host=a/b", "expected an address"),
        ("8765,record=/nonexistent/folder", "no such folder; make it first"),
        ("8765,fps=0", "expected 1 to 240"),
        ("8765,fps=nan", "expected 1 to 240"),
    ],
)
def test_bad_arguments(text: str, says: str) -> None:
    with pytest.raises(ConfigError) as refused:
        read_arguments(text)
    assert says in str(refused.value) and "\n" not in str(refused.value)


def test_a_bad_argument_is_one_line_and_final() -> None:
    with pytest.raises(ConfigError, match="did you mean host"):
        sink_command("web:8765,hos=x", "tcp://127.0.0.1:9")  # of run_live.py: before anything starts
    done = run_sink(*sink_command("web", "tcp://127.0.0.1:9"), "8765,hos=x")
    assert done.returncode == 2 and done.stdout == ""
    assert done.stderr == (
        "web: hos: no such key; did you mean host? known: host, token, record, body, fps\n"
    )


def test_without_viser(tmp_path: Path) -> None:
    """A package of that name that cannot be imported stands in for none."""
    (tmp_path / "viser.py").write_text(
        "raise ModuleNotFoundError(\"No module named 'viser'\", name='viser')\n"
    )
    done = run_sink(
        *sink_command("web:0", "tcp://127.0.0.1:9"),
        PYTHONPATH=f"{tmp_path}{':' if sys.platform != 'win32' else ';'}{ROOT}",
    )
    assert done.returncode == 2 and done.stdout == ""
    assert done.stderr == (
        f"web: the package viser is not installed for {sys.executable}\n"
        f'install it: {sys.executable} -m pip install -c constraints.txt -e ".[web]"\n'
    )


def test_a_port_that_is_taken(tmp_path: Path) -> None:
    """Told before viser is loaded, which takes seconds."""
    (tmp_path / "viser.py").write_text("raise AssertionError\n")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = run_sink(
            *sink_command(f"web:{port}", "tcp://127.0.0.1:9"),
            PYTHONPATH=os.pathsep.join([str(tmp_path), str(ROOT)]),
        )
    assert done.returncode == 2 and done.stdout == ""
    assert done.stderr == f"web: port {port} is in use; choose another, for example --sink web:{port + 1}\n"
