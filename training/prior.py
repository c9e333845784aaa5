"""The factorised adversarial prior: what poses of people look like (HMR, Kanazawa et al., CVPR 2018, §3.2).

One small discriminator per joint and one for the whole pose, on rotation matrices, trained by least squares (LSGAN).
It needs no pairs: poses read from video that only has 2-D are held among the true ones of the motion capture.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

JOINTS = 23  # SMPL's without the root, whose turn is the camera's matter
OUTPUTS = JOINTS + 1
LEARNING_RATE = 1e-4  # HMMR


class FactorisedPrior(nn.Module):
    """23 rotation matrices → 24 scores; 1: true, 0: made up.

    each joint  9 ─► 32 ─► 32 ─┬─► own linear ─► 1          23 scores
                shared 1×1     └─► all joints 736 ─► 1024 ─► 1024 ─► 1
    """

    def __init__(self, hidden: int = 32, width: int = 1024) -> None:
        super().__init__()
        self.shared1 = nn.Linear(9, hidden)  # a 1×1 convolution over joints is one matrix for all of them
        self.shared2 = nn.Linear(hidden, hidden)
        self.joint_weight = nn.Parameter(torch.randn(JOINTS, hidden) / hidden**0.5)
        self.joint_bias = nn.Parameter(torch.zeros(JOINTS))
        self.pose1 = nn.Linear(JOINTS * hidden, width)
        self.pose2 = nn.Linear(width, width)
        self.pose3 = nn.Linear(width, 1)

    def forward(self, pose: Tensor) -> Tensor:
        """(…, 24, 3, 3) rotations, root first and left out → (…, 24) scores: 23 of the joints, then the whole."""
        joints = torch.relu(self.shared1(pose[..., 1:, :, :].flatten(-2)))
        joints = torch.relu(self.shared2(joints))
        single = (joints * self.joint_weight).sum(dim=-1) + self.joint_bias
        whole = torch.relu(self.pose1(joints.flatten(-2)))
        whole = self.pose3(torch.relu(self.pose2(whole)))
        return torch.cat((single.float(), whole.float()), dim=-1)

    def plausibility_loss(self, pose: Tensor) -> Tensor:
        """What the regressor pays: mean over poses and scores of (D − 1)². No gradient for the discriminator."""
        self.requires_grad_(False)
        loss = (self(pose) - 1.0).square().mean()
        self.requires_grad_(True)
        return loss

    def discriminator_loss(self, real: Tensor, made_up: Tensor) -> Tensor:
        """Mean of (D(real) − 1)² plus mean of D(made up)²; (N, 24, 3, 3) and (M, 24, 3, 3), taken without gradient."""
        scores = self(torch.cat((real, made_up)).detach())
        return (scores[: len(real)] - 1.0).square().mean() + scores[len(real) :].square().mean()
