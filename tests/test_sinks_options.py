"""The argument syntax that all sinks share."""

from __future__ import annotations

import pytest

from realtime.errors import ConfigError
from realtime.sinks import SINKS, sink_command
from realtime.sinks.options import LEAD, Option, host_and_port, number, on_or_off, one_of, port, read_options

FIRST = Option(("here", 1), host_and_port, "HOST:PORT")
KEYS = {
    "fps": Option(0.0, number(0, 1000), "30: so many a second"),
    "floor": Option(True, on_or_off, "off: no floor"),
    "axes": Option("world", one_of("world", "unity"), "world|unity: whose"),
}
DEFAULTS = {"fps": 0.0, "floor": True, "axes": "world"}


def read(text: str):
    return read_options("sink", text, FIRST, KEYS)


def test_what_is_given_and_what_is_not():
    assert read("") == (("here", 1), DEFAULTS)
    assert read("10.0.0.5:99") == (("10.0.0.5", 99), DEFAULTS)
    assert read("99,fps=29.97,floor=off") == (("127.0.0.1", 99), {**DEFAULTS, "fps": 29.97, "floor": False})
    assert read("axes=unity") == (("here", 1), {**DEFAULTS, "axes": "unity"})
    assert read(" [::1]:5 , axes = unity ") == (("::1", 5), {**DEFAULTS, "axes": "unity"})


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("1,fsp=3", "sink: fsp: no such key; did you mean fps? known: fps, floor, axes"),
        ("1,flor=on", "did you mean floor?"),
        ("1,fps", "'fps': expected key=value, for example fps=30"),
        ("1,fps=3,fps=3", "fps is given twice"),
        ("1,fps=nan", "sink: fps=nan: expected a number from 0 to 1000"),
        ("1,fps=-1", "expected a number"),
        ("1,floor=yes", "floor=yes: expected on or off"),
        ("1,axes=unty", "axes=unty: expected one of world, unity"),
        ("host", "sink:host: expected HOST:PORT"),
        ("host:", "expected HOST:PORT"),
        (":5", "expected HOST:PORT"),
        ("host:0", "1 to 65535"),
        ("host:65536", "1 to 65535"),
        ("host:9999999999999999999999", "1 to 65535"),
        ("::1:5", "expected HOST:PORT"),
    ],
)
def test_what_is_wrong_is_told(text: str, told: str):
    with pytest.raises(ConfigError) as raised:
        read(text)
    assert told in str(raised.value) and "\n" not in str(raised.value)


@pytest.mark.parametrize(("text", "ms"), [("on", None), ("off", 0.0), ("120", 120.0)])
def test_how_a_receiver_is_led(text: str, ms: float | None):
    assert LEAD.parse(text) == ms and LEAD.default is None


@pytest.mark.parametrize("text", ["", "auto", "-5", "nan", "10000"])
def test_how_it_cannot_be_led(text: str):
    with pytest.raises(ValueError, match="expected on, off, or milliseconds from 0 to 1000"):
        LEAD.parse(text)


def test_ports():
    assert port("8766") == 8766
    for text in ("-1", "1e3", "٣", ""):
        with pytest.raises(ValueError):
            port(text)


@pytest.mark.parametrize("name", [name for name, entry in SINKS.items() if entry.checks])
def test_bad_arguments_are_refused_before_anything_starts(name: str):
    with pytest.raises(ConfigError, match=rf"{name}: fpss: no such key; did you mean fps\?"):
        sink_command(f"{name}:5000,fpss=3", "tcp://127.0.0.1:1")
    assert sink_command(f"{name}:5000,fps=3", "tcp://127.0.0.1:1")[-2:] == ["--", "5000,fps=3"]
