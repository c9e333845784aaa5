"""Look-ahead: every frame comes out once, in order, and is the clip pass's answer for that very frame."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from bodies import figure_body
from engine_kinds import make_engine, network

from realtime.body.rotations import axis_angle_to_matrix
from realtime.config import Config
from realtime.estimator import LONGEST_GAP_S, Estimator
from realtime.features import FEATURE_DIM, FEATURE_VERSION, NOMINAL_DT_S, landmark_features, virtual_camera
from realtime.observation import Crop, Detection, Observation

BODY = figure_body()
FRAME_NS = 33_333_333
SIZE = (640, 480)
FOV_DEG = 60.0
GAP_NS = round(LONGEST_GAP_S * 1e9) + FRAME_NS


def seen(rng, number, person=1):
    """A frame that no other is like: its score tells its number."""
    crop = Crop(*rng.uniform((100.0, 100.0, 200.0), (500.0, 400.0, 350.0)).tolist())
    pixels = np.array((crop.cx, crop.cy)) + rng.uniform(-0.3, 0.3, (33, 2)) * crop.side
    world, visibility = rng.normal(0, 0.4, (33, 3)), np.ones(33)
    detection = Detection(*(a.astype(np.float32) for a in (pixels, world, visibility)))
    return Observation(detection, crop, "tracking", 0.5 + number / 1000, person, SIZE)


def unseen(state, number, person):
    return Observation(None, None, state, 0.1 + number / 1000, person, SIZE)


def life(seed, length=70):
    """[(stamp, observation)]: somebody seen, for a moment not, lost, another one, a silent camera, a clock set back."""
    rng = np.random.default_rng(seed)
    frames, t_ns, person, state = [], 10 * GAP_NS, 1, "tracking"
    for number in range(length):
        event = rng.choice(
            ["", "held", "lost", "other", "gap", "back"], p=[0.85, 0.06, 0.03, 0.02, 0.02, 0.02]
        )
        if event == "lost" or (event == "held" and state == "tracking"):
            state = event
        elif state == "tracking" or rng.random() < 0.5:
            person += event == "other" or state == "lost"
            state = "tracking"
        t_ns += {"gap": GAP_NS, "back": -3 * FRAME_NS}.get(event, FRAME_NS)
        observation = seen(rng, number, person) if state == "tracking" else unseen(state, number, person)
        frames.append((t_ns, observation))
    return frames


class Expected:
    """What each frame must be answered with, by clip passes over the φ that the answer may depend on."""

    def __init__(self, model, frames):
        self.poses, self.betas = {}, {}  # frame → (24, 3, 3) in the ray frame, (10,) of the frame; those seen
        self.full = {}  # whether 13 frames had been seen when it was answered
        history, open_, last_ns, person = [], [], 0, 0

        def answer(number, features):
            clip = model(torch.from_numpy(np.stack(features))[None])
            _, pose, betas = model.decode(clip.theta6d[0, -1])
            self.poses[number], self.betas[number] = pose.numpy(), betas.numpy()
            self.full[number] = len(history) >= 13

        def end():
            """The frames after the open ones do not come."""
            for place, number in enumerate(open_):
                back = len(open_) - 1 - place  # frames that were seen after it
                answer(number, history + history[-1:] * (model.delay - back))
            open_.clear()

        for number, (t_ns, observation) in enumerate(frames):
            if observation.detection is None:
                end()
                if observation.state == "lost":
                    history = []
                continue
            dt_s = (t_ns - last_ns) / 1e9
            if observation.person != person or not 0 < dt_s <= LONGEST_GAP_S:
                end()
                history = []
            history.append(phi(observation, dt_s if history else NOMINAL_DT_S))
            open_.append(number)
            if len(open_) > model.delay:
                answer(open_.pop(0), history)
            last_ns, person = t_ns, observation.person
        end()


def phi(observation, dt_s):
    detection, crop = observation.detection, observation.crop
    place = np.array((crop.cx, crop.cy, crop.side)), np.array(SIZE, float), FOV_DEG
    return landmark_features(detection.landmarks_px, detection.world, detection.visibility, *place, dt_s)


def run(estimator, frames):
    """Estimates in the order in which they come out, and how many had come after each frame."""
    estimates, counts = [], []
    for t_ns, observation in frames:
        estimate = estimator.update(t_ns, observation)
        estimates += [] if estimate is None else [estimate]
        counts.append(len(estimates))
    return estimates + estimator.finish(), counts


def plainly():
    config = Config()
    config.refine.steps = 0  # what the network says is what comes out
    return config


def make(delay, tmp_path, kind="torch step"):
    model = network(FEATURE_DIM, FEATURE_VERSION, delay=delay)
    return Estimator(make_engine(kind, model, tmp_path), BODY, plainly()), model


def ray_pose(estimate, crop):
    pose = axis_angle_to_matrix(estimate.theta[3:75].reshape(24, 3))
    R_cam_ray, _ = virtual_camera(np.array((crop.cx, crop.cy, crop.side)), np.array(SIZE, float), FOV_DEG)
    pose[0] = R_cam_ray.T @ pose[0]
    return pose


@pytest.mark.parametrize("kind", ["torch step", "onnxruntime step", "onnxruntime window"])
@pytest.mark.parametrize(("delay", "seed"), [(0, 0), (1, 1), (6, 3), (6, 5), (12, 4)])
@torch.inference_mode()
def test_the_stream_is_the_clip_pass_of_each_frame(delay, seed, kind, tmp_path):
    estimator, model = make(delay, tmp_path, kind)
    frames = life(seed)
    states = [observation.state for _, observation in frames]
    assert {"tracking", "held", "lost"} == set(states)  # the scene has all of it
    estimates, counts = run(estimator, frames)
    assert counts == [max(0, number + 1 - delay) for number in range(len(frames))]
    assert len(estimates) == len(frames)

    expected, last, theirs = Expected(model, frames), None, 0
    shape, shapes = np.zeros(10), 0
    for number, (estimate, (_, observation)) in enumerate(zip(estimates, frames, strict=True)):
        assert estimate.person == observation.person
        if observation.detection is None:
            held = observation.state == "held" and theirs == observation.person
            assert (estimate.state, estimate.score) == (
                ("held", observation.score) if held else ("lost", 0.0)
            )
            assert last is None or np.array_equal(estimate.theta, last.theta)
            theirs = theirs if held else 0
            continue
        assert estimate.score == observation.score  # of this frame, not of one near it
        assert estimate.state == ("tracking" if expected.full[number] else "warming")
        assert np.abs(ray_pose(estimate, observation.crop) - expected.poses[number]).max() < 1e-4, number
        if observation.person != (last.person if last else 0):
            shape, shapes = np.zeros(10), 0
        shapes += 1
        shape += (expected.betas[number] - shape) / shapes
        assert estimate.theta[75:] == pytest.approx(shape, abs=1e-4)
        last, theirs = estimate, observation.person


def test_a_pause_changes_nothing_but_the_frames_that_could_not_wait(tmp_path):
    """`finish` answers what is open, and the stream goes on as if it had not been asked."""
    frames = [(number * FRAME_NS, seen(np.random.default_rng(number), number)) for number in range(40)]
    estimator, _ = make(6, tmp_path)
    plain, _ = run(estimator, frames)
    paused, model = make(6, tmp_path)
    first, _ = run(paused, frames[:20])
    assert len(first) == 20 and paused.finish() == []
    rest, counts = run(paused, frames[20:])
    assert counts[:7] == [0] * 6 + [1]
    both = first + rest
    for number, (one, other) in enumerate(zip(plain, both, strict=True)):
        same = np.abs(one.theta[3:75] - other.theta[3:75]).max() < 1e-4
        assert same == (not 14 <= number < 20), number
        assert one.score == other.score


def test_a_short_stay_is_answered_whole(tmp_path):
    """Somebody seen in fewer frames than the model looks ahead."""
    rng = np.random.default_rng(0)
    frames = [unseen("lost", 0, 0), seen(rng, 1), seen(rng, 2), unseen("lost", 3, 1)]
    estimator, _ = make(6, tmp_path)
    estimates, counts = run(estimator, [(i * FRAME_NS, frame) for i, frame in enumerate(frames)])
    assert counts == [0] * 4
    assert [one.state for one in estimates] == ["lost", "warming", "warming", "lost"]
    assert not np.array_equal(estimates[1].theta, estimates[2].theta)
    assert np.array_equal(estimates[3].theta, estimates[2].theta)


class GoesMad:
    """An engine whose output holds NaN at the given steps, counted over all."""

    def __init__(self, engine, mad):
        self._engine, self._mad, self.steps = engine, mad, 0

    def __getattr__(self, name):
        return getattr(self._engine, name)

    def step(self, *arguments):
        self.steps += 1
        output = self._engine.step(*arguments)
        return replace(output, camera=output.camera * np.nan) if self.steps - 1 in self._mad else output


@pytest.mark.parametrize(("mad", "held"), [({20}, range(14, 21)), ({3}, range(4)), ({31}, range(24, 30))])
def test_a_network_gone_mad_costs_only_the_frames_that_waited(mad, held, tmp_path):
    """At step 31, the second of those that stand in for frames after the end, one frame had been answered."""
    frames = [(number * FRAME_NS, seen(np.random.default_rng(number), number)) for number in range(30)]
    engine = GoesMad(make_engine("torch step", network(FEATURE_DIM, FEATURE_VERSION, delay=6), tmp_path), mad)
    estimator = Estimator(engine, BODY, plainly())
    estimates, _ = run(estimator, frames)
    assert len(estimates) == 30 and estimator.not_finite == 1
    first = 24 + 1 if mad == {31} else min(held)
    bad = [number for number, one in enumerate(estimates) if one.state in ("held", "lost")]
    assert bad == list(range(first, max(held) + 1))
    assert all(np.isfinite(one.theta).all() for one in estimates)


def test_a_crop_that_is_none_costs_one_frame(tmp_path):
    rng = np.random.default_rng(0)
    frames = [seen(rng, number) for number in range(20)]
    frames[12] = replace(frames[12], crop=Crop(np.nan, 0.0, 1.0))
    estimator, _ = make(6, tmp_path)
    with np.errstate(invalid="ignore"):
        estimates, _ = run(estimator, [(i * FRAME_NS, frame) for i, frame in enumerate(frames)])
    assert [i for i, one in enumerate(estimates) if one.state == "held"] == [12]
    assert estimator.not_finite == 1


class Listening:
    """An engine that keeps what it is fed."""

    def __init__(self, engine):
        self._engine, self.fed = engine, []

    def __getattr__(self, name):
        return getattr(self._engine, name)

    def step(self, features, *arguments):
        self.fed.append(features.copy())
        return self._engine.step(features, *arguments)


@pytest.mark.parametrize("delay", [1, 6])
@torch.inference_mode()
def test_training_knows_the_end_of_a_stream_as_it_is_here(delay, tmp_path):
    """The φ that are stepped, bit by bit, and what the frames that waited are answered."""
    from training.losses import with_ends

    frames = [((number + 1) * FRAME_NS, seen(np.random.default_rng(number), number)) for number in range(18)]
    model = network(FEATURE_DIM, FEATURE_VERSION, delay=delay)
    engine = Listening(make_engine("torch step", model, tmp_path))
    estimates, _ = run(Estimator(engine, BODY, plainly()), frames)
    assert len(engine.fed) == 18 + delay
    # What would have come after, training knows: it must not look.
    window = np.concatenate((engine.fed[:18], np.random.default_rng(0).normal(size=(delay, FEATURE_DIM))))
    given = with_ends(torch.from_numpy(window.astype(np.float32))[None], delay)
    assert np.array_equal(given[0].numpy(), np.stack(engine.fed))
    _, pose, _ = model.decode(model(given).theta6d[0, delay:])
    for number, (estimate, (_, observation)) in enumerate(zip(estimates, frames, strict=True)):
        assert np.abs(ray_pose(estimate, observation.crop) - pose[number].numpy()).max() < 1e-4, number
