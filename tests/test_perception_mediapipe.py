"""MediaPipe's own: its complexities, and the models that it downloads."""

import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from people import perception_of

from realtime.config import Config
from realtime.errors import ConfigError, LoadError
from realtime.perception import in_short, make_perception
from realtime.perception.mediapipe_pose import MODELS, MediaPipePose

mediapipe = pytest.importorskip("mediapipe", reason="the extra [mediapipe] is not installed")
from mediapipe.python.solutions import download_utils  # noqa: E402

HEAVY = Path(mediapipe.__file__).parent / "modules" / "pose_landmark" / MODELS[2]


def test_describes_itself():
    made = perception_of("mediapipe")
    assert made.describe() == {"name": "mediapipe", "version": mediapipe.__version__, "complexity": 1}
    made.close()


@pytest.mark.parametrize("complexity", [-1, 3])
def test_unknown_complexity(complexity):
    with pytest.raises(ConfigError, match=f"complexity={complexity}.*0, 1 or 2"):
        MediaPipePose(complexity)


@pytest.fixture
def no_heavy_model():
    if HEAVY.exists():
        pytest.skip("MediaPipe's model of complexity 2 is on this machine already")
    yield
    HEAVY.unlink(missing_ok=True)


def check_refusal(reason):
    config = Config()
    config.perception.name, config.perception.complexity = "mediapipe", 2
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


@pytest.mark.parametrize("mirror", ["auto", "off"])
def test_one_look_is_what_it_has(mirror):
    made = perception_of("mediapipe", mirror=mirror)
    assert in_short(made) == "mediapipe"
    made.close()


REFUSED = [("mirror", "both"), ("mirror", "alternate"), ("map", "on"), ("mask", True)]


@pytest.mark.parametrize(("key", "value"), REFUSED)
def test_what_only_blazepose_does_is_not_ignored(key, value):
    config = Config()
    config.perception.name = "mediapipe"
    setattr(config.perception, key, value)
    with pytest.raises(ConfigError, match=f"perception.{key}: mediapipe does not have it"):
        make_perception(config)
