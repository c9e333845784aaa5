"""bench.bus: what falls into which window, what is said of it, and one small run of the whole."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bench import bus, bus_sinks, bus_tables


def a_fault(turn: tuple[float, float], under_way: tuple[float, float], noise_ms: float) -> dict:
    return {
        "plain_turn_p99_ms": turn,
        "plain_turn_cpu_p99_ms": (0.1, 0.1),
        "plain_under_way_p99_ms": under_way,
        "bare_under_way_p99_ms": (0.3, 0.3),
        "noise_ms": noise_ms,
    }


@pytest.mark.parametrize(
    ("turn", "under_way", "noise_ms", "verdict"),
    [
        ((0.2, 0.9), (0.5, 0.4), 0.1, "< 1"),
        ((0.2, 1.3), (0.5, 0.4), 0.1, "MORE"),
        ((0.2, 0.2), (0.5, 9.0), 0.1, "MORE"),
        ((0.2, 0.2), (0.5, 9.0), 6.0, "? (noise 6)"),
        ((0.2, 0.3), (0.5, 0.6), 6.0, "< 1"),
    ],
)
def test_verdicts(
    turn: tuple[float, float], under_way: tuple[float, float], noise_ms: float, verdict: str
) -> None:
    row = bus_tables.fault_rows({"faults": {"peer": a_fault(turn, under_way, noise_ms)}})[0]
    assert row[0] == "peer" and row[-1] == verdict
    assert row[1].split() == [f"{turn[0]:.2f}", f"{turn[1]:.2f}", f"{turn[1] - turn[0]:+.2f}"]


def test_windows() -> None:
    inside = bus._within([1, 2, 3, 4, 5], [10, 20, 30, 40, 50], [(2, 3), (5, 9)])
    assert inside.tolist() == [20, 50]
    assert bus._within([], [], [(0, 1)]).tolist() == []


def test_a_small_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for module, name in ((bus, "WARM_UP_S"), (bus, "RECOVER_S"), (bus_sinks, "STARTS_S")):
        monkeypatch.setattr(module, name, 0.3)
    out = tmp_path / "out.json"
    arguments = [
        "--subscribers",
        "2",
        "--rates",
        "30",
        "--sinks",
        "jsonl",
        "--seconds",
        "0.4",
        "--rounds",
        "1",
    ]
    assert bus.main([*arguments, "--json", str(out)]) == 0
    result = json.loads(out.read_text())["results"][0]
    assert result["sinks_that_did_not_run"] == {}
    assert list(result["faults"]) == [
        *("subscriber stopped", "subscriber killed, x4", "subscriber slow", "garbage on the port"),
        *("flood of subscriptions", "jsonl stopped", "jsonl slow", "jsonl killed", "jsonl's peers"),
    ]
    for lane in ("plain", "curve", "bare"):
        assert result["lanes"][lane]["messages"] > 0
        assert result["lanes"][lane]["under_way_us"]["p50"] > 0
    said = capsys.readouterr().out
    assert "2 subscribers at 30 Hz" in said and "bare pyzmq" in said
