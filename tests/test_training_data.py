"""Motion, crops, mirror and noise: training must see what the live path makes of the world."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from engines.network.config import NetworkConfig
from engines.network.model import HMMRLive
from realtime.body.kinematics import forward_kinematics
from realtime.body.rotations import axis_angle_to_matrix
from realtime.body.skeleton import JOINT_NAMES
from realtime.body.smpl import load_body
from realtime.errors import LoadError
from realtime.perception.box import keypoint_crop, smooth_crop
from tests.motions import every_look, observed_take, swinging_clip
from training.augment import MotionBank
from training.camera import project
from training.crops import keypoint_crops, smooth_crops
from training.dataset import TrainingData
from training.fit import rescale_strip
from training.metrics import knee_flexion_deg
from training.motion import load_clips, mirror, straighten_knees
from training.motion_tier import MotionTier
from training.noise import NoiseModel, first_markers, fit_markers, fit_noise
from training.observe import ObservedTake
from training.reach import reach
from training.take_tier import TakeTier


@pytest.fixture(scope="module")
def body():
    return load_body(None)


def test_batched_crops_are_those_of_the_live_path():
    rng = np.random.default_rng(0)
    landmarks, visibility = rng.uniform(0, 480, (3, 20, 33, 2)), rng.uniform(0, 1, (3, 20, 33))
    visibility[1, 5:8] = 0.1  # nothing to see: the box stays
    dt_s = rng.uniform(0.01, 0.2, (3, 20))
    measured, enough = keypoint_crops(landmarks, visibility)
    smoothed = smooth_crops(landmarks, visibility, dt_s, 0.1)
    for b in range(3):
        state = None
        for t in range(20):
            crop = keypoint_crop(landmarks[b, t], visibility[b, t])
            assert (crop is not None) == enough[b, t]
            if crop is None:
                continue
            assert np.allclose(measured[b, t], (crop.cx, crop.cy, crop.side))
            state = smooth_crop(state, crop, dt_s[b, t], 0.1)
            assert np.allclose(smoothed[b, t], (state.cx, state.cy, state.side))


def test_mirror_is_its_own_inverse_and_mirrors_the_joints(body):
    rotations = swinging_clip().rotations
    assert np.allclose(mirror(mirror(rotations)), rotations, atol=1e-6)
    joints, _ = forward_kinematics(body, rotations, np.zeros(10, np.float32))
    mirrored, _ = forward_kinematics(body, mirror(rotations), np.zeros(10, np.float32))
    left, right = JOINT_NAMES.index("left_wrist"), JOINT_NAMES.index("right_wrist")
    # The scanned mean body is symmetric to a millimetre or so.
    assert np.allclose(joints[:, left] * [-1, 1, 1], mirrored[:, right], atol=0.01)


def test_straightened_knees_leave_the_foot_where_it_was(body):
    bent = np.tile(np.eye(3, dtype=np.float32), (1, 24, 1, 1))
    crouch = np.radians(20.0)
    for side in ("left", "right"):
        for joint, share in (("hip", -0.5), ("knee", 1.0), ("ankle", -0.5)):
            bent[:, JOINT_NAMES.index(f"{side}_{joint}")] = axis_angle_to_matrix(
                np.array([share * crouch, 0, 0])
            )
    straight = bent.copy()
    straighten_knees(straight, np.array([crouch, crouch]))
    assert knee_flexion_deg(bent)[0] == pytest.approx([20.0, 20.0], abs=0.1)
    assert knee_flexion_deg(straight)[0] == pytest.approx([0.0, 0.0], abs=0.1)
    before, frames_before = forward_kinematics(body, bent, np.zeros(10, np.float32))
    after, frames_after = forward_kinematics(body, straight, np.zeros(10, np.float32))
    ankle = JOINT_NAMES.index("left_ankle")
    assert abs((after - before)[0, ankle, 2]) < 0.02  # under the hip, a little lower
    assert np.allclose(frames_before[0, ankle, :3, :3], frames_after[0, ankle, :3, :3], atol=1e-5)


def test_markers_are_found_again(body):
    takes = [observed_take(body, seed) for seed in range(4)]
    truth = first_markers()
    moved = [
        ObservedTake(
            **{**vars(take), "landmarks_px": _with_offset(take, truth, np.array([0.02, -0.01, 0.015]))}
        )
        for take in takes
    ]
    found = fit_markers(moved)
    error = np.linalg.norm(found.offset - (truth.offset + [0.02, -0.01, 0.015]), axis=1)
    assert np.median(error) < 0.004


def _with_offset(take: ObservedTake, markers, offset: np.ndarray) -> np.ndarray:
    moved = type(markers)(markers.seat, markers.carrier, markers.offset + offset)
    frames = len(take.trans)
    return every_look(
        project(
            moved.place(take.joints, take.transforms),
            np.repeat(take.image_size[None], frames, 0),
            np.full(frames, take.fov_deg),
        )
    )


def test_a_perfect_observer_leaves_no_noise(body):
    takes = [observed_take(body, seed) for seed in range(3)]
    markers = first_markers()
    noise = fit_noise(takes, markers)
    assert isinstance(noise, NoiseModel)
    assert max(np.abs(track).max() for track in noise.image_tracks) < 1e-4


def test_errors_last_as_long_as_they_did(body):
    """Those of a take with 15 pictures a second come at that pace, whatever rate they are asked for at."""
    take = observed_take(body)
    noise = fit_noise([replace(take, t_s=2.0 * take.t_s)], first_markers())
    counted = replace(noise, visibility_tracks=[np.repeat(np.arange(90.0)[:, None], 33, axis=1)])
    _, _, row = counted.sample(np.arange(40.0), noise.poses[0], np.random.default_rng(1))
    assert np.abs(np.diff(row[:, 0])).sum() == pytest.approx(39 / 2, abs=2)  # there and, at an end, back


def test_errors_are_those_of_a_like_pose(body):
    """Of two takes, each met in the middle of the window; pose by pose, the errors come from the one asked for."""
    takes = [observed_take(body, seed) for seed in range(2)]
    noise = fit_noise(takes, first_markers())
    named = replace(
        noise,
        visibility_tracks=[np.full((len(v), 33), float(i)) for i, v in enumerate(noise.visibility_tracks)],
    )
    rng, last = np.random.default_rng(0), len(noise.visibility_tracks[0])
    for take, rows in enumerate((slice(0, last), slice(last, None))):
        for pose in named.poses[rows][::20]:
            _, _, told = named.sample(np.arange(9.0), pose, rng)
            assert (told == take).all()


def test_batches_have_their_truth_in_the_ray_frame(body):
    """Projected joints of the truth lie on the landmarks that sit on them, in both tiers, mirrored or not."""
    takes = [observed_take(body, seed) for seed in range(3)]
    noise = fit_noise(takes, first_markers())
    bank = MotionBank([swinging_clip(seed=seed) for seed in range(3)])
    rng = np.random.default_rng(0)
    tiers = [
        (MotionTier(body, bank, noise, 16, rng), 0.5),
        (TakeTier(takes, first_markers(), 16, rng), 0.5),
    ]
    batch = next(iter(TrainingData(tiers, 8)))
    assert batch.features.shape[:2] == (8, 16)
    image, visibility = batch.features[..., :66].reshape(8, 16, 33, 2), batch.features[..., 165:198]
    for landmark, joint in ((25, "left_knee"), (26, "right_knee"), (13, "left_elbow"), (14, "right_elbow")):
        seen = visibility[..., landmark] > 0
        apart = np.linalg.norm(
            image[..., landmark, :] - batch.keypoints[..., JOINT_NAMES.index(joint), :], axis=-1
        )
        assert np.median(apart[seen]) < 0.01
    # Nearly half of the windows may have left and right exchanged for a spell, or landmarks lost: hence the medians.
    apart = np.linalg.norm(image - batch.landmarks, axis=-1)[visibility > 0]
    assert np.median(apart) < 1e-5
    assert np.all(batch.has_3d == 1.0)
    # And the rotations are those of the ray frame: the body posed by them projects onto the same keypoints.
    joints, _ = forward_kinematics(body, batch.rotations, np.repeat(batch.betas[:, None], 16, axis=1))
    flat = joints[..., :2] - joints[..., :2].mean(axis=2, keepdims=True)
    seen = batch.keypoints - batch.keypoints.mean(axis=2, keepdims=True)
    scale = (flat * seen).sum((2, 3), keepdims=True) / (flat**2).sum((2, 3), keepdims=True)
    assert np.abs(scale * flat - seen).mean() < 0.05  # what perspective leaves over


def test_a_limb_reaches_where_it_is_told_and_nothing_else_moves(body):
    rotations = swinging_clip().rotations
    direction = np.array([0.36, 0.48, -0.8])
    share = np.linspace(0.0, 1.0, len(rotations))
    for limb, following in (("right_shoulder", "right_elbow"), ("left_hip", "left_knee")):
        reached = reach(rotations, limb, direction, share, straight=0.0)
        before, _ = forward_kinematics(body, rotations, np.zeros(10, np.float32))
        after, _ = forward_kinematics(body, reached, np.zeros(10, np.float32))
        a, b = JOINT_NAMES.index(limb), JOINT_NAMES.index(following)
        bone = after[-1, b] - after[-1, a]
        # The bones of the scanned body lie within a few degrees of the T-pose's axes.
        assert bone @ direction / np.linalg.norm(bone) > np.cos(np.radians(12.0))
        others = [joint for joint in range(24) if limb.split("_")[0] not in JOINT_NAMES[joint]]
        assert np.allclose(after[:, others], before[:, others], atol=1e-5)
        assert np.allclose(reached[0], rotations[0], atol=1e-5)


def test_absent_motion_says_what_to_do(tmp_path):
    with pytest.raises(LoadError, match="--motion"):
        load_clips(tmp_path / "none.npz", "train")


def test_rescaling_the_strip_changes_nothing_but_its_size():
    torch.manual_seed(0)
    model = HMMRLive(
        NetworkConfig(feature_dim=20, feature_version=1, model_id="t", width=64, groups=8)
    ).eval()
    for layer in (model.embed.fc2, *(block.conv2.taps for block in model.encoder.blocks)):
        layer.weight.data *= 300.0  # a strip of some tens, as training leaves it
    model.dynamics.direct.weight.data.normal_(0.0, 0.01)
    features = torch.randn(2, 20, 20)
    before = model(features)
    pose = torch.eye(3).expand(2, 20, 24, 3, 3)
    ahead = model.dynamics(before.movie_strip, pose, torch.full((2, 20), 100.0))
    expected_single = model.f3d(before.hallucinated)
    rescale_strip(model, features)
    after = model(features)
    assert 0.5 < after.encoded.detach().square().mean().sqrt() < 2.0
    ratio = (before.encoded / after.encoded)[after.encoded.abs() > 0.01]
    assert ratio.max() - ratio.min() < 1e-3 * ratio.max()
    assert torch.allclose(after.theta6d, before.theta6d, atol=1e-5)
    assert torch.allclose(model.f3d(after.hallucinated), expected_single, atol=1e-5)
    assert torch.allclose(
        model.dynamics(after.movie_strip, pose, torch.full((2, 20), 100.0)), ahead, atol=1e-5
    )
