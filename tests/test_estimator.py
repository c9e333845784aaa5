"""Observation → Estimate: geometry by equalities, states, and nothing that is not finite."""

from dataclasses import replace

import numpy as np
import pytest
from bodies import figure_body
from hypothesis import given, settings
from hypothesis import strategies as st

from engines.runtime import EngineOutput
from realtime.body.kinematics import forward_kinematics
from realtime.body.rotations import axis_angle_to_matrix
from realtime.config import Config
from realtime.errors import ConfigError
from realtime.estimator import Estimator, parse_horizons
from realtime.features import FEATURE_DIM, HAS_APPEARANCE, UP, virtual_camera
from realtime.messages import PoseMessage
from realtime.observation import Crop, Detection, Observation
from realtime.placement import fit_camera
from realtime.translation import focal_length_px

BODY = figure_body()
FRAME_NS = 33_333_333
SIZE = (640, 480)
FOV_DEG = 60.0
MIDDLE = Crop(320.0, 240.0, 300.0)
FACING = np.array([np.pi, 0.0, 0.0])


class FixedEngine:
    """Says what it is told to say; counts resets and the frames since."""

    name, device, model_id = "fixed", "none", "fixed"
    feature_dim, receptive_field, delay, horizon_ms = FEATURE_DIM, 13, 0, 200.0
    appearance = None

    def __init__(self):
        rng = np.random.default_rng(3)
        pose = rng.normal(0, 0.3, (24, 3))
        pose[0] = FACING + rng.normal(0, 0.2, 3)
        self.output = EngineOutput(
            camera=np.array([0.8, 0.05, 0.1], np.float32),
            pose_matrix=axis_angle_to_matrix(pose),
            betas=np.zeros(10, np.float32),
            shape=None,  # and joints: said with every step, see there
            joints=None,
            ahead=axis_angle_to_matrix(rng.normal(0, 0.3, (1, 24, 3))),
            movie_strip=np.zeros(4, np.float32),
        )
        self.insane = {}  # what is said in place of the truth
        self.resets = 0
        self.features = []

    def prepare(self, horizons, body):
        self.body = body
        self.reset()

    def reset(self):
        self.resets += 1
        self.features = []

    def step(self, features, dt_ahead_ms, shape_mean, shape_rate):
        self.features.append(features.copy())
        output = self.output
        shape = shape_mean + np.float32(shape_rate) * (output.betas - shape_mean)
        pose = np.stack((output.pose_matrix, output.pose_matrix))
        joints, _ = forward_kinematics(self.body, pose, np.stack((output.betas, shape)))
        said = {"shape": shape, "joints": joints - joints[:, :1]}
        said["ahead"] = np.repeat(output.ahead[:1], len(dt_ahead_ms), axis=0)
        return replace(output, **{**said, **self.insane})

    def rebuild(self, features):
        raise NotImplementedError

    def describe(self):
        return {}


def seen(crop=MIDDLE, person=1, score=0.9):
    rng = np.random.default_rng(5)
    pixels = np.array([crop.cx, crop.cy]) + rng.uniform(-0.3, 0.3, (33, 2)) * crop.side
    detection = Detection(
        pixels.astype(np.float32), rng.normal(0, 0.4, (33, 3)).astype(np.float32), np.ones(33, np.float32)
    )
    return Observation(detection, crop, "tracking", score, person, SIZE)


def unseen(state, person=1):
    return Observation(None, None, state, 0.3 if state == "held" else 0.0, person, SIZE)


def make(engine=None, **settings):
    config = Config()
    config.refine.steps = 0  # what the network says is what comes out
    for key, value in settings.items():
        setattr(config.runtime, key, value)
    engine = engine or FixedEngine()
    return Estimator(engine, BODY, config), engine


def project(points):
    """(N, 3) camera frame, metres → (N, 2) pixels."""
    return points[:, :2] / points[:, 2:] * focal_length_px(SIZE[0], FOV_DEG) + np.array(SIZE) / 2


def into_crop(pixels, crop):
    return (pixels - (crop.cx, crop.cy)) / (crop.side / 2)


def test_in_the_middle_of_the_picture_the_network_is_handed_on_as_it_is():
    estimator, engine = make()
    estimate = estimator.update(0, seen())
    assert estimate.theta[:3] == pytest.approx(engine.output.camera, abs=1e-5)
    assert axis_angle_to_matrix(estimate.theta[3:75].reshape(24, 3)) == pytest.approx(
        engine.output.pose_matrix, abs=1e-5
    )
    joints, _ = forward_kinematics(BODY, engine.output.pose_matrix, np.zeros(10))
    assert estimate.joints == pytest.approx(joints - joints[0], abs=1e-5)
    ((dt_ms, pose),) = estimate.ahead
    assert dt_ms == 166.7
    assert axis_angle_to_matrix(pose.reshape(24, 3)) == pytest.approx(engine.output.ahead[0], abs=1e-5)


@pytest.mark.parametrize("crop", [Crop(560.0, 100.0, 250.0), Crop(40.0, 400.0, 330.0)])
def test_beside_the_middle_everything_is_turned_by_the_ray(crop):
    estimator, engine = make()
    estimate = estimator.update(0, seen(crop))
    R_cam_ray, _ = virtual_camera(np.array((crop.cx, crop.cy, crop.side)), np.array(SIZE, float), FOV_DEG)
    pose = axis_angle_to_matrix(estimate.theta[3:75].reshape(24, 3))
    assert pose[0] == pytest.approx(R_cam_ray @ engine.output.pose_matrix[0], abs=1e-5)
    assert pose[1:] == pytest.approx(engine.output.pose_matrix[1:], abs=1e-5)
    ahead = axis_angle_to_matrix(estimate.ahead[0][1].reshape(24, 3))
    assert ahead[0] == pytest.approx(R_cam_ray @ engine.output.ahead[0, 0], abs=1e-5)
    assert ahead[1:] == pytest.approx(engine.output.ahead[0, 1:], abs=1e-5)
    joints, _ = forward_kinematics(BODY, pose, estimate.theta[75:])
    assert estimate.joints == pytest.approx(joints - joints[0], abs=1e-5)  # Θ and joints say the same


@pytest.mark.parametrize("pelvis", [(0.0, 0.1, 3.0), (1.1, -0.2, 3.0), (-1.0, 0.4, 2.5)])
def test_a_person_is_found_where_he_stands(pelvis):
    """A body posed in the camera frame, its true picture, the network's best weak-perspective answer to it:
    metres, Θ's camera and a true projection of joints + trans all fit that picture."""
    engine = FixedEngine()
    pelvis = np.array(pelvis)
    joints, _ = forward_kinematics(BODY, engine.output.pose_matrix, np.zeros(10))
    joints = joints - joints[0]
    pixels = project(joints + pelvis)
    low, high = pixels.min(axis=0), pixels.max(axis=0)
    crop = Crop(*(float(x) for x in (low + high) / 2), float(1.493 * np.hypot(*(high - low))))
    R_cam_ray, half = virtual_camera(np.array((crop.cx, crop.cy, crop.side)), np.array(SIZE, float), FOV_DEG)
    in_ray = (joints + pelvis) @ R_cam_ray
    pose = engine.output.pose_matrix.copy()
    pose[0] = R_cam_ray.T @ pose[0]
    camera = fit_camera(joints @ R_cam_ray, in_ray[:, :2] / in_ray[:, 2:] / half)
    engine.output = replace(engine.output, pose_matrix=pose, camera=camera.astype(np.float32))

    estimate = make(engine)[0].update(0, seen(crop))
    assert estimate.joints == pytest.approx(joints, abs=1e-4)
    assert estimate.trans == pytest.approx(pelvis, rel=0.02, abs=0.03)
    keypoints = into_crop(pixels, crop)
    shown = into_crop(project(estimate.joints + estimate.trans), crop)
    assert np.abs(shown - keypoints).max() < 0.06
    s, tx, ty = estimate.theta[:3]
    assert np.abs(s * (estimate.joints[:, :2] + (tx, ty)) - keypoints).max() < 0.12


def test_shape_is_averaged_over_one_person_and_begins_anew_with_the_next():
    estimator, engine = make()
    for i, value in enumerate((1.0, 2.0, 6.0)):
        engine.output = replace(engine.output, betas=np.full(10, value, np.float32))
        estimate = estimator.update(i * FRAME_NS, seen())
    assert estimate.theta[75:] == pytest.approx(np.full(10, 3.0))
    estimate = estimator.update(3 * FRAME_NS, seen(person=2))
    assert estimate.theta[75:] == pytest.approx(np.full(10, 6.0))


def test_states_from_nobody_to_tracking_and_back():
    estimator, engine = make()
    first = estimator.update(0, unseen("lost", person=0))
    assert (first.state, first.score, first.person) == ("lost", 0.0, 0)
    assert np.isfinite(first.theta).all() and first.joints[15, 1] < 0  # upright: the head is up, y is down
    states = [estimator.update(i * FRAME_NS, seen()).state for i in range(1, 15)]
    assert states == ["warming"] * 12 + ["tracking"] * 2
    last = estimator.update(15 * FRAME_NS, seen())
    steps = len(engine.features)
    held = estimator.update(16 * FRAME_NS, unseen("held"))
    assert (held.state, held.score) == ("held", 0.3)
    assert np.array_equal(held.theta, last.theta) and np.array_equal(held.trans, last.trans)
    assert len(engine.features) == steps  # the network saw nothing of it
    assert estimator.update(17 * FRAME_NS, seen()).state == "tracking"
    gone = estimator.update(18 * FRAME_NS, unseen("lost"))
    assert (gone.state, gone.score) == ("lost", 0.0)
    assert estimator.update(19 * FRAME_NS, seen(person=2)).state == "warming"


@pytest.mark.parametrize("jump_ns", [600_000_000, 0, -FRAME_NS], ids=["gap", "same stamp", "backwards"])
def test_ring_and_engine_begin_anew_where_time_breaks(jump_ns):
    estimator, engine = make()
    for i in range(20):
        estimator.update(i * FRAME_NS, seen())
    resets = engine.resets
    assert estimator.update(19 * FRAME_NS + jump_ns, seen()).state == "warming"
    assert engine.resets == resets + 1
    assert len(engine.features) == 1


def test_the_network_is_told_the_time_between_frames():
    estimator, engine = make()
    for t_ns in (0, 33_333_333, 233_333_333):
        estimator.update(t_ns, seen())
    paces = [float(features[198]) for features in engine.features]
    assert paces[0] == pytest.approx(0.0)
    assert paces[1] == pytest.approx(0.0, abs=1e-3)
    assert paces[2] == pytest.approx(np.log2(6) / 2, abs=1e-3)


@pytest.mark.parametrize("field", ["camera", "pose_matrix", "shape", "joints", "ahead"])
def test_a_network_gone_mad_is_held_counted_and_recovered_from(field):
    estimator, engine = make()
    for i in range(20):
        last = estimator.update(i * FRAME_NS, seen())
    said = engine.step(engine.features[-1], (100.0,), np.zeros(10, np.float32), 1.0)
    engine.insane = {field: np.full_like(getattr(said, field), np.nan)}
    mad = estimator.update(20 * FRAME_NS, seen())
    assert (mad.state, estimator.not_finite) == ("held", 1)
    assert np.array_equal(mad.theta, last.theta)
    assert engine.features == []  # reset: NaN must not stay in the network's memory
    engine.insane = {}
    again = estimator.update(21 * FRAME_NS, seen())
    assert again.state == "warming"
    assert again.theta == pytest.approx(last.theta, abs=1e-5)  # nor in the mean shape


def test_madness_in_the_very_first_frame_shows_no_pose_as_held():
    estimator, engine = make()
    engine.output = replace(engine.output, camera=np.array([np.inf, 0, 0], np.float32))
    assert estimator.update(0, seen()).state == "lost"
    assert estimator.update(FRAME_NS, unseen("held")).state == "lost"


odd = st.floats(allow_nan=True, allow_infinity=True, width=32)


@settings(max_examples=150, deadline=None)
@given(
    camera=st.tuples(odd, odd, odd),
    crop=st.tuples(odd, odd, odd),
    pixel=odd,
    world=odd,
    fov=st.floats(10, 150),
)
def test_whatever_comes_in_what_goes_out_is_finite(camera, crop, pixel, world, fov):
    estimator, engine = make()
    estimator._fov_deg = estimator._placement._fov_deg = fov
    engine.output = replace(engine.output, camera=np.array(camera, np.float32))
    observation = seen()
    observation.detection.landmarks_px[7] = pixel
    observation.detection.world[9] = world
    observation = replace(observation, crop=Crop(*crop))
    with np.errstate(all="ignore"):
        for i in range(2):
            estimate = estimator.update(i * FRAME_NS, observation)
            PoseMessage.from_estimate(estimate, seq=0, frame=0, t_capture_ns=0, body="b", model="m")  # checks


TILTS = {(None, None): (0, 0, 0), (90.0, None): (0, 0, -1), (None, 90.0): (1, 0, 0)}  # pitch, roll → up


@pytest.mark.parametrize("tilt", TILTS)
@pytest.mark.parametrize("appearance", [None, "0123", ""])  # "": trained without, and to be fed none
def test_the_network_is_told_of_tilt_and_appearance_where_they_are_known(tilt, appearance):
    config, engine, z = Config(), FixedEngine(), np.arange(128, dtype=np.float32)
    engine.appearance = appearance
    config.camera.pitch_deg, config.camera.roll_deg = tilt
    estimator, observation = Estimator(engine, BODY, config), seen()
    estimator.update(0, observation)
    estimator.update(FRAME_NS, replace(observation, detection=replace(observation.detection, appearance=z)))
    assert engine.features[1][UP] == pytest.approx(TILTS[tilt], abs=1e-6)
    assert not engine.features[0][HAS_APPEARANCE:].any()
    expected = [0.0] * 129 if appearance == "" else [1.0, *z]
    assert engine.features[1][HAS_APPEARANCE:].tolist() == expected


def test_horizons():
    assert parse_horizons("166.7", 200.0) == (166.7,)
    assert parse_horizons("100, 200", 200.0) == (100.0, 200.0)
    assert parse_horizons("", 200.0) == ()
    for bad in ("soon", "0", "-100", "250", "nan"):
        with pytest.raises(ConfigError, match="runtime.ahead_ms"):
            parse_horizons(bad, 200.0)


def test_several_horizons_or_none_are_published():
    assert [dt for dt, _ in make(ahead_ms="50,100")[0].update(0, seen()).ahead] == [50.0, 100.0]
    assert make(ahead_ms="")[0].update(0, seen()).ahead == ()
