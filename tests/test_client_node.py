"""The Node client, in a real Node, on a running stream."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from client_streams import FRAMES, LED_RAD, body, bus_pose, elbow_rad, stream
from programs import ROOT, until

from realtime import key_files
from realtime.bus.publisher import Publisher
from realtime.config import BusConfig
from realtime.messages import encode_pose

FOUND = shutil.which("node")
CLIENT = ROOT / "clients/node"
pytestmark = [
    pytest.mark.timeout(500),  # seconds where the machine is free
    pytest.mark.skipif(FOUND is None, reason="node is not installed (Debian: nodejs npm)"),
    pytest.mark.skipif(
        not (CLIENT / "node_modules/zeromq").is_dir(),
        reason="the Node client's packages are not installed: npm install --prefix clients/node",
    ),
]


def start(*arguments: str, lines: Path | None = None, keys: str = "") -> subprocess.Popen[str]:
    """lines: where stdout goes; a pipe that nobody reads while the stream runs would stop the client. keys: what
    HMMR_LIVE_KEYS names."""
    command = [str(FOUND), str(CLIENT / "receive.js"), *arguments]
    out = subprocess.PIPE if lines is None else lines.open("w")
    environment = {**os.environ, "HMMR_LIVE_KEYS": keys}
    return subprocess.Popen(command, stdout=out, stderr=subprocess.PIPE, text=True, env=environment)


@pytest.mark.parametrize("how", [[], ["--every"]], ids=["newest", "every"])
def test_a_stream_arrives(how: list[str], tmp_path: Path) -> None:
    one = body()
    with Publisher("tcp://127.0.0.1:0", BusConfig()) as publisher:

        def joined() -> bool:
            publisher.poll()
            return publisher.wants("pose")

        process = start(publisher.address, "--json", *how, lines=tmp_path / "lines")
        try:
            assert until(joined, 200)
            for garbage in (b"pose \xc1", b"pose \x80", b"pose \x93\x01\x02\x03"):
                publisher.publish(garbage)
            stream(
                lambda frame: publisher.publish(encode_pose(bus_pose(frame, one=one))), idle=publisher.poll
            )
            until(lambda: f'"frame":{FRAMES - 1},' in (tmp_path / "lines").read_text(), 100)
        finally:
            process.terminate()
            _, complained = process.communicate(timeout=100)
    lines = [json.loads(line) for line in (tmp_path / "lines").read_text().splitlines()]
    print(f"{len(lines)} of {FRAMES}, latency {np.median([line['ageMs'] for line in lines]):.2f} ms")
    frames = [line["frame"] for line in lines]
    assert frames == sorted(set(frames)) and frames[-1] == FRAMES - 1
    if how:  # a conflated reader skips what it is too late for, garbage too: how much, a busy machine decides
        assert len(lines) >= 0.99 * FRAMES
        assert complained.count("refused: ") == 1, complained  # the first of three is told
    for line in lines:
        bend = np.linalg.norm(np.reshape(line["pose"], (24, 3))[18])
        assert bend == pytest.approx(elbow_rad(line["frame"]), abs=1e-3)
        assert line["state"] == "tracking" and line["ageMs"] >= 0
        led = np.linalg.norm(np.reshape(line["lead"]["pose"], (24, 3))[18])
        assert led == pytest.approx(elbow_rad(line["frame"]) + LED_RAD, abs=1e-3)
        assert (line["lead"]["ms"], line["lead"]["confidence"]) == (40, 1)


@pytest.mark.parametrize("how", ["flag", "environment"])
def test_a_stream_with_keys_arrives(how: str, tmp_path: Path) -> None:
    key_files.make_server(tmp_path)
    key_files.make_client(tmp_path, "local")  # without it no stream starts
    laptop = str(key_files.make_client(tmp_path, "laptop"))
    one = body()
    with Publisher("tcp://127.0.0.1:0", BusConfig(keys=str(tmp_path))) as publisher:
        arguments = [publisher.address, "--json", "--frames", "1"]
        stranger = start(*arguments)
        known = start(*arguments, "--keys", laptop) if how == "flag" else start(*arguments, keys=laptop)
        frames = iter(range(1_000_000))

        def over() -> bool:
            publisher.poll()
            publisher.publish(encode_pose(bus_pose(next(frames), one=one)))
            return known.poll() is not None

        try:
            assert until(over, 200)
            said, complained = known.communicate(timeout=100)
            assert known.returncode == 0, complained
            assert json.loads(said)["state"] == "tracking"
            refused = stranger.poll()  # None: it still waits to be told so
            stranger.kill()
            heard, complained = stranger.communicate(timeout=100)
            assert not heard
            assert refused is None or (refused == 2 and REFUSALS["no key"] in complained), complained
        finally:
            for process in (stranger, known):
                process.kill()
                process.communicate(timeout=100)


REFUSALS = {
    "unknown key": "the stream refuses this key",
    "no key": "refused: the stream wants a key (--keys FILE)",
    "stream without keys": "refused: the stream takes no keys, or others than this one",
}


@pytest.mark.parametrize("how", REFUSALS)
def test_who_is_refused_is_told(how: str, tmp_path: Path) -> None:
    key_files.make_server(tmp_path)
    key_files.make_client(tmp_path, "local")
    laptop = key_files.make_client(tmp_path, "laptop")
    kept = tmp_path / "kept.key"
    kept.write_bytes(laptop.read_bytes())
    key_files.remove_client(tmp_path, "laptop")
    config = BusConfig() if how == "stream without keys" else BusConfig(keys=str(tmp_path))
    with Publisher("tcp://127.0.0.1:0", config) as publisher, (tmp_path / "said").open("w") as said:
        command = [str(FOUND), str(CLIENT / "receive.js"), publisher.address]
        command += [] if how == "no key" else ["--keys", str(kept)]
        environment = {**os.environ, "HMMR_LIVE_KEYS": ""}
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=said, env=environment)

        def over() -> bool:
            publisher.poll()
            return REFUSALS[how] in (tmp_path / "said").read_text()

        try:
            assert until(over, 200), (tmp_path / "said").read_text()
            if how == "unknown key":  # libzmq would not try again
                assert process.wait(60) == 2
            else:  # how a handshake fails is a race between what the two sides send; after some it tries again
                assert process.poll() in (None, 2)
        finally:
            process.kill()
            process.wait()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["127.0.0.1"], "127.0.0.1: cannot connect"),
        (["5555"], "expected tcp://HOST:PORT"),
        (["--keys", "absent.key"], "keys absent.key: cannot be read"),
        (["--keys", str(ROOT / "LICENSE")], "LICENSE: no key of a receiver, or damaged (server: no key)"),
        (["--frames", "none"], "--frames none: expected a number"),
        (["--often"], "--often"),
    ],
)
def test_wrong_arguments_are_said(arguments: list[str], words: str) -> None:
    process = start(*arguments)
    said, complained = process.communicate(timeout=200)
    assert process.returncode == 2 and words in complained and "usage: node receive.js" in complained
    assert "    at " not in complained  # no trace of the stack


def test_without_its_packages_one_line_says_so(tmp_path: Path) -> None:
    for name in ("package.json", "receive.js", "pose.js", "keys.js", "refusal.js"):
        shutil.copy(CLIENT / name, tmp_path)
    command = [str(FOUND), "receive.js"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=200)
    assert done.returncode == 2 and done.stderr.count("\n") == 1, done.stderr
    assert "'zeromq'" in done.stderr and "run npm install" in done.stderr
