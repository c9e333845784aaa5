"""What the viewer knows of the stream: the newest pose, picture and status, and the numbers measured here."""

from __future__ import annotations

import time
from collections import deque
from typing import Any

import cv2
import numpy as np

from realtime import Subscriber
from realtime.messages import ImageMessage, PoseMessage, StatusMessage
from realtime.summary import Samples
from realtime.viewer.panel import Numbers, Picture

SILENT_S = 0.7  # no pose for this long: the body on the screen is no longer anybody's
STATUS_S = 3.0  # a status message, sent once a second, is believed for this long
RATE_S = 2.0  # rates and latencies are those of this time
_MAX_LATENCY_MS = 60_000.0  # beyond: stamps of a clip's own time line (--every-frame), not a latency


class LiveStream:
    """Subscribes to `address` (with a key file, where it wants one); `poll` takes in what is new. Newest wins,
    nothing is queued.
    """

    def __init__(self, address: str, keys: str | None = None) -> None:
        self.address = address
        self.pose: PoseMessage | None = None
        self.picture: Picture | None = None
        self.status: StatusMessage | None = None
        self.bad = 0  # messages that are valid and still cannot be shown
        self._subscriber = Subscriber(address, ("pose", "image", "status"), keys=keys)
        self._pose_at_s = float("-inf")
        self._status_at_s = float("-inf")
        self._drawn: deque[tuple[float, float | None]] = deque()  # (when, latency in ms)
        self._on_screen: PoseMessage | None = None
        self._ages = Samples()  # of the pose on the screen, at every render tick

    def poll(self, timeout_s: float) -> tuple[bool, bool]:
        """Wait up to `timeout_s` for anything, take in all that is there. (new pose, new picture)."""
        new_pose = new_picture = False
        message = self._subscriber.receive(timeout_s)
        for _ in range(16):  # conflated: a few per turn at most; bounded all the same
            if message is None:
                break
            if isinstance(message, PoseMessage):
                self._take_pose(message)
                new_pose = True
            elif isinstance(message, ImageMessage):
                new_picture |= self._take_picture(message)
            else:
                self.status = message
                self._status_at_s = time.monotonic()
            message = self._subscriber.receive(0)
        return new_pose, new_picture

    @property
    def state(self) -> str:
        """The state to show: that of the newest pose, or "waiting" while there is no live pose."""
        if self.pose is None or time.monotonic() - self._pose_at_s > SILENT_S:
            return "waiting"
        return self.pose.state

    def drawn(self, pose: PoseMessage) -> None:
        """The picture with this pose is on the screen now."""
        now = time.monotonic()
        latency = pose.age_ms()
        usable = latency is not None and 0.0 <= latency < _MAX_LATENCY_MS
        self._drawn.append((now, latency if usable else None))
        self._forget(now)
        self._on_screen = pose

    def ticked(self) -> None:
        """A picture is on the screen now, with a new pose or the one before: how old is what it shows?"""
        age_ms = None if self._on_screen is None else self._on_screen.age_ms()
        if age_ms is not None and 0.0 <= age_ms < _MAX_LATENCY_MS and self.state != "waiting":
            self._ages.add(age_ms)

    def ages_at_ticks(self) -> str:
        """What `ticked` found, in one line; empty before anything was shown. Until drawing returned: the display's own
        delay comes on top."""
        told = self._ages.report()
        if not told["count"]:
            return ""
        numbers = ", ".join(f"{key} {told[key]:.1f}" for key in ("p50", "p95", "p99", "max"))
        return f"{told['count']} pictures drawn; age of the pose in them, ms: {numbers}"

    def numbers(self, lead_ms: float | None = None) -> Numbers:
        """The live line, as of now; lead_ms: how poses are shown (`PoseMessage.shown`)."""
        latency_ms = self.latency_ms()
        latency = "-" if latency_ms is None else f"{latency_ms:.0f} ms"
        if latency_ms is not None and self.pose is not None and (off_ms := self.pose.age_uncertainty_ms()):
            latency = f"{latency_ms:.0f} ± {off_ms:.1f} ms"  # the stream is on another host
        parts = [f"{self.fps():.1f} fps", f"capture to render {latency}", f"dropped {self.dropped()}"]
        parts += [lead] if (lead := self.lead(lead_ms)) else []
        if self.refused():
            parts.append(f"bad messages {self.refused()}")
        return Numbers(self.state, self.detail(), "   ".join(parts), self.source())

    def detail(self) -> str:
        """What goes with the state: the person and his score, or what is waited for; trouble with the camera."""
        if self.state == "waiting" or self.pose is None:
            detail = f"for {self.address}"
        else:
            detail = f"person {self.pose.person}   score {self.pose.score:.2f}"
        return detail + self._camera_trouble()

    def lead(self, lead_ms: float | None) -> str:
        """By how much the pose shown is led, of a stream that leads or where we do."""
        if lead_ms is not None:
            return f"lead {lead_ms:.0f} ms" if lead_ms else "lead off"
        led = None if self.pose is None or self.state == "waiting" else self.pose.lead
        return "" if led is None else f"lead {led.ms:.0f} ms"

    def source(self) -> str:
        return f"{self.address}   {self.pose.model} on {self.pose.body}" if self.pose is not None else ""

    def fps(self) -> float:
        """Poses drawn per second, of late."""
        self._forget(time.monotonic())
        if len(self._drawn) < 2:
            return 0.0
        return (len(self._drawn) - 1) / max(1e-3, self._drawn[-1][0] - self._drawn[0][0])

    def latency_ms(self) -> float | None:
        """From the picture's capture to its pose being drawn, median of late; None where it cannot be said."""
        self._forget(time.monotonic())
        latencies = [latency for _, latency in self._drawn if latency is not None]
        return float(np.median(latencies)) if latencies else None

    def published_fps(self) -> float | None:
        """What the live program says of itself; None while it says nothing."""
        if self.status is None or time.monotonic() - self._status_at_s > STATUS_S:
            return None
        fps = self.status.rates.get("published_fps")
        return float(fps) if isinstance(fps, (int, float)) else None

    def dropped(self) -> int:
        """Frames that the live program dropped, for whatever reason."""
        return 0 if self.status is None else int(_total(self.status.drops))

    def refused(self) -> int:
        """Messages that could not be read or shown."""
        return self._subscriber.bad + self.bad

    def close(self) -> None:
        self._subscriber.close()

    def _take_pose(self, message: PoseMessage) -> None:
        self.pose = message
        self._pose_at_s = time.monotonic()
        # The publisher keeps the last message for late joiners: received now, it may be old all the same.
        self._pose_at_s -= max(0.0, (message.publish_age_ms() or 0.0) / 1e3)

    def _take_picture(self, message: ImageMessage) -> bool:
        decoded = cv2.imdecode(np.frombuffer(message.jpeg, np.uint8), cv2.IMREAD_COLOR)
        if decoded is None:
            self.bad += 1
            return False
        image = cv2.cvtColor(decoded, cv2.COLOR_BGR2RGB)
        self.picture = Picture(image, message.landmarks, message.visibility)
        return True

    def _camera_trouble(self) -> str:
        """What the status message says of the camera when it is not live, while that is news."""
        if self.status is None or time.monotonic() - self._status_at_s > STATUS_S:
            return ""
        camera = self.status.camera.get("state", "live")
        return "" if camera == "live" else f"   camera {camera}"

    def _forget(self, now: float) -> None:
        while self._drawn and self._drawn[0][0] < now - RATE_S:
            self._drawn.popleft()


def _total(value: Any) -> float:
    if isinstance(value, dict):
        return sum(_total(part) for part in value.values())
    return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else 0.0
