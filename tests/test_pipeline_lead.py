"""The lead on its way through the live loop: what is published beside the pose that was seen, and what is recorded."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from streams import FPS, ScriptedFeed, free_address, scripted_config, write_model

import realtime.lead_time as lead_time
import realtime.pipeline as pipeline
from realtime.camera.latency import CameraLatency
from realtime.config import Config
from realtime.errors import ConfigError
from realtime.lead import Leader, Led, pose_at
from realtime.lead_time import DISPLAY_MS
from realtime.messages import PoseMessage, decode
from realtime.observation import Estimate
from realtime.summary import Summary

ELBOW = slice(18 * 3, 18 * 3 + 3)
TURN_RAD_S = 1.2
HORIZON_MS = 166.7
SEEN = ["lost"] * 2 + ["warming"] * 13 + ["tracking"] * 40 + ["held"] * 5 + ["lost"] * 3 + ["tracking"] * 3


def bent(t_s: float) -> np.ndarray:
    """(72,): an elbow that turns steadily."""
    pose = np.zeros(72, np.float32)
    pose[ELBOW] = (0, TURN_RAD_S * t_s, 0)
    return pose


class ScriptedEstimator:
    """Knows the motion, also where it goes on to; the states are those of SEEN."""

    furthest_ms = HORIZON_MS
    not_finite = 0

    def __init__(self, *_: object) -> None:
        self.given: list[tuple[int, Estimate]] = []

    def update(self, t_ns: int, _observation: object) -> Estimate:
        frame = len(self.given)
        state = SEEN[frame]
        theta = np.zeros(85, np.float32)
        theta[3:75] = bent(frame / FPS)
        ahead = ((HORIZON_MS, bent(frame / FPS + HORIZON_MS / 1e3)),)
        trans = np.array([0.1 * frame, 0, 3], np.float32)
        joints = np.zeros((24, 3), np.float32)
        estimate = Estimate(theta, trans, joints, ahead, state, 1.0, 1)  # type: ignore[arg-type]
        self.given.append((t_ns, estimate))
        return estimate

    def finish(self) -> list[Estimate]:
        return []


class AllAtOnce:
    """A law of leading that is surer than any: steady turns, from the first frame."""

    confidence = 0.0

    def lead(self, _t_ns: int, estimate: Estimate, lead_ms: float) -> Led:
        sure = estimate.state == "tracking"
        self.confidence = float(sure)
        return Led(lead_ms, pose_at(estimate, lead_ms * sure), estimate.trans + np.float32(sure), float(sure))


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("model") / "random.onnx")


Run = Callable[..., tuple[Summary, list[PoseMessage], ScriptedEstimator]]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, model: Path) -> Run:
    def start(lead: str, **settings: object) -> tuple[Summary, list[PoseMessage], ScriptedEstimator]:
        estimator, sent = ScriptedEstimator(), []
        monkeypatch.setattr(pipeline, "Estimator", lambda *_: estimator)
        published = pipeline.Publisher.publish

        def noting(self: pipeline.Publisher, data: bytes) -> None:
            if isinstance(message := decode(data), PoseMessage):
                sent.append(message)
            published(self, data)

        monkeypatch.setattr(pipeline.Publisher, "publish", noting)
        config = scripted_config(monkeypatch, ScriptedFeed(len(SEEN)), model, **settings)
        config.lead.mode = lead
        summary = pipeline.run(config)
        assert [message.state for message in sent] == SEEN
        return summary, sent, estimator

    return start


def test_what_is_published_is_the_pose_so_much_later(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipeline, "Leader", AllAtOnce)
    summary, sent, _ = run("100")
    assert summary.lead == {"mode": "fixed", "ms": 100.0}
    for message in sent:
        assert np.array_equal(message.theta[3:75], bent(message.frame / FPS))  # what was seen stays beside it
        assert (message.lead is not None) == (message.state == "tracking")
        if message.lead is not None:
            assert (message.lead.ms, message.lead.confidence) == (100.0, 1.0)
            np.testing.assert_allclose(message.lead.pose, bent(message.frame / FPS + 0.1), atol=2e-6)
            np.testing.assert_array_equal(message.lead.trans, message.trans + np.float32(1))


def test_it_is_led_as_the_law_says_frame_by_frame(run: Run) -> None:
    _, sent, estimator = run("100")
    leader = Leader()
    for message, (t_ns, estimate) in zip(sent, estimator.given, strict=True):
        led = leader.lead(t_ns, estimate, 100.0)
        if message.lead is None:
            assert message.state != "tracking" and led.confidence == 0
            continue
        assert (message.lead.ms, message.lead.confidence) == (led.ms, led.confidence)
        np.testing.assert_array_equal(message.lead.pose, led.pose)
        np.testing.assert_array_equal(message.lead.trans, led.trans)


def test_a_camera_latency_of_another_picture_size_is_said_once(
    run: Run, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    measured = CameraLatency(60.0, 2.0, 1920, 1080, 30.0, "MJPG", "", "", with_screen=False)
    monkeypatch.setattr(lead_time, "stored_latency", lambda _name: measured)
    run("auto")
    said = [record.message for record in caplog.records if "measured at" in record.message]
    height, width = ScriptedFeed(1).next(0.0).image.shape[:2]
    assert len(said) == 1 and f"measured at 1920×1080, and it runs at {width}×{height}" in said[0]
    assert width != height


def test_nothing_is_led_through_a_loss(run: Run) -> None:
    _, sent, _ = run("100")
    confidence = 0.0
    for message in sent:
        if message.state in ("lost", "warming"):
            assert message.lead is None
        now = 0.0 if message.lead is None else message.lead.confidence
        if message.state == "held":  # back, or gone at once
            assert now < confidence or now == 0
            ahead = np.abs(message.shown()[0].reshape(72) - message.theta[3:75])[ELBOW].max()
            assert ahead <= TURN_RAD_S * 0.1 * confidence + 1e-6
        confidence = now
    assert sent[len(SEEN) - 1].state == "tracking" and confidence < 0.5  # found again: from the beginning


def test_without_a_lead_nothing_is_added(run: Run) -> None:
    summary, sent, _ = run("off")
    assert all(message.lead is None for message in sent)
    assert summary.lead == {"mode": "off", "why": "--lead off"}


def test_by_itself_it_is_as_old_as_it_will_be(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    summary, sent, _ = run("auto")
    lead = summary.lead
    assert lead["display_ms"] == DISPLAY_MS and lead["camera_ms"] == 0
    in_use = [message.lead.ms for message in sent if message.lead is not None]
    assert in_use[-1] == pytest.approx(lead["ms"], abs=0.01)
    assert lead["ms"] >= lead["display_ms"]
    # From one frame to the next, no more than a hundredth of the time between them.
    tracked = np.array(in_use[:40])
    assert np.abs(np.diff(tracked)).max() <= 0.01 * 1e3 / FPS + 1e-3
    told = capsys.readouterr().out
    assert "lead    camera 0 (not measured) + way to the bus + display 25 ms" in told
    assert f"lead: {lead['ms']:.0f} ms: camera 0 (not measured), way to the bus" in told


def test_the_status_tells_the_lead_and_its_parts(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[dict] = []
    lines: list[str] = []
    fields = pipeline.Report._status_fields

    def noting(self: pipeline.Report) -> dict:
        told.append(fields(self))
        lines.append(self._live_line())
        return told[-1]

    monkeypatch.setattr(pipeline.Report, "_status_fields", noting)
    run("auto")
    assert told[-1]["lead"].keys() >= {"mode", "ms", "camera_ms", "camera", "pipeline_ms", "display_ms"}
    assert f"   lead {told[-1]['lead']['ms']:.0f} ms   " in lines[-1]


def test_more_than_is_foretold_ends_it_before_anything_is_opened(run: Run) -> None:
    with pytest.raises(ConfigError, match="--lead 400: poses are foretold 166.7 ms ahead"):
        run("400")


def test_a_recording_is_of_what_was_seen(tmp_path: Path) -> None:
    """The demo clip in full, with the real stages: the same arrays, byte for byte, led and not."""
    recorded = {}
    for lead in ("off", "100"):
        config = Config(
            source="demo", viewer_kind="none", bus_address=free_address(), every_frame=True, frames=40
        )
        config.lead.mode, config.record = lead, [str(tmp_path / f"{lead}.npz")]
        assert pipeline.run(config).states["tracking"] > 5
        recorded[lead] = np.load(tmp_path / f"{lead}.npz")
    for key in recorded["off"].files:
        one, other = (recorded[lead][key] for lead in ("off", "100"))
        if key == "t_capture_ns":  # begins when it was begun
            one, other = one - one[0], other - other[0]
        assert one.dtype == other.dtype and one.tobytes() == other.tobytes(), key
