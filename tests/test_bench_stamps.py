"""bench.stamps times the stamps; how long they take is its business, not a test's."""

import json

from bench.stamps import main


def test_every_step_is_timed(tmp_path, capsys):
    out = tmp_path / "out.json"
    assert main(["--frames", "50", "--json", str(out)]) == 0
    told = json.loads(out.read_text())["us"]
    assert len(told) == 4
    assert all(0 < us["p50"] <= us["p99"] for us in told.values())
    assert "with --trace" in capsys.readouterr().out
