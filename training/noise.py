"""What BlazePose makes of a body: where its 33 landmarks sit on it, what it gets wrong always, and what it gets wrong
by the way. Measured on rendered takes (training/synthesis.py), then applied to motion that nobody rendered.

1. Markers: each landmark is a joint plus an offset in the frame of the bone it rides on, fitted to BlazePose's image
   landmarks, so that "left_hip" means what BlazePose means by it.
2. Systematic part of world landmarks: a ridge regression from the true landmarks (depth comes out flat, shanks short).
3. The rest, with its visibility, is kept as tracks of whole takes: how errors hang together over landmarks and time is
   copied rather than modelled, left/right confusions included.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from realtime.body.skeleton import BLAZEPOSE_NAMES, JOINT_NAMES
from realtime.body.smpl import load_body
from realtime.features import virtual_camera
from training.camera import project
from training.crops import keypoint_crops
from training.observe import LOOKS, ObservedTake, load_takes, shares

PLAIN, BOTH = LOOKS.index("plain"), LOOKS.index("both")
LEFT_HIP, RIGHT_HIP = BLAZEPOSE_NAMES.index("left_hip"), BLAZEPOSE_NAMES.index("right_hip")
# Places in the error tracks, of which a window gets the one where the pose was most like its own.
CANDIDATES = 256
_RIDGE = 3.0
_MARKER_PRIOR = 20.0  # weight of the first guess, in frames
_CLEAR = 0.6  # landmarks are fitted where BlazePose is this sure

# Landmark → (joint it sits at, joint whose frame it turns with, first guess of its offset in metres, left side).
_SIDED = {
    "eye_inner": ("head", "head", (0.015, 0.06, 0.10)),
    "eye": ("head", "head", (0.03, 0.06, 0.09)),
    "eye_outer": ("head", "head", (0.045, 0.06, 0.08)),
    "ear": ("head", "head", (0.075, 0.03, 0.0)),
    "shoulder": ("shoulder", "collar", (0.0, 0.0, 0.0)),
    "elbow": ("elbow", "shoulder", (0.0, 0.0, 0.0)),
    "wrist": ("wrist", "elbow", (0.0, 0.0, 0.0)),
    "pinky": ("hand", "wrist", (0.0, 0.0, -0.03)),
    "index": ("hand", "wrist", (0.02, 0.0, 0.03)),
    "thumb": ("hand", "wrist", (-0.03, 0.0, 0.05)),
    "hip": ("hip", "pelvis", (0.0, 0.0, 0.0)),
    "knee": ("knee", "hip", (0.0, 0.0, 0.0)),
    "ankle": ("ankle", "knee", (0.0, 0.0, 0.0)),
    "heel": ("ankle", "ankle", (0.0, -0.06, -0.05)),
    "foot_index": ("foot", "ankle", (0.0, -0.02, 0.06)),
}
_CENTRAL = {"nose": ("head", "head", (0.0, 0.03, 0.13)), "mouth": ("head", "head", (0.025, -0.02, 0.10))}


@dataclass(frozen=True)
class Markers:
    """landmark = joints[seat] + R[carrier] · offset."""

    seat: np.ndarray  # (33,) int
    carrier: np.ndarray  # (33,) int
    offset: np.ndarray  # (33, 3) metres

    def place(self, joints: np.ndarray, transforms: np.ndarray) -> np.ndarray:
        """joints (…, 24, 3), transforms (…, 24, 4, 4) → (…, 33, 3) metres, same frame."""
        turned = transforms[..., self.carrier, :3, :3] @ self.offset[:, :, None].astype(transforms.dtype)
        return joints[..., self.seat, :] + turned[..., 0]


def first_markers() -> Markers:
    """Where anatomy says the landmarks are."""
    seat, carrier, offset = [], [], []
    for name in BLAZEPOSE_NAMES:
        side = next((s for s in ("left", "right") if s in name), "")
        base = (
            name.replace("left_", "")
            .replace("right_", "")
            .replace("mouth_left", "mouth")
            .replace("mouth_right", "mouth")
        )
        at, on, where = _SIDED[base] if base in _SIDED else _CENTRAL[base]
        for table, joint in ((seat, at), (carrier, on)):
            table.append(JOINT_NAMES.index(joint if joint in JOINT_NAMES else f"{side}_{joint}"))
        sign = -1.0 if side == "right" else 1.0
        offset.append((sign * where[0], where[1], where[2]))
    return Markers(np.array(seat), np.array(carrier), np.array(offset))


def fit_markers(takes: list[ObservedTake], rounds: int = 3) -> Markers:
    """Offsets that bring the projected markers onto BlazePose's image landmarks, robustly, linear in the offset."""
    start = first_markers()
    offset = start.offset.copy()
    for landmark in range(33):
        rows, targets, scales, weights = [], [], [], []
        for take in takes:
            ok = take.detected & (take.visibility[:, PLAIN, landmark] > _CLEAR)
            if not ok.any():
                continue
            u = (take.landmarks_px[ok, PLAIN, landmark] - take.image_size / 2.0) / take.focal_px
            R = take.transforms[ok, start.carrier[landmark], :3, :3]
            J = take.joints[ok, start.seat[landmark]]
            # (R δ)_xy − u (R δ)_z = u J_z − J_xy: metres in the plane of the joint
            rows.append(R[:, :2] - u[:, :, None] * R[:, 2:3])
            targets.append(u * J[:, 2:] - J[:, :2])
            weights.append(take.visibility[ok, PLAIN, landmark])
        A, b, w = np.concatenate(rows), np.concatenate(targets), np.concatenate(weights)
        for _ in range(rounds):
            residual = np.linalg.norm(np.einsum("nij,j->ni", A, offset[landmark]) - b, axis=1)
            scales = w * np.minimum(1.0, 0.04 / np.maximum(residual, 1e-6))  # Huber at 4 cm
            prior = _MARKER_PRIOR * np.eye(3)
            gram = np.einsum("n,nij,nik->jk", scales, A, A) + prior
            offset[landmark] = np.linalg.solve(
                gram, np.einsum("n,nij,ni->j", scales, A, b) + prior @ start.offset[landmark]
            )
    return Markers(start.seat, start.carrier, offset)


@dataclass(frozen=True)
class NoiseModel:
    """Applies BlazePose's errors to true landmarks."""

    markers: Markers
    systematic: np.ndarray  # (100, 99): true world landmarks and 1 → BlazePose's
    image_tracks: list[np.ndarray]  # (T, 33, 2) in diagonals of the true landmarks' box
    world_tracks: list[np.ndarray]  # (T, 33, 3) metres
    visibility_tracks: list[np.ndarray]  # (T, 33)
    poses: np.ndarray  # (rows of all tracks, 33, 3) metres: the markers seen so, as of `world_truth`
    strides: np.ndarray  # of every track: frames of the capture from one row to the next
    chances: np.ndarray  # of every track

    def sample(
        self, steps: np.ndarray, pose: np.ndarray, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Error tracks at `steps` (T,) frames of the capture: image (T, 33, 2), world (T, 33, 3), visibility (T, 33).

        pose (33, 3): the markers in the middle of the window, as `world_truth` has them. What is wrong depends on it,
        so of CANDIDATES places in the tracks that one is taken where the person stood most like it.
        """
        tracks = rng.choice(len(self._lasts), CANDIDATES, p=self.chances)
        starts = rng.uniform(0.0, self._lasts[tracks])
        there = self._rows(tracks, starts, steps[len(steps) // 2])
        met = self.poses[self._firsts[tracks] + there]
        best = np.square(met - pose).sum(axis=(1, 2)).argmin()
        index, rows = tracks[best], self._rows(tracks[best], starts[best], steps)
        strength = rng.uniform(0.5, 1.1)
        return (
            strength * self.image_tracks[index][rows],
            strength * self.world_tracks[index][rows],
            self.visibility_tracks[index][rows],
        )

    @cached_property
    def _lasts(self) -> np.ndarray:
        return np.array([len(track) - 1 for track in self.visibility_tracks])

    @cached_property
    def _firsts(self) -> np.ndarray:
        return np.concatenate([[0], np.cumsum(self._lasts + 1)[:-1]])

    def _rows(self, tracks: np.ndarray, starts: np.ndarray, steps: np.ndarray) -> np.ndarray:
        """Rows of tracks so many frames of the capture after the rows `starts`; at their ends they turn back."""
        last = self._lasts[tracks]
        where = starts + steps / self.strides[tracks]
        return np.abs((where + last) % (2 * last) - last).astype(int)


def world_truth(markers: Markers, take: ObservedTake, crops: np.ndarray) -> np.ndarray:
    """(T, 33, 3): the markers about the middle of the hips, in the ray frame of each frame's crop."""
    placed = markers.place(take.joints, take.transforms)
    R_cam_ray, _ = virtual_camera(crops, np.broadcast_to(take.image_size, (len(crops), 2)), take.fov_deg)
    centred = placed - placed[:, [LEFT_HIP, RIGHT_HIP]].mean(axis=1, keepdims=True)
    return centred @ R_cam_ray


def fit_noise(takes: list[ObservedTake], markers: Markers) -> NoiseModel:
    """Systematic part by ridge regression, the rest as tracks, of the plain look and of both merged in turn; takes that
    BlazePose hardly saw are left out."""
    takes = [take for take in takes if take.detected.mean() > 0.6]
    looks = [(PLAIN, BOTH)[index % 2] for index in range(len(takes))]
    truths, seen = [], []
    for take, look in zip(takes, looks, strict=True):
        rows = take.detected
        crops, _ = keypoint_crops(take.landmarks_px[:, look], take.visibility[:, look])
        truths.append(world_truth(markers, take, crops)[rows].reshape(-1, 99))
        seen.append(take.world[rows, look].reshape(-1, 99))
    A = np.concatenate(truths)
    A = np.hstack([A, np.ones((len(A), 1))])
    B = np.concatenate(seen)
    counts = np.concatenate([np.full(len(rows), take.weight) for take, rows in zip(takes, seen, strict=True)])
    C = (A * (100.0 * counts / counts.sum())[:, None]).T
    # Toward "as it is": the regression says only how BlazePose departs from the truth.
    systematic = np.linalg.solve(C @ A + _RIDGE * np.eye(100), C @ (B - A[:, :99]))
    systematic[:99] += np.eye(99)

    image_tracks, world_tracks, visibility_tracks = [], [], []
    for take, look, truth, world in zip(takes, looks, truths, seen, strict=True):
        rows = take.detected
        true_px = project(markers.place(take.joints, take.transforms), take.image_size, take.fov_deg)[rows]
        diagonal = np.hypot(*np.moveaxis(np.ptp(true_px, axis=1), -1, 0))[:, None, None]
        image_tracks.append(((take.landmarks_px[rows, look] - true_px) / diagonal).astype(np.float32))
        expected = np.hstack([truth, np.ones((len(truth), 1))]) @ systematic
        world_tracks.append((world - expected).reshape(-1, 33, 3).astype(np.float32))
        visibility_tracks.append(take.visibility[rows, look])
    return NoiseModel(
        markers,
        systematic,
        image_tracks,
        world_tracks,
        visibility_tracks,
        np.concatenate(truths).reshape(-1, 33, 3).astype(np.float32),
        np.array([take.stride for take in takes]),
        shares(takes),
    )


def describe(takes: list[ObservedTake]) -> str:
    """What was measured, in a few lines."""
    markers = fit_markers(takes)
    noise = fit_noise(takes, markers)
    image = np.linalg.norm(np.concatenate(noise.image_tracks), axis=-1)
    rest = np.concatenate(noise.world_tracks)
    raw = []
    for take in takes:
        crops, _ = keypoint_crops(take.landmarks_px[:, PLAIN], take.visibility[:, PLAIN])
        raw.append((take.world[:, PLAIN] - world_truth(markers, take, crops))[take.detected])
    before = np.sqrt((np.concatenate(raw) ** 2).mean(axis=(0, 1))) * 1000
    after = np.sqrt((rest**2).mean(axis=(0, 1))) * 1000
    detected = np.concatenate([take.detected for take in takes]).mean()
    moved = np.linalg.norm(markers.offset - first_markers().offset, axis=1) * 1000
    return "\n".join(
        [
            f"{len(takes)} takes, {sum(len(take.trans) for take in takes)} frames, person found in {detected:.1%}",
            f"markers moved from anatomy's guess: median {np.median(moved):.0f} mm, most {moved.max():.0f} mm",
            f"image landmarks: median {np.median(image):.3f}, 95 % below {np.percentile(image, 95):.3f} "
            "of the box's diagonal",
            "world landmarks, rms x y z: "
            + " ".join(f"{value:.0f}" for value in before)
            + " mm as they are, "
            + " ".join(f"{value:.0f}" for value in after)
            + " mm without their systematic part",
        ]
    )


def main() -> None:
    parser = argparse.ArgumentParser(description="Print what BlazePose gets wrong on rendered takes.")
    parser.add_argument("--takes", type=Path, default=Path("data/observed/train"))
    print(describe(load_takes(parser.parse_args().takes, load_body(None))))


if __name__ == "__main__":
    main()
