"""viser on a socket of our own, behind the guard.

viser takes no socket, tries the next port where one is taken, asks nobody who he is, and opens a tunnel to a server of
its makers when a page asks for one. The first three are decided where it hands its work to the websockets package:
there we put our socket and our question in front; if a version of viser came by another way, GuardedServer would notice
and refuse to run. The last is a method of its own, and says no.
"""

from __future__ import annotations

import logging
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import viser
import websockets.asyncio.server
from websockets.asyncio.server import ServerConnection
from websockets.datastructures import Headers
from websockets.http11 import Request, Response

from realtime.errors import LoadError
from realtime.sinks.web.guard import Answer, Guard, page_headers

MAX_INCOMING_BYTES = 1 << 20  # a page sends where its camera stands, and clicks
CLOSE_S = 0.2  # at the end a page that does not answer is not waited for

_starting = threading.Lock()


class GuardedServer(viser.ViserServer):
    """A viser server on `sock` that answers nothing that `guard` has not let through.

    Raises LoadError where viser did not take both.
    """

    def __init__(self, sock: socket.socket, guard: Guard, label: str) -> None:
        with _served_by(sock, guard) as used:
            super().__init__(host="127.0.0.1", port=0, label=label, verbose=False)
        if not used:
            self.stop()
            raise LoadError(
                f"web: viser {viser.__version__} does not serve by websockets' serve(); "
                "install the version of constraints.txt"
            )

    def request_share_url(self, verbose: bool = True) -> str | None:
        """Never: the stream does not leave this machine by way of somebody else's."""
        return None


@contextmanager
def _served_by(sock: socket.socket, guard: Guard) -> Iterator[list[bool]]:
    """While this is entered, websockets' serve() listens on `sock` and asks `guard`; what is yielded is no longer empty
    once it has been called."""
    original: Any = websockets.asyncio.server.serve
    used: list[bool] = []

    def serve(handler: Any, host: Any, port: Any, **settings: Any) -> Any:
        page = settings.pop("process_request")

        def process_request(connection: ServerConnection, request: Request) -> Response | None:
            answer = _ask(guard, request)
            if answer is not None:
                return _response(answer, request)
            response: Response | None = page(connection, request)
            if response is not None:
                response.headers.update(page_headers(request.headers.get("Host", "")))
            return response

        used.append(True)
        settings |= {"max_size": MAX_INCOMING_BYTES, "close_timeout": CLOSE_S}
        return original(handler, None, None, sock=sock, process_request=process_request, **settings)

    # A peer that sends garbage would have its traceback logged.
    logging.getLogger("websockets").setLevel(logging.CRITICAL)
    with _starting:
        websockets.asyncio.server.serve = serve  # type: ignore[misc, assignment]
        try:
            yield used
        finally:
            websockets.asyncio.server.serve = original  # type: ignore[misc]


def _ask(guard: Guard, request: Request) -> Answer | None:
    def only(name: str) -> str | None:
        """A header that is there more than once says nothing."""
        values = request.headers.get_all(name)
        return values[0] if len(values) == 1 else None

    host = only("Host")
    if host is None or len(request.headers.get_all("Origin")) > 1:
        return Answer(400, "hmmr-live: no Host, or several origins\n")
    cookies = "; ".join(request.headers.get_all("Cookie"))
    return guard.answer(request.path, host, only("Origin"), cookies)


def _response(answer: Answer, request: Request) -> Response:
    body = answer.text.encode()
    headers = Headers(
        {
            **page_headers(request.headers.get_all("Host")[0] if "Host" in request.headers else ""),
            "Content-Type": "text/plain; charset=utf-8",
            "Content-Length": str(len(body)),
            "Connection": "close",
            **answer.headers,
        }
    )
    return Response(answer.status, "", headers, body)
