"""Children that close, crash, hang, or lose their parent: the stream goes on, stopping takes a second."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from programs import FAULTS, environment, line, program, until

from realtime import supervisor as module
from realtime.config import Config
from realtime.errors import ConfigError
from realtime.supervisor import Supervisor, viewer_command

posix = pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")


def one_child(name: str, *arguments: str, restarts: bool = False) -> Supervisor:
    supervisor = Supervisor(Config(viewer_kind="none"))
    supervisor.add("child", [sys.executable, str(FAULTS / name), *arguments], restarts)
    return supervisor


def becomes(supervisor: Supervisor, state: str) -> bool:
    return until(lambda: bool(supervisor.poll()) and state in supervisor.children["child"], 15.0)


@pytest.mark.parametrize(
    ("code", "state"),
    [(0, "closed"), (5, "no display"), (3, "crashed, exit code 3"), (2, "crashed, exit code 2")],
)
def test_a_viewer_that_ends_is_noted_once_and_not_started_again(code: int, state: str) -> None:
    with one_child("exit.py", str(code)) as supervisor:
        assert supervisor.children == {"child": "running"}
        assert becomes(supervisor, state)
        assert len(supervisor.notes) == 1 and "the stream goes on" in supervisor.notes[0]
        assert not supervisor.poll()
        assert supervisor.children == {"child": state}
        assert len(supervisor.notes) == 1
    if code == 3:
        assert "python -m realtime.viewer --connect tcp://127.0.0.1:5555" in supervisor.notes[0]


def test_a_crashing_sink_is_started_again_a_few_times(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "RESTART_PAUSES_S", (0.01, 0.02, 0.04))
    with one_child("crash.py", restarts=True) as supervisor:
        assert becomes(supervisor, "restarting, 1 of 3")
        assert becomes(supervisor, "running")
        assert becomes(supervisor, "restarting, 3 of 3")
        assert becomes(supervisor, "given up after 3 restarts")
        assert not supervisor.poll()
        assert supervisor.notes == [
            "child crashed (exit code 3); starting it again",
            "child given up after 3 restarts; the stream goes on without it",
        ]


def test_a_sink_with_bad_arguments_is_not_started_again() -> None:
    with one_child("exit.py", "2", restarts=True) as supervisor:
        assert becomes(supervisor, "refused")
        assert not supervisor.poll()
        assert supervisor.notes == ["child cannot run, as it says above; the stream goes on without it"]


def test_a_program_that_is_absent() -> None:
    supervisor = Supervisor(Config(viewer_kind="none"))
    supervisor.add("child", ["/nonexistent/program"], restarts=False)
    with supervisor:
        assert supervisor.children == {"child": "cannot be started"}
        assert "cannot be started" in supervisor.notes[0]


def test_a_child_ends_cleanly_when_asked(tmp_path: Path) -> None:
    log = tmp_path / "log"
    supervisor = one_child("wait.py", str(log))
    with supervisor:
        assert until(log.exists)
    assert log.read_text() == "ended"
    assert supervisor.children == {"child": "stopped"}


@pytest.mark.parametrize("name", ["stubborn.py", "hang.py"])
def test_a_child_that_will_not_end_is_killed(name: str, tmp_path: Path) -> None:
    started = tmp_path / "started"
    with one_child(name, str(started)) as supervisor:
        assert until(started.exists)
        process = supervisor._children[0].process
        assert process is not None
        begun = time.monotonic()
    assert time.monotonic() - begun < 3.0  # 0.85 s when the machine is not busy
    assert process.poll() is not None


def finishing(finish_s: float, *arguments: str) -> Supervisor:
    supervisor = Supervisor(Config(viewer_kind="none"))
    command = [sys.executable, str(FAULTS / "finish.py"), *arguments]
    supervisor.add("child", command, restarts=True, finish_s=finish_s)
    return supervisor


def test_a_child_that_makes_a_file_whole_is_waited_for(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    log, file = tmp_path / "log", tmp_path / "log.npz"
    with finishing(20.0, str(log), "longer"):
        assert until(log.exists)
    assert log.read_text() == "whole"
    assert caplog.messages == [f"child is still making {file} whole; waiting for it, at most 20 s"]


@pytest.mark.parametrize("how", ["too long", "stalled"])
def test_a_child_that_does_not_finish_its_file(
    how: str, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it began is removed, and it is said where its rows are."""
    log, part = tmp_path / "log", tmp_path / "log.npz.part"
    part.write_bytes(b"rows")
    (tmp_path / ".log.npz.123.tmp").write_bytes(b"half of an .npz")
    (tmp_path / ".logs.npz.123.tmp").write_bytes(b"another's")
    monkeypatch.setattr(module, "STALLED_S", 60.0 if how == "too long" else 0.5)
    with finishing(1.5 if how == "too long" else 60.0, str(log), "longer"):
        assert until(log.exists)
    assert log.read_text() == "started"
    assert caplog.messages[1] == (
        f"child did not finish its recording; make it whole: python -m realtime.record {part}"
    )
    assert {entry.name for entry in tmp_path.iterdir()} == {"log", "log.npz.part", ".logs.npz.123.tmp"}


def test_a_child_that_might_and_has_nothing_to_finish_gets_its_second(tmp_path: Path) -> None:
    log = tmp_path / "log"
    with finishing(60.0, str(log)):
        assert until(log.exists)
    assert log.read_text() == "started"  # it has ended itself, before its file was there


@posix
def test_a_child_that_hangs_with_nothing_to_finish_is_not_waited_for(tmp_path: Path) -> None:
    log = tmp_path / "log"
    with finishing(300.0, str(log)) as supervisor:
        assert until(log.exists)
        process = supervisor._children[0].process
        assert process is not None
        process.send_signal(signal.SIGSTOP)
        begun = time.monotonic()
    assert time.monotonic() - begun < 60.0  # 0.85 s when the machine is not busy
    assert process.poll() == -signal.SIGKILL


def test_a_server_runs_once_it_can_be_reached(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "RESTART_PAUSES_S", (0.01,) * 3)
    door = tmp_path / "door"
    supervisor = Supervisor(Config(viewer_kind="none"))
    supervisor.add("child", [sys.executable, str(FAULTS / "serve.py"), str(door)], restarts=True, serves=True)
    with supervisor:
        assert supervisor.children == {"child": "starting"} and not supervisor.poll()
        door.touch()
        assert becomes(supervisor, "running")
        notes = supervisor._notes
        door.unlink()
        assert becomes(supervisor, "restarting") and becomes(supervisor, "starting")
        door.touch()
        assert becomes(supervisor, "running")
    assert notes is not None and not notes.exists()


def test_where_no_note_can_be_kept_a_server_counts_as_running(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(**_: str) -> str:
        raise OSError("full")

    monkeypatch.setattr(module.tempfile, "mkdtemp", refuse)
    supervisor = Supervisor(Config(viewer_kind="none"))
    supervisor.add(
        "child", [sys.executable, str(FAULTS / "serve.py"), str(tmp_path / "x")], True, serves=True
    )
    with supervisor:
        assert supervisor.children == {"child": "running"}


def test_the_web_sink_may_finish_its_recording() -> None:
    pair = Supervisor(Config(viewer_kind="none", sinks=["web:0", "jsonl"]))._children
    assert [one.finish_s for one in pair] == [20.0, 0.0]


def children_of(process: subprocess.Popen[str]) -> list[psutil.Process]:
    return psutil.Process(process.pid).children()


@pytest.mark.parametrize("name", ["wait.py", "hang.py"])
def test_a_child_ends_with_its_parent(name: str, tmp_path: Path) -> None:
    """The parent is killed outright; the child ends by itself, and says so where it can."""
    log = tmp_path / "log"
    with program("parent.py", name, str(log)) as parent:
        assert line(parent) == "running"
        (child,) = children_of(parent)
    assert until(lambda: not child.is_running() or child.status() == psutil.STATUS_ZOMBIE), "an orphan"
    assert name != "wait.py" or log.read_text() == "ended"


@posix
def test_ctrl_c_reaches_the_parent_alone(tmp_path: Path) -> None:
    """A terminal sends SIGINT to its whole foreground process group."""
    log = tmp_path / "log"
    command = [sys.executable, str(FAULTS / "parent.py"), "wait.py", str(log)]
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(),
        start_new_session=True,
    ) as parent:
        try:
            assert line(parent) == "running"
            os.killpg(parent.pid, signal.SIGINT)
            assert line(parent) == "running", "the child heard the Ctrl-C"
            assert parent.wait(10) == 0
            assert parent.stderr is not None and parent.stderr.read() == ""
        finally:
            parent.kill()
    assert log.read_text() == "ended"


def test_what_a_configuration_starts() -> None:
    config = Config(sinks=["jsonl:a.jsonl", "jsonl:b.jsonl"], body="my body.npz")
    supervisor = Supervisor(config, "tcp://127.0.0.1:7777")
    assert list(supervisor.children) == ["viewer", "jsonl", "jsonl 2"]
    command = viewer_command(config, "tcp://127.0.0.1:7777")
    assert command[1:5] == ["-m", "realtime.viewer", "--connect", "tcp://127.0.0.1:7777"]
    assert command[5:] == ["--body", "my body.npz", "--width", "1280", "--height", "640", "--fps", "60"]
    assert Supervisor(Config(viewer_kind="none")).children == {}


def test_unknown_sink() -> None:
    with pytest.raises(
        ConfigError, match=r"--sink json:x: no such sink; did you mean jsonl\? known: jsonl\[:FILE\]"
    ):
        Supervisor(Config(sinks=["json:x"]))
    with pytest.raises(ConfigError, match="--sink carrier-pigeon: no such sink; known: jsonl"):
        Supervisor(Config(sinks=["carrier-pigeon"]))
