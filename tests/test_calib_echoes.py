"""The whole loop in simulated time: camera, stream and screen of known delays, and their sum comes out."""

import numpy as np
import pytest
from simulated_camera import MS, SimulatedCamera, SimulatedScreen
from simulated_loop import DRAWN_LATE_MS, film_loop

from calib.echoes import GIVE_UP_NS, Echoes
from calib.estimate import MeasurementError
from calib.schedule import Drawings


@pytest.mark.parametrize(("fps", "every"), [(15, 1), (30, 1), (30, 2), (60, 2)])
def test_the_loop_from_20_to_200_ms_for_many_seeds(fps, every) -> None:
    errors_ms, limits_ms = [], []
    for seed in range(8):
        chance = np.random.default_rng(seed)
        loop_ms = 20 + 180 * seed / 7
        camera_ms = (loop_ms - 4) * chance.uniform(0.3, 0.7)
        camera = SimulatedCamera(fps=fps, latency_ms=camera_ms, seed=seed, size=(64, 48))
        screen = SimulatedScreen(delay_ms=2.0, refresh_hz=1000.0)
        stream_ms = loop_ms - camera_ms - screen.mean_delay_ms - DRAWN_LATE_MS
        echoes, drawings = film_loop(camera, screen, stream_ms, 30.0, every, pictures=False)
        delay = echoes.latency(drawings)
        errors_ms.append(delay.median_ms - loop_ms)
        limits_ms.append(delay.uncertainty_ms)
    assert np.abs(errors_ms).max() < 2.0, errors_ms
    assert (np.abs(errors_ms) <= limits_ms).mean() >= 0.75


@pytest.mark.parametrize(
    ("fps", "every", "exposure_ms", "readout_ms"),
    [(15, 1, 20.0, 30.0), (30, 1, 25.0, 30.0), (60, 2, 8.0, 12.0)],
)
def test_the_loop_from_pictures_within_2_ms(fps, every, exposure_ms, readout_ms) -> None:
    camera = SimulatedCamera(
        fps=fps,
        latency_ms=47.0,
        exposure_ms=exposure_ms,
        readout_ms=readout_ms,
        seed=fps,
        size=(320, 240),
        blur_px=0.7,
    )
    screen = SimulatedScreen(delay_ms=12.0, refresh_hz=1000.0)
    echoes, drawings = film_loop(camera, screen, 31.0, 20.0 if fps < 60 else 12.0, every)
    delay = echoes.latency(drawings)
    assert abs(delay.median_ms - (47.0 + 31.0 + DRAWN_LATE_MS + screen.mean_delay_ms)) < 2.0, delay


def test_an_echo_is_held_until_it_is_seen_or_given_up() -> None:
    echoes = Echoes()
    echoes.pose_came(0, 10 * MS)
    first = echoes.picture_came(0, 0, (100, None), 12 * MS)
    assert first is not None and first.count == 100 and 12 * MS <= first.due_ns < 46 * MS
    echoes.pose_came(1, 43 * MS)
    assert echoes.picture_came(1, 33 * MS, (101, None), 45 * MS) is None  # not seen yet
    assert (
        echoes.picture_came(2, 66 * MS, (102, 100), 78 * MS) is None
    )  # seen, but the pose of this frame is missing
    assert echoes.seen == 1
    echoes.pose_came(3, 110 * MS)
    second = echoes.picture_came(3, 99 * MS, (103, 100), 112 * MS)
    assert second is not None and second.count == 103
    late_ns = second.due_ns + GIVE_UP_NS
    echoes.pose_came(90, late_ns - MS)
    third = echoes.picture_came(90, late_ns - 10 * MS, (160, 100), late_ns)
    assert third is not None and third.count == 160 and echoes.seen == 1


def test_what_the_first_echo_replaced_is_not_known_so_it_does_not_count() -> None:
    echoes, drawings = Echoes(), Drawings(2)
    echoes.pose_came(0, 10 * MS)
    first = echoes.picture_came(0, 0, (100, None), 12 * MS)
    drawings.add(first.due_ns, (101, 100))
    echoes.picture_came(1, 66 * MS, (102, 100), 78 * MS)
    with pytest.raises(MeasurementError, match="only 0 readings"):
        echoes.latency(drawings)
