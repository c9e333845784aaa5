"""How the stream is doing: to the bus as status, to the terminal as one line, at the end as summary."""

from __future__ import annotations

import time
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from realtime.bus.status import StatusSender
from realtime.key_files import client_names
from realtime.perception import in_short
from realtime.summary import Summary, plain
from realtime.terminal import Terminal
from realtime.version import versions

if TYPE_CHECKING:
    from realtime.pipeline import Stream

LIVE_LINE_S = 1.0
RECENT_FRAMES = 100  # over which status and live line give the latency


class Report:
    """Reads a Stream; changes nothing in it."""

    def __init__(self, stream: Stream, terminal: Terminal) -> None:
        self._stream = stream
        self._terminal = terminal
        self._status = StatusSender(stream.publisher)
        self._versions = versions()
        self._live_line_at = 0.0

    def greet(self) -> None:
        """A few lines when everything is open."""
        stream, camera = self._stream, self._stream.view.feed.status()
        engine = stream.engine
        self._terminal.say(f"source  {camera.name}: {camera.message}")
        self._terminal.say(f"sees    {in_short(stream.view.perception)}")
        what = engine.describe()
        why = f"; {what['chosen']}" if what.get("chosen") else ""
        late = f", {engine.delay} frames of look-ahead" if engine.delay else ""
        self._terminal.say(
            f"engine  {engine.name} on {engine.device}, {what['precision']}, model {engine.model_id}{late}{why}"
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
            "notes": [*stream.supervisor.notes, *self._recording_errors()],
        }

    def _recording_errors(self) -> list[str]:
        return [recorder.error for recorder in self._stream.recorders if recorder.error]

    def _drops(self) -> dict[str, int]:
        """Frames the source gave that were not published, by reason."""
        return {
            "replaced_by_newer": self._stream.view.feed.status().skipped,
            "invalid": self._stream.invalid,
        }

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
        """Of the whole run; to be called before the stages are closed."""
        stream, camera = self._stream, self._stream.view.feed.status()
        tally, drops = stream.tally, self._drops()
        drops["unread_at_the_end"] = max(0, camera.captured - camera.skipped - stream.processed)
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
