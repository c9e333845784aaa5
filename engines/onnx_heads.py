"""Movie strip Φ → camera, pose, shape, the pose a moment away and joints, as ONNX nodes."""

from __future__ import annotations

import math

import numpy as np

from engines.graphs import ancestor_jumps, bone_matrix, path_matrix
from engines.network.config import BETAS_SIZE, CAMERA_SIZE, POSE6D_SIZE, POSE_JOINTS, THETA6D_SIZE
from engines.network.regressors import SLOPE, DynamicsHead, IterativeRegressor
from engines.network.rotations import rotation_basis
from engines.onnx_layers import LayerWriter, array
from realtime.body.skeleton import PARENTS


class HeadWriter(LayerWriter):
    """Methods take and return names of tensors; shapes in the comments."""

    def write(self, strip: str) -> tuple[str, str]:
        """Φ (1, D) → names of camera (1, 3) and betas (1, 10); tensors pose, ahead, shape and joints."""
        graph = self.graph
        theta = self.regress(self.model.f3d, strip)
        camera, pose6d, betas = graph.split(theta, (CAMERA_SIZE, POSE6D_SIZE, BETAS_SIZE), axis=1)
        pose, pose6d = self.decode(pose6d)
        self.dynamics(self.model.dynamics, strip, pose, pose6d)
        change = graph.node("Mul", "shape_rate", graph.node("Sub", betas, "shape_mean"))
        shape = graph.node("Add", "shape_mean", change, name="shape")
        self.kinematics(pose, graph.node("Concat", betas, shape, axis=0))
        return camera, betas

    def regress(self, head: IterativeRegressor, strip: str) -> str:
        """Φ (1, D) → Θ' (1, 157). The first iteration starts from constants: half of it is computed here."""
        graph = self.graph
        from_strip = self.linear(head.from_strip, strip)
        mean = array(head.mean_theta)
        first = (array(head.from_theta.weight).astype(np.float64) @ mean).astype(np.float32)
        theta = ""
        for _ in range(head.iterations):
            from_theta = self.matmul(head.from_theta, theta) if theta else graph.constant(first)
            inner = self.relu(graph.node("Add", from_theta, from_strip))
            inner = self.relu(self.linear(head.hidden, inner))
            change = self.linear(head.out, inner)
            theta = graph.node("Add", theta or graph.constant(mean[None]), change)
        assert mean.shape == (THETA6D_SIZE,)
        return theta

    def decode(self, pose6d: str) -> tuple[str, str]:
        """6-D (1, 144) → matrices (24, 3, 3), and their first two columns (1, 144); output pose."""
        graph = self.graph
        first, second = graph.split(graph.reshape(pose6d, POSE_JOINTS, 6), (3, 3), axis=1)
        x = self.unit(first)
        along = graph.node("Mul", self.dot(x, second), x)
        y = self.unit(graph.node("Sub", second, along))
        # x × y = [x]× · y, and row vectors times the constant basis give the matrices [x]×.
        cross = graph.node("MatMul", x, graph.constant(rotation_basis()[:3].numpy()))
        z = graph.node("MatMul", graph.reshape(cross, POSE_JOINTS, 3, 3), graph.reshape(y, POSE_JOINTS, 3, 1))
        columns = graph.node("Concat", x, y, graph.reshape(z, POSE_JOINTS, 3), axis=1)
        pose = graph.node("Transpose", graph.reshape(columns, POSE_JOINTS, 3, 3), perm=(0, 2, 1))
        graph.reshape(pose, 1, POSE_JOINTS, 3, 3, name="pose")
        return pose, graph.reshape(graph.node("Concat", x, y, axis=1), 1, POSE6D_SIZE)

    def dynamics(self, head: DynamicsHead, strip: str, pose: str, pose6d: str) -> None:
        """Φ (1, D), pose (24, 3, 3), its 6-D (1, 144) → output ahead (K, 24, 3, 3)."""
        graph = self.graph
        known = graph.node("Add", self.matmul(head.from_pose, pose6d), self.linear(head.from_strip, strip))
        ratio = graph.reshape(graph.node("Div", "dt_ms", graph.constant(head.horizon_ms)), -1, 1)
        angle = graph.node("Mul", ratio, graph.constant(math.pi))
        parts = (ratio, graph.node("Mul", ratio, ratio), graph.node("Sin", angle), graph.node("Cos", angle))
        time = graph.node("Concat", *parts, axis=1)
        inner = graph.node("Add", self.matmul(head.from_time, time), known)
        inner = self.linear(head.hidden, graph.node("LeakyRelu", inner, alpha=SLOPE))
        vectors = self.linear(head.out, graph.node("LeakyRelu", inner, alpha=SLOPE))
        vectors = graph.node("Add", vectors, self.matmul(head.direct, strip))
        vectors = graph.node("Mul", vectors, ratio)
        relative = self.rotations(graph.reshape(vectors, -1, POSE_JOINTS, 3))
        graph.node("MatMul", pose, relative, name="ahead")

    def rotations(self, vectors: str) -> str:
        """Rotation vectors (K, 24, 3) → matrices (K, 24, 3, 3), through the quaternion q: R is linear in q·qᵀ."""
        graph = self.graph
        square = self.dot(vectors, vectors)
        angle = graph.node("Sqrt", graph.node("Add", square, graph.constant(1e-12)))
        half = graph.node("Mul", angle, graph.constant(0.5))
        sine = graph.node("Div", graph.node("Sin", half), angle)
        q = graph.node("Concat", graph.node("Cos", half), graph.node("Mul", vectors, sine), axis=2)
        column = graph.reshape(q, -1, POSE_JOINTS, 4, 1)
        outer = graph.node("Mul", column, graph.reshape(q, -1, POSE_JOINTS, 1, 4))
        flat = graph.reshape(outer, -1, POSE_JOINTS, 16)
        matrix = graph.node("MatMul", flat, graph.constant(quaternion_basis()))
        return graph.reshape(matrix, -1, POSE_JOINTS, 3, 3)

    def kinematics(self, pose: str, shapes: str) -> None:
        """pose (24, 3, 3), shapes (2, 10) → output joints (2, 24, 3); see engines.graphs.Kinematics."""
        graph = self.graph
        identity = graph.constant(np.eye(3)[None])
        parents = graph.constant((POSE_JOINTS, *PARENTS[1:]), np.int64)
        above = graph.node("Gather", graph.node("Concat", pose, identity, axis=0), parents, axis=0)
        for jump in ancestor_jumps():
            upper = graph.node("Gather", above, graph.constant(jump, np.int64), axis=0)
            above = graph.node("MatMul", upper, above)
        moved = graph.node("MatMul", "rest_directions", graph.node("Transpose", shapes, perm=(1, 0)))
        rest = graph.node("Add", moved, graph.reshape("rest_joints", POSE_JOINTS, 3, 1))
        bones = graph.node("MatMul", graph.constant(bone_matrix()), graph.reshape(rest, POSE_JOINTS, 6))
        turned = graph.node("MatMul", above, graph.reshape(bones, POSE_JOINTS, 3, 2))
        joints = graph.node("MatMul", graph.constant(path_matrix()), graph.reshape(turned, POSE_JOINTS, 6))
        graph.node("Transpose", graph.reshape(joints, POSE_JOINTS, 3, 2), perm=(2, 0, 1), name="joints")


def quaternion_basis() -> np.ndarray:
    """(16, 9) float32 B with (q·qᵀ).reshape(16) @ B = the rotation matrix of the unit quaternion q = (w, x, y, z)."""
    basis = np.zeros((4, 4, 3, 3), np.float32)
    for i in range(3):
        basis[0, 0, i, i] = 1.0
        for j in range(3):
            # x_i² counts for row i and against the others; 2·x_i·x_j off the diagonal
            basis[j + 1, j + 1, i, i] = 1.0 if i == j else -1.0
            if i != j:
                basis[i + 1, j + 1, i, j] = 2.0
    for i, j, k in ((0, 1, 2), (1, 2, 0), (2, 0, 1)):
        basis[0, k + 1, i, j] = -2.0
        basis[0, k + 1, j, i] = 2.0
    return basis.reshape(16, 9)
