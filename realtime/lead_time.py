"""How far the pose is led: by as much as it will be old when somebody sees it.

    picture ──camera──► program ──pipeline──► bus ──display──► seen
              measured          counted              stated

A lead that jumped from frame to frame would be jitter. So the way through the program is its median over some seconds,
and while a person is led the lead goes after it by a hundredth of the time: motion is shown 1 % faster or slower, which
nobody sees.
"""

from __future__ import annotations

import logging
import math
from typing import TYPE_CHECKING, Any

from realtime.camera.latency import CameraLatency, stored_latency
from realtime.config import MAX_LEAD_MS, Config
from realtime.errors import ConfigError

if TYPE_CHECKING:
    from realtime.summary import Tally

RECENT_FRAMES = 300  # the median of the way through the program is over so many: 10 s at 30 fps
LOOK_S = 0.5  # and is taken this often
DRIVER = "its driver's stamps"
DISPLAY_MS = 25.0  # of a receiver that nobody has measured: one and a half periods of a screen at 60 Hz
SLEW = 0.01  # the lead changes by this share of the time that passes

log = logging.getLogger(__name__)


def asked_ms(mode: str) -> float | None:
    """`--lead` → milliseconds, 0 for off, None for auto. Raises ConfigError."""
    if mode in ("auto", "off"):
        return None if mode == "auto" else 0.0
    try:
        ms = float(mode)
    except ValueError:
        ms = math.nan
    if not 0 <= ms <= MAX_LEAD_MS:  # false for NaN, too
        raise ConfigError(f"--lead {mode}: expected auto, off, or milliseconds from 0 to {MAX_LEAD_MS:g}")
    return ms


def camera_latency(config: Config, measured: CameraLatency | None) -> tuple[float, str, float]:
    """(from light to the picture's arrival here in ms, how that is known, what a display adds to it in ms).
    measured: of this source, if it was. A measurement that has a screen in it already is given only what the user says
    comes on top.
    """
    display_ms = DISPLAY_MS if config.lead.display_ms is None else config.lead.display_ms
    if config.camera.latency_ms is not None:
        return config.camera.latency_ms, "camera.latency_ms", display_ms
    if measured is None:
        return 0.0, "not measured", display_ms
    if measured.with_screen:
        return measured.latency_ms, "python -m calib.latency, with the screen", config.lead.display_ms or 0.0
    return measured.latency_ms, "python -m calib.latency", display_ms


class LeadTime:
    """The lead of one stream, frame by frame. tally: where its way through the program is counted; furthest_ms: as far
    as poses are foretold, 0 where they are not.

    Raises ConfigError for a number of milliseconds beyond that.
    """

    def __init__(self, config: Config, camera: str, tally: Tally, furthest_ms: float) -> None:
        self._asked, self._asked_ms = f"--lead {config.lead.mode}", asked_ms(config.lead.mode)
        self._furthest_ms = furthest_ms
        self._every_frame = config.every_frame
        is_asked = self._asked_ms is not None or config.camera.latency_ms is not None
        self._measured = None if is_asked or self.off else stored_latency(camera)
        known = camera_latency(config, self._measured)
        self._camera_ms, self._camera_known, self._display_ms = known
        self._way, self._stamped = tally.stages["arrival_to_publish"], tally.stages["camera"]
        self._way_ms = 0.0
        self._told: set[tuple[int, int]] = set()  # sizes that the log has
        self._looked_ns: int | None = None
        self._ms: float | None = None
        self._t_ns = 0
        if self._asked_ms is not None and self._asked_ms > furthest_ms:
            ahead = config.runtime.ahead_ms
            more = ",".join(filter(None, (ahead, config.lead.mode)))
            raise ConfigError(
                f"--lead {config.lead.mode}: poses are foretold {furthest_ms:g} ms ahead (runtime.ahead_ms={ahead})\n"
                f"give no more, or have more foretold: --set runtime.ahead_ms={more}"
            )

    @property
    def off(self) -> str:
        """Why nothing is led; "" where it is."""
        if self._asked_ms is not None:
            return "" if self._asked_ms else self._asked
        if self._every_frame:
            return "--every-frame: nobody watches"
        return "" if self._furthest_ms else "runtime.ahead_ms is empty: nothing is foretold"

    def check_mode(self, width: int, height: int) -> None:
        """Of each picture: other sizes than was measured are said in the log, once: their latency is another, too."""
        one, size = self._measured, (width, height)
        if one is not None and size not in (*self._told, (one.width, one.height)):
            self._told.add(size)
            log.warning(
                "the camera's latency was measured at %d×%d, and it runs at %d×%d: %.0f ms may be wrong;"
                " python -m calib.latency measures anew",
                *(one.width, one.height, width, height, one.latency_ms),
            )

    def next_ms(self, t_ns: int, led: bool) -> float | None:
        """Milliseconds to lead the frame taken at t_ns, None where nothing is led. Call it once for every frame, in
        order. led: a person is being led; else it may change at once, since nobody sees that."""
        if self.off:
            return None
        if self._asked_ms is not None:
            return self._asked_ms
        passed_ns, self._t_ns = t_ns - self._t_ns, t_ns
        if not led or self._looked_ns is None or not 0 <= t_ns - self._looked_ns < LOOK_S * 1e9:
            self._looked_ns = t_ns
            self._look()
        target_ms = min(self._furthest_ms, self._camera_ms + self._way_ms + self._display_ms)
        if self._ms is None or not led:
            self._ms = target_ms
        else:
            most_ms = SLEW * max(0, passed_ns) / 1e6
            self._ms += min(most_ms, max(-most_ms, target_ms - self._ms))
        return self._ms

    def _look(self) -> None:
        self._way_ms = self._way.recent_ms(RECENT_FRAMES) or 0.0
        if self._camera_known in ("not measured", DRIVER):
            stamped_ms = self._stamped.recent_ms(RECENT_FRAMES)
            if stamped_ms is not None:  # a part of the camera's latency is better than nothing
                self._camera_ms, self._camera_known = stamped_ms, DRIVER

    def describe(self) -> dict[str, Any]:
        """For status and summary: `mode` (auto, fixed, off); ms now, and with auto the parts that it is made of."""
        if self.off:
            return {"mode": "off", "why": self.off}
        if self._asked_ms is not None:
            return {"mode": "fixed", "ms": self._asked_ms}
        return {
            "mode": "auto",
            "ms": None if self._ms is None else round(self._ms, 3),
            "camera_ms": round(self._camera_ms, 3),
            "camera": self._camera_known,
            "pipeline_ms": round(self._way_ms, 3),
            "display_ms": self._display_ms,
            "furthest_ms": self._furthest_ms,
        }

    def in_words(self) -> str:
        """One line, for people."""
        if self.off:
            return f"off ({self.off})"
        if self._asked_ms is not None:
            return f"{self._asked_ms:g} ms, as asked"
        camera = f"{self._camera_ms:.0f} ms" if self._camera_ms else "0"
        parts = f"camera {camera} ({self._camera_known}) + way to the bus + display {self._display_ms:.0f} ms"
        return f"{parts}; at most {self._furthest_ms:.0f} ms"
