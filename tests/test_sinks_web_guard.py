"""Who gets the page: by token, by cookie, by Host and Origin."""

from __future__ import annotations

import pytest

from realtime.sinks.web.guard import Guard, is_own, page_headers

TOKEN = "correct-horse"
OPEN, LOCKED = Guard("", 8765), Guard(TOKEN, 8765)


@pytest.mark.parametrize(
    "host", ["localhost", "localhost:8765", "LOCALHOST:1", "127.0.0.1", "127.9.9.9:80", "[::1]:8765", "::1"]
)
def test_this_machine(host: str) -> None:
    assert is_own(host)
    assert OPEN.answer("/", host, None, "") is None
    assert OPEN.answer("/", host, f"http://{host}", "") is None


@pytest.mark.parametrize(
    "host",
    ["", "evil.example", "evil.example:8765", "127.0.0.1.evil.example", "192.168.1.5:8765", "0.0.0.0:8765",
     "localhost.evil.example", "[::2]:1", "2130706433", "127.1"],
)  # fmt: skip
def test_other_names_for_this_machine_are_refused(host: str) -> None:
    answer = OPEN.answer("/", host, None, "")
    assert answer is not None and answer.status == 403


@pytest.mark.parametrize("guard", [OPEN, LOCKED])
@pytest.mark.parametrize(
    "origin", ["http://evil.example", "null", "", "http://localhost:8766", "http://127.0.0.1:8765", "file://"]
)
def test_other_pages_are_refused(guard: Guard, origin: str) -> None:
    answer = guard.answer(f"/?token={TOKEN}", "localhost:8765", origin, cookie(LOCKED))
    assert answer is not None and answer.status == 403


def cookie(guard: Guard, token: str = TOKEN) -> str:
    answer = guard.answer(f"/?token={token}", "192.168.1.5:8765", None, "")
    assert answer is not None
    return answer.headers["Set-Cookie"].partition(";")[0]


def test_the_token_gives_a_cookie_and_the_cookie_the_page() -> None:
    answer = LOCKED.answer(f"/?token={TOKEN}&x=1", "192.168.1.5:8765", None, "")
    assert answer is not None and answer.status == 303 and answer.headers["Location"] == "/"
    name, value = cookie(LOCKED).split("=")
    assert name == "hmmr_live_8765" and TOKEN not in value
    assert "HttpOnly" in answer.headers["Set-Cookie"] and "SameSite=Strict" in answer.headers["Set-Cookie"]
    for cookies in (f"{name}={value}", f"a=b; {name}={value}; c=d"):
        assert LOCKED.answer("/", "192.168.1.5:8765", "http://192.168.1.5:8765", cookies) is None
    assert cookie(Guard(TOKEN, 8765)) == f"{name}={value}"  # also after a restart


@pytest.mark.parametrize(
    ("path", "cookies"),
    [
        ("/", ""),
        ("/?token=", ""),
        ("/?token=correct-hors", ""),
        ("/?token=correct-horse ", ""),
        ("/?tokens=correct-horse", ""),
        ("/?token=wrong&token=correct-horse", ""),
        ("/correct-horse", ""),
        ("/", f"hmmr_live_8765={TOKEN}"),
        ("/", "hmmr_live_8765="),
        ("/", "hmmr_live_8765"),
        ("/", "hmmr_live_8765=Ä"),
        ("/?token=%ff%fe", "=;=;,"),
        ("/?token=ä", ""),
    ],
)
def test_without_it_nothing(path: str, cookies: str) -> None:
    for host in ("localhost:8765", "192.168.1.5:8765"):
        answer = LOCKED.answer(path, host, None, cookies)
        assert answer is not None and answer.status == 401 and "Set-Cookie" not in answer.headers
    assert (
        LOCKED.answer("/", "localhost:1", None, cookie(Guard("another-one", 8765), "another-one")) is not None
    )
    assert LOCKED.answer("/", "localhost:1", None, cookie(Guard(TOKEN, 8766))) is not None


def test_a_host_does_not_write_the_policy() -> None:
    policy = page_headers("x; connect-src *")["Content-Security-Policy"]
    assert "*" not in policy and "ws://localhost " in policy
    assert "ws://192.168.1.5:8765 " in page_headers("192.168.1.5:8765")["Content-Security-Policy"]
