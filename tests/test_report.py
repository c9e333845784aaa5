"""What the user is told of a machine that is too slow for its source: once, with what helps."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from realtime import report as module
from realtime.config import Config
from realtime.report import FallingBehind, Report


def times_told(fps: float, kept: float, seconds: float = 30.0) -> list[int]:
    """In which seconds of the run."""
    behind = FallingBehind()
    counts = ((s, round(fps * s), round(fps * s * (1.0 - kept))) for s in range(round(seconds)))
    return [s for s, captured, skipped in counts if behind.look(float(s), captured, skipped)]


@pytest.mark.parametrize(("fps", "kept"), [(60.0, 0.25), (30.0, 0.45), (200.0, 0.01)])
def test_most_frames_left_out_is_told_once(fps: float, kept: float) -> None:
    assert times_told(fps, kept) == [module.BEHIND_S]


@pytest.mark.parametrize(("fps", "kept"), [(60.0, 1.0), (30.0, 0.55), (2.0, 0.1)])
def test_some_or_few_are_not(fps: float, kept: float) -> None:
    assert times_told(fps, kept) == []


def test_only_what_lasts() -> None:
    """While something else runs for two seconds, most are left out."""
    behind, captured, skipped = FallingBehind(), 0, 0
    for s in range(60):
        captured, skipped = captured + 30, skipped + (25 if 20 <= s < 22 else 0)
        assert not behind.look(float(s), captured, skipped)
    for s in range(60, 70):
        captured, skipped = captured + 30, skipped + 25
        if behind.look(float(s), captured, skipped):
            return
    pytest.fail("what lasts is not told")


def slow_stream() -> SimpleNamespace:
    camera = SimpleNamespace(name="webcam 0", state="live", fps=59.9, captured=600, skipped=450, drops={})
    tally = SimpleNamespace(
        recent_fps=lambda: 15.2, stages={"capture_to_publish": SimpleNamespace(recent_ms=lambda n: 60.0)}
    )
    return SimpleNamespace(
        config=Config(viewer_kind="none"),
        view=SimpleNamespace(
            feed=SimpleNamespace(status=lambda: camera),
            perception=SimpleNamespace(describe=lambda: {"mirror": "both"}),
        ),
        tally=tally,
        lead_time=SimpleNamespace(describe=lambda: {"mode": "off"}),
        state="tracking",
        invalid=0,
        recorders=[],
        supervisor=SimpleNamespace(children={}, notes=["viewer closed"]),
        publisher=SimpleNamespace(subscribers={"pose": 0}),
    )


def test_it_says_what_helps_and_the_status_keeps_it(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    sent = SimpleNamespace(offer=lambda changing, fields: None)
    monkeypatch.setattr(module, "StatusSender", lambda publisher: sent)
    monkeypatch.setattr(module, "LIVE_LINE_S", 0.0)
    monkeypatch.setattr(module, "plain", dict)
    monkeypatch.setattr(module, "asdict", vars)
    stream = slow_stream()
    report = Report(stream, SimpleNamespace(show=lambda text: None))  # type: ignore[arg-type]
    monkeypatch.setattr(report._behind, "look", lambda *_: not caplog.messages)
    report.turn()
    report.turn()
    words = (
        "webcam 0 gives 60 frames per second, and this machine keeps up with 15: most are left out, the newest wins\n"
        "lighter: end other programs; --set perception.mirror=off; a webcam gives fewer with --set camera.fps=15"
    )
    assert caplog.messages == [words]
    assert report._status_fields()["notes"] == ["viewer closed", words]
