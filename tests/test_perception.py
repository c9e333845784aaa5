"""What every perception must do, whichever it is."""

import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from people import perception_of, pictures

from realtime.cli import parse
from realtime.config import Config
from realtime.errors import ConfigError
from realtime.perception import PERCEPTIONS, make_perception

LEFT_SHOULDER, RIGHT_SHOULDER, LEFT_HIP, RIGHT_HIP, LEFT_ANKLE, NOSE = 11, 12, 23, 24, 27, 0
ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module", params=sorted(PERCEPTIONS))
def perception(request):
    made = perception_of(request.param)
    yield made
    made.close()
    made.close()


@pytest.fixture
def fresh(perception):
    perception.reset()
    return perception


def arrays(detection):
    return np.concatenate([detection.landmarks_px, detection.world, detection.visibility[:, None]], axis=1)


def test_a_real_person(fresh):
    image = pictures(1)[0]
    untouched = image.copy()
    found = fresh.process(image, 0)
    assert np.array_equal(image, untouched)
    assert arrays(found).shape == (33, 6)
    assert {found.landmarks_px.dtype, found.world.dtype, found.visibility.dtype} == {np.dtype(np.float32)}
    assert found.mask is None
    height, width = image.shape[:2]
    torso = found.landmarks_px[[LEFT_SHOULDER, RIGHT_SHOULDER, LEFT_HIP, RIGHT_HIP]]
    assert (torso > 0).all()
    assert (torso < [width, height]).all()
    assert found.visibility[[LEFT_SHOULDER, RIGHT_SHOULDER]].min() > 0.9
    # World axes are those of the picture (x right, y down), in metres, from between the hips.
    world = found.world
    assert np.abs(world[[LEFT_HIP, RIGHT_HIP]].mean(axis=0)).max() < 0.02
    assert world[NOSE, 1] < -0.4 < 0.5 < world[LEFT_ANKLE, 1]
    for axis in (0, 1):
        assert np.corrcoef(world[:, axis], found.landmarks_px[:, axis])[0, 1] > 0.7
    across_m = world[LEFT_SHOULDER, 0] - world[RIGHT_SHOULDER, 0]
    assert abs(across_m) > 0.1, "wants a person seen from the front or from behind"
    nose_m = world[NOSE, 2] - world[[LEFT_SHOULDER, RIGHT_SHOULDER], 2].mean()
    assert (nose_m < 0) == (across_m > 0)  # z is away from the camera: from the front, the nose is nearer


def test_a_person_of_which_a_third_is_shown(fresh):
    image = pictures(1)[0]
    found = fresh.process(image, 0)
    bottom = int(found.landmarks_px[[LEFT_HIP, RIGHT_HIP], 1].mean())
    fresh.reset()
    at_desk = fresh.process(image[:bottom], 0)
    shoulders = [LEFT_SHOULDER, RIGHT_SHOULDER]
    error_px = np.abs(at_desk.landmarks_px[shoulders] - found.landmarks_px[shoulders]).max()
    assert error_px < 0.04 * image.shape[0]


@pytest.mark.parametrize("pad", [(0, 400), (500, 0), (0, -1)], ids=["wide", "tall", "at the border"])
def test_the_same_person_in_another_picture(fresh, pad):
    """Black beside him, above him; or nothing beside him: the picture ends in the middle of his shoulder."""
    image = pictures(1)[0]
    found = fresh.process(image, 0).landmarks_px
    fresh.reset()
    top, left = pad
    if left < 0:
        left = -int(found[[LEFT_SHOULDER, RIGHT_SHOULDER], 0].min())
        other = np.ascontiguousarray(image[:, -left:])
    else:
        other = np.pad(image, ((top, 0), (left, 0), (0, 0)))
    again = fresh.process(other, 0).landmarks_px - [left, top]
    body = [NOSE, LEFT_SHOULDER, RIGHT_SHOULDER, LEFT_HIP, RIGHT_HIP, LEFT_ANKLE]
    assert np.abs(again[body] - found[body]).max() < 0.05 * image.shape[0]


def test_reset_is_as_good_as_new(fresh):
    first, second = pictures(2)
    alone = arrays(fresh.process(second, 0))
    fresh.reset()
    fresh.process(first, 0)
    followed = arrays(fresh.process(second, 33_000_000))
    fresh.reset()
    np.testing.assert_array_equal(arrays(fresh.process(second, 0)), alone)
    assert not np.array_equal(followed, alone)  # else this test says nothing


def test_two_side_by_side_in_two_threads(fresh):
    frames = pictures(4)
    alone = [arrays(fresh.process(frame, 33_000_000 * i)) for i, frame in enumerate(frames)]
    fresh.reset()
    mirrored = [np.ascontiguousarray(frame[:, ::-1]) for frame in frames]
    other, found = perception_of(fresh.name), []

    def run():
        found.extend(other.process(frame, 33_000_000 * i) for i, frame in enumerate(mirrored))

    thread = threading.Thread(target=run)
    thread.start()
    for i, (frame, expected) in enumerate(zip(frames, alone, strict=True)):
        np.testing.assert_array_equal(arrays(fresh.process(frame, 33_000_000 * i)), expected)
    thread.join()
    assert len(found) == 4
    assert None not in found
    other.close()


@pytest.mark.parametrize(
    "shape", [(1, 1, 3), (1, 700, 3), (700, 1, 3), (480, 640), (300, 200, 3), (0, 0, 3), (0, 5, 3)]
)
def test_pictures_with_nobody(fresh, shape):
    assert fresh.process(np.zeros(shape, np.uint8), 0) is None
    assert fresh.process(np.full(shape, 128, np.uint8), 0) is None


def test_one_who_is_gone_is_not_followed(fresh):
    image = pictures(1)[0]
    first = arrays(fresh.process(image, 0))
    assert fresh.process(np.zeros_like(image), 33_000_000) is None
    np.testing.assert_array_equal(arrays(fresh.process(image, 66_000_000)), first)


def test_grey_and_turned_pictures(fresh):
    image = pictures(1)[0]
    grey = fresh.process(image[..., 1], 0)  # not contiguous
    fresh.reset()
    in_colours = fresh.process(np.repeat(image[..., 1:2], 3, axis=2), 0)
    np.testing.assert_array_equal(arrays(grey), arrays(in_colours))
    fresh.reset()
    fresh.process(np.rot90(image), 0)  # lying


def test_says_nothing_on_the_terminal(perception):
    program = (
        f"import sys, logging; sys.path[:0] = [{str(ROOT)!r}, {str(ROOT / 'tests')!r}]\n"
        "logging.basicConfig(level=logging.WARNING)\n"
        "from people import perception_of, pictures\n"
        "print('ours', file=sys.stderr)\n"
        f"one, other = perception_of({perception.name!r}), perception_of({perception.name!r})\n"
        "assert one.process(pictures(1)[0], 0) is not None\n"
        "one.reset(); other.close(); one.close()\n"
    )
    pictures(1)  # skips here, not in there
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=100, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "ours\n")


def test_unknown_perception():
    config = Config()
    config.perception.name = "mediapype"
    with pytest.raises(ConfigError, match="mediapype.*known: blazepose, mediapipe"):
        make_perception(config)


def test_chosen_on_the_command_line():
    assert parse([]).perception.name == Config().perception.name
    for name in PERCEPTIONS:
        assert parse(["--perception", name]).perception.name == name
    assert parse([]).perception.mirror == "auto"
    for mode in ("auto", "off", "alternate", "both"):
        assert parse(["--set", f"perception.mirror={mode}"]).perception.mirror == mode
    assert parse(["--set", "perception.threads=0"]).perception.threads == 0
    for bad in (
        ["--perception", "kinect"],
        ["--set", "perception.name=kinect"],
        ["--set", "perception.mirror=yes"],
        ["--set", "perception.map=yes"],
        ["--set", "perception.engine=torch"],
        ["--set", "perception.threads=-1"],
    ):
        with pytest.raises(ConfigError):
            parse(bad)
