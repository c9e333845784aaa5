"""A stream with keys, for the tests: its folder, its publisher, and what a receiver is told that it refuses."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from faults.publish import pose
from programs import until

from realtime import Subscriber, key_files
from realtime.bus.publisher import Publisher
from realtime.config import BusConfig
from realtime.errors import ConfigError


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user's default folder, with keys."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.setenv("APPDATA", str(tmp_path))
    made = tmp_path / "hmmr-live" / "keys"
    monkeypatch.setattr("realtime.bus.publisher.default_folder", lambda: made)  # macOS has no variable for it
    key_files.make_server(made)
    key_files.make_client(made, "local")
    return made


@pytest.fixture
def publisher(folder: Path) -> Iterator[Publisher]:
    with Publisher("tcp://127.0.0.1:0", BusConfig(keys=str(folder))) as one:
        yield one


def settle(publisher: Publisher, pose: int) -> None:
    def settled() -> bool:
        publisher.poll()
        return publisher.subscribers["pose"] == pose

    assert until(settled, 20.0), publisher.subscribers


def refused(publisher: Publisher, subscriber: Subscriber) -> str:
    """What the subscriber is told, while the stream goes on. It must not have received a message."""
    told: list[str] = []

    def over() -> bool:
        publisher.poll()
        publisher.publish(pose(1))
        try:
            assert subscriber.receive(0.01) is None, "a stranger received a message"
        except ConfigError as error:
            told.append(str(error))
        return bool(told)

    assert until(over, 20.0)
    assert subscriber.received == 0
    return told[0]
