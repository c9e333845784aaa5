"""The web sink as its users start it, and a window that speaks viser's protocol without a browser."""

from __future__ import annotations

import contextlib
import re
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from programs import ROOT, environment

viser = pytest.importorskip("viser", reason="viser is not installed (extra web)")


@contextlib.contextmanager
def web_sink(
    address: str, arguments: str = "0", read: bool = True
) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """`python -m realtime.sinks.web` on the stream at `address`, and the page's address."""
    command = [sys.executable, "-m", "realtime.sinks.web", "--connect", address, "--", arguments]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment(), cwd=ROOT
    )
    try:
        assert process.stderr is not None
        line = process.stderr.readline()
        found = re.fullmatch(r"web: open (http://\S+)\n", line)
        assert found, line + process.stderr.read()
        yield process, found[1]
    finally:
        process.kill()
        process.communicate()


def window(page: str, **settings: Any) -> Any:
    """A connection as the page's own script makes it; what comes over it is the scene and its changes."""
    from websockets.sync.client import connect

    address = page.replace("http://", "ws://").partition("?")[0]
    return connect(
        address,
        subprotocols=[f"viser-v{viser.__version__}"],
        max_size=None,
        compression=None,
        close_timeout=1,
        **settings,
    )


def messages(connection: Any) -> list[dict[str, Any]]:
    """What one frame over a `window` holds, without its arrays."""
    import msgspec
    import zstandard

    data = connection.recv(timeout=60)
    size = int.from_bytes(data[8:16], "little")
    inner = zstandard.ZstdDecompressor().decompress(data[16 : 16 + size])
    return list(msgspec.msgpack.decode(inner)["messages"])


def click(connection: Any, label: str) -> None:
    """The page's button of that name."""
    import msgspec

    buttons: list[str] = []
    while not buttons:
        buttons = [
            one["uuid"]
            for one in messages(connection)
            if one["type"] == "GuiButtonMessage" and one["props"]["label"] == label
        ]
    update = {"type": "GuiUpdateMessage", "uuid": buttons[0], "updates": {"value": True}}
    connection.send(msgspec.msgpack.encode(update))


def camera_message() -> bytes:
    """What a page sends first; viser counts it as open from then on."""
    import msgspec

    return msgspec.msgpack.encode(
        {
            "type": "ViewerCameraMessage", "wxyz": (1, 0, 0, 0), "position": (0, 1, 4), "fov": 0.5, "near": 0.01,
            "far": 1000.0, "image_height": 600, "image_width": 500, "look_at": (0, 1, 0), "up_direction": (0, 1, 0),
        }
    )  # fmt: skip
