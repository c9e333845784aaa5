"""How the stream is doing: to the bus as status, to the terminal as one line, at the end as summary."""

from __future__ import annotations

import logging
import time
from collections import deque
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from realtime.bus.status import StatusSender
from realtime.camera.drops import REASONS
from realtime.key_files import client_names
from realtime.perception import in_short
from realtime.summary import Summary, plain
from realtime.terminal import Terminal
from realtime.version import versions

if TYPE_CHECKING:
    from realtime.pipeline import Stream

LIVE_LINE_S = 1.0
RECENT_FRAMES = 100  # over which status and live line give the latency
BEHIND_S = 5.0  # most frames of so long a time left out: the machine is too slow for the source
BEHIND_FRAMES = 20  # at least, for a camera that gives few

log = logging.getLogger(__name__)


class FallingBehind:
    """Notices, once, that most frames are left out."""

    def __init__(self) -> None:
        self.noticed = False
        self._counts: deque[tuple[float, int, int]] = deque()

    def look(self, now_s: float, captured: int, skipped: int) -> bool:
        """Counts of the run so far, now and then. True the one time that it is so."""
        self._counts.append((now_s, captured, skipped))
        while len(self._counts) > 2 and self._counts[1][0] <= now_s - BEHIND_S:
            self._counts.popleft()
        then_s, had, left_out = self._counts[0]
        came = captured - had
        if self.noticed or now_s - then_s < BEHIND_S or came < BEHIND_FRAMES:
            return False
        self.noticed = (skipped - left_out) * 2 > came
        return self.noticed


class Report:
    """Reads a Stream; changes nothing in it."""

    def __init__(self, stream: Stream, terminal: Terminal) -> None:
        self._stream = stream
        self._terminal = terminal
        self._status = StatusSender(stream.publisher)
        self._versions = versions()
        self._live_line_at = 0.0
        self._behind = FallingBehind()
        self._slow = ""  # what the user was told of it

    def greet(self) -> None:
        """A few lines when everything is open."""
        stream, camera = self._stream, self._stream.view.feed.status()
        engine = stream.engine
        self._terminal.say(f"source  {camera.name}: {camera.message}")
        self._terminal.say(
            f"sees    {in_short(stream.view.perception)}{_why(stream.view.perception.describe())}"
        )
        what = engine.describe()
        late = f", {engine.delay} frames of look-ahead" if engine.delay else ""
        self._terminal.say(
            f"engine  {engine.name} on {engine.device}, {what['precision']}, model {engine.model_id}{late}{_why(what)}"
        )
        self._terminal.say(f"body    {stream.body.id}")
        self._terminal.say(f"lead    {stream.lead_time.in_words()}")
        keys = stream.publisher.keys
        known = (
            "" if keys is None else f", for the keys in {keys.folder}: {', '.join(client_names(keys.folder))}"
        )
        self._terminal.say(f"bus     {stream.publisher.address}{known}")
        for name, state in stream.supervisor.children.items():
            self._terminal.say(f"{name:<7} {state}")

    def turn(self) -> None:
        """Each turn of the loop: status over the bus when it is due, the live line once a second."""
        stream, camera = self._stream, self._stream.view.feed.status()
        children = stream.supervisor.children.items()
        changing = (camera.state, stream.state, *children, *self._recording_errors())
        self._status.offer(changing, self._status_fields)
        if time.monotonic() - self._live_line_at >= LIVE_LINE_S:
            self._live_line_at = time.monotonic()
            if self._behind.look(self._live_line_at, camera.captured, camera.skipped):
                self._slow = self._why_slow()
                log.warning("%s", self._slow)
            self._terminal.show(self._live_line())

    def _status_fields(self) -> dict[str, Any]:
        """The fields of StatusMessage; the keys are listed in docs/wire-format.md."""
        stream, camera = self._stream, self._stream.view.feed.status()
        return {
            "state": stream.state,
            "camera": plain(asdict(camera)),
            "rates": {"published_fps": stream.tally.recent_fps(), "camera_fps": camera.fps},
            "drops": self._drops(),
            "latency": {
                f"{name}_ms": stage.recent_ms(RECENT_FRAMES) for name, stage in stream.tally.stages.items()
            },
            "lead": stream.lead_time.describe(),
            "versions": self._versions,
            "children": stream.supervisor.children,
            "notes": [*stream.supervisor.notes, *self._recording_errors(), *filter(None, [self._slow])],
        }

    def _recording_errors(self) -> list[str]:
        return [recorder.error for recorder in self._stream.recorders if recorder.error]

    def _drops(self) -> dict[str, int]:
        """Frames the source gave that were not published, by reason."""
        return {
            **dict.fromkeys(REASONS, 0),
            **self._stream.view.feed.status().drops,
            "invalid": self._stream.invalid,
        }

    def _why_slow(self) -> str:
        """Two lines: what is, and what helps."""
        stream, camera = self._stream, self._stream.view.feed.status()
        fps = stream.tally.recent_fps()
        lighter = ["end other programs"]
        if stream.config.viewer_kind != "none":
            lighter.append("--viewer none")
        if stream.view.perception.describe().get("mirror", "off") != "off":
            lighter.append("--set perception.mirror=off")
        return (
            f"{camera.name} gives {camera.fps:.0f} frames per second, and this machine keeps up with {fps:.0f}: "
            f"most are left out, the newest wins\nlighter: {'; '.join(lighter)}; a webcam gives fewer with "
            f"--set camera.fps={max(5, 5 * round(fps / 5))}"
        )

    def _live_line(self) -> str:
        stream, camera = self._stream, self._stream.view.feed.status()
        parts = [stream.state, f"{stream.tally.recent_fps():.1f} fps"]
        latency_ms = stream.tally.stages["capture_to_publish"].recent_ms(RECENT_FRAMES)
        if latency_ms is not None:
            parts.append(f"{latency_ms:.0f} ms")
        if (lead_ms := stream.lead_time.describe().get("ms")) is not None:
            parts.append(f"lead {lead_ms:.0f} ms")
        parts.append(f"{camera.skipped} skipped")
        parts.append(f"{stream.publisher.subscribers['pose']} receiving")
        if camera.state != "live":
            parts.append(f"camera {camera.state}")
        return "   ".join(parts)

    def summary(self, ended_by: str) -> Summary:
        """Of the whole run; to be called when the source is closed, and before the stages are.

        captured = published + dropped, each counted where it happened.
        """
        stream, camera = self._stream, self._stream.view.feed.status()
        tally, drops = stream.tally, self._drops()
        return Summary(
            source=camera.name,
            ended_by=ended_by,
            frames={
                "captured": camera.captured,
                "processed": stream.processed,
                "published": tally.published,
                "dropped": sum(drops.values()),
                "drop_reasons": drops,
            },
            not_finite=stream.estimator.not_finite,
            fps=round(tally.fps, 3),
            duration_s=round((time.monotonic_ns() - stream.started_ns) / 1e9, 3),
            latency_ms={name: stage.report() for name, stage in tally.stages.items()},
            lead=stream.lead_time.describe(),
            states=dict(tally.states),
            engine=plain(stream.engine.describe()),
            model=stream.engine.model_id,
            body=stream.body.id,
            camera=plain(asdict(camera)),
            bus={
                "address": stream.publisher.address,
                "keys": stream.publisher.keys is not None,
                "refused": stream.publisher.refused,
                "subscribers": dict(stream.publisher.subscribers),
                "published": dict(stream.publisher.published),
            },
            perception=plain(stream.view.perception.describe()),
            children=dict(stream.supervisor.children),
            recordings=[
                {"path": str(recorder.made or ""), "frames": recorder.rows_written, "error": recorder.error}
                for recorder in stream.recorders
            ],
            versions=self._versions,
        )


def _why(described: dict[str, Any]) -> str:
    return f"; {described['chosen']}" if described.get("chosen") else ""
