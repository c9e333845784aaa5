"""The page's server over real sockets: who is let in, several windows, one that stalls."""

from __future__ import annotations

import contextlib
import json
import signal
import socket
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from email.message import Message
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pytest
from programs import until
from viewer_stream import Stage, posed
from web_sink import camera_message, click, web_sink, window

from realtime.body.smpl import load_body
from realtime.config import Config
from realtime.supervisor import Supervisor

pytestmark = pytest.mark.timeout(600)  # every sink loads viser; on a loaded machine that takes a while

TOKEN = "correct-horse"


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    with Stage() as one:
        one.changes = {"body": load_body("").id}
        yield one


@pytest.fixture(scope="module")
def locked(stage: Stage) -> Iterator[str]:
    """A page for the network, with a token: its address as the program prints it."""
    with web_sink(stage.address, f"0,host=0.0.0.0,token={TOKEN}") as (_, address):
        assert address.endswith(f"/?token={TOKEN}")
        yield f"http://127.0.0.1:{urlsplit(address).port}"


@pytest.fixture(scope="module")
def page(stage: Stage) -> Iterator[str]:
    with web_sink(stage.address) as (_, address):
        yield address


class NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: object) -> None:
        return None


def get(address: str, **headers: str) -> tuple[int, Message, bytes]:
    request = urllib.request.Request(
        address, headers={name.replace("_", "-"): text for name, text in headers.items()}
    )
    try:
        with urllib.request.build_opener(NoRedirect).open(request, timeout=60) as response:
            return response.status, response.headers, response.read()
    except urllib.error.HTTPError as error:
        return error.code, error.headers, error.read()


def refused(page: str, status: int, **headers: str) -> bool:
    """Whether a WebSocket is answered by `status`, and nothing else comes over it."""
    from websockets.exceptions import InvalidStatus

    try:
        with window(
            page, additional_headers={n.replace("_", "-"): text for n, text in headers.items()}
        ) as socket:
            socket.recv(timeout=30)
    except InvalidStatus as error:
        return error.response.status_code == status
    return False


def test_without_the_token_neither_page_nor_data(locked: str) -> None:
    for path in ("/", "/index.html", "/?token=wrong-horse", "/?token=", "//", "/%2e%2e/", "/anything"):
        status, headers, body = get(locked + path)
        assert status == 401 and b"<html" not in body and "Set-Cookie" not in headers, path
    assert refused(locked, 401)
    assert refused(locked, 401, Cookie=f"hmmr_live_{urlsplit(locked).port}=wrong")
    assert refused(f"{locked}/", 401, Origin=locked)


def test_with_the_token_both(locked: str) -> None:
    status, headers, body = get(f"{locked}/?token={TOKEN}")
    assert status == 303 and headers["Location"] == "/" and not body
    cookie = headers["Set-Cookie"].partition(";")[0]
    status, headers, body = get(locked, Cookie=cookie)
    assert status == 200 and b"<html" in body
    assert "connect-src 'self' ws://127.0.0.1" in headers["Content-Security-Policy"]
    assert headers["Referrer-Policy"] == "no-referrer"
    with window(locked, additional_headers={"Cookie": cookie}, origin=locked) as socket:
        assert len(socket.recv(timeout=60)) > 100
    # Not for another site's page, even in a browser that would send it the cookie.
    assert refused(locked, 403, Cookie=cookie, Origin="http://evil.example")


def test_a_page_for_this_machine_is_for_no_other(page: str) -> None:
    assert get(page)[0] == 200
    port = urlsplit(page).port or 0
    assert get(page, Host=f"localhost:{port}")[0] == 200
    assert get(page, Host=f"evil.example:{port}")[0] == 403
    assert refused(page, 403, Origin="http://evil.example")
    assert refused(page, 403, Origin="null")
    with window(page, origin=page.rstrip("/")) as own:
        assert len(own.recv(timeout=60)) > 100
    with socket.socket() as probe:  # it listens on 127.0.0.1 and nowhere else
        probe.settimeout(2)
        assert probe.connect_ex(("127.0.0.2", port)) != 0


def receives(connection: Any, count: int = 20) -> bool:
    """Whether so many more bodies come over it."""
    body_bytes = 12 * len(load_body("").v_template)
    while count:
        count -= len(connection.recv(timeout=60)) > body_bytes
    return True


def moving(stage: Stage) -> None:
    """A body that stands still is not sent again."""
    stage.motion = lambda seq: posed(knees_rad=0.3 + 0.2 * np.sin(seq / 5))


def test_a_window_that_stalls_or_goes_does_not_stop_the_others(stage: Stage, page: str) -> None:
    """Several windows; one reads nothing, one vanishes without a word."""
    moving(stage)
    with window(page) as watching, socket.socket() as small:
        watching.send(camera_message())
        assert receives(watching)
        small.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 16)
        small.connect(("127.0.0.1", urlsplit(page).port or 0))
        with window(page, sock=small, max_queue=1) as stalled, window(page) as goes:
            for one in (stalled, goes):
                one.send(camera_message())
            assert receives(goes)
            goes.socket.shutdown(socket.SHUT_RDWR)
            assert receives(watching)  # 3 MB: more than fits on the way to the one that does not read
            assert receives(watching)
        assert receives(watching)


def test_garbage_ends_its_own_connection_only(stage: Stage, page: str) -> None:
    moving(stage)
    with window(page) as watching:
        watching.send(camera_message())
        for garbage in (b"\0" * 5000, b"GET / HTTP/1.1\r\n\r\n", b"GET /" + b"a" * 99999, b"\x16\x03\x01"):
            with socket.create_connection(("127.0.0.1", urlsplit(page).port or 0)) as raw:
                raw.sendall(garbage)
        for message in ("text", b"\xc1\xff", b"", json.dumps({"type": "x"}).encode(), b"\0" * (2 << 20)):
            with window(page) as bad, contextlib.suppress(ConnectionError):
                bad.send(message)
        assert receives(watching)


def test_no_tunnel(stage: Stage) -> None:
    """A page that asks viser to open one to its makers' server gets none."""
    from realtime.sinks.web.guard import Guard
    from realtime.sinks.web.listen import listen
    from realtime.sinks.web.server import GuardedServer

    sock = listen("127.0.0.1", 0)
    server = GuardedServer(sock, Guard("", 0), "test")
    try:
        assert server.request_share_url() is None
    finally:
        server.stop()


def test_nobody_looks_nothing_is_fetched(stage: Stage, page: str) -> None:
    """Without a window the sink subscribes to nothing; with one, and until it has gone, it does."""
    assert until(lambda: stage.poses_wanted == 0, 60)
    with window(page) as one:
        one.send(camera_message())
        assert until(lambda: stage.poses_wanted == 1, 60)
    assert until(lambda: stage.poses_wanted == 0, 60)


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
def test_it_ends_when_asked_and_keeps_what_it_recorded(stage: Stage, tmp_path: Path) -> None:
    """Asked twice, with one window open, one that does not answer, and a recording running."""
    with (
        web_sink(stage.address, f"0,record={tmp_path}") as (process, page),
        window(page) as one,
        window(page) as other,
    ):
        one.send(camera_message())
        other.send(camera_message())
        click(one, "Record")
        assert until(lambda: any(tmp_path.iterdir()), 60)
        time.sleep(0.5)
        process.send_signal(signal.SIGINT)
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
        assert process.stdout is not None and process.stderr is not None
        assert process.stdout.read() == "" and process.stderr.read() == ""
    (path,) = tmp_path.iterdir()
    with np.load(path, allow_pickle=False) as recording:
        assert len(recording["theta"]) > 0


def test_it_runs_when_it_serves(stage: Stage, capfd: pytest.CaptureFixture[str]) -> None:
    """What `run_live.py` says of it: starting, until the page is there."""
    config = Config(viewer_kind="none", sinks=["web:0"])
    with Supervisor(config, stage.address) as supervisor:
        assert supervisor.children == {"web": "starting"}
        assert until(lambda: supervisor.poll() and supervisor.children == {"web": "running"}, 120)
        told = capfd.readouterr().err
        assert told.startswith("web: open http://127.0.0.1:")
        assert get(told.split()[-1])[0] == 200
