"""A simulated camera of known latency, filming a simulated screen: the latency comes out."""

import numpy as np
import pytest
from simulated_camera import SimulatedCamera, SimulatedScreen
from simulated_loop import film_clock

from calib.estimate import MeasurementError
from calib.reader import Reading
from calib.schedule import Drawings
from calib.sightings import Sightings

SECONDS = {15: 12.0, 30: 8.0, 60: 5.0}
SMALL = {"size": (320, 240), "blur_px": 0.8}  # quick to draw


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize(
    ("fps", "exposure_ms", "readout_ms"),
    [(15, 60.0, 40.0), (30, 8.0, 25.0), (30, 30.0, 0.0), (60, 12.0, 12.0)],
)
def test_camera_latency_from_pictures_within_2_ms(fps, exposure_ms, readout_ms, seed) -> None:
    latency_ms = float(np.random.default_rng(100 * seed + fps + int(exposure_ms)).uniform(10, 180))
    camera = SimulatedCamera(
        fps=fps, latency_ms=latency_ms, exposure_ms=exposure_ms, readout_ms=readout_ms, seed=seed, **SMALL
    )
    # A screen that shows at once what is drawn: its delay is known to the millisecond.
    screen = SimulatedScreen(delay_ms=12.0, refresh_hz=1000.0)
    sightings, drawings = film_clock(camera, screen, SECONDS[fps])
    delay = sightings.latency(drawings)
    error_ms = delay.median_ms - latency_ms - screen.mean_delay_ms
    assert abs(error_ms) < 2.0, delay
    assert abs(error_ms) < 2 * delay.uncertainty_ms, delay
    assert delay.observations > 0.9 * sightings.pictures


@pytest.mark.parametrize("fps", [15, 30, 60])
def test_camera_latency_from_20_to_200_ms_for_many_seeds(fps) -> None:
    errors_ms, limits_ms = [], []
    for seed in range(10):
        camera = SimulatedCamera(fps=fps, latency_ms=20 + 180 * seed / 9, seed=seed, size=(64, 48))
        screen = SimulatedScreen(delay_ms=12.0, refresh_hz=1000.0)
        sightings, drawings = film_clock(camera, screen, SECONDS[fps], pictures=False)
        delay = sightings.latency(drawings)
        errors_ms.append(delay.median_ms - camera.latency_ms - screen.mean_delay_ms)
        limits_ms.append(delay.uncertainty_ms)
    assert np.abs(errors_ms).max() < 2.0
    assert (np.abs(errors_ms) <= limits_ms).mean() >= 0.8


@pytest.mark.parametrize("refresh_hz", [60.0, 59.95, 144.0])
def test_in_step_with_the_screen_several_openings_tell_how_sure_it_is(refresh_hz) -> None:
    """At 30 fps each opening sees another moment between two refreshes, always the same."""
    errors_ms, limits_ms = [], []
    for seed in range(8):
        camera = SimulatedCamera(fps=30, latency_ms=60.0, seed=seed, size=(64, 48))
        screen = SimulatedScreen(delay_ms=12.0, refresh_hz=refresh_hz)
        sightings, drawings = film_clock(camera, screen, 3.0, openings=6, pictures=False)
        delay = sightings.latency(drawings)
        errors_ms.append(delay.median_ms - 60.0 - screen.mean_delay_ms)
        limits_ms.append(delay.uncertainty_ms)
    assert np.sqrt(np.mean(np.square(errors_ms))) < 500 / refresh_hz / 2
    assert (np.abs(errors_ms) <= limits_ms).mean() >= 0.75
    assert np.mean(limits_ms) < 500 / refresh_hz


def test_too_little_seen_is_refused_with_advice() -> None:
    sightings = Sightings()
    sightings.camera_opened()
    for i in range(100):
        sightings.add(i, Reading((None,), "too small" if i % 3 else "unreadable"))
    with pytest.raises(MeasurementError, match="0 of 100 pictures .too small.;\nmove the camera nearer"):
        sightings.latency(Drawings(1))


def test_too_few_pictures_are_refused() -> None:
    camera, screen = SimulatedCamera(size=(64, 48)), SimulatedScreen()
    sightings, drawings = film_clock(camera, screen, 0.5, pictures=False)
    with pytest.raises(MeasurementError, match="only .* readings.*\n.*measure longer"):
        sightings.latency(drawings)


def test_another_programs_clock_is_refused() -> None:
    camera, screen = SimulatedCamera(size=(64, 48)), SimulatedScreen()
    sightings, _ = film_clock(camera, screen, 5.0, pictures=False)
    with pytest.raises(MeasurementError, match="not the one that is shown here"):
        sightings.latency(Drawings(1))
