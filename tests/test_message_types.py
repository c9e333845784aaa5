"""Messages as they are made: no invalid one can be, of an estimate, their age."""

from __future__ import annotations

import time

import numpy as np
import pytest
from example_messages import image_message, pose_message, status_message

from realtime.clock import clock_id
from realtime.message_types import PoseMessage
from realtime.messages import decode, encode_pose
from realtime.observation import Estimate
from realtime.wire import MessageError


@pytest.mark.parametrize("what", ["jpeg", "size", "visibility", "crop", "landmarks"])
def test_bad_image(what: str) -> None:
    change: dict[str, object] = {
        "jpeg": {"jpeg": b"GIF89a"},
        "size": {"width": 0},
        "visibility": {"visibility": np.full(33, 1.5, np.float32)},
        "crop": {"crop": np.zeros(3, np.float32)},
        "landmarks": {"landmarks": np.zeros((32, 2), np.float32)},
    }[what]
    with pytest.raises(MessageError, match="width" if what == "size" else what):
        image_message(**change)


@pytest.mark.parametrize(
    "group",
    [
        {"fps": float("nan")},
        {"fps": np.float32(3)},
        {"what": b"bytes"},
        {"deep": {"a": {"b": {"c": {"d": {"e": 1}}}}}},
        {"long": "x" * 1025},
        {"many": list(range(257))},
        {"huge": 2**63},
        {5: "key"},
    ],
)
def test_status_holds_plain_values_only(group: dict) -> None:
    with pytest.raises(MessageError, match="rates"):
        status_message(rates=group)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_nothing_invalid_is_sent(bad: float) -> None:
    theta = np.zeros(85, np.float32)
    theta[40] = bad
    estimate = Estimate(theta, np.zeros(3, np.float32), np.zeros((24, 3), np.float32), (), "tracking", 1.0, 1)
    with pytest.raises(MessageError, match="theta: holds NaN"):
        PoseMessage.from_estimate(estimate, seq=0, frame=0, t_capture_ns=0, body="b", model="m")


def test_estimate_becomes_a_message() -> None:
    theta = np.arange(85, dtype=np.float32)
    ahead = ((100.0, np.ones(72, np.float32)),)
    estimate = Estimate(theta, np.ones(3, np.float32), np.ones((24, 3), np.float32), ahead, "held", 0.5, 2)
    before = time.monotonic_ns()
    message = decode(
        encode_pose(
            PoseMessage.from_estimate(estimate, seq=1, frame=3, t_capture_ns=before, body="b", model="m")
        )
    )
    assert isinstance(message, PoseMessage)
    assert (message.state, message.person, message.frame, message.clock) == ("held", 2, 3, clock_id())
    assert np.array_equal(message.camera, theta[:3])
    assert np.array_equal(message.pose[1], theta[6:9])
    assert np.array_equal(message.betas, theta[75:])
    age_ms = message.age_ms()
    assert age_ms is not None and 0 < age_ms < 10_000
    assert message.t_publish_ns >= before


def test_no_age_on_another_hosts_clock() -> None:
    assert pose_message(clock="ffffffffffffffff").age_ms() is None
    assert pose_message(clock=clock_id()).age_ms() is not None
