"""Appearance features in the live path: of the frame's own map, only where asked for, refused where damaged."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from people import perception_of, pictures

from engines.gate import make_gate
from engines.graph_file import SEAL_LENGTH, sealed
from realtime import assets
from realtime.errors import LoadError
from realtime.features import APPEARANCE, HAS_APPEARANCE

torch = pytest.importorskip("torch", reason='the encoder\'s truth: pip install -e ".[torch]"')

ROOT = Path(__file__).resolve().parent.parent
STEP_NS = 33_333_000


@pytest.fixture(scope="module")
def encoder():
    """With weights that fp16 holds: its graph computes the same."""
    from engines.network.appearance import AppearanceEncoder

    torch.manual_seed(0)
    made = AppearanceEncoder().half().float().eval()
    made.std.fill_(3.0)
    return made


@pytest.fixture(scope="module")
def graph(encoder, tmp_path_factory):
    from engines.appearance import export_appearance

    path = tmp_path_factory.mktemp("graph") / assets.APPEARANCE
    export_appearance(encoder, path, {})
    return path


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder in place of assets/, with everything but the encoder."""
    for path in assets.ASSETS.iterdir():
        if path.name != assets.APPEARANCE:
            (tmp_path / path.name).symlink_to(path)
    monkeypatch.setattr(assets, "ASSETS", tmp_path)
    return tmp_path


@pytest.fixture
def shipped(folder, graph):
    """The same with an encoder."""
    (folder / assets.APPEARANCE).write_bytes(graph.read_bytes())
    return folder


def z_of(encoder, pose):
    """Of the map that the perception's last look gave."""
    with torch.inference_mode():
        return encoder(torch.from_numpy(pose._network.map("map").copy())[None])[0].numpy()


@pytest.mark.parametrize("mirror", ["off", "both"])
def test_of_the_map_of_every_plain_look(shipped, encoder, mirror):
    pose = perception_of("blazepose", mirror=mirror, engine="onnxruntime")
    told, kept = [], []
    for step, picture in enumerate(pictures(3)):
        found = pose.process(picture, step * STEP_NS).appearance
        assert (found.shape, found.dtype) == ((128,), np.float32)
        expected = z_of(encoder, pose)
        assert np.abs(found - expected).max() < 1e-4 * np.abs(expected).max()
        told.append(found)
        kept.append(found.copy())
    np.testing.assert_array_equal(told, kept)  # the runner's own buffer would have changed
    assert np.abs(told[0] - told[2]).max() > 1e-3 * np.abs(told[0]).max()
    pose.close()


def test_mirroring_beside_does_not_touch_it(shipped):
    """The second look is another graph's: the plain one's map is the same with it and without."""
    picture = pictures(1)[0]
    plain, both = (
        perception_of("blazepose", mirror=mirror, engine="onnxruntime") for mirror in ("off", "both")
    )
    np.testing.assert_array_equal(plain.process(picture, 0).appearance, both.process(picture, 0).appearance)
    plain.close()
    both.close()


def test_none_on_frames_that_are_looked_at_mirrored(shipped):
    pose = perception_of("blazepose", mirror="alternate", engine="onnxruntime")
    given = [pose.process(picture, step * STEP_NS).appearance for step, picture in enumerate(pictures(4))]
    assert [z is not None for z in given] == [True, False, True, False]
    pose.close()


def test_it_goes_into_the_features(tmp_path_factory):
    """With the encoder that the shipped model was trained with: another one's would be refused."""
    gate = make_gate([assets.asset("demo.mp4")], tmp_path_factory.mktemp("gate") / "gate.npz", frames=3)
    assert (gate.features[:, HAS_APPEARANCE] == 1.0).all()
    z = gate.features[:, APPEARANCE]
    assert z.any(axis=1).all() and not np.array_equal(z[0], z[1])


@pytest.mark.parametrize(("asked", "there", "given"), [("auto", True, True), ("auto", False, False), ("on", True, True),
                                                       ("off", True, False), ("off", False, False)])  # fmt: skip
def test_when_it_runs(folder, graph, asked, there, given):
    if there:
        (folder / assets.APPEARANCE).write_bytes(graph.read_bytes())
    pose = perception_of("blazepose", map=asked, engine="onnxruntime")
    found, told = pose.process(pictures(1)[0], 0), pose.describe()
    assert (found.appearance is not None, told["map"]) == (given, given)
    assert told["appearance"] == (pose._appearance.source if given else None)
    assert not given or len(told["appearance"]) == 16
    pose.close()


def test_asked_for_and_not_there(folder):
    with pytest.raises(LoadError, match=r"assets/appearance.onnx is missing"):
        perception_of("blazepose", map="on")


@pytest.mark.parametrize("asked", ["auto", "on"])
@pytest.mark.parametrize("damage", ["empty", "cut off", "a bit", "another graph", "another format"])
def test_damaged_it_is_refused(shipped, asked, damage):
    victim = shipped / assets.APPEARANCE
    whole = victim.read_bytes()
    content = {
        "empty": b"",
        "cut off": whole[:5000],
        "a bit": whole[:5000] + bytes([whole[5000] ^ 4]) + whole[5001:],
        "another graph": (shipped / "blazepose_mask.onnx").read_bytes(),
        "another format": sealed(whole[:-SEAL_LENGTH].replace(b"appearance 1", b"appearance 2")),
    }
    victim.write_bytes(content[damage])
    with pytest.raises(LoadError) as caught:
        perception_of("blazepose", map=asked, engine="onnxruntime")
    message = str(caught.value)
    assert assets.APPEARANCE in message
    assert ("training.fit_appearance" in message) == damage.startswith("another")
    assert len(message.splitlines()) <= 2


def test_needs_neither_torch_nor_onnx(shipped):
    program = (
        "import sys\nfrom pathlib import Path\n"
        f"sys.path[:0] = [{str(ROOT)!r}, {str(ROOT / 'tests')!r}]\n"
        "from realtime import assets\n"
        f"assets.ASSETS = Path({str(shipped)!r})\n"
        "from people import perception_of, pictures\n"
        "pose = perception_of('blazepose', map='on')\n"
        "assert pose.process(pictures(1)[0], 0).appearance is not None\n"
        "assert not {'mediapipe', 'torch', 'onnx'} & sys.modules.keys()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, env=os.environ
    )
    assert done.returncode == 0, done.stderr


def test_what_mediapipe_gives_has_none():
    theirs = perception_of("mediapipe")
    assert theirs.process(pictures(1)[0], 0).appearance is None
    theirs.close()


def test_it_tells_which_encoder_it_is(shipped, encoder):
    """By the number that a network keeps of the encoder it was trained with."""
    from engines.export import weights_sha256

    pose = perception_of("blazepose", map="on", engine="onnxruntime")
    told = pose.describe()["appearance"]
    assert len(told) == 16 and weights_sha256(encoder).startswith(told)
    pose.close()
