"""bench.latency measures a real run and prints what it measured."""

import pytest
from streams import write_clip, write_model

from bench.latency import measure, rows


def test_a_short_run_is_measured(tmp_path):
    clip, model = write_clip(tmp_path / "bar.avi", 40), write_model(tmp_path / "random.safetensors")
    result = measure(str(clip), 10.0, ["--model", str(model)])
    assert result["frames"]["captured"] == 40
    assert 1 <= result["received"] <= result["frames"]["published"]
    assert result["received_ms"]["p50"] >= 0.9 * result["latency_ms"]["capture_to_publish"]["p50"]
    assert result["memory"]["rss_mb"][0][1] > 50
    table = {what.strip(): measured for what, measured, _ in rows(result)}
    own, sent = (result["latency_ms"][stage]["p50"] for stage in ("perception_own", "capture_to_publish"))
    assert float(table["over MediaPipe's own"]) == pytest.approx(sent / own, abs=1e-3)


def test_a_program_that_fails_is_told(tmp_path):
    with pytest.raises(RuntimeError, match="none.mp4"):
        measure(str(tmp_path / "none.mp4"), 1.0, ["--model", str(write_model(tmp_path / "m.safetensors"))])
