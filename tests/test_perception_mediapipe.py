import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import mediapipe
import numpy as np
import pytest
from mediapipe.python.solutions import download_utils
from people import pictures

from realtime.config import Config
from realtime.errors import ConfigError, LoadError
from realtime.perception import make_perception
from realtime.perception.mediapipe_pose import MODELS, MediaPipePose

HEAVY = Path(mediapipe.__file__).parent / "modules" / "pose_landmark" / MODELS[2]
LEFT_SHOULDER, RIGHT_SHOULDER, LEFT_HIP, RIGHT_HIP, LEFT_ANKLE, NOSE = 11, 12, 23, 24, 27, 0


@pytest.fixture(scope="module")
def perception():
    made = make_perception(Config())
    yield made
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


def test_reset_is_as_good_as_new(fresh):
    first, second = pictures(2)
    alone = arrays(fresh.process(second, 0))
    fresh.reset()
    fresh.process(first, 0)
    followed = arrays(fresh.process(second, 1))
    fresh.reset()
    np.testing.assert_array_equal(arrays(fresh.process(second, 0)), alone)
    assert not np.array_equal(followed, alone)  # else this test says nothing


def test_two_side_by_side(fresh):
    frames = pictures(3)
    other = make_perception(Config())
    alone = [arrays(fresh.process(frame, 0)) for frame in frames]
    fresh.reset()
    for frame, expected in zip(frames, alone, strict=True):
        assert other.process(np.zeros_like(frame), 0) is None
        np.testing.assert_array_equal(arrays(fresh.process(frame, 0)), expected)
    other.close()
    other.close()


@pytest.mark.parametrize(
    "shape", [(1, 1, 3), (1, 700, 3), (700, 1, 3), (480, 640), (300, 200, 3), (0, 0, 3), (0, 5, 3)]
)
def test_pictures_with_nobody(fresh, shape):
    assert fresh.process(np.zeros(shape, np.uint8), 0) is None
    assert fresh.process(np.full(shape, 128, np.uint8), 0) is None


def test_grey_and_turned_pictures(fresh):
    image = pictures(1)[0]
    assert fresh.process(image[..., 1], 0) is not None
    fresh.reset()
    fresh.process(np.rot90(image), 0)  # not contiguous, lying


def test_describes_itself(fresh):
    assert fresh.describe() == {"name": "mediapipe", "version": mediapipe.__version__, "complexity": 1}


def test_says_nothing_on_the_terminal():
    program = (
        "import sys, logging; logging.basicConfig(level=logging.INFO)\n"
        "from people import pictures\n"
        "from realtime.perception.mediapipe_pose import MediaPipePose\n"
        "print('ours', file=sys.stderr)\n"
        "pose = MediaPipePose()\n"
        "assert pose.process(pictures(1)[0], 0) is not None\n"
        "pose.reset(); MediaPipePose().close(); pose.close()\n"
    )
    pictures(1)  # skips here, not in there
    root = Path(__file__).resolve().parent.parent
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            f"import sys; sys.path[:0] = [{str(root)!r}, {str(root / 'tests')!r}]\n{program}",
        ],
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "ours\n")


@pytest.mark.parametrize("complexity", [-1, 3])
def test_unknown_complexity(complexity):
    with pytest.raises(ConfigError, match=f"complexity={complexity}.*0, 1 or 2"):
        MediaPipePose(complexity)


def test_unknown_perception():
    config = Config()
    config.perception.name = "mediapype"
    with pytest.raises(ConfigError, match="mediapype.*known: mediapipe"):
        make_perception(config)


@pytest.fixture
def no_heavy_model():
    if HEAVY.exists():
        pytest.skip("MediaPipe's model of complexity 2 is on this machine already")
    yield
    HEAVY.unlink(missing_ok=True)


def check_refusal(reason):
    config = Config()
    config.perception.complexity = 2
    with pytest.raises(LoadError) as caught:
        make_perception(config)
    message = str(caught.value)
    assert len(message.splitlines()) == 2
    for part in ("complexity=2", "pose_landmark_heavy", reason, "--set perception.complexity=1"):
        assert part in message
    assert not HEAVY.exists()


def test_model_cannot_be_downloaded(no_heavy_model, monkeypatch, capfd):
    monkeypatch.setattr(download_utils, "_GCS_URL_PREFIX", "http://127.0.0.1:9/")  # nobody listens
    check_refusal("refused")
    assert capfd.readouterr() == ("", "")


class Damaged(BaseHTTPRequestHandler):
    """Breaks off in the middle of a model."""

    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write((HEAVY.parent / MODELS[1]).read_bytes()[:100_000])

    def log_message(self, *_):
        pass


def test_download_breaks_off(no_heavy_model, monkeypatch):
    server = HTTPServer(("127.0.0.1", 0), Damaged)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setattr(download_utils, "_GCS_URL_PREFIX", f"http://127.0.0.1:{server.server_port}/")
    try:
        check_refusal("damaged")
    finally:
        server.shutdown()
        server.server_close()
