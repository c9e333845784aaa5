"""The third tier: pseudo truth without lag, people who change, and windows from which nothing but 2-D is learned."""

import cv2
import numpy as np
import pytest

from realtime.errors import LoadError
from realtime.perception.look import LANDMARKS, SWAPPED
from tests.people import pictures, standing
from training.observe import LOOKS, ObservedTake, appearance_path, map_path
from training.pseudo import pseudo_landmarks, smooth_centred
from training.video_tier import VideoTier, file_stem, followed, load_videos, observe_videos

FRAMES = 90
T_S = np.arange(FRAMES) / 30.0


def _walker(noise_px: float = 0.0, jump_at: int | None = None, seed: int = 0) -> ObservedTake:
    """A standing person who sways, seen in every look; from frame `jump_at` on it is one at another place."""
    rng = np.random.default_rng(seed)
    person = standing()
    sway = 30.0 * np.sin(2.0 * np.pi * 0.7 * T_S)[:, None, None] * np.array([1.0, 0.2])
    pixels = np.repeat((person.landmarks_px + sway)[:, None], len(LOOKS), axis=1)
    pixels = pixels + rng.normal(0.0, noise_px, pixels.shape) if noise_px else pixels
    if jump_at is not None:
        pixels[jump_at:, ..., 0] += 280.0
    every = (FRAMES, len(LOOKS))
    return ObservedTake(
        path=None, clip="walker", rotations=np.broadcast_to(np.eye(3, dtype=np.float32), (FRAMES, 24, 3, 3)),
        trans=np.zeros((FRAMES, 3), np.float32), betas=np.zeros(10, np.float32), R=np.full((3, 3), np.nan, np.float32),
        image_size=np.array([640, 480], np.float32), fov_deg=60.0, t_s=T_S, landmarks_px=pixels.astype(np.float32),
        world=np.broadcast_to(person.world, (*every, 33, 3)).astype(np.float32),
        visibility=np.full((*every, 33), 0.9, np.float32), detected=np.ones(FRAMES, bool),
        joints=np.zeros((FRAMES, 24, 3), np.float32), transforms=np.zeros((FRAMES, 24, 4, 4), np.float32),
    )  # fmt: skip


def test_smoothing_keeps_even_motion_where_it_is():
    t_s = np.cumsum(np.random.default_rng(0).uniform(0.02, 0.06, 40))
    path = np.stack([3.0 + 50.0 * t_s + 20.0 * t_s**2, 100.0 - 70.0 * t_s], axis=-1)[:, None]
    smooth = smooth_centred(t_s, path, np.ones((40, 1)))
    assert np.abs(smooth - path)[2:-2].max() < 0.3  # pixels, of a path of hundreds; the ridge takes so much
    unseen = np.ones((40, 1))
    unseen[20] = 0.0
    wild = path.copy()
    wild[20] += 500.0
    assert np.abs(smooth_centred(t_s, wild, unseen) - path)[20].max() < 1.0  # filled in by its neighbours


def test_pseudo_truth_is_steadier_than_a_look_and_does_not_lag():
    take, true = _walker(noise_px=3.0), _walker()
    places, weight = pseudo_landmarks(
        T_S, take.landmarks_px[:, :2], take.world[:, :2], take.visibility[:, :2], take.detected
    )
    off = places - true.landmarks_px[:, 0]
    raw = take.landmarks_px[:, 0] - true.landmarks_px[:, 0]
    assert off[3:-3].std() < 0.5 * raw[3:-3].std()
    moved = np.gradient(true.landmarks_px[:, 0, 0, 0], T_S)[3:-3]
    mean_off = off[3:-3, :, 0].mean(axis=1)
    lag_s = -(mean_off * moved).sum() / (moved**2).sum()
    assert abs(lag_s) < 0.004
    assert weight.max() <= 0.9**2 + 1e-6


def test_landmarks_whose_sides_are_in_doubt_do_not_count():
    take = _walker()
    world = take.world[:, :2].copy()
    legs = np.arange(23, 33)
    world[:, 1, legs] = world[:, 1, SWAPPED[:LANDMARKS]][:, legs]
    _, weight = pseudo_landmarks(T_S, take.landmarks_px[:, :2], world, take.visibility[:, :2], take.detected)
    assert not weight[:, 23:].any() and np.all(weight[:, :23] > 0.5)
    apart = take.landmarks_px[:, :2].copy()
    apart[:, 1, 15] += 40.0  # a wrist that the looks see elsewhere
    _, weight = pseudo_landmarks(T_S, apart, take.world[:, :2], take.visibility[:, :2], take.detected)
    assert weight[:, 15].max() < 0.1 * weight[:, 16].min()


def test_a_cut_ends_one_person_and_begins_another():
    assert [len(run) for run in followed(_walker())] == [FRAMES]
    assert [len(run) for run in followed(_walker(jump_at=45))] == [45, 45]
    assert [len(run) for run in followed(_walker(jump_at=20))] == [70]  # the first one was too short
    gone = _walker()
    gone.detected[40:60] = False
    assert [len(run) for run in followed(gone)] == [40]  # and the rest after the gap: 30 frames, too short


def test_windows_of_video_know_2d_alone_and_follow_their_pseudo_truth():
    tier = VideoTier([_walker()], 16, np.random.default_rng(0))
    batch = tier.windows(6)
    assert not batch.has_3d.any()
    assert np.isfinite(batch.features).all() and np.isfinite(batch.landmarks).all()
    assert not batch.features[..., 199:202].any()  # nobody knows which way is up
    seen = batch.features[..., :66].reshape(6, 16, 33, 2)
    visible = batch.features[..., 165:198] > 0
    apart = np.linalg.norm(seen - batch.landmarks, axis=-1)[visible]
    assert np.median(apart) < 2e-3
    assert batch.landmark_weight.min() >= 0 and batch.landmark_weight.max() <= 1
    with pytest.raises(LoadError, match="nobody in view"):
        VideoTier([], 16, np.random.default_rng(0))


def test_a_folder_of_videos_is_watched_once(tmp_path):
    videos, out = tmp_path / "clips", tmp_path / "seen"
    (videos / "sub").mkdir(parents=True)
    frames = pictures(6)
    height, width = frames[0].shape[:2]
    writer = cv2.VideoWriter(
        str(videos / "sub" / "a b.mp4"), cv2.VideoWriter_fourcc(*"mp4v"), 30.0, (width, height)
    )
    for frame in frames:
        writer.write(frame)
    writer.release()
    (videos / "notes.txt").write_text("no video\n")
    observe_videos(videos, out)
    takes = load_videos(out)
    assert [len(take.t_s) for take in takes] == [6] and takes[0].detected.all()
    assert np.load(map_path(takes[0].path)).shape == (6, 2, 144, 8, 8)
    assert not appearance_path(takes[0].path).exists()
    stamp = takes[0].path.stat().st_mtime_ns
    observe_videos(videos, out)
    assert load_videos(out)[0].path.stat().st_mtime_ns == stamp
    assert file_stem(videos, videos / "sub" / "a b.mp4") != file_stem(videos, videos / "sub" / "a-b.mp4")


def test_a_folder_without_videos_says_so(tmp_path):
    with pytest.raises(LoadError, match="no such folder"):
        observe_videos(tmp_path / "none", tmp_path / "out")
    (tmp_path / "notes.txt").write_text("no video\n")
    with pytest.raises(LoadError, match="OpenCV can read"):
        observe_videos(tmp_path, tmp_path / "out")
    with pytest.raises(LoadError, match="video_tier"):
        load_videos(tmp_path)
