"""φ: what one frame says about one person, blind to the size of the picture and to where in it the person stands.

The network works in the *ray frame*: a virtual camera in the same place, turned so that its z axis runs through the
centre of the person's crop. Landmarks are projected into it and divided by the half side of the crop, so a person at
the border of a wide picture looks to the network like the same person in the middle. `virtual_camera` gives the
rotation back. World landmarks are taken as they are: MediaPipe sees only the crop, so they are in that frame already.

    0 ─ 66    image landmarks (33, 2), half crops       199 ─ 202   up, a unit vector; zeros: not known
    66 ─ 165  world landmarks (33, 3), metres           202         1 where there are appearance features, else 0
    165 ─ 198 visibility (33,)                          203 ─ 331   appearance features; zeros: none
    198       pace

Every function takes leading batch dimensions: live it is called with none, training calls it on (B, T).
"""

from __future__ import annotations

import numpy as np

FEATURE_VERSION = 2
LANDMARKS = 33
APPEARANCE_DIM = 128  # of engines/network/appearance.py
IMAGE, VISIBILITY = slice(0, 66), slice(165, 198)  # places in φ
UP = slice(199, 202)
HAS_APPEARANCE = 202
APPEARANCE = slice(203, 203 + APPEARANCE_DIM)
FEATURE_DIM = APPEARANCE.stop

NOMINAL_DT_S = 1.0 / 30.0
MISSING_VISIBILITY = 0.05  # below this a landmark's place says nothing: it is zeroed, with its visibility
_IMAGE_LIMIT = 2.5  # half crops; landmarks guessed far outside the picture are held here
_WORLD_LIMIT_M = 2.0


def virtual_camera(
    crop: np.ndarray, image_size: np.ndarray, fov_deg: np.ndarray | float
) -> tuple[np.ndarray, np.ndarray]:
    """The camera turned toward the crop.

    crop (…, 3) [cx, cy, side] pixels, image_size (…, 2) [W, H] pixels, fov_deg horizontal.
    Returns R_cam_ray (…, 3, 3), which takes ray-frame vectors to the camera frame (smallest rotation of the z axis onto
    the viewing ray), and the half side of the crop as a tangent in the ray frame (…,). At distance Z along the ray the
    weak-perspective scale of HMMR's camera is s = 1 / (Z · half).
    """
    focal_px = image_size[..., 0] / (2.0 * np.tan(np.radians(fov_deg) / 2.0))
    x = (crop[..., 0] - image_size[..., 0] / 2.0) / focal_px
    y = (crop[..., 1] - image_size[..., 1] / 2.0) / focal_px
    length = np.sqrt(x * x + y * y + 1.0)
    a, b, c = x / length, y / length, 1.0 / length
    # Rodrigues for axis z × ray, written out: R z = (a, b, c).
    k = 1.0 / (1.0 + c)
    R_cam_ray = np.stack([1.0 - a * a * k, -a * b * k, a, -a * b * k, 1.0 - b * b * k, b, -a, -b, c], axis=-1)
    half = crop[..., 2] / (2.0 * focal_px * length)
    return R_cam_ray.reshape(*R_cam_ray.shape[:-1], 3, 3), half


def normalise_landmarks(
    landmarks_px: np.ndarray, crop: np.ndarray, image_size: np.ndarray, fov_deg: np.ndarray | float
) -> np.ndarray:
    """(…, K, 2) pixels → (…, K, 2) in the crop of the virtual camera, [−1, 1] inside it, y down."""
    R_cam_ray, half = virtual_camera(crop, image_size, fov_deg)
    focal_px = image_size[..., 0] / (2.0 * np.tan(np.radians(fov_deg) / 2.0))
    rays = np.ones((*landmarks_px.shape[:-1], 3))
    rays[..., :2] = (landmarks_px - image_size[..., None, :] / 2.0) / focal_px[..., None, None]
    turned = rays @ R_cam_ray  # rows: Rᵀ · ray
    depth = np.maximum(turned[..., 2:], 1e-3)
    return turned[..., :2] / depth / half[..., None, None]


def up_in_ray(
    R_cam_ray: np.ndarray, pitch_deg: np.ndarray | float, roll_deg: np.ndarray | float
) -> np.ndarray:
    """Against gravity, a unit vector (…, 3) in the ray frame, of a camera that is put up like this.

    R_cam_ray (…, 3, 3) of `virtual_camera`. pitch_deg (…): > 0 looks down. roll_deg (…): > 0 tilts what stands upright
    to the right in the picture. A level camera's up is (0, −1, 0) in the camera frame.
    """
    pitch, roll = np.radians(pitch_deg), np.radians(roll_deg)
    up = np.stack(
        np.broadcast_arrays(np.sin(roll), -np.cos(roll) * np.cos(pitch), -np.cos(roll) * np.sin(pitch)), -1
    )
    return (up[..., None, :] @ R_cam_ray)[..., 0, :]  # rows: Rᵀ · up


def assemble_features(
    image: np.ndarray,
    world: np.ndarray,
    visibility: np.ndarray,
    dt_s: np.ndarray | float,
    up: np.ndarray | None = None,
    z: np.ndarray | None = None,
) -> np.ndarray:
    """Normalised landmarks (…, 33, 2), world landmarks (…, 33, 3) metres, visibility (…, 33), seconds since the frame
    before (…,), up (…, 3) in the ray frame or None, appearance features (…, 128) or None → φ (…, FEATURE_DIM) float32.

    Landmarks that are not finite or hardly visible become zeros; an up or a z that is not all finite counts as None,
    row by row.
    """
    known = (visibility >= MISSING_VISIBILITY) & np.isfinite(image).all(-1) & np.isfinite(world).all(-1)
    seen = np.where(known, visibility, 0.0)
    image = np.where(known[..., None], np.clip(image, -_IMAGE_LIMIT, _IMAGE_LIMIT), 0.0)
    world = np.where(known[..., None], np.clip(world, -_WORLD_LIMIT_M, _WORLD_LIMIT_M), 0.0)
    lead = image.shape[:-2]
    pace = np.log2(np.clip(np.asarray(dt_s), 1e-3, 1.0) / NOMINAL_DT_S)
    features = np.zeros((*lead, FEATURE_DIM), np.float32)
    features[..., :66] = image.reshape(*lead, 66)
    features[..., 66:165] = world.reshape(*lead, 99)
    features[..., 165:198] = seen
    features[..., 198] = np.clip(pace, -2.0, 4.0) / 2.0
    if up is not None:
        features[..., UP] = np.where(np.isfinite(up).all(-1, keepdims=True), up, 0.0)
    if z is not None:
        given = np.isfinite(z).all(-1)
        features[..., HAS_APPEARANCE] = given
        features[..., APPEARANCE] = np.where(given[..., None], z, 0.0)
    return features


def landmark_features(
    landmarks_px: np.ndarray,
    world: np.ndarray,
    visibility: np.ndarray,
    crop: np.ndarray,
    image_size: np.ndarray,
    fov_deg: float,
    dt_s: np.ndarray | float = NOMINAL_DT_S,
    up: np.ndarray | None = None,
    z: np.ndarray | None = None,
) -> np.ndarray:
    """φ (…, FEATURE_DIM) of what perception found: see the functions above for shapes and units."""
    image = normalise_landmarks(landmarks_px, crop, image_size, fov_deg)
    return assemble_features(image, world, visibility, dt_s, up, z)
