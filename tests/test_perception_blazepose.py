"""BlazePose on our engines: the landmarks of MediaPipe, and what it has beyond them."""

import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from people import perception_of, pictures

from engines.runner import make_runner
from realtime import assets
from realtime.config import PerceptionConfig
from realtime.errors import ConfigError, LoadError
from realtime.perception import graphs, in_short
from realtime.perception.blazepose import BlazePose
from realtime.perception.look import TRIES, LandmarkNetwork

ROOT = Path(__file__).resolve().parent.parent
STEP_NS = 33_333_000


@pytest.fixture(scope="module")
def pose():
    """Looks once at a picture, as MediaPipe does, which most tests here hold it against."""
    made = perception_of("blazepose", mirror="off")
    yield made
    made.close()


@pytest.fixture
def fresh(pose):
    pose.reset()
    return pose


def frames(every, count):
    return pictures(every * count)[::every]


def test_the_landmarks_of_mediapipe(fresh):
    """Found by the detector, then followed for a frame; new each time, so that no difference adds up."""
    theirs = perception_of("mediapipe")
    for found in frames(every=10, count=12):
        fresh.reset()
        theirs.reset()
        for step, picture in enumerate((found, np.roll(found, (3, 5), axis=(0, 1)))):
            ours, expected = fresh.process(picture, step * STEP_NS), theirs.process(picture, 0)
            height_px = np.ptp(expected.landmarks_px[:, 1])
            apart = np.linalg.norm(ours.landmarks_px - expected.landmarks_px, axis=1) / height_px
            assert apart.max() < (0.0005, 0.01)[step]
            assert np.abs(ours.world - expected.world).max() < (0.002, 0.03)[step]
            assert np.abs(ours.visibility - expected.visibility).max() < (0.002, 0.05)[step]
    theirs.close()


def test_followed_it_stays_with_mediapipe(fresh):
    theirs = perception_of("mediapipe")
    apart = []
    for step, picture in enumerate(pictures(45)):
        ours, expected = fresh.process(picture, step * STEP_NS), theirs.process(picture, 0)
        height_px = np.ptp(expected.landmarks_px[:, 1])
        apart.append(np.linalg.norm(ours.landmarks_px - expected.landmarks_px, axis=1) / height_px)
    assert np.median(apart) < 0.003
    assert np.percentile(apart, 95) < 0.01
    theirs.close()


def test_who_is_lost_is_looked_for_in_the_same_picture(fresh):
    first, second = pictures(2)
    elsewhere = np.roll(second, 150, axis=1)
    alone = fresh.process(elsewhere, 0)
    fresh.reset()
    fresh.process(first, 0)
    fresh.process(np.zeros_like(first), STEP_NS)
    np.testing.assert_array_equal(fresh.process(elsewhere, 2 * STEP_NS).landmarks_px, alone.landmarks_px)
    fresh.reset()
    fresh.process(np.roll(first, -150, axis=1), 0)  # he jumps through half the picture
    assert np.abs(fresh.process(elsewhere, STEP_NS).landmarks_px - alone.landmarks_px).max() < 10


@pytest.mark.parametrize("output", ["landmarks", "world", "pose_flag"])
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_outputs_that_are_not_numbers(monkeypatch, output, bad):
    pose = perception_of("blazepose")
    runner = pose._network._runner
    run = runner.run

    def broken(**inputs):
        outputs = {name: array.copy() for name, array in run(**inputs).items()}
        outputs[output][..., 0] = bad
        return outputs

    (picture,) = pictures(1)
    assert pose.process(picture, 0) is not None
    monkeypatch.setattr(runner, "run", broken)
    assert (
        pose.process(picture, STEP_NS) is None
    ) or output == "pose_flag"  # an infinite one is above any bound
    monkeypatch.setattr(runner, "run", run)
    assert np.isfinite(pose.process(picture, 2 * STEP_NS).landmarks_px).all()
    pose.close()


def test_mask():
    pose, plain = perception_of("blazepose", mask=True), perception_of("blazepose")
    picture = pictures(1)[0]
    found, without = pose.process(picture, 0), plain.process(picture, 0)
    np.testing.assert_array_equal(found.landmarks_px, without.landmarks_px)
    assert without.mask is None
    height, width = picture.shape[:2]
    assert (found.mask.shape, found.mask.dtype) == ((height, width), np.float32)
    assert 0.0 <= found.mask.min() < 0.01
    assert 0.99 < found.mask.max() <= 1.0
    inside = found.landmarks_px[[11, 12, 23, 24]].mean(axis=0).astype(int)  # the middle of the body
    assert found.mask[inside[1], inside[0]] > 0.9
    low, high = found.landmarks_px.min(axis=0), found.landmarks_px.max(axis=0)
    margin = 0.3 * (high - low).max()
    rows, columns = np.mgrid[:height, :width]
    places = np.stack([columns, rows], axis=-1)
    outside = ((places < low - margin) | (places > high + margin)).any(axis=-1)
    assert found.mask[outside].mean() < 0.01
    pose.close()
    plain.close()


@pytest.mark.parametrize("mirror", ["alternate", "both"])
def test_mirrored_looks(mirror):
    """A picture and its mirror picture: two looks at each say the same, mirrored, far more nearly than one does."""
    order = np.arange(11, 33)
    swapped = order + np.where(order % 2, 1, -1)
    picture = pictures(1)[0]

    def last_of_four(perception, shown):
        perception.reset()
        return [perception.process(shown, i * STEP_NS) for i in range(4)][-1]

    def apart_m(perception):
        straight, flipped = last_of_four(perception, picture), last_of_four(perception, picture[:, ::-1])
        turned_back = flipped.world[swapped] * [-1, 1, 1]
        return np.linalg.norm(straight.world[order] - turned_back, axis=1).mean()

    pose, plain = (perception_of("blazepose", mirror=m, mask=True) for m in (mirror, "off"))
    assert apart_m(pose) < 0.4 * apart_m(plain)
    expected = last_of_four(plain, picture)
    pose.reset()
    for step in range(2):  # the second one is mirrored, where one look is
        found = pose.process(picture, step * STEP_NS)
        assert np.abs(found.landmarks_px - expected.landmarks_px).max() < 0.05 * picture.shape[0]
        assert np.abs(found.mask - expected.mask).sum() < 0.1 * expected.mask.sum()
    pose.close()
    plain.close()


@pytest.mark.parametrize(("cores", "same"), [(1, "off"), (2, "both")])
def test_by_default_it_looks_twice_where_a_second_core_is_there(monkeypatch, cores, same):
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(cores)), raising=False)
    # On a GPU two looks are one batch of one graph: not what is looked at here.
    settings = ({}, {"mirror": same})
    usual, told = (perception_of("blazepose", engine="onnxruntime", **one) for one in settings)
    assert usual.describe() == told.describe() and usual.describe()["mirror"] == same
    assert in_short(usual) == f"blazepose, mirror={same}"
    twice = usual._network._mirror is not None
    assert twice == (same == "both")  # the second graph is not loaded for nothing
    for step, picture in enumerate(pictures(4)):
        one, other = (pose.process(picture, step * STEP_NS) for pose in (usual, told))
        for key in ("landmarks_px", "world", "visibility", "appearance"):
            np.testing.assert_array_equal(getattr(one, key), getattr(other, key))
    usual.close()
    told.close()


@pytest.mark.parametrize(
    ("mirror", "asked", "each"), [("off", 0, 2), ("both", 0, 1), ("off", 1, 1), ("both", 3, 3)]
)
def test_a_look_has_the_threads_that_are_there_for_it(monkeypatch, mirror, asked, each):
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {0, 1}, raising=False)
    pose = perception_of("blazepose", engine="onnxruntime", mirror=mirror, threads=asked)
    assert pose.describe()["engine"]["threads"] == each
    assert pose._detector._runner.describe()["threads"] == (asked or 2)  # never beside a look
    pose.close()


@pytest.mark.parametrize(
    ("mirror", "fps", "takes_s", "comes_to"),
    [
        ("auto", 30.0, 0.041, "off"),
        ("auto", 30.0, 0.012, "both"),
        ("auto", 60.0, 0.012, "off"),  # a camera of 60 fps leaves half the time
        ("auto", None, 0.041, "both"),  # every frame of a file: it waits
        ("both", 30.0, 0.041, "both"),  # who asks for it gets it
    ],
)
def test_two_looks_only_where_there_is_time_for_them(monkeypatch, mirror, fps, takes_s, comes_to):
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {0, 1}, raising=False)
    monkeypatch.setattr(LandmarkNetwork, "quickest_s", lambda self: takes_s)
    ended, close = [], LandmarkNetwork.close
    monkeypatch.setattr(LandmarkNetwork, "close", lambda self: ended.append(self) or close(self))
    chosen = BlazePose(PerceptionConfig(mirror=mirror, engine="onnxruntime"), fps)
    asked_for = BlazePose(PerceptionConfig(mirror=comes_to, engine="onnxruntime"))
    assert len(ended) == (mirror == "auto" and comes_to == "off")  # the one that was tried
    told, same = chosen.describe(), asked_for.describe()
    why = told.pop("chosen", "")
    assert told == same and told["mirror"] == comes_to  # threads of each look, too
    if comes_to == "off":
        assert (
            why
            == f"two looks at a picture take {takes_s * 1e3:.0f} ms here, {600 / fps:.0f} would do at {fps:.0f} fps"
        )
    else:
        assert not why
    for pose in (chosen, asked_for):
        pose.close()


def test_how_long_two_looks_take_is_measured():
    network = LandmarkNetwork("onnxruntime", 1, twice=True)
    started_s = time.perf_counter()
    quickest_s = network.quickest_s()
    assert 0.001 < quickest_s <= (time.perf_counter() - started_s) / TRIES
    network.close()


def test_bad_settings():
    for key, value in (("mirror", "sometimes"), ("map", "yes"), ("engine", "torch")):
        config = PerceptionConfig()
        setattr(config, key, value)
        with pytest.raises(ConfigError, match=f"perception.{key}={value}: expected one of"):
            BlazePose(config)


def test_describes_itself(pose):
    told = pose.describe()
    assert (told["name"], told["version"]) == ("blazepose", "mediapipe 0.10.21")
    assert (told["mirror"], told["mask"]) == ("off", False)
    assert told["engine"]["engine"] in ("onnxruntime", "tensorrt")


GRAPHS = ("blazepose_detector.onnx", "blazepose_landmarks.onnx", "blazepose_mask.onnx")


@pytest.mark.parametrize("name", GRAPHS)
@pytest.mark.parametrize("damage", ["missing", "empty", "cut off", "another graph"])
def test_graphs_that_cannot_be_loaded(tmp_path, monkeypatch, name, damage):
    for graph in GRAPHS:
        (tmp_path / graph).write_bytes((assets.ASSETS / graph).read_bytes())
    victim = tmp_path / name
    if damage == "missing":
        victim.unlink()
    elif damage == "another graph":
        victim.write_bytes((assets.ASSETS / GRAPHS[GRAPHS.index(name) - 1]).read_bytes())
    else:
        victim.write_bytes(victim.read_bytes()[: 5000 if damage == "cut off" else 0])
    monkeypatch.setattr(assets, "ASSETS", tmp_path)
    with pytest.raises(LoadError) as caught:
        BlazePose(PerceptionConfig(mask=True, engine="onnxruntime"))
    assert name in str(caught.value)
    assert len(str(caught.value).splitlines()) <= 2


def test_never_imports_mediapipe_or_torch():
    program = (
        f"import sys; sys.path[:0] = [{str(ROOT)!r}, {str(ROOT / 'tests')!r}]\n"
        "from people import perception_of, pictures\n"
        "pose = perception_of('blazepose', mirror='both', mask=True)\n"
        "assert pose.process(pictures(1)[0], 0) is not None\n"
        "assert not {'mediapipe', 'torch', 'onnx', 'jax'} & sys.modules.keys()\n"
        "pose.close()\n"
    )
    pictures(1)
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr


def test_two_looks_as_one_batch_are_two_looks(monkeypatch):
    """As on a GPU, which ONNX Runtime on the CPU plays here."""
    made = []

    def on_a_gpu(path, engine, **settings):
        made.append((path.stem, settings["dims"]["batch"]))
        runner = make_runner(path, engine, **settings)
        runner.device = "cuda:0"
        return runner

    beside = perception_of("blazepose", mirror="both", engine="onnxruntime")
    monkeypatch.setattr(graphs, "make_runner", on_a_gpu)
    batch = perception_of("blazepose", mirror="both", engine="onnxruntime", mask=True)
    assert [(name, count) for name, count in made if count > 1] == [("blazepose_landmarks", 2)]
    assert ("blazepose_mask", 1) in made
    for step, picture in enumerate(pictures(3)):
        one, other = (pose.process(picture, step * STEP_NS) for pose in (beside, batch))
        np.testing.assert_allclose(other.landmarks_px, one.landmarks_px, atol=0.05)
        np.testing.assert_allclose(other.world, one.world, atol=1e-3)
        assert other.mask.max() > 0.99
    beside.close()
    batch.close()
