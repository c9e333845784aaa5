"""bench.accuracy: rows watch the same pictures, each as the live path would."""

import numpy as np
import pytest
import torch
from accuracy_takes import BODY
from engine_kinds import make_engine, network
from streams import ScriptedPerception, write_model

from bench.accuracy import live
from bench.accuracy.dynamics import HORIZONS_MS
from bench.accuracy.live import Forgetful, LandmarkWatcher, ModelWatcher, Stream
from bench.accuracy.rows import Row
from realtime.config import Config
from realtime.estimator import Estimator
from realtime.features import FEATURE_DIM, FEATURE_VERSION
from realtime.observation import Crop, Detection, Observation
from training.metrics import POINT_JOINTS, points_of_landmarks

FRAME_NS = 33_333_333
LOST = Observation(None, None, "lost", 0.0, 0, (640, 480))


@pytest.fixture(scope="module")
def engines(tmp_path_factory):
    """delay → a small random network."""
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("engines")
    return {
        delay: make_engine("torch step", network(FEATURE_DIM, FEATURE_VERSION, delay=delay), folder)
        for delay in (0, 6)
    }


def people(count, seed=0):
    """(stamp, observation) of one person, every frame unlike any other."""
    rng = np.random.default_rng(seed)
    for number in range(count):
        crop = Crop(*rng.uniform((100.0, 100.0, 200.0), (500.0, 400.0, 350.0)).tolist())
        pixels = np.array((crop.cx, crop.cy)) + rng.uniform(-0.3, 0.3, (33, 2)) * crop.side
        detection = Detection(
            *(a.astype(np.float32) for a in (pixels, rng.normal(0, 0.4, (33, 3)), np.ones(33)))
        )
        yield (number + 1) * FRAME_NS, Observation(detection, crop, "tracking", 0.9, 1, (640, 480))


def watch(watcher, frames):
    watcher.start(None)
    for t_ns, observation in frames:
        watcher.see(t_ns, observation, 10.0)
    return watcher.track()


@pytest.mark.parametrize("delay", [0, 6])
def test_every_estimate_stands_at_the_frame_that_it_is_of(engines, delay):
    frames = list(people(30))
    track = watch(ModelWatcher(engines[delay], BODY, Config()), frames)
    estimator = Estimator(engines[delay], BODY, Config())
    answers = [estimator.update(*frame) for frame in frames]
    expected = [answer for answer in answers if answer is not None] + estimator.finish()
    assert np.array_equal(track.points, [e.joints[POINT_JOINTS] for e in expected])
    assert np.array_equal(track.body.trans, [e.trans for e in expected])
    # What only finish() answers, no stream shows.
    assert track.usable.tolist() == [True] * (30 - delay) + [False] * delay
    assert (track.cost_ms > 10.0).all()


def test_frames_without_the_person_are_not_counted(engines):
    frames = list(people(10))
    frames[4] = (frames[4][0], LOST)
    for watcher in (ModelWatcher(engines[0], BODY, Config()), LandmarkWatcher()):
        assert np.flatnonzero(~watch(watcher, frames).usable).tolist() == [4]
    assert not watch(ModelWatcher(engines[0], BODY, Config()), [(FRAME_NS, LOST)] * 3).usable.any()


def test_a_single_frame_knows_no_other(engines):
    frames = list(people(12))
    config = Config()
    config.refine.steps = 0  # its correction follows slowly from frame to frame
    watcher = ModelWatcher(Forgetful(engines[0]), BODY, config)
    there = watch(watcher, frames)
    turned = [(t_ns, observation) for (t_ns, _), (_, observation) in zip(frames, frames[::-1], strict=True)]
    back = watch(watcher, turned)
    assert np.allclose(there.points, back.points[::-1], atol=1e-6)
    assert np.allclose(there.body.betas, back.body.betas[::-1], atol=1e-6)  # its shape is of the frame, too
    whole = watch(ModelWatcher(engines[0], BODY, Config()), frames)
    assert np.abs(whole.points - there.points).max() > 1e-3


def test_poses_ahead_are_those_asked_for(engines):
    frames = list(people(20))
    plain = watch(ModelWatcher(engines[0], BODY, Config()), frames)
    assert plain.body.ahead.shape == (20, 1, 24, 3, 3) and plain.body.horizons_ms == (166.7,)
    asked = watch(ModelWatcher(engines[0], BODY, Config(), ahead_ms=(*HORIZONS_MS, 166.7)), frames)
    assert asked.body.horizons_ms == (*HORIZONS_MS, 166.7)
    assert np.array_equal(asked.points, plain.points)
    assert asked.body.ahead[:, -1] == pytest.approx(plain.body.ahead[:, 0], abs=1e-6)
    assert np.abs(asked.body.ahead[:, 3] - asked.body.ahead[:, 4]).max() > 1e-3  # +5 and −5 frames


def test_the_tilt_reaches_the_network_that_is_told(engines):
    frames = list(people(5))
    results = []
    for tilts, tilt_deg in ((False, (20.0, 5.0)), (True, None), (True, (20.0, 5.0))):
        watcher = ModelWatcher(engines[0], BODY, Config(), tilts=tilts)
        watcher.start(tilt_deg)
        for frame in frames:
            watcher.see(*frame, 0.0)
        results.append(watcher.track().points)
    assert np.array_equal(results[0], results[1]) and np.abs(results[2] - results[0]).max() > 1e-4


def test_landmarks_as_they_are_and_filtered():
    frames = list(people(1)) * 1
    still = [(t * FRAME_NS, frames[0][1]) for t in range(1, 20)]
    world = points_of_landmarks(frames[0][1].detection.world)
    assert watch(LandmarkWatcher(), still).points == pytest.approx(np.tile(world, (19, 1, 1)))
    assert watch(LandmarkWatcher(one_euro=True), still).points == pytest.approx(np.tile(world, (19, 1, 1)))
    moving = list(people(20))
    raw, smooth = (
        watch(LandmarkWatcher(), moving).points,
        watch(LandmarkWatcher(one_euro=True), moving).points,
    )
    assert np.array_equal(raw[0], smooth[0])
    assert np.linalg.norm(np.diff(smooth, axis=0)) < 0.8 * np.linalg.norm(np.diff(raw, axis=0))
    moving[10] = (moving[10][0], LOST)
    again = watch(LandmarkWatcher(one_euro=True), moving).points
    assert np.array_equal(again[11], raw[11])  # after a gap the filter begins anew


def test_rows_of_one_perception_share_it(tmp_path, monkeypatch):
    made = []

    def perception(config):
        made.append(config.perception)
        return ScriptedPerception()

    monkeypatch.setattr(live, "make_perception", perception)
    model = str(write_model(tmp_path / "model.onnx"))
    rows = [
        Row("landmarks", "world"),
        Row("stream", "stream", model),
        Row("alone", "single", model),
        Row("off", "stream", model, ("perception.box_tau_ms=1",)),
    ]
    stream = Stream(rows, "onnxruntime", BODY)
    assert [config.box_tau_ms for config in made] == [100.0, 1.0]
    stream.start()
    for t in range(1, 9):
        stream.see(np.zeros((120, 160, 3), np.uint8), t * FRAME_NS)
    tracks = stream.tracks()
    assert list(tracks) == ["landmarks", "stream", "alone", "off"]
    assert all(track.usable.sum() == 7 for track in tracks.values())  # the tracker wants to see him twice
    assert tracks["landmarks"].body is None and len(stream.observations["off"]) == 8
    assert np.abs(tracks["stream"].points - tracks["off"].points).max() > 0  # another crop
    stream.close()
