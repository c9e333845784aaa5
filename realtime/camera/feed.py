"""What every source answers, whatever it is: a feed of frames and its status."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, Protocol

from realtime.camera.drops import Drop
from realtime.observation import Frame

StampedBy = Literal["driver", "arrival", "clip"]
FeedState = Literal["live", "stalled", "reconnecting", "ended"]


@dataclass(frozen=True, slots=True)
class CameraStatus:
    """One source at one moment, as it is published."""

    name: str
    state: FeedState  # stalled: connected, but no new picture; reconnecting: connection lost, being made anew
    width: int  # pixels of the newest frame; 0 before the first
    height: int
    fps: float  # measured over the last seconds
    nominal_fps: float  # what the source claims to give; 0 where it claims nothing
    captured: int  # frames that the source gave
    skipped: int  # of those, replaced by a newer one before anybody used them
    reconnects: int  # times the source came back after it was lost
    age_ms: float | None  # since the newest frame arrived; None before the first
    message: str  # the mode in use, or what is wrong
    # What t_capture_ns is: the driver's stamp; when the picture reached us; the clip's own time line.
    stamped_by: StampedBy = "arrival"
    drops: dict[str, int] = field(
        default_factory=dict
    )  # reason (camera/drops.py) → frames; skipped is one of them


class FrameFeed(Protocol):
    """A source of frames. One feed is one source; any number of feeds work side by side."""

    @property
    def name(self) -> str:
        """Id of the source; `Frame.camera` of all its frames. Holds no password."""

    @property
    def ended(self) -> bool:
        """True once no frame will ever come again. Never true of a camera or URL that is open."""

    @property
    def expected_fps(self) -> float | None:
        """Pictures a second that it will give, as far as is known before `start`: of a file what its header says, of a
        camera what is asked of it. None: it gives the next one when it is asked for.
        """

    def start(self) -> None:
        """Open the source. Raises SourceError, and leaves nothing open, if it gives no picture."""

    def next(self, timeout_s: float) -> Frame | None:
        """Newest frame that was not yet given, waiting up to `timeout_s` seconds for it; else None."""

    def status(self) -> CameraStatus:
        """State and counters now; may be called from any thread."""

    def dropped(self) -> list[Drop]:
        """The latest frames that were not used, oldest first; may be called from any thread, after `close` too."""

    def close(self) -> None:
        """Stop for good, within about a second even if the backend's read() never returns."""
