"""Who may connect to a stream with keys: a ZAP handler (rfc.zeromq.org/spec/27) in a thread of its own.

libzmq asks it once for every connection that has proved to hold the secret key to its public one; it looks that one up
in the key folder. Who comes without a key, or with another stream's, does not get as far. Should the handler be gone,
libzmq refuses everybody (ZAP_ENFORCE_DOMAIN); without that option it would let everybody in.
"""

from __future__ import annotations

import logging
import threading

import zmq
import zmq.utils.z85 as z85

from realtime.key_files import ServerKeys

log = logging.getLogger(__name__)

DOMAIN = b"hmmr-live"
TURN_MS = 100  # how long `close` may wait for the thread
FAILED = (
    zmq.EVENT_HANDSHAKE_FAILED_AUTH
    | zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL
    | zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL
)

_HANDLER = "inproc://zeromq.zap.01"  # the specification's


class Gate:
    """Guards one socket. `refused` counts connections that failed to prove who they are: of an unknown key, another
    stream's, none at all, and bytes that are no ZeroMQ. A program may try more than once before it notices.
    """

    def __init__(self, context: zmq.Context, keys: ServerKeys) -> None:
        self.refused = 0
        self._said = False
        self._keys = keys
        self._context = context
        self._failures = context.socket(zmq.PAIR)
        self._failures.setsockopt(zmq.RCVHWM, 0)  # a full one would make libzmq's own thread wait
        self._questions = context.socket(zmq.REP)
        self._questions.setsockopt(zmq.LINGER, 0)
        self._questions.bind(_HANDLER)
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="bus-gate", daemon=True)

    def guard(self, socket: zmq.Socket) -> None:
        """Before its `bind`; once."""
        socket.curve_server = True
        socket.curve_publickey = self._keys.public
        socket.curve_secretkey = self._keys.secret
        socket.zap_domain = DOMAIN
        socket.setsockopt(zmq.ZAP_ENFORCE_DOMAIN, 1)
        socket.monitor("inproc://bus-handshakes", FAILED)
        self._failures.connect("inproc://bus-handshakes")
        self._thread.start()

    def close(self) -> None:
        """Before the context is destroyed. May be called twice."""
        self._closing.set()
        if self._thread.ident is not None:
            self._thread.join()

    def _run(self) -> None:
        poller = zmq.Poller()
        poller.register(self._questions, zmq.POLLIN)
        poller.register(self._failures, zmq.POLLIN)
        while not self._closing.is_set():
            for socket, _ in poller.poll(TURN_MS):
                if socket is self._questions:
                    self._answer(self._questions.recv_multipart())
                else:
                    self._failures.recv_multipart()  # no other events are asked for
                    self.refused += 1

    def _answer(self, question: list[bytes]) -> None:
        """[version, request id, domain, address, identity, mechanism, credentials …] → 200 or 400."""
        version, request, domain, address, _, mechanism, *credentials = question
        name = None
        if domain == DOMAIN and mechanism == b"CURVE" and credentials:
            name = self._keys.client_of(z85.encode(credentials[0]))
        if name is None and not self._said:  # once; the status message counts
            self._said = True
            log.warning("bus: refused a connection from %s: unknown key", address.decode(errors="replace"))
        verdict = [b"400", b"unknown key", b""] if name is None else [b"200", b"OK", name.encode("ascii")]
        self._questions.send_multipart([version, request, *verdict, b""])
