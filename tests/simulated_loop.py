"""What the camera of `simulated_camera.py` sees of the clock when a program measures with it, event by event."""

from __future__ import annotations

import heapq
from collections.abc import Callable

import numpy as np
from simulated_camera import MS, Counts, SimulatedCamera, SimulatedScreen

from calib.echoes import Echo, Echoes
from calib.reader import ClockReader, Reading
from calib.schedule import Drawings, count_at, next_change_ns
from calib.sightings import Sightings

BEGIN_NS = 1_000 * MS
DRAWN_LATE_MS, ARRIVAL_MS = (
    1.0,
    1.0,
)  # the program is late by as much on average; the camera differs by as much
See = Callable[[int], Counts]  # the moment of an exposure's middle → what is read in the picture


def seen_in_pictures(camera: SimulatedCamera, screen: SimulatedScreen, lanes: int) -> See:
    reader = ClockReader(lanes)
    return lambda middle_ns: reader.read(camera.picture(screen, middle_ns)).counts


def seen_at_once(screen: SimulatedScreen) -> See:
    """Without pictures: what was on the screen in that moment."""
    return lambda middle_ns: next(iter(screen.shares(middle_ns, middle_ns + 1)), (None, None))


def film_clock(
    camera: SimulatedCamera, screen: SimulatedScreen, seconds: float, openings: int = 1, pictures: bool = True
) -> tuple[Sightings, Drawings]:
    """`openings` times `seconds` of one clock."""
    chance = np.random.default_rng(camera.seed)
    see = seen_in_pictures(camera, screen, 1) if pictures else seen_at_once(screen)
    begin_ns = BEGIN_NS + int(chance.uniform(0, 80_000)) * MS
    end_ns = begin_ns + round((seconds + 1) * openings * 1000 + 1000) * MS
    drawings, t_ns = Drawings(1), begin_ns
    while t_ns < end_ns:
        drawn_ns = t_ns + round(chance.exponential(DRAWN_LATE_MS) * MS)
        drawings.add(drawn_ns, (count_at(t_ns),))
        screen.draw(drawn_ns, (count_at(t_ns),))
        t_ns = next_change_ns(t_ns)
    sightings, period_ns = Sightings(), 1e9 / camera.fps
    for opening in range(openings):
        sightings.camera_opened()
        first_ns = begin_ns + 500 * MS + opening * (seconds + 1) * 1e9 + chance.uniform(0, period_ns)
        for k in range(round(seconds * camera.fps)):
            middle_ns = round(first_ns + k * period_ns)
            arrival_ns = middle_ns + round((camera.latency_ms + chance.normal(0, ARRIVAL_MS)) * MS)
            counts = see(middle_ns)
            sightings.add(arrival_ns, Reading(counts, "" if counts[0] is not None else "unreadable"))
    return sightings, drawings


def film_loop(
    camera: SimulatedCamera,
    screen: SimulatedScreen,
    stream_ms: float,
    seconds: float,
    every: int = 1,
    pictures: bool = True,
) -> tuple[Echoes, Drawings]:
    """Two clocks, filmed by the camera of a stream whose poses come `stream_ms` after their picture's arrival and whose
    picture topic has every `every`th frame, later still.
    """
    chance = np.random.default_rng(camera.seed)
    see = seen_in_pictures(camera, screen, 2) if pictures else seen_at_once(screen)
    begin_ns = BEGIN_NS + int(chance.uniform(0, 80_000)) * MS
    drawings, echoes, events = Drawings(2), Echoes(camera.seed), _Events()
    shown: list[int | None] = [None, None]

    def draw(t_ns: int, lane: int, count: int) -> None:
        shown[lane] = count
        drawings.add(t_ns, (shown[0], shown[1]))
        screen.draw(t_ns, (shown[0], shown[1]))

    def late_ns(mean_ms: float) -> int:
        return round(chance.exponential(mean_ms) * MS)

    def step(t_ns: int) -> None:
        draw(t_ns + late_ns(DRAWN_LATE_MS) // 4, 0, count_at(t_ns))
        events.at(next_change_ns(t_ns), lambda: step(next_change_ns(t_ns)))

    def picture(k: int, captured_ns: int, counts: Counts, now_ns: int) -> None:
        echo = echoes.picture_came(k, captured_ns, counts, now_ns)
        if echo is not None:
            events.at(echo.due_ns, lambda: show(echo))

    def show(echo: Echo) -> None:
        draw(echo.due_ns, 1, echo.count)

    def expose(k: int, middle_ns: int) -> None:
        captured_ns = middle_ns + round((camera.latency_ms + chance.normal(0, ARRIVAL_MS)) * MS)
        pose_ns = captured_ns + round(stream_ms * MS) + late_ns(DRAWN_LATE_MS)
        events.at(pose_ns, lambda: echoes.pose_came(k, pose_ns))
        if k % every == 0:
            counts = see(middle_ns)
            now_ns = pose_ns + 4 * MS + late_ns(2.0)
            events.at(now_ns, lambda: picture(k, captured_ns, counts, now_ns))

    events.at(begin_ns, lambda: step(begin_ns))
    first_ns, half_ns = (
        begin_ns + 300 * MS + chance.uniform(0, 1e9 / camera.fps),
        round(camera.exposure_ms * MS),
    )
    for k in range(round(seconds * camera.fps)):
        middle_ns = round(first_ns + k * 1e9 / camera.fps)
        # Once all is drawn that the exposure may see; what comes of it comes later still, by the camera's latency.
        events.at(middle_ns + half_ns, lambda k=k, middle_ns=middle_ns: expose(k, middle_ns))
    events.run(begin_ns + round(seconds * 1e9))
    return echoes, drawings


class _Events:
    def __init__(self) -> None:
        self._queue: list[tuple[int, int, Callable[[], None]]] = []
        self._number = 0

    def at(self, t_ns: int, what: Callable[[], None]) -> None:
        self._number += 1
        heapq.heappush(self._queue, (t_ns, self._number, what))

    def run(self, until_ns: int) -> None:
        while self._queue and self._queue[0][0] <= until_ns:
            heapq.heappop(self._queue)[2]()
