"""The whole frame as one function of tensors: φ → camera, pose, shape, joints, the pose a moment away.

    step     features (1, F) ─────┐
             state, age ──────────┤─► embedding ─► encoder ─► Φ ─► f3D ─► pose ─┬─► fΔt ─► ahead
    window   features (1, 13, F) ─┘        └─ hallucinator ─┘        └─► betas ─┴─► kinematics ─► joints

Both forms compute the same; `step` reads cached columns, `window` the whole ring. The torch engine calls these
modules, and engines/onnx_graph.py writes the same functions as ONNX graphs. No tensor is looked at from Python: both
can be traced and captured in a CUDA graph.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from engines.graph_file import STEP_INPUTS, STEP_OUTPUTS, WINDOW_INPUTS, WINDOW_OUTPUTS, GraphInfo
from engines.network.model import HMMRLive
from engines.network.temporal import CACHED, ResidualBlock
from realtime.body.skeleton import JOINT_NAMES, PARENTS
from realtime.version import VERSION

JOINTS = len(PARENTS)


def info_of(model: HMMRLive, form: str, precision: str) -> GraphInfo:
    """A network as a graph file describes it, before it is one: no digest of its weights, no parity."""
    config = model.config
    return GraphInfo(
        form=form,
        precision=precision,
        model_id=config.model_id,
        feature_version=config.feature_version,
        feature_dim=config.feature_dim,
        receptive_field=config.receptive_field,
        delay=config.delay,
        appearance=config.appearance,
        horizon_ms=float(config.horizon_ms),
        width=config.width,
        parameters=sum(parameter.numel() for parameter in model.parameters()),
        weights_sha256="",
        hmmr_live=VERSION,
        joint_names=tuple(JOINT_NAMES),
        parity={},
    )


def ancestor_jumps() -> list[list[int]]:
    """For every joint, the joint 1, 2 and 4 steps up the tree; 0, the pelvis, where the tree ends before.

    With them the products of all rotations above a joint take three rounds, each as long as all before it,
    in place of one per level: no joint is deeper than eight.
    """
    jumps, current = [], [max(parent, 0) for parent in PARENTS]
    for _ in range(3):
        jumps.append(current)
        current = [current[joint] for joint in current]
    return jumps


def bone_matrix() -> list[list[float]]:
    """(24, 24): joints → vectors from their parents; zero for the pelvis."""
    rows = [[float(column == joint) for column in range(JOINTS)] for joint in range(JOINTS)]
    for joint, parent in enumerate(PARENTS):
        if parent < 0:
            rows[joint] = [0.0] * JOINTS
        else:
            rows[joint][parent] -= 1.0
    return rows


def path_matrix() -> list[list[float]]:
    """(24, 24): vectors from the parents → joints relative to the pelvis, the sums along the way down."""
    rows = [[0.0] * JOINTS for _ in range(JOINTS)]
    for joint in range(JOINTS):
        above = joint
        while above > 0:
            rows[joint][above] = 1.0
            above = PARENTS[above]
    return rows


class Kinematics(nn.Module):
    """Joints of a posed skeleton, relative to the pelvis; equals realtime.body.kinematics.forward_kinematics."""

    parents: Tensor
    jumps: Tensor
    bones: Tensor
    path: Tensor
    identity: Tensor

    def __init__(self) -> None:
        super().__init__()
        # The rotation above the pelvis is the identity, kept as row 24.
        self._constant("parents", torch.tensor([JOINTS, *PARENTS[1:]]))
        self._constant("jumps", torch.tensor(ancestor_jumps()))
        self._constant("bones", torch.tensor(bone_matrix()))
        self._constant("path", torch.tensor(path_matrix()))
        self._constant("identity", torch.eye(3).unsqueeze(0))

    def _constant(self, name: str, value: Tensor) -> None:
        self.register_buffer(name, value, persistent=False)

    def forward(self, pose: Tensor, shapes: Tensor, rest_joints: Tensor, rest_directions: Tensor) -> Tensor:
        """pose (24, 3, 3), shapes (S, 10), rest_joints (24, 3) metres, rest_directions (24, 3, 10)
        → joints (S, 24, 3), metres."""
        above = torch.cat((pose, self.identity)).index_select(0, self.parents)
        for jump in self.jumps.unbind():
            above = above.index_select(0, jump) @ above
        rest = rest_directions @ shapes.T + rest_joints.unsqueeze(-1)  # (24, 3, S)
        bones = (self.bones @ rest.flatten(1)).view_as(rest)
        return (self.path @ (above @ bones).flatten(1)).view_as(rest).permute(2, 0, 1)


class _FrameGraph(nn.Module):
    """What comes after the movie strip: the same in both forms."""

    inputs: tuple[str, ...]
    outputs: tuple[str, ...]

    def __init__(self, model: HMMRLive, full: bool = False) -> None:
        super().__init__()
        self.model = model
        self.full = full
        self.kinematics = Kinematics()

    def _strip(self, encoded: Tensor, embedded: Tensor, age: Tensor) -> Tensor:
        """Φ (1, D): the encoder's, blended with the hallucinated while the ring fills."""
        if self.full:
            return encoded
        return self.model.blend(encoded, self.model.hallucinator(embedded), age)

    def _heads(
        self,
        movie_strip: Tensor,
        dt_ms: Tensor,
        rest_joints: Tensor,
        rest_directions: Tensor,
        shape_mean: Tensor,
        shape_rate: Tensor,
    ) -> tuple[Tensor, ...]:
        """→ camera, pose, betas, shape, joints, ahead."""
        camera, pose, betas = self.model.decode(self.model.f3d(movie_strip))
        ahead = self.model.dynamics(movie_strip, pose, dt_ms)
        shape = shape_mean + shape_rate * (betas - shape_mean)
        joints = self.kinematics(pose[0], torch.cat((betas, shape)), rest_joints, rest_directions)
        return camera, pose, betas, shape, joints, ahead


class StepGraph(_FrameGraph):
    """One frame of a stream with its cached columns.

    full: the caller steps only streams whose ring is full (age 12); the hallucinator, whose weight would be
    zero, is then left out.
    """

    inputs, outputs = STEP_INPUTS, STEP_OUTPUTS

    def forward(
        self,
        features: Tensor,
        state: Tensor,
        age: Tensor,
        dt_ms: Tensor,
        rest_joints: Tensor,
        rest_directions: Tensor,
        shape_mean: Tensor,
        shape_rate: Tensor,
    ) -> tuple[Tensor, ...]:
        """features (1, F) raw φ; state (1, 2·blocks, 2, D), zeros at first; age (1,) float32: frames seen since
        the reset, 0 … 12; dt_ms (K,) milliseconds; rest_joints (24, 3), rest_directions (24, 3, 10) of the body,
        metres; shape_mean (10,) and shape_rate (1,): shape = mean + rate · (betas − mean).

        Returns, in the order of `outputs`: camera (1, 3), pose (1, 24, 3, 3), betas (1, 10), shape (1, 10),
        joints (2, 24, 3) metres with betas and with shape, relative to the pelvis, ahead (K, 24, 3, 3),
        movie_strip (1, D), next_state.
        """
        embedded = self.model.embed(features)
        encoded, next_state = self.model.encoder.step(embedded, state)
        movie_strip = self._strip(encoded, embedded, age)
        heads = self._heads(movie_strip, dt_ms, rest_joints, rest_directions, shape_mean, shape_rate)
        return *heads, movie_strip, next_state


class WindowGraph(_FrameGraph):
    """The newest frame of a whole ring of them, nothing cached.

    What lies before the start is zeroed after norm and ReLU, where the clip pass pads with zeros too. Each
    convolution leaves out the two oldest columns: they serve no later one.
    """

    inputs, outputs = WINDOW_INPUTS, WINDOW_OUTPUTS

    def forward(
        self,
        features: Tensor,
        age: Tensor,
        dt_ms: Tensor,
        rest_joints: Tensor,
        rest_directions: Tensor,
        shape_mean: Tensor,
        shape_rate: Tensor,
    ) -> tuple[Tensor, ...]:
        """features (1, 13, F) raw φ, oldest first, anything finite (zeros) before the start; the rest as
        StepGraph, without states. The frames that count are the last age + 1."""
        length = features.shape[1]
        embedded = self.model.embed(features)[0]
        index = torch.arange(length, dtype=age.dtype, device=age.device)
        seen = (index >= length - 1 - age).to(embedded.dtype).unsqueeze(-1)
        columns = embedded
        for block in self.model.encoder.blocks:
            assert isinstance(block, ResidualBlock)
            inner = _valid(block.conv1.taps, torch.relu(block.norm1(columns)) * seen[-len(columns) :])
            inner = _valid(block.conv2.taps, torch.relu(block.norm2(inner)) * seen[-len(inner) :])
            columns = columns[2 * CACHED :] + inner
        movie_strip = self._strip(columns, embedded[-1:], age)
        heads = self._heads(movie_strip, dt_ms, rest_joints, rest_directions, shape_mean, shape_rate)
        return *heads, movie_strip


def _valid(taps: nn.Linear, columns: Tensor) -> Tensor:
    """(T, D) → (T − 2, D): the convolution where all its three columns are there."""
    return taps(torch.cat((columns[:-2], columns[1:-1], columns[2:]), dim=-1))
