"""Joints and vertices: ours in numpy and torch against the smplx package, and against each other."""

import time

import numpy as np
import pytest
from bodies import figure_body, random_body, random_smpl_arrays

from realtime.body.kinematics import forward_kinematics, skin
from realtime.body.rotations import axis_angle_to_matrix
from realtime.body.skeleton import JOINT_NAMES
from realtime.body.smpl import body_from_arrays


def random_pose(rng):
    return rng.normal(0, 0.6, (24, 3)).astype(np.float32), rng.normal(0, 1.5, 10).astype(np.float32)


@pytest.mark.parametrize("seed", range(2))
def test_equal_to_the_smplx_package(seed):
    smplx = pytest.importorskip("smplx", reason="smplx (an extra, non-commercial licence) is not installed")
    torch = pytest.importorskip("torch")
    from smplx.utils import Struct

    # The package adds landmarks by the numbers of SMPL's own vertices: as many are needed.
    arrays = random_smpl_arrays(seed, vertices=6890)
    reference = smplx.SMPL("", data_struct=Struct(**arrays))
    body = body_from_arrays(arrays, "random")
    rng = np.random.default_rng(seed)
    for _ in range(12):
        pose, betas = random_pose(rng)
        with torch.no_grad():
            theirs = reference(
                betas=torch.from_numpy(betas[None]),
                global_orient=torch.from_numpy(pose[None, :1].reshape(1, 3)),
                body_pose=torch.from_numpy(pose[None, 1:].reshape(1, 69)),
            )
        rotations = axis_angle_to_matrix(pose)
        joints, transforms = forward_kinematics(body, rotations, betas)
        vertices = skin(body, transforms, betas, rotations)
        np.testing.assert_allclose(joints, theirs.joints[0, :24].numpy(), atol=1e-5)
        np.testing.assert_allclose(vertices, theirs.vertices[0].numpy(), atol=1e-5)


def test_rest_pose_gives_the_template():
    body = random_body(5)
    rest = np.tile(np.eye(3, dtype=np.float32), (24, 1, 1))
    joints, transforms = forward_kinematics(body, rest, np.zeros(10))
    np.testing.assert_allclose(joints, body.J_template, atol=1e-6)
    np.testing.assert_allclose(skin(body, transforms, np.zeros(10), rest), body.v_template, atol=1e-5)


def test_the_global_orientation_turns_about_the_rest_pelvis():
    body = figure_body()
    rotations = np.tile(np.eye(3, dtype=np.float32), (24, 1, 1))
    # Upright in the camera frame: y down, facing the camera, -z.
    rotations[0] = axis_angle_to_matrix(np.array([np.pi, 0, 0]))
    joints, _ = forward_kinematics(body, rotations, np.zeros(10))
    np.testing.assert_allclose(joints[0], body.J_template[0], atol=1e-6)
    relative = joints - joints[0]
    assert relative[JOINT_NAMES.index("head"), 1] < -0.4
    assert relative[JOINT_NAMES.index("left_foot"), 2] < -0.05
    assert relative[JOINT_NAMES.index("left_wrist"), 0] > 0.5  # its left is on the right of the picture


def test_batches_are_frames():
    body = random_body(6)
    rng = np.random.default_rng(6)
    poses = axis_angle_to_matrix(rng.normal(0, 0.5, (2, 3, 24, 3)))
    betas = rng.normal(0, 1, (2, 3, 10)).astype(np.float32)
    joints, transforms = forward_kinematics(body, poses, betas)
    assert joints.shape == (2, 3, 24, 3) and transforms.shape == (2, 3, 24, 4, 4)
    for index in np.ndindex(2, 3):
        one, _ = forward_kinematics(body, poses[index], betas[index])
        np.testing.assert_allclose(joints[index], one, atol=1e-6)
    shared, _ = forward_kinematics(body, poses, betas[0, 0])
    np.testing.assert_allclose(shared[0, 0], joints[0, 0], atol=1e-6)


def test_torch_is_equal_to_numpy_whole_and_for_some_vertices():
    torch = pytest.importorskip("torch")
    from training.body_torch import TorchBody

    body = random_body(7)
    rng = np.random.default_rng(7)
    poses = axis_angle_to_matrix(rng.normal(0, 0.5, (2, 4, 24, 3)))
    betas = rng.normal(0, 1, (2, 4, 10)).astype(np.float32)
    some = rng.choice(200, 17, replace=False)
    whole, part = TorchBody(body), TorchBody(body, vertex_indices=some)
    t_poses, t_betas = torch.from_numpy(poses), torch.from_numpy(betas)
    joints, transforms = whole.joints(t_poses, t_betas)
    vertices = whole.vertices(transforms, t_betas, t_poses)
    assert vertices.shape == (2, 4, 200, 3)
    subset = part.vertices(transforms, t_betas, t_poses)
    for index in np.ndindex(2, 4):
        n_joints, n_transforms = forward_kinematics(body, poses[index], betas[index])
        np.testing.assert_allclose(joints[index].numpy(), n_joints, atol=1e-5)
        expected = skin(body, n_transforms, betas[index], poses[index])
        np.testing.assert_allclose(vertices[index].numpy(), expected, atol=1e-5)
        np.testing.assert_allclose(subset[index].numpy(), expected[some], atol=1e-5)


def test_torch_gradient_is_that_of_finite_differences():
    torch = pytest.importorskip("torch")
    from training.body_torch import TorchBody

    model = TorchBody(random_body(8, vertices=20)).double()
    rng = np.random.default_rng(8)
    poses = torch.from_numpy(axis_angle_to_matrix(rng.normal(0, 0.5, (1, 24, 3))).astype(np.float64))
    betas = torch.from_numpy(rng.normal(0, 1, (1, 10)))
    poses.requires_grad_()
    betas.requires_grad_()

    def everything(p, b):
        joints, transforms = model.joints(p, b)
        return joints.sum(-2), model.vertices(transforms, b, p).sum(-2)

    assert torch.autograd.gradcheck(everything, (poses, betas), fast_mode=True)


def test_forward_kinematics_is_fast_enough_for_every_frame():
    body = random_body(9)
    rotations = axis_angle_to_matrix(np.zeros((24, 3)))
    betas = np.zeros(10, np.float32)
    fastest = min(_seconds(forward_kinematics, body, rotations, betas) for _ in range(200))
    assert fastest < 1e-3  # 0.1 ms on an idle core; ten times that means that something is wrong


def _seconds(function, *arguments):
    start = time.perf_counter()
    function(*arguments)
    return time.perf_counter() - start
