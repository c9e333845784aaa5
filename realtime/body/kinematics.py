"""Joints by forward kinematics and vertices by linear-blend skinning, in numpy, for the live path.

Both work in the body's own frame and follow SMPL: the global orientation turns the body about its rest
pelvis, so joints[0] is the rest pelvis whatever the pose, and only the caller adds a translation. With a
global orientation from Θ (camera frame: x right, y down, z forward) the result is in the camera's axes.
`training/body_torch.py` is the same in torch; tests hold both against the smplx package.
"""

from __future__ import annotations

import numpy as np

from realtime.body.skeleton import TREE_LEVELS
from realtime.body.smpl import Body


def forward_kinematics(
    body: Body, pose_rotmat: np.ndarray, betas: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Pose the skeleton.

    pose_rotmat (…, 24, 3, 3) rotations of every joint against its parent, the global orientation first;
    betas (…, 10), or (10,) for all.
    Returns joints (…, 24, 3) float32, metres, and transforms (…, 24, 4, 4) float32: where the frame of each
    joint stands; its translation is the joint.
    """
    rotation = np.asarray(pose_rotmat, np.float32)
    rest = body.rest_joints(betas)
    transforms = np.zeros((*rotation.shape[:-3], 24, 4, 4), np.float32)
    transforms[..., :3, :3] = rotation
    transforms[..., 3, 3] = 1.0
    transforms[..., 0, :3, 3] = rest[..., 0, :]
    transforms[..., 1:, :3, 3] = rest[..., 1:, :] - rest[..., body.parents[1:], :]
    for joints, parents in TREE_LEVELS:
        transforms[..., joints, :, :] = transforms[..., parents, :, :] @ transforms[..., joints, :, :]
    return transforms[..., :3, 3].copy(), transforms


def skin(body: Body, transforms: np.ndarray, betas: np.ndarray, pose_rotmat: np.ndarray) -> np.ndarray:
    """Vertices (V, 3) float32, metres, of one frame.

    transforms (24, 4, 4) from forward_kinematics, with the same betas (10,) and pose_rotmat (24, 3, 3).
    The pose's own corrections (posedirs) are added where the body has them.
    """
    count = len(body.v_template)
    vertices = body.shaped(betas)
    if body.posedirs is not None:
        pose_feature = (np.asarray(pose_rotmat, np.float32)[1:] - np.eye(3, dtype=np.float32)).reshape(-1)
        vertices = vertices + (pose_feature @ body.posedirs).reshape(count, 3)
    # From rest to pose: turn about the joint's rest position, then go where the joint is now.
    from_rest = transforms[:, :3, :].copy()
    from_rest[:, :, 3] -= (transforms[:, :3, :3] @ body.rest_joints(betas)[:, :, None])[:, :, 0]
    blended = (body.weights @ from_rest.reshape(24, 12)).reshape(count, 3, 4)
    return np.einsum("vij,vj->vi", blended[:, :, :3], vertices) + blended[:, :, 3]
