"""What leading costs, as a program."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bench.lead import LAW, main


def test_it_measures_and_writes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--rounds", "3", "--json", str(tmp_path / "out.json")]) == 0
    printed, told = capsys.readouterr().out, json.loads((tmp_path / "out.json").read_text())
    assert LAW in printed and "microseconds per frame" in printed
    assert 0 < told[LAW]["min"] <= told[LAW]["p50"]
    whole = told["all that the loop does for it"]["p50"]
    parts = [result["p50"] for result in told.values()]
    assert whole == pytest.approx(parts[0] + parts[1] - parts[2] + parts[4] - parts[3])
