"""bench.latency measures real runs and prints what it measured."""

import contextlib
import csv
import json
import platform
import signal
import subprocess
import sys
import time

import cv2
import numpy as np
import psutil
import pytest
from streams import ROOT, write_clip

from bench import latency, latency_kinds
from bench.clip_at_rate import write_at_rate
from bench.latency import main
from bench.latency_kinds import hog_command
from bench.live_run import first_pose, machine, measure
from realtime.trace import read_csv


@pytest.fixture(scope="module")
def session(tmp_path_factory):
    """(folder with all that one session wrote, what it printed)."""
    folder = tmp_path_factory.mktemp("session")
    clip = write_clip(folder / "bar.avi", 60)
    files = [
        part
        for kind in ("json", "csv", "png", "trace")
        for part in (f"--{kind}", str(folder / f"out.{'trace.json' if kind == 'trace' else kind}"))
    ]
    with pytest.MonkeyPatch.context() as patch:
        said = []
        patch.setattr("builtins.print", lambda *parts, **_: said.append(" ".join(map(str, parts))))
        flags = ["--source", str(clip), "--seconds", "10", "--rounds", "1", "--starts", "0"]
        assert main([*flags, "--subscribers", "3", "--recording", "--hog", *files]) == 0
    return folder, "\n".join(said)


def test_each_load_stands_beside_the_unloaded_run(session):
    folder, said = session
    (report,) = json.loads((folder / "out.json").read_text())["sessions"]
    assert [one["load"] for one in report["merged"]] == ["", "3 subscribers", "recording", "CPU hog"]
    for one in report["merged"]:
        frames = one["frames"]
        assert frames["captured"] == 60 == frames["published"] + sum(frames["drop_reasons"].values())
        assert one["latency_ms"]["age_at_ticks"]["count"] > 20
        received, sent = (one["latency_ms"][f"arrival_to_{end}"]["p50"] for end in ("received", "publish"))
        assert received >= 0.9 * sent
    assert report["merged"][1]["bus"]["subscribers"]["pose"] >= 4  # the crowd of three, and the render ticks
    assert sorted(one["frames"] for one in report["merged"][2]["recordings"])[0] > 0
    header = next(line for line in said.splitlines() if line.startswith("ms: p50"))
    assert [header.count(word) for word in ("3 subscribers", "recording", "CPU hog", "it / 1st")] == [
        1,
        1,
        1,
        3,
    ]
    assert "p99 of arrival to publish over its p50" in said
    assert "not measured; --against mediapipe" in said


def test_every_frame_is_in_the_csv(session):
    folder, _ = session
    with (folder / "out.csv").open() as file:
        lines = list(csv.DictReader(file))
    names = list(dict.fromkeys(line["kind"] for line in lines))
    assert len(names) == 4 and names[1:] == ["3 subscribers", "recording", "CPU hog"]
    for name in names:
        of_kind = [line for line in lines if line["kind"] == name]
        assert sorted(int(line["frame"]) for line in of_kind) == list(range(60))
        for line in of_kind:
            assert bool(line["dropped"]) != bool(line["sent_ns"])
            assert not line["received_ns"] or int(line["received_ns"]) > int(line["arrival_ns"])
    with (folder / "out.ticks.csv").open() as file:
        ticks = list(csv.DictReader(file))
    assert {line["kind"] for line in ticks} == set(names)
    assert all(float(line["age_ms"]) > 0 for line in ticks)


def test_the_trace_goes_from_the_camera_to_the_display(session):
    folder, _ = session
    events = json.loads((folder / "out.trace.json").read_text())["traceEvents"]
    slices = {event["name"] for event in events if event["ph"] == "X"}
    assert slices >= {"wait", "perception", "estimate", "publish", "on its way", "shown"}
    ends = {event["pid"] for event in events if event["ph"] == "f"}
    assert 3 in ends  # some were shown


def test_the_picture_is_one(session):
    folder, _ = session
    picture = cv2.imread(str(folder / "out.png"))
    assert picture.shape[0] > 500 and picture.std() > 5


def test_a_start_lasts_until_somebody_is_seen():
    start = first_pose("demo", [])
    assert start.seconds > 0.1
    assert start.rss_mb > 50


def test_a_run_is_measured_and_traced(tmp_path):
    clip = write_clip(tmp_path / "bar.avi", 40)
    run = measure(str(clip), 10.0, ["--trace", str(tmp_path / "t.csv")])
    rows, drops = read_csv(tmp_path / "t.csv")
    assert run["frames"]["captured"] == 40 == len(rows) + len(drops)
    assert 1 <= run["received"] == len(run["received_at_ns"]) <= run["frames"]["published"]
    assert {frame for frame, _ in run["received_at_ns"]} <= {row.frame for row in rows}
    assert run["memory"]["rss_mb"][0][1] > 50


def test_a_program_that_fails_is_told(tmp_path, capsys):
    with pytest.raises(RuntimeError, match=r"ended with 3.*none\.mp4"):
        measure(str(tmp_path / "none.mp4"), 1.0, [])
    with pytest.raises(RuntimeError, match=r"ended with 3.*none\.mp4"):
        first_pose(str(tmp_path / "none.mp4"), [])
    assert main(["--source", str(tmp_path / "none.mp4"), "--fps", "60", "--starts", "0"]) == 1
    assert main(["--source", str(tmp_path / "none.mp4"), "--stall", "2"]) == 1
    assert capsys.readouterr().err.count("none.mp4") == 2


@pytest.mark.parametrize("flag", ["--json", "--csv", "--png", "--trace"])
def test_where_the_files_cannot_be_made_nothing_is_run(flag, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(latency, "_session", lambda *_: pytest.fail("it ran"))
    assert main([flag, str(tmp_path / "none" / "out.x")]) == 1
    assert f"{flag} {tmp_path / 'none' / 'out.x'}: there is no folder" in capsys.readouterr().err


def test_without_matplotlib_nothing_is_run(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(latency, "_session", lambda *_: pytest.fail("it ran"))
    monkeypatch.setattr(latency, "find_spec", lambda _: None)
    assert main(["--png", str(tmp_path / "out.png")]) == 1
    assert "matplotlib is not installed" in capsys.readouterr().err


@pytest.mark.parametrize("error", [RuntimeError("the second failed"), KeyboardInterrupt()])
def test_what_was_measured_before_an_error_is_written(error, tmp_path, monkeypatch, capsys, request):
    def session(options, flags, fps, folder):
        assert signal.getsignal(signal.SIGTERM) is signal.default_int_handler  # so that SIGTERM is a Ctrl-C
        if fps == 30.0:
            raise error
        return {"fps": fps, "runs": [], "merged": [], "starts_s": [], "frames": []}

    monkeypatch.setattr(latency, "_session", session)
    before = signal.signal(signal.SIGTERM, signal.SIG_DFL)
    request.addfinalizer(lambda: signal.signal(signal.SIGTERM, before))
    flags = ["--fps", "15,30", "--json", str(tmp_path / "out.json")]
    if isinstance(error, KeyboardInterrupt):
        with pytest.raises(KeyboardInterrupt):
            main(flags)
    else:
        assert main(flags) == 1
        assert "the second failed" in capsys.readouterr().err
    assert [one["fps"] for one in json.loads((tmp_path / "out.json").read_text())["sessions"]] == [15.0]


def test_the_hog_ends_by_itself_and_with_its_parent():
    assert subprocess.run(hog_command(0.2), timeout=30).returncode == 0
    # A parent that is killed while its hog has an hour to go.
    parent = (
        "import subprocess, sys, time; from bench.latency_kinds import hog_command\n"
        "subprocess.Popen(hog_command(3600)); print('on', flush=True); time.sleep(3600)"
    )
    process = subprocess.Popen([sys.executable, "-c", parent], stdout=subprocess.PIPE, text=True, cwd=ROOT)
    hogs = []
    try:
        assert process.stdout.readline() == "on\n"
        hogs = psutil.Process(process.pid).children()
        while sum(hogs[0].cpu_times()[:2]) < 0.5:  # it has come up, and seen who its parent is
            time.sleep(0.05)
        process.kill()
        process.wait()
        assert len(hogs) == 1 and not psutil.wait_procs(hogs, timeout=20)[1]
    finally:
        process.kill()
        for hog in hogs:
            with contextlib.suppress(psutil.NoSuchProcess):
                hog.kill()


def test_of_the_system_only_what_it_is_called_is_told(monkeypatch):
    monkeypatch.setattr(platform, "release", lambda: "6.18.44-fc-v782")
    monkeypatch.setattr(platform, "system", lambda: "Linux")
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")
    assert machine()["system"] == "Linux 6.18 x86_64"


@pytest.mark.parametrize(
    ("flags", "why"),
    [
        (["--subscribers", "17"], "1 to 16"),
        (["--subscribers", "0"], "1 to 16"),
        (["--fps", "15,0"], "frames per second"),
        (["--against", "nobody"], "invalid choice"),
    ],
)
def test_what_cannot_be_is_told(flags, why, capsys):
    with pytest.raises(SystemExit):
        main(flags)
    assert why in capsys.readouterr().err


def test_a_camera_is_asked_for_its_rate(monkeypatch):
    asked = []

    def refuses(kind, source, seconds):
        asked.append((source, kind.flags))
        raise RuntimeError("no camera here")

    monkeypatch.setattr(latency_kinds, "run_kind", refuses)
    assert main(["--source", "0", "--fps", "60", "--starts", "0", "--perception", "blazepose"]) == 1
    assert asked == [("0", ("--perception", "blazepose", "--set", "camera.fps=60"))]


def test_all_rounds_and_loads_have_the_looks_of_the_first_run(monkeypatch):
    """A program that chooses anew beside a hog would have one look there, and seem the faster for it."""
    asked = []

    def run_kind(kind, source, seconds):
        asked.append((kind.name, kind.flags))
        told = {"name": "mediapipe"} if "perception.name=mediapipe" in kind.flags else {"mirror": "both"}
        return {"perception": told}, None

    monkeypatch.setattr(latency_kinds, "run_kind", run_kind)
    monkeypatch.setattr(latency_kinds, "has_display", lambda: True)
    chosen = latency_kinds.kinds(["--frames", "9"], "mediapipe", viewer=True, hog=True)
    looks = latency_kinds.Looks()
    for _ in range(2):
        for kind in chosen:
            looks.run(kind, "demo", 1.0)
    plain, same = ("--frames", "9"), ("--set", "perception.mirror=both")
    other, seen = (*plain, "--set", "perception.name=mediapipe"), (*plain, "--viewer", "open3d")
    assert [flags for _, flags in asked] == [
        *(plain, other, (*seen, *same), (*plain, *same)),
        *((*plain, *same), other, (*seen, *same), (*plain, *same)),
    ]


def test_a_copy_at_another_rate_holds_the_same_pictures_over_and_over(tmp_path):
    clip = write_clip(tmp_path / "bar.avi", 10)
    copy = cv2.VideoCapture(str(write_at_rate(clip, 60.0, 0.4, tmp_path / "copy.mp4")))
    assert copy.get(cv2.CAP_PROP_FPS) == 60.0
    bars = []
    while (read := copy.read())[0]:
        bars.append(int(np.argmax(read[1].mean(axis=(0, 2)))))
    assert bars == [i % 10 for i in range(24)]
