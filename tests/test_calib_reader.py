"""The clock in pictures: blurred, noisy, aslant, mirrored, under a reflection, in the middle of a change; or absent."""

from collections import Counter

import cv2
import numpy as np
import pytest
from simulated_camera import MS, SimulatedCamera, SimulatedScreen

from calib.pattern import draw_clock
from calib.reader import ClockReader

STEP_MS = 40


def screen() -> SimulatedScreen:
    shown = SimulatedScreen()
    for i in range(40):
        shown.draw(i * STEP_MS * MS, ((2030 + i) % 2048, (500 + 3 * i) % 2048))
    return shown


CONDITIONS = {
    "plain": {},
    "blur": {"blur_px": 3.0},
    "noise": {"noise": 20.0},
    "far and aslant": {"fill": 0.5, "tilt": 0.1},
    "small picture": {"size": (480, 360)},
    "large picture": {"size": (1280, 720)},
    "dark": {"white": 70.0, "black": 20.0, "noise": 3.0},
    "mirrored": {"mirrored": True},
    "upside down": {"upside_down": True},
    "long exposure, rolling": {"exposure_ms": 25.0, "readout_ms": 30.0},
    "poor JPEG": {"jpeg_quality": 25},
}


@pytest.mark.parametrize("condition", CONDITIONS)
@pytest.mark.parametrize("seed", range(2))
def test_the_clocks_are_read_as_they_were_shown(condition, seed) -> None:
    shown, camera, reader = screen(), SimulatedCamera(seed=seed, **CONDITIONS[condition]), ClockReader(2)
    read = [0, 0]
    for k in range(8):
        middle_ns = round((450 + 33.3 * k) * MS)
        truth = next(iter(shown.shares(middle_ns, middle_ns + 1)))
        for lane, count in enumerate(reader.read(camera.picture(shown, middle_ns)).counts):
            if count is not None:
                read[lane] += 1
                steps = (count - truth[lane]) % 2048 if lane == 0 else ((count - truth[lane]) % 2048) / 3
                assert steps in (0, 1, 2047, 2045 / 3), (
                    f"clock {lane} showed {truth[lane]} and was read as {count}"
                )
    assert (
        read[0] >= 7
    )  # the second clock changes by three steps at once: in the middle of that it is not read
    assert read[1] >= 4


@pytest.mark.parametrize("place", [(0.4, 0.5), (0.2, 0.35), (0.6, 0.3)])
def test_a_reflection_covers_boxes_and_nothing_wrong_is_read(place) -> None:
    shown, reader = screen(), ClockReader(1)
    shown.shown = [counts[:1] for counts in shown.shown]
    camera = SimulatedCamera(glare=230.0, glare_at=place, exposure_ms=2.0, tilt=0.02)
    got = []
    for k in range(20):
        middle_ns = round((300 + STEP_MS * k + 33) * MS)
        seen = [count for (count,) in shown.shares(middle_ns - MS, middle_ns + MS)]  # two, across a change
        count = reader.read(camera.picture(shown, middle_ns)).counts[0]
        assert count is None or count in seen
        got.append(count)
    assert sum(count is not None for count in got) >= 15


def test_pictures_without_a_clock() -> None:
    chance = np.random.default_rng(0)
    reader, boards = (
        ClockReader(1),
        np.kron(np.indices((10, 20)).sum(0) % 2 * 255, np.ones((40, 32))).astype(np.uint8),
    )
    noise = chance.integers(0, 256, (480, 640, 3), np.uint8)
    window = np.full((480, 640, 3), 200, np.uint8)
    cv2.rectangle(window, (100, 100), (500, 300), (10, 10, 10), 16)
    for image in (np.zeros((480, 640, 3), np.uint8), noise, boards, window):
        reading = reader.read(image)
        assert (
            reading.counts == (None,) and reading.trouble
        )  # which one is a guess, from what came nearest to a clock


def troubles(**settings: object) -> Counter[str]:
    shown = SimulatedScreen()
    shown.draw(0, (77,))
    cameras = [SimulatedCamera(seed=seed, **{"tilt": 0.0, **settings}) for seed in range(6)]
    return Counter(ClockReader(1).read(camera.picture(shown, 100 * MS)).trouble for camera in cameras)


def test_what_is_in_the_way_is_told() -> None:
    assert troubles() == {"": 6}
    for fill, tilt in (
        (0.12, 0.01),
        (0.13, 0.0),
        (0.14, 0.01),
        (0.15, 0.0),
    ):  # darker all around than its frame
        assert troubles(fill=fill, tilt=tilt)["too small"] >= 5
    for white, black in ((40.0, 27.0), (200.0, 185.0)):  # darker and lighter than the room
        assert troubles(white=white, black=black, noise=0.5) == {"too faint": 6}
    assert set(troubles(blur_px=11.0, fill=0.6)) <= {"unreadable", "not found"}


def test_white_that_the_pictures_edge_cuts_off_is_not_missed() -> None:
    for fill in (1.0, 1.1, 1.15):
        assert troubles(fill=fill, tilt=0.01) == {"": 6}


def test_dark_boxes_of_something_else_are_no_clock_that_is_too_small() -> None:
    """It said "move the camera nearer" of every room in which something is dark and has four corners."""
    chance = np.random.default_rng(3)
    told = Counter()
    for _ in range(200):
        boxes = np.kron(chance.choice([32, 224], (5, 8)), np.ones((24, 20))).astype(np.uint8)
        told[ClockReader(1).read(cv2.imdecode(cv2.imencode(".jpg", boxes)[1], 0)).trouble] += 1
    assert told == {"not found": 200}


def test_a_camera_that_moves_is_followed() -> None:
    shown, reader = screen(), ClockReader(2)
    troubles: Counter[str] = Counter()
    for k in range(12):
        camera = SimulatedCamera(seed=k, tilt=0.08, exposure_ms=2.0)
        troubles[reader.read(camera.picture(shown, round((300 + STEP_MS * k + 33) * MS))).trouble] += 1
    assert troubles == {"": 12}


def test_an_empty_second_clock_is_none_and_the_first_is_read() -> None:
    picture = cv2.GaussianBlur(draw_clock((1000, None), 16), (5, 5), 0)
    reading = ClockReader(2).read(picture)
    assert reading.counts == (1000, None) and reading.trouble == ""
