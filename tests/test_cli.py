"""The command line: what it takes, and one or two lines with the right exit code for what it does not."""

import importlib
import json
import os
import socket
import subprocess
import sys

import numpy as np
import pytest
from streams import ROOT, write_clip, write_model

from realtime.cli import LIMITS, main, parse
from realtime.config import Config, settable_keys
from realtime.sinks import SINKS
from realtime.version import VERSION, versions


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return write_model(tmp_path_factory.mktemp("model") / "random.onnx")


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    return write_clip(tmp_path_factory.mktemp("clip") / "bar.avi", 20)


def test_every_flag_of_the_design_is_taken(tmp_path):
    config = parse(
        [
            *("--source", "demo", "--engine", "torch", "--model", "default", "--body", "b.npz"),
            *("--viewer", "none", "--bus", "tcp://127.0.0.1:5600"),
            *("--record", str(tmp_path / "a.npz"), "--record", str(tmp_path / "b.mcap"), "--every-frame"),
            *("--frames", "10", "--duration", "2.5", "--summary", str(tmp_path / "s.json")),
            *("--lead", "80", "--set", "camera.width=1280", "--set", "camera.fov_deg=78", "--debug"),
        ]
    )
    assert (config.source, config.engine, config.body) == ("demo", "torch", "b.npz")
    assert config.viewer_kind == "none"
    assert (config.bus_address, config.every_frame, config.frames) == ("tcp://127.0.0.1:5600", True, 10)
    assert (config.duration, config.debug, len(config.record)) == (2.5, True, 2)
    assert (config.camera.width, config.camera.fov_deg, config.lead.mode) == (1280, 78.0, "80")


def test_help_lists_every_sink_on_a_line_of_its_own(capsys):
    with pytest.raises(SystemExit):
        parse(["--help"])
    assert {entry.help for entry in SINKS.values()} <= {
        line.strip() for line in capsys.readouterr().out.splitlines()
    }


def test_without_flags_the_defaults_stand():
    assert parse([]) == Config()


def test_every_limit_names_a_setting_and_holds_its_default():
    keys = settable_keys(Config())
    assert LIMITS.keys() <= keys.keys()
    for key in LIMITS:
        owner, name, _ = keys[key]
        value = getattr(owner, name)
        assert value is None or LIMITS[key][0] <= value <= LIMITS[key][1]


BAD_ARGUMENTS = {
    "unknown flag": (["--sauce", "0"], "--sauce"),
    "abbreviated flag": (["--fram", "3"], "--fram"),
    "no value": (["--source"], "--source"),
    "empty source": (["--source", ""], "--source"),
    "engine": (["--engine", "abacus"], "abacus"),
    "viewer": (["--viewer", "crystal"], "crystal"),
    "frames no number": (["--frames", "many"], "--frames"),
    "frames zero": (["--frames", "0"], "--frames"),
    "duration": (["--duration", "-1"], "--duration"),
    "duration nan": (["--duration", "nan"], "--duration"),
    "set without value": (["--set", "camera.width"], "key=value"),
    "set unknown": (["--set", "camera.widht=3"], "did you mean camera.width"),
    "set wrong type": (["--set", "camera.width=wide"], "camera.width=wide: expected a whole number"),
    "set out of range": (["--set", "camera.fov_deg=360"], "camera.fov_deg"),
    "set pitch out of range": (["--set", "camera.pitch_deg=91"], "camera.pitch_deg=91: expected -90 to 90"),
    "set pitch no number": (
        ["--set", "camera.pitch_deg=steep"],
        "camera.pitch_deg=steep: expected a number, or unset",
    ),
    "set divides by zero": (["--set", "bus.image_fps=0"], "bus.image_fps"),
    "set no format": (["--set", "camera.fourcc=MJPEG"], "up to four letters"),
    "sink": (["--sink", "hologram"], "hologram"),
    "lead": (["--lead", "foo"], "--lead foo: expected auto, off, or milliseconds from 0 to 1000"),
    "lead into the past": (["--lead", "-5"], "--lead -5: expected"),
    "lead nan": (["--lead", "nan"], "--lead nan: expected"),
    "lead by seconds": (["--lead", "10000"], "--lead 10000: expected"),
    "lead beyond what is foretold": (
        ["--lead", "190", "--source", "demo", "--viewer", "none"],
        "ahead_ms=166.7,190",
    ),
    "set lead": (["--set", "lead.mode=on"], "--lead on: expected"),
    "set display": (["--set", "lead.display_ms=-1"], "lead.display_ms=-1: expected 0 to 1000"),
    "set camera latency": (["--set", "camera.latency_ms=1e9"], "camera.latency_ms"),
    "lead of a sink": (["--sink", "vmc:39539,lead=nan"], "lead=nan: expected on, off, or milliseconds"),
    "record kind": (["--record", "a.fbx"], "known: .amass.npz, .bvh, .glb, .mcap, .npz"),
    "record part": (["--record", "a.npz.part"], "a.npz.part"),
    "record folder": (["--record", "/nowhere/at/all/a.npz"], "/nowhere/at/all"),
    "summary folder": (["--summary", "/nowhere/at/all/s.json"], "/nowhere/at/all"),
    "summary twice": (["--summary", "a.json", "--summary", "b.json"], "given twice, a.json and b.json"),
    "trace twice": (["--trace", "a.json", "--trace", "b.csv"], "given twice, a.json and b.csv"),
    "record twice": (["--record", "a.npz", "--record", "./a.npz"], "twice"),
}


def test_a_setting_that_may_be_unset():
    assert parse([]).camera.pitch_deg is None
    assert parse(["--set", "camera.pitch_deg=-7.5"]).camera.pitch_deg == -7.5
    assert parse(["--set", "camera.pitch_deg=3", "--set", "camera.pitch_deg=unset"]).camera.pitch_deg is None


def check_told(captured, code, expected_code, words):
    assert code == expected_code, captured.err
    lines = captured.err.strip().splitlines()
    assert 1 <= len(lines) <= 2, captured.err
    assert words in captured.err
    assert "Traceback" not in captured.err


@pytest.mark.parametrize("case", BAD_ARGUMENTS)
def test_bad_arguments_end_with_2(case, capsys):
    arguments, words = BAD_ARGUMENTS[case]
    code = main(arguments)
    check_told(capsys.readouterr(), code, 2, words)


def test_an_existing_recording_is_not_overwritten(tmp_path, capsys):
    (tmp_path / "a.npz").write_bytes(b"precious")
    code = main(["--record", str(tmp_path / "a.npz")])
    check_told(capsys.readouterr(), code, 2, "not overwritten")
    assert (tmp_path / "a.npz").read_bytes() == b"precious"


def test_what_cannot_be_loaded_ends_with_4(model, clip, tmp_path, capsys):
    wrong = tmp_path / "wrong.npz"
    np.savez(wrong, a=np.zeros(3))
    text = tmp_path / "text.safetensors"
    text.write_text("not weights")
    base = ["--source", str(clip), "--viewer", "none", "--bus", "tcp://127.0.0.1:0"]
    for arguments, words in (
        (["--model", str(model), "--body", str(tmp_path / "none.npz")], "none.npz"),
        (["--model", str(model), "--body", str(wrong)], "wrong.npz"),
        (["--model", "gpt"], "gpt"),
        (["--model", str(tmp_path / "none.safetensors")], "none.safetensors"),
        (["--model", str(text)], "text.safetensors"),
        (["--model", str(model), "--engine", "tensorrt"], "tensorrt"),
        # The first of two mistakes, and nothing of the source is said:
        (["--model", "gpt", "--source", str(tmp_path / "none.mp4")], "gpt"),
    ):
        code = main([*base, *arguments])
        check_told(capsys.readouterr(), code, 4, words)


def test_sources_that_cannot_be_opened_end_with_3(model, tmp_path, capsys):
    text = tmp_path / "notes.mp4"
    text.write_text("this is not a video")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound, not listening: refuses
        refusing = f"http://127.0.0.1:{taken.getsockname()[1]}/video"
        for source in (str(tmp_path / "none.mp4"), str(text), refusing, "97", "gopher://x/y"):
            code = main(["--source", source, "--model", str(model), "--viewer", "none"])
            check_told(capsys.readouterr(), code, 3, source.rpartition("/")[2])


def test_an_address_in_use_or_not_of_this_host_ends_with_2(model, clip, tmp_path, capsys):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        for address in (f"tcp://127.0.0.1:{port}", "tcp://nowhere", "5555"):
            record = tmp_path / "a.npz"
            base = ["--source", str(clip), "--model", str(model), "--viewer", "none", "--record", str(record)]
            code = main([*base, "--bus", address])
            check_told(capsys.readouterr(), code, 2, address.rpartition(":")[2])
            assert list(tmp_path.iterdir()) == []  # no empty recording is left behind


def test_every_frame_of_a_camera_is_refused(model, capsys):
    code = main(["--source", "0", "--every-frame", "--model", str(model), "--viewer", "none"])
    check_told(capsys.readouterr(), code, 2, "--every-frame")


def test_a_bug_is_told_in_two_lines_and_with_debug_in_full(monkeypatch, capsys):
    import realtime.pipeline

    def broken(config):
        raise ZeroDivisionError("a bug\nof ours")

    monkeypatch.setattr(realtime.pipeline, "run", broken)
    assert main(["--viewer", "none"]) == 1
    told = capsys.readouterr().err
    assert len(told.splitlines()) == 2 and "--debug" in told and "ZeroDivisionError: a bug of ours" in told
    assert main(["--viewer", "none", "--debug"]) == 1
    assert "Traceback" in capsys.readouterr().err


def test_as_a_program_it_says_its_version_helps_and_refuses():
    def run(*arguments):
        return subprocess.run(
            [sys.executable, "run_live.py", *arguments], cwd=ROOT, capture_output=True, text=True, timeout=60
        )

    assert run("--version").stdout.strip() == f"hmmr-live {VERSION}"
    shown = run("--help")
    assert shown.returncode == 0
    for flag in (
        *("--source", "--engine", "--model", "--body", "--viewer", "--bus", "--sink", "--record"),
        *("--every-frame", "--frames", "--duration", "--summary", "--set", "--debug"),
    ):
        assert flag in shown.stdout
    refused = run("--set", "camera.widht=1")
    assert refused.returncode == 2
    assert len(refused.stderr.splitlines()) == 1


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no /dev and no names that are not text")
def test_with_a_python_that_has_no_packages_it_says_which_one_has():
    command = [sys.executable, "-S", str(ROOT / "run_live.py"), "--source", "demo"]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert ended.returncode == 4 and "Traceback" not in ended.stderr
    assert ".venv/bin/python run_live.py" in ended.stderr and ended.stderr.count("\n") == 2


def test_odd_encodings_names_and_devices_end_well(model, clip, tmp_path):
    """stdout that has no arrows, a summary to a device, a source whose name is not UTF-8."""
    arguments = ["--model", model, "--viewer", "none", "--bus", "tcp://127.0.0.1:0", "--every-frame"]

    def run(*more):
        process = subprocess.run(
            [sys.executable, "run_live.py", *map(str, arguments), *map(os.fsencode, more)],
            cwd=ROOT,
            env={**os.environ, "PYTHONIOENCODING": "ascii"},
            capture_output=True,
            timeout=60,
        )
        assert b"Traceback" not in process.stderr, process.stderr
        return process

    link = tmp_path / "summary"  # as /dev/stdout is one
    link.symlink_to("/dev/fd/1")
    ended = run("--source", clip, "--summary", link)
    assert (ended.returncode, ended.stderr) == (0, b"")
    assert b"capture ? publish" in ended.stdout and b'"ended_by": "end of the source"' in ended.stdout
    assert link.is_symlink()

    odd = os.fsencode(tmp_path) + b"/odd\xff.avi"
    os.link(clip, odd)
    refused = run("--source", odd)
    assert refused.returncode == 3 and b"not valid UTF-8" in refused.stderr


def test_stdout_belongs_to_a_sink_that_writes_there(model, clip):
    """run_live.py --sink jsonl | jq"""
    arguments = ["--source", clip, "--model", model, "--viewer", "none", "--bus", "tcp://127.0.0.1:0"]
    ended = subprocess.run(
        [sys.executable, "run_live.py", *map(str, arguments), "--sink", "jsonl"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert ended.returncode == 0, ended.stderr
    assert all("theta" in json.loads(line) for line in ended.stdout.splitlines())
    assert "of 20 frames published" in ended.stderr


def test_the_version_is_that_of_the_package():
    # Before Python 3.11 pytest brings tomli.
    tomllib = importlib.import_module("tomllib" if sys.version_info >= (3, 11) else "tomli")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["version"] == VERSION
    assert versions()["hmmr-live"] == VERSION
