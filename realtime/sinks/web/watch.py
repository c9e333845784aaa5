"""The sink's own loop: from the bus to the page, while anybody looks."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import viser

from realtime.body.smpl import Body
from realtime.sinks.web.graphs import INTERVAL_S, History
from realtime.sinks.web.page import Command, Page
from realtime.sinks.web.recording import BusRecording
from realtime.sinks.web.shown import Shown
from realtime.viewer.panel import annotated
from realtime.viewer.stream import LiveStream

TURN_S = 0.05
EARLY = (
    0.9  # of the interval between figures: a stream of just that rate comes a little early half of the time
)
FAREWELL_S = 0.4
UNWATCHED_S = 1.0  # a window that is loaded anew finds the stream still open


class Watch:
    """Subscribes while a window is open: nobody makes pictures, or skins bodies, for nobody."""

    def __init__(
        self,
        server: viser.ViserServer,
        body: Body,
        address: str,
        folder: Path,
        interval_s: float,
        keys: str | None = None,
    ) -> None:
        self._server = server
        self._address, self._keys = address, keys
        self._interval_s = interval_s
        self._shown = Shown(body)
        self._page = Page(server, body, self._shown.settings)
        self._recording = BusRecording(address, folder, body, keys)
        self._fps = History(2)  # published, shown
        self._latency = History(1)
        self._stream: LiveStream | None = None
        self._watched_at_s = float("-inf")
        self._due_s = 0.0  # when the next figure may go out
        self._told_at_s = 0.0
        self._picture_of = ("", False)  # state and mirror that the picture was drawn for
        self._picture_due_s = 0.0
        self._pose_waits = self._picture_waits = False

    def turn(self) -> None:
        """A twentieth of a second at most, where nothing comes."""
        while not self._page.commands.empty():
            self._obey(self._page.commands.get())
        self._recording.poll()
        now = time.monotonic()
        if self._page.watched:
            self._watched_at_s = now
            if self._stream is None:
                self._stream = LiveStream(self._address, self._keys)
        elif self._stream is not None and now - self._watched_at_s > UNWATCHED_S:
            self._stream.close()
            self._stream = None
        if self._stream is None:
            time.sleep(TURN_S)
        else:
            self._feed(self._stream)

    def close(self) -> None:
        """The recording first: it must be whole, whatever else takes its time."""
        self._recording.stop()
        if self._stream is not None:
            self._stream.close()
        # It says goodbye to every window, and would wait seconds for one that does not answer.
        farewell = threading.Thread(target=self._server.stop, name="farewell", daemon=True)
        farewell.start()
        farewell.join(FAREWELL_S)

    def _feed(self, stream: LiveStream) -> None:
        until_due_s = self._due_s - time.monotonic()
        wait_s = min(TURN_S, max(0.001, until_due_s)) if self._pose_waits else TURN_S
        new_pose, new_picture = stream.poll(wait_s)
        self._pose_waits |= new_pose
        now = time.monotonic()
        if self._pose_waits and now >= self._due_s:
            self._pose_waits = False
            self._show_pose(stream)
            # Half of the time at most: where it is slow, the pose has the processor.
            self._due_s = now + max(self._interval_s * EARLY, 2 * (time.monotonic() - now))
        self._page.show_state(stream.state)
        picture_of = (stream.state, self._shown.settings.mirror)
        self._picture_waits |= new_picture or picture_of != self._picture_of
        if self._picture_waits and stream.picture is not None and now >= self._picture_due_s:
            self._picture_waits, self._picture_of = False, picture_of
            self._picture_due_s = now + self._interval_s * EARLY
            self._page.show_picture(annotated(stream.picture, stream.state != "waiting"))
        if now - self._told_at_s >= INTERVAL_S:
            self._told_at_s = now
            self._tell(stream, now)

    def _show_pose(self, stream: LiveStream) -> None:
        pose = stream.pose
        if pose is None or pose.state == "lost":
            return
        figure = self._shown.figure(pose)
        if figure is None:
            stream.bad += 1
            return
        self._page.show_figure(figure)
        stream.drawn(pose)

    def _tell(self, stream: LiveStream, now_s: float) -> None:
        published, latency_ms = stream.published_fps(), stream.latency_ms()
        self._fps.add(now_s, published or 0.0, stream.fps())
        if latency_ms is not None:
            self._latency.add(now_s, latency_ms)
        numbers = [
            f"published {_number(published, '.1f')} fps, shown here {stream.fps():.1f} fps",
            f"age of the pose {_number(latency_ms, '.0f')} ms, dropped {stream.dropped()}",
        ]
        if stream.refused():
            numbers.append(f"bad messages {stream.refused()}")
        settings = self._shown.settings
        if lead := stream.lead(settings.lead_ms if settings.own_lead else None):
            numbers.append(lead)
        if settings.own_lead and settings.lead_ms > 0 and stream.pose is not None:
            furthest_ms = max((dt_ms for dt_ms, _ in stream.pose.ahead), default=0.0)
            if furthest_ms < settings.lead_ms:
                numbers.append(f"lead: this stream tells {furthest_ms:.0f} ms ahead")
        self._page.show_words(stream.state, stream.detail(), numbers, stream.source(), self._recording.text)
        self._page.show_recording(self._recording.active)
        self._page.show_graphs(self._fps, self._latency)

    def _obey(self, command: Command) -> None:
        if command.name == "record":
            if self._recording.active:
                self._recording.stop()
            else:
                self._recording.start()
            self._told_at_s = 0.0
        elif command.name == "reset":
            self._shown.reset()
            self._fps.reset()
            self._latency.reset()
        if command.name != "record" and command.window is not None:
            self._page.look_from_the_front(command.window)


def _number(value: float | None, how: str) -> str:
    return "-" if value is None else format(value, how)
