"""Who may have the page and its data. Asked once per connection, before anything is answered.

viser, which serves both, lets everybody in. Here a request, be it for the page or for its WebSocket, needs

- without a token (the page is on this machine only): a Host that is this machine's own, so that no foreign name that
  resolves to 127.0.0.1 comes through (DNS rebinding);
- with a token: the token itself in the address (`?token=…`), which is answered by a cookie, or that cookie;
- always: no Origin but its own. Browsers let any page open a WebSocket to anywhere and say only here whose it was.
"""

from __future__ import annotations

import hmac
import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.cookies import CookieError, SimpleCookie
from urllib.parse import parse_qs, urlsplit

MIN_TOKEN = 8  # characters
# The page is one file; what it needs besides, it makes itself. Nothing is ever fetched from, or sent to, elsewhere.
CONTENT_POLICY = (
    "default-src 'none'; script-src 'self' 'unsafe-inline' 'unsafe-eval' blob: data:; worker-src blob: data:; "
    "style-src 'self' 'unsafe-inline'; img-src 'self' blob: data:; font-src data:; "
    "connect-src 'self' ws://{host} blob: data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


@dataclass(frozen=True)
class Answer:
    """What is answered instead of the page, or in front of it."""

    status: int
    text: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)


class Guard:
    """token: "" for a page of this machine only. port: where it is served, part of the cookie's name, since browsers
    hold cookies for all ports of a host together."""

    def __init__(self, token: str, port: int) -> None:
        self._token = token
        self._name = f"hmmr_live_{port}"
        # Not the token itself; the same after a restart, so that an open page finds back in.
        self._pass = hmac.new(token.encode(), b"hmmr-live web", "sha256").hexdigest()

    def answer(self, path: str, host: str, origin: str | None, cookies: str) -> Answer | None:
        """None where the request may go on. path as requested, with its query; the other three are its headers."""
        if not self._token and not is_own(host):
            return Answer(
                403, "hmmr-live: this page is for programs of its own machine only; open it as localhost\n"
            )
        if origin is not None and urlsplit(origin).netloc.lower() != host.lower():
            return Answer(403, "hmmr-live: another page asked for this one's data\n")
        if not self._token or self._has_pass(cookies):
            return None
        given = parse_qs(urlsplit(path).query).get("token", [""])[0]
        if not hmac.compare_digest(given.encode(), self._token.encode()):
            return Answer(401, "hmmr-live: open the whole address that the program printed, with ?token=…\n")
        cookie = f"{self._name}={self._pass}; Path=/; HttpOnly; SameSite=Strict; Max-Age=31536000"
        return Answer(303, headers={"Location": "/", "Set-Cookie": cookie})

    def _has_pass(self, cookies: str) -> bool:
        try:
            morsel = SimpleCookie(cookies).get(self._name)
        except CookieError:
            return False
        return morsel is not None and hmac.compare_digest(morsel.value.encode(), self._pass.encode())


def page_headers(host: str) -> dict[str, str]:
    """For everything that is answered to a request with this Host."""
    return {
        "Content-Security-Policy": CONTENT_POLICY.format(host=host if _plain(host) else "localhost"),
        "Referrer-Policy": "no-referrer",
        "X-Content-Type-Options": "nosniff",
        "Cache-Control": "no-store",
    }


def is_own(host: str) -> bool:
    """Whether "HOST[:PORT]", or a bare address, is this machine itself and can be nothing else."""
    name = host
    if name.startswith("["):
        name = name[1:].partition("]")[0]
    elif name.count(":") == 1:
        name = name.partition(":")[0]
    if name.lower().rstrip(".") == "localhost":
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def _plain(host: str) -> bool:
    return all(letter.isascii() and (letter.isalnum() or letter in ".-:[]_") for letter in host)
