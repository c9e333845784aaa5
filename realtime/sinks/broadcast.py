"""A WebSocket server that gives every client the newest pose, and holds nothing back for slow ones.

A client is sent a pose when there is a newer one and it has taken in those before: every few poses a ping goes out,
whose pong (every WebSocket library answers by itself) says so. So at most IN_FLIGHT poses are under way to a client,
in its own and the system's buffers too; a client that does not read costs that, and its connection ends when it
answers no ping.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import hmac
import http
import logging
import threading
from collections import deque
from collections.abc import Awaitable
from urllib.parse import parse_qs, urlsplit

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

from realtime.errors import ConfigError
from realtime.sinks.options import is_loopback
from realtime.sinks.records import Record

PING_EVERY = 4  # poses
IN_FLIGHT = 2 * PING_EVERY
MAX_CLIENTS = 32
MAX_INCOMING_BYTES = 1024  # clients have nothing to say
MAX_INCOMING_PER_S = 20  # and one that says it again and again is shown out
KEEPALIVE_S = 10.0  # a client is asked this often, and gone when it has not answered for as long
OPEN_S = 5.0  # for the opening handshake
CLOSE_S = 0.4  # for the closing one: the supervisor gives us half a second in all
WRITE_LIMIT = 16 << 10  # bytes of ours that may wait for a client before we do
FORMATS = ("json", "binary")


class Broadcaster:
    """Listens at host:port, in a thread of its own, from when it is made. `publish` never waits.

    token: clients must bring it as `?token=…` or `Authorization: Bearer …`; "" for none. Without a token, pages from
    other sites are refused, which a browser would let in.

    Raises ConfigError where it cannot listen.
    """

    def __init__(self, host: str, port: int, token: str = "") -> None:
        self.clients = 0
        self.port = port
        self._token = token.encode()
        self._newest: Record | None = None
        self._count = 0
        self._news = asyncio.Event()
        self._loop = asyncio.new_event_loop()
        try:
            self._server = self._loop.run_until_complete(self._listen(host, port))
        except OSError as error:
            self._loop.close()
            what = error.strerror or error
            raise ConfigError(
                f"websocket: cannot listen at {host}:{port} ({what}); choose another port"
            ) from None
        self.port = self._server.sockets[0].getsockname()[1]
        self._thread = threading.Thread(target=self._run, name="websocket", daemon=True)
        self._thread.start()

    def publish(self, record: Record) -> None:
        """The newest pose, for everybody."""
        self._loop.call_soon_threadsafe(self._put, record)

    def close(self) -> None:
        """Say goodbye to the clients; takes CLOSE_S at most."""
        done = asyncio.run_coroutine_threadsafe(self._close(), self._loop)
        with contextlib.suppress(concurrent.futures.TimeoutError):
            done.result(CLOSE_S)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    def __enter__(self) -> Broadcaster:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _run(self) -> None:
        self._loop.run_forever()
        for task in (left := asyncio.all_tasks(self._loop)):  # clients that did not say goodbye in time
            task.cancel()
        if left:
            self._loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))
        self._loop.close()

    async def _listen(self, host: str, port: int) -> Server:
        quiet = logging.getLogger("realtime.sinks.websocket")
        quiet.setLevel(logging.CRITICAL)  # garbage and broken connections are no news
        return await serve(
            self._serve,
            host,
            port,
            process_request=self._admit,
            compression=None,  # numbers hardly shrink, and it costs time
            open_timeout=OPEN_S,
            ping_interval=KEEPALIVE_S,
            ping_timeout=KEEPALIVE_S,
            close_timeout=CLOSE_S,
            max_size=MAX_INCOMING_BYTES,
            write_limit=WRITE_LIMIT,
            logger=quiet,
        )

    async def _close(self) -> None:
        self._server.close()
        await self._server.wait_closed()

    def _put(self, record: Record) -> None:
        self._newest = record
        self._count += 1
        news, self._news = self._news, asyncio.Event()
        news.set()

    def _admit(self, connection: ServerConnection, request: Request) -> Response | None:
        """Who may come in: None, or the answer to who may not."""
        if self.clients >= MAX_CLIENTS:
            return connection.respond(http.HTTPStatus.SERVICE_UNAVAILABLE, f"{MAX_CLIENTS} clients already\n")
        try:
            query = parse_qs(urlsplit(request.path).query, max_num_fields=8)
        except ValueError:
            return connection.respond(http.HTTPStatus.BAD_REQUEST, "this address cannot be read\n")
        if self._token:
            bearer = request.headers.get_all("Authorization")[:1]
            given = query.get("token", [text.removeprefix("Bearer ") for text in bearer])[:1]
            if not given or not hmac.compare_digest(given[0].encode("utf-8", "replace"), self._token):
                return connection.respond(http.HTTPStatus.UNAUTHORIZED, "needs ?token=…, the right one\n")
        elif not all(map(_is_ours, request.headers.get_all("Origin"))):
            return connection.respond(http.HTTPStatus.FORBIDDEN, "pages of other sites need a token\n")
        if query.get("format", ["json"])[-1] not in FORMATS:
            return connection.respond(
                http.HTTPStatus.BAD_REQUEST, f"?format={' or ?format='.join(FORMATS)}\n"
            )
        return None

    async def _serve(self, connection: ServerConnection) -> None:
        assert connection.request is not None  # it was admitted
        binary = parse_qs(urlsplit(connection.request.path).query).get("format") == ["binary"]
        tasks = [
            asyncio.create_task(self._feed(connection, binary)),
            asyncio.create_task(_hear_out(connection)),
        ]
        self.clients += 1
        try:
            # The one that waits for news would not notice that its client is gone; the other does.
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self.clients -= 1
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _feed(self, connection: ServerConnection, binary: bool) -> None:
        unanswered: deque[Awaitable[float]] = deque()
        seen, sent = 0, 0
        while True:
            if self._count == seen:
                await self._news.wait()
                continue
            record, seen = self._newest, self._count
            assert record is not None
            await connection.send(record.binary if binary else record.text)
            sent += 1
            if sent % PING_EVERY == 0:
                unanswered.append(await connection.ping())
                if len(unanswered) * PING_EVERY >= IN_FLIGHT:
                    await unanswered.popleft()


async def _hear_out(connection: ServerConnection) -> None:
    """Take in and forget what a client says: unread messages would hold up its pongs."""
    loop = asyncio.get_running_loop()
    window_s, count = loop.time(), 0
    try:
        async for _ in connection:
            if loop.time() - window_s > 1.0:
                window_s, count = loop.time(), 0
            count += 1
            if count > MAX_INCOMING_PER_S:
                await connection.close(1008, "this server sends, it does not listen")
    except ConnectionClosed:
        pass


def _is_ours(origin: str) -> bool:
    """A page that this machine serves. ("null" tells of a file, but also of any site's sandboxed frame.)"""
    try:
        return is_loopback(urlsplit(origin).hostname or "")
    except ValueError:
        return False
