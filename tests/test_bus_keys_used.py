"""Where keys come from: the default folder on other interfaces, flags, the environment, the live program."""

from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path

import keyed_bus
import pytest
from faults.publish import pose
from keyed_bus import refused, settle
from programs import ROOT, environment, until

from realtime import Subscriber, child, key_files
from realtime.bus.publisher import Publisher
from realtime.config import BusConfig, Config
from realtime.errors import ConfigError
from realtime.supervisor import Supervisor

folder, publisher = keyed_bus.folder, keyed_bus.publisher  # its fixtures


@pytest.mark.parametrize("address", ["tcp://0.0.0.0:0", "tcp://*:0"])
def test_other_interfaces_with_the_default_folder(folder: Path, address: str) -> None:
    with Publisher(address, BusConfig()) as publisher:
        assert publisher.keys is not None and publisher.keys.folder == folder
        assert publisher.address.startswith("tcp://0.0.0.0:")
        assert publisher.local_address == publisher.address.replace("0.0.0.0", "127.0.0.1")
        with Subscriber(publisher.local_address, keys=publisher.local_keys) as subscriber:
            settle(publisher, 1)
            publisher.publish(pose(0))
            assert subscriber.receive(10.0) is not None
        with Subscriber(publisher.local_address) as stranger:
            assert "wants a key" in refused(publisher, stranger)


def test_this_machines_own_addresses_stay_without_keys(folder: Path) -> None:
    with Publisher("tcp://127.0.0.1:0", BusConfig()) as publisher:
        assert publisher.keys is None


def test_ipv6(folder: Path) -> None:
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        pytest.skip("no IPv6 on this machine")
    for address, keys in (("tcp://[::1]:0", None), ("tcp://[::]:0", folder)):
        with Publisher(address, BusConfig()) as publisher:
            assert publisher.local_address.startswith("tcp://[::1]:")
            with Subscriber(publisher.local_address, keys=keys) as subscriber:
                settle(publisher, 1)
                publisher.publish(pose(0))
                assert subscriber.receive(10.0) is not None


def test_keys_that_are_missing_are_told_with_the_command(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "local.key").unlink()
    with pytest.raises(ConfigError, match="python -m realtime.keys add local"):
        Publisher("tcp://0.0.0.0:0", BusConfig())
    with pytest.raises(ConfigError, match="no keys there; python -m realtime.keys --folder"):
        Publisher("tcp://127.0.0.1:0", BusConfig(keys=str(tmp_path / "absent")))
    monkeypatch.setattr("realtime.bus.publisher.default_folder", lambda: tmp_path / "absent")
    with pytest.raises(ConfigError, match="receivers need keys: python -m realtime.keys makes them"):
        Publisher("tcp://0.0.0.0:0", BusConfig())
    with pytest.raises(ConfigError, match="no such file"):
        Subscriber(keys=tmp_path / "absent.key")


def test_viewer_and_sinks_get_the_local_key(
    publisher: Publisher, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(key_files.ENVIRONMENT, str(tmp_path / "for-another-stream.key"))
    out = tmp_path / "out.jsonl"
    config = Config(viewer_kind="none", sinks=[f"jsonl:{out}"])
    with Supervisor(config, publisher.local_address, publisher.local_keys):
        settle(publisher, 1)
        publisher.publish(pose(3))
        assert until(lambda: out.exists() and out.read_text().startswith('{"seq":3,'))


def test_children_of_a_stream_without_keys_get_none(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(key_files.ENVIRONMENT, str(tmp_path / "for-another-stream.key"))
    out = tmp_path / "out"
    code = (
        f"import os, pathlib; pathlib.Path({str(out)!r}).write_text(os.environ.get('HMMR_LIVE_KEYS', 'none'))"
    )
    child.start([sys.executable, "-c", code]).wait()
    assert out.read_text() == "none"


@pytest.mark.parametrize("told_by", ["--keys", "environment"])
def test_programs_take_keys(publisher: Publisher, folder: Path, told_by: str) -> None:
    command = [sys.executable, "-u", "-m", "clients.python.receive", publisher.address]
    variables = environment()
    if told_by == "--keys":
        command += ["--keys", str(folder / "local.key")]
    else:
        variables[key_files.ENVIRONMENT] = str(folder)
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, env=variables) as process:
        try:
            settle(publisher, 1)
            publisher.publish(pose(5))
            assert process.stdout is not None
            assert process.stdout.readline().startswith("tracking frame 5 ")
        finally:
            process.kill()


def test_a_program_without_a_key_ends_with_a_clear_error(publisher: Publisher) -> None:
    command = [sys.executable, "-m", "realtime.sinks.jsonl", "--connect", publisher.address]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env=environment(), timeout=60)
    assert done.returncode == 2
    assert done.stdout == "" and done.stderr.startswith(
        f"{publisher.address}: the stream wants a key: --keys"
    )
