"""From a message to humanoid bones: what every sink for game engines begins with."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from realtime.body.rotations import axis_angle_to_matrix
from realtime.body.smpl import Body
from realtime.coordinates import pose_to_world, world_of_camera
from realtime.humanoid import Skeleton, body_skeleton, rest_joints_of, skeleton_of
from realtime.messages import PoseMessage

FARTHEST_M = 1e6  # so that no unit of any engine overflows; what is seen stands within some tens of metres


@dataclass(frozen=True, eq=False)
class BonePose:
    """One person's bones in the world: y up, the camera at the origin, metres."""

    rotations: np.ndarray  # (22, 3, 3) against the parent bone, T-pose-corrected; the Hips: against the world
    hips: np.ndarray  # (3,)
    lowest_m: float  # y of the lowest joint
    skeleton: Skeleton


class BoneReader:
    """Remembers how the person that is followed is built.

    A skeleton is taken from the first message of a person, and once more when the window is full (from warming to
    tracking), for the shape has settled a little by then; after that, bones keep their lengths. Betas are read with
    `body` where the message names it; of a body that is not known here, the rest pose is told by the message's own
    rotations and joints; where these are no skeleton, `body` at its mean shape stands in.

    lead_ms: how the pose is led (`PoseMessage.shown`); None, as the stream does. How high the lowest joint is, by which
    the floor is found, is always as it was seen.
    """

    def __init__(
        self, body: Body, pitch_deg: float = 0.0, roll_deg: float = 0.0, lead_ms: float | None = None
    ) -> None:
        self._body = body
        self._lead_ms = lead_ms
        self._R_world_cam = world_of_camera(pitch_deg, roll_deg)
        self.neutral = body_skeleton(body, np.zeros(10, np.float32))
        self._skeleton = self.neutral
        self._measured: tuple[str, int, bool] | None = None
        self._seq = 0

    def read(self, message: PoseMessage) -> BonePose:
        """Always finite, whatever a valid message says."""
        if message.seq < self._seq:  # the stream was started anew, and counts its people anew
            self._measured = None
        self._seq = message.seq
        if message.state in ("warming", "tracking"):
            key = (message.body, message.person, message.state == "tracking")
            if self._measured is None or key[:2] != self._measured[:2] or key[2] > self._measured[2]:
                self._measured, self._skeleton = key, self._measure(message)
        world = pose_to_world(*message.shown(self._lead_ms), self._R_world_cam)
        hips = np.clip(world.trans, -FARTHEST_M, FARTHEST_M)
        seen_m = float(np.clip(message.trans @ self._R_world_cam[1], -FARTHEST_M, FARTHEST_M))
        below_m = float((message.joints @ self._R_world_cam[1]).min())
        return BonePose(
            rotations=self._skeleton.pose(world.rotations),
            hips=hips,
            lowest_m=seen_m + max(-FARTHEST_M, min(0.0, below_m)),
            skeleton=self._skeleton,
        )

    def _measure(self, message: PoseMessage) -> Skeleton:
        try:
            if message.body == self._body.id:
                return body_skeleton(self._body, message.betas)
            rotations = axis_angle_to_matrix(message.pose).astype(np.float64)
            return skeleton_of(rest_joints_of(rotations, message.joints), self.neutral.sole_m)
        except ValueError:
            return self.neutral
