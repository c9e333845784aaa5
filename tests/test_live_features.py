"""What training shows the network is what the live stream would show it, and what it says of it is true."""

from dataclasses import replace

import numpy as np
import pytest
from motions import observed_take
from test_estimator import FixedEngine

from realtime.body.kinematics import forward_kinematics
from realtime.body.smpl import load_body
from realtime.config import CameraConfig, Config
from realtime.estimator import LONGEST_GAP_S, Estimator
from realtime.features import APPEARANCE_DIM
from realtime.observation import Detection, Observation
from realtime.perception.box import keypoint_crop, smooth_crop
from realtime.perception.look import LANDMARKS, SWAPPED
from training import batch as batches
from training.motion import mirror
from training.noise import first_markers
from training.observe import LOOKS, map_path
from training.pace import MAX_AHEAD_FRAMES
from training.take_tier import TakeTier

FRAMES, WINDOWS = 20, 60
FLIP = np.array([-1.0, 1.0, 1.0], np.float32)
OTHER_SIDE = SWAPPED[:LANDMARKS]


class Recorded(TakeTier):
    """Remembers what each window was made of."""

    def _appearance(self, kept, rows, look, mirrored):
        z = super()._appearance(kept, rows, look, mirrored)
        self.drawn.append((rows, look, mirrored, np.isfinite(z).all(axis=-1)))
        return z


@pytest.fixture(scope="module")
def body():
    return load_body(None)


@pytest.fixture(scope="module")
def take(body, tmp_path_factory):
    """A take whose four looks differ, whose pictures come unevenly, some without the person."""
    path = tmp_path_factory.mktemp("takes") / "take_00000.npz"
    take, rng = observed_take(body), np.random.default_rng(4)
    steps = rng.choice([1.0, 2.0], 90, p=[0.9, 0.1]) * rng.uniform(0.88, 1.12, 90) / 30.0
    detected = np.ones(90, bool)
    detected[[12, 40, 41, 42, 77]] = False
    looks = (90, len(LOOKS), LANDMARKS)
    np.save(
        map_path(path).with_name("take_00000_z.npy"),
        rng.normal(size=(90, 2, APPEARANCE_DIM)).astype(np.float16),
    )
    return replace(
        take,
        path=path,
        t_s=np.cumsum(steps) - steps[0],
        detected=detected,
        landmarks_px=take.landmarks_px + rng.normal(0.0, 3.0, (*looks, 2)).astype(np.float32),
        visibility=rng.uniform(0.0, 1.0, looks).astype(np.float32),
    )


@pytest.fixture
def tier(take):
    tier = Recorded([take], first_markers(), FRAMES, np.random.default_rng(8))
    tier.drawn = []
    return tier


def test_a_window_is_a_stream_of_pictures_each_with_its_own_future(tier, take):
    ends = set()
    for _ in range(WINDOWS):
        window = tier._window()
        rows, _, mirrored, _ = tier.drawn[-1]
        assert take.detected[rows].all()
        way = np.diff(take.t_s[rows])
        assert way.all()  # no picture comes twice
        assert window["dt_s"] == pytest.approx(np.r_[1 / 30, np.abs(way)])
        direction = np.sign(np.r_[way[:1], way])
        ends.add(direction[-1])
        assert np.abs(window["dt_ahead_ms"]).max() < 1.12 * MAX_AHEAD_FRAMES * 1000 / 30
        then = take.t_s[rows] + direction * window["dt_ahead_ms"] / 1000
        there = np.abs(take.t_s - then[:, None]).argmin(axis=1)
        assert take.t_s[there] == pytest.approx(then)
        true, future = take.rotations[rows], take.rotations[there]
        assert np.array_equal(window["rotations"], mirror(true) if mirrored else true)
        assert np.array_equal(window["ahead"], mirror(future) if mirrored else future)
    assert ends == {-1.0, 1.0}


def test_a_mirrored_window_is_true_in_the_mirror(tier, take, body):
    markers, met = first_markers(), set()
    for _ in range(20):
        window = tier._window()
        rows, _, mirrored, _ = tier.drawn[-1]
        met.add(mirrored)
        joints, transforms = forward_kinematics(body, window["rotations"], window["betas"])
        placed = markers.place(joints, transforms)
        # What was seen in metres is that of the body, to the asymmetry of a scanned one.
        assert np.abs(placed - placed.mean(axis=1, keepdims=True) - window["world"]).max() < 0.02
        # And which way is up turns with it.
        seen = np.swapaxes(window["rotations"][:, 0], -1, -2) @ window["up"]
        true = np.swapaxes(take.rotations[rows, 0], -1, -2) @ take.R[:, 1]
        assert np.allclose(seen, true * FLIP if mirrored else true, atol=1e-5)
    assert met == {True, False}


def test_features_are_those_of_the_live_stream(tier, take, body, monkeypatch):
    """All but what is made worse on purpose: the field of view known, no landmark lost, up known to the end."""
    for name, value in {
        "FOV_ERROR": 0.0,
        "P_LANDMARKS_LOST": 0.0,
        "P_UP_KNOWN": 1.0,
        "UP_ERROR_RAD": 0.0,
    }.items():
        monkeypatch.setattr(batches, name, value)
    batch = tier.windows(WINDOWS)
    compared = set()
    for features, dt_s, (rows, look, mirrored, given) in zip(
        batch.features, batch.dt_s, tier.drawn, strict=True
    ):
        if dt_s.max() > LONGEST_GAP_S:
            continue  # live, the features before such a gap are forgotten
        live = live_features(take, rows, dt_s, look, mirrored, given, body)
        assert np.abs(features - live).max() < 2e-5, (look, mirrored)
        compared.add((look, mirrored))
    assert len(compared) == 6  # plain, both, alternate, each also in the mirror


def live_features(take, rows, dt_s, look, mirrored, given, body) -> np.ndarray:
    """(T, F): the estimator on these pictures, or on their mirror pictures, as fast as they came."""
    up = take.R[:, 1] * (FLIP if mirrored else 1.0)
    pitch, roll = np.arctan2(-up[2], -up[1]), np.arcsin(up[0])
    camera = CameraConfig(
        fov_deg=take.fov_deg, pitch_deg=float(np.degrees(pitch)), roll_deg=float(np.degrees(roll))
    )
    engine = FixedEngine()
    estimator = Estimator(engine, body, Config(camera=camera))
    size = (int(take.image_size[0]), int(take.image_size[1]))
    k = LOOKS.index("mirrored" if mirrored and look == "plain" else look)
    z = np.load(take.path.with_name("take_00000_z.npy"))
    crop, t_ns, tau_s = None, 10**9, Config().perception.box_tau_ms / 1000
    for row, dt, with_map in zip(rows, dt_s, given, strict=True):
        places, world, visibility = take.landmarks_px[row, k], take.world[row, k], take.visibility[row, k]
        if mirrored:
            places = (places * FLIP[:2] + [size[0], 0.0])[OTHER_SIDE]
            world, visibility = (world * FLIP)[OTHER_SIDE], visibility[OTHER_SIDE]
        t_ns += round(float(dt) * 1e9)
        crop = smooth_crop(crop, keypoint_crop(places, visibility), float(dt), tau_s)
        appearance = z[row, int(mirrored)].astype(np.float32) if with_map else None
        detection = Detection(places, world, visibility, appearance)
        estimator.update(t_ns, Observation(detection, crop, "tracking", 0.9, 1, size))
    return np.stack(engine.features)
