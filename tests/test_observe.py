"""What is kept of a video for training is what the live perception says of it, look by look."""

import numpy as np
import pytest
from people import perception_of, pictures

from realtime.errors import LoadError
from training.observe import LOOKS, Observer, shares

STEP_S = 1.0 / 30.0
FRAMES = 8


@pytest.fixture(scope="module")
def film():
    return pictures(FRAMES)


@pytest.fixture(scope="module")
def seen(film):
    observer = Observer()
    found = observer.observe(film, STEP_S * np.arange(FRAMES))
    observer.close()
    assert found.detected.all()
    return found


@pytest.mark.parametrize(
    ("mirror", "look", "same"),
    [
        ("off", "plain", FRAMES),
        # In these the person's square follows the looks of their own: it is the same until they first differ.
        ("both", "both", 1),
        ("alternate", "alternate", 2),
    ],
)
def test_a_look_is_that_of_its_mode(film, seen, mirror, look, same):
    live = perception_of("blazepose", mirror=mirror)
    k = LOOKS.index(look)
    for frame, picture in enumerate(film):
        found = live.process(picture, int((1.0 + STEP_S * frame) * 1e9))
        kept = seen.landmarks_px[frame, k], seen.world[frame, k], seen.visibility[frame, k]
        if frame < same:
            for one, other in zip(kept, (found.landmarks_px, found.world, found.visibility), strict=True):
                assert np.abs(one - other).max() < 1e-4
        height_px = np.ptp(found.landmarks_px[:, 1])
        assert np.median(np.linalg.norm(kept[0] - found.landmarks_px, axis=1)) < 0.01 * height_px
    live.close()


def test_the_looks_differ_and_so_do_their_maps(seen):
    for one in range(len(LOOKS)):
        for other in range(one):
            assert np.abs(seen.world[-1, one] - seen.world[-1, other]).max() > 1e-3
    assert np.isfinite(seen.maps).all() and np.abs(seen.maps[:, 0] - seen.maps[:, 1]).max() > 0.1


def test_a_video_is_seen_alike_twice(film, seen):
    observer = Observer()
    observer.observe(film[:3], STEP_S * np.arange(3))  # remembers nothing of it
    again = observer.observe(film, STEP_S * np.arange(FRAMES))
    observer.close()
    assert np.array_equal(again.landmarks_px, seen.landmarks_px) and np.array_equal(again.maps, seen.maps)


def test_nothing_to_learn_from_is_said():
    with pytest.raises(LoadError, match="give more of them") as caught:
        shares([])
    assert len(str(caught.value).splitlines()) == 2
