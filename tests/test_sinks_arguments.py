"""NAME:first[,key=value…], as every sink reads it."""

import pytest

from realtime.errors import ConfigError
from realtime.sinks.arguments import parse_arguments, port_number

KNOWN = {"port": port_number, "host": str, "rate": float}


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("", {}),
        ("8765", {"port": 8765}),
        ("port=8765", {"port": 8765}),
        ("0,host=0.0.0.0", {"port": 0, "host": "0.0.0.0"}),
        ("host=::1,rate=30", {"host": "::1", "rate": 30.0}),
        ("1,host=a=b", {"port": 1, "host": "a=b"}),
        ("1,host=", {"port": 1, "host": ""}),
    ],
)
def test_what_is_read(text: str, values: dict) -> None:
    assert parse_arguments(text, KNOWN, "web") == values


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("8765,hots=x", "no such key 'hots'; did you mean host? known: port, host, rate"),
        ("8765,colour=x", "no such key 'colour'; known: port, host, rate"),
        ("8765,host", "'host' is no key=value"),
        ("8765,", "'' is no key=value"),
        ("8765,port=1", "port is given twice"),
        ("70000", "port=70000: expected a port, 0 to 65535"),
        ("-1", "port=-1: expected a port"),
        ("٣", "expected a port"),
        ("1,rate=fast", "rate=fast: could not convert"),
    ],
)
def test_what_is_refused(text: str, says: str) -> None:
    with pytest.raises(ConfigError) as refused:
        parse_arguments(text, KNOWN, "web")
    assert str(refused.value).startswith(f"--sink web:{text}: ") and says in str(refused.value)
